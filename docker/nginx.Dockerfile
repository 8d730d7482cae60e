ARG NGINX_IMAGE=nginx:1.29-trixie

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${NGINX_IMAGE}
USER 0:0
# The folders for bodies and for certificates, whose mode a new volume gets: any user may keep them there.
RUN install -d -m 1777 /var/cache/nginx /var/lib/acme \
    && rm -f /etc/nginx/conf.d/default.conf
COPY --chmod=0755 docker/nginx/nginx.conf /etc/nginx/
COPY --chmod=0755 docker/nginx/templates /usr/local/lib/front/templates
COPY --chmod=0755 docker/nginx/settings.bash /usr/local/lib/front/
COPY --chmod=0755 docker/nginx/start /docker-entrypoint.d/15-front.sh
COPY --chmod=0755 docker/nginx/front docker/nginx/tls-certificate /usr/local/bin/
COPY --chmod=0755 scripts/healthcheck /usr/local/bin/
USER 10001:10001
