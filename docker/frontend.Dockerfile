# The front end: Next.js on Node.
#   base -> dependencies -> development
#                       \-> builder -> production
ARG NODE_IMAGE=node:24.19-trixie-slim

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${NODE_IMAGE} AS base
ENV PATH=/opt/gangway/bin:$PATH \
    NEXT_TELEMETRY_DISABLED=1
WORKDIR /srv/app
ENTRYPOINT ["entrypoint"]

FROM base AS dependencies
COPY docker/with-index docker/undated /usr/local/bin/
COPY apps/frontend/package.json apps/frontend/package-lock.json ./
# sharp only resizes pictures, which next.config.ts switches off.
RUN --mount=type=cache,target=/root/.npm \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=npmrc --mount=type=secret,id=npm_registry \
    with-index npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier && \
    rm -rf node_modules/sharp node_modules/@img

FROM dependencies AS development
COPY --chmod=0755 scripts/ /opt/gangway/bin/
COPY apps/frontend/ ./
# Whoever runs it: next dev writes here, and so does `up --watch`, for a user whom the image knows.
ARG APP_UID=1000
RUN mkdir .next && chmod --recursive a+rwX src public && chmod a+rwx . .next ./*.* && \
    { getent passwd "${APP_UID}" || echo "developer:x:${APP_UID}:0::/tmp:/bin/sh" >>/etc/passwd; }
USER 10001:10001
CMD ["node", "node_modules/next/dist/bin/next", "dev"]

FROM dependencies AS builder
COPY apps/frontend/ ./
RUN --mount=type=cache,target=/srv/app/.next/cache \
    node node_modules/next/dist/bin/next build && \
    mkdir /out && \
    cp -R .next/standalone/. public /out/ && \
    cp -R .next/static /out/.next/ && \
    # Where it may write at run time: all else is read-only. Whatever umask the checkout had.
    rm -rf /out/.next/cache && ln -s /tmp /out/.next/cache && \
    chmod -R u=rwX,go=rX /out && \
    undated /out/node_modules

FROM base AS production
ENV NODE_ENV=production \
    HOSTNAME=0.0.0.0
COPY --chmod=0755 scripts/ /opt/gangway/bin/
COPY --link --from=builder /out/ ./
USER 10001:10001
CMD ["node", "server.js"]
