# One Dockerfile for every Python service. What an app is, its build arguments say: docs/adopting.md.
#   base -> runtime -> development, test, production
#       \-> uv -> building -> dependencies -> development-dependencies -> test-dependencies
#                                         \-> built: the build step; production has its outputs
#   node: the assets that the build step finds
# Modes are given where others than root read: a checkout that was made with umask 077 has none.
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG NODE_IMAGE=node:24.19-trixie-slim
# Which stages there are depends on these: an app without has none of them.
ARG ASSETS

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:/opt/gangway/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    PYTHONUNBUFFERED=1
# Where most images have their app: paths that begin there are found, too.
RUN [ -e /app ] || ln -s /srv/app /app
WORKDIR /srv/app
ENTRYPOINT ["entrypoint"]
CMD ["serve"]

FROM base AS runtime
ARG RUN_PACKAGES
RUN --mount=type=cache,id=debian,target=/var/cache/debian,sharing=locked \
    --mount=type=bind,source=docker/install-packages,target=/run/install-packages \
    bash /run/install-packages ${RUN_PACKAGES}

FROM base AS uv
COPY docker/requirements-build.txt /tmp/
COPY docker/with-index docker/strip-wheels docker/compile-wheels docker/undated /usr/local/bin/
# What is installed is changed afterwards: it must not be linked to uv's cache.
ENV UV_LINK_MODE=copy \
    BYTECODE_CACHE=/root/.cache/bytecode
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    python -m venv --without-pip /opt/uv && \
    with-index python -m pip --python /opt/uv/bin/python install --quiet \
        --disable-pip-version-check --root-user-action=ignore \
        --only-binary :all: --require-hashes -r /tmp/requirements-build.txt && \
    python -m venv --without-pip /opt/venv
COPY docker/install-beside /usr/local/bin/

# The servers that `serve` runs, for an app that has none of its own.
FROM uv AS servers
COPY docker/requirements-serve.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-beside /opt/gangway/servers /tmp/requirements-serve.txt && \
    strip-wheels /opt/gangway/servers && \
    undated /opt/gangway/servers

# The debugger, the profiler and what the reloader needs, for development only and where the app
# doesn't find them.
FROM uv AS debugger
COPY docker/requirements-debug.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-beside /opt/debugger /tmp/requirements-debug.txt

# pytest, for an app that has none.
FROM uv AS pytest
COPY docker/requirements-pytest.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-beside /opt/gangway/pytest /tmp/requirements-pytest.txt

FROM uv AS building
COPY docker/install-packages /usr/local/sbin/
ARG RUN_PACKAGES
ARG BUILD_PACKAGES
RUN --mount=type=cache,id=debian,target=/var/cache/debian,sharing=locked \
    install-packages ${RUN_PACKAGES} ${BUILD_PACKAGES}
COPY docker/install-dependencies /usr/local/bin/
COPY docker/locks/ /usr/local/bin/locks/

# What installing reads and nothing else, so that a change of source doesn't install it all again.
FROM building AS locks
ARG APP
ARG LOCK
ARG PACKAGE
ARG EXTRAS
ARG GROUPS
ARG TEST_LOCKS
WORKDIR /context
# hadolint ignore=SC2128 # it is sh, to which GROUPS is a name like any other
RUN --mount=type=bind,target=/context \
    install-dependencies --files --package "${PACKAGE}" --extras "${EXTRAS}" --groups "${GROUPS}" \
        "${LOCK:-${APP}}" ${TEST_LOCKS} >/tmp/files && \
    mkdir /locks && \
    xargs --delimiter '\n' cp --parents --target-directory /locks </tmp/files

FROM building AS dependencies
COPY --from=locks /locks /locks
WORKDIR /locks
ARG APP
ARG LOCK
ARG PACKAGE
ARG EXTRAS
ARG FROM_SOURCE
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-dependencies --package "${PACKAGE}" --extras "${EXTRAS}" \
        --from-source "${FROM_SOURCE}" "${LOCK:-${APP}}" && \
    strip-wheels /opt/venv && \
    undated /opt/venv

FROM dependencies AS development-dependencies
ARG GROUPS
# hadolint ignore=SC2128 # as above
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    [ -z "${GROUPS}" ] || \
    with-index install-dependencies --package "${PACKAGE}" --extras "${EXTRAS}" \
        --groups "${GROUPS}" --from-source "${FROM_SOURCE}" "${LOCK:-${APP}}"

FROM development-dependencies AS test-dependencies
ARG TEST_LOCKS
# hadolint ignore=SC2178 # as above
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    [ -z "${TEST_LOCKS}" ] || \
    with-index install-dependencies --from-source "${FROM_SOURCE}" ${TEST_LOCKS}
# hadolint ignore=SC2178 # as above
RUN python -c 'import pytest' 2>/dev/null || \
    echo /opt/gangway/pytest >"$(echo /opt/venv/lib/python*/site-packages)/pytest.pth"

FROM runtime AS development
# The mounted source is never written to, and a .pyc can't outlive an edit in the same second.
ENV PYTHONDONTWRITEBYTECODE=1
# `up --watch` copies files for a user whom the image knows.
ARG APP_UID=0
RUN getent passwd "${APP_UID}" || echo "developer:x:${APP_UID}:0::/tmp:/bin/sh" >>/etc/passwd
COPY --link --from=development-dependencies /opt/venv /opt/venv
COPY --link --from=servers /opt/gangway/servers /opt/gangway/servers
COPY --link --from=debugger /opt/debugger /opt/debugger
COPY --chmod=0755 scripts/ /opt/gangway/bin/
ARG APP
COPY ${APP}/ /srv/app/
ARG WORKDIR_IN_APP
ARG MEDIA
WORKDIR /srv/app/${WORKDIR_IN_APP}
# What lies there already, such as uploads of this machine, is for whoever runs it as well.
RUN [ -z "${MEDIA}" ] || { install -d -m 1777 "${MEDIA}" && chmod -R a+rwX "${MEDIA}"; }
WORKDIR /srv/app
USER 10001:10001

FROM runtime AS test
# What is compiled when they run isn't for the checkout.
ENV PYTHONDONTWRITEBYTECODE=1
COPY --link --from=test-dependencies /opt/venv /opt/venv
COPY --link --from=servers /opt/gangway/servers /opt/gangway/servers
COPY --link --from=pytest /opt/gangway/pytest /opt/gangway/pytest
COPY --chmod=0755 scripts/ /opt/gangway/bin/
ARG WORKDIR_IN_APP
ARG MEDIA
WORKDIR /srv/app/${WORKDIR_IN_APP}
RUN [ -z "${MEDIA}" ] || install -d -m 1777 "${MEDIA}"
WORKDIR /srv/app
USER 10001:10001
CMD ["python", "-m", "pytest"]

# hadolint ignore=DL3006 # as at the top
FROM ${NODE_IMAGE} AS assets-node
COPY docker/with-index docker/install-node-packages /usr/local/bin/
RUN [ -e /app ] || ln -s /srv/app /app
WORKDIR /srv/app
ARG APP
ARG ASSETS
COPY ${APP}/${ASSETS}/package.json ${APP}/${ASSETS}/package-lock.jso[n] \
    ${APP}/${ASSETS}/yarn.loc[k] ${APP}/${ASSETS}/pnpm-lock.yam[l] ${APP}/${ASSETS}/.npmr[c] \
    /srv/app/${ASSETS}/
RUN --mount=type=cache,target=/root/.npm \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=npmrc --mount=type=secret,id=npm_registry \
    with-index install-node-packages "${ASSETS}"
COPY ${APP}/ /srv/app/
ARG ASSETS_COMMAND
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=npmrc --mount=type=secret,id=npm_registry \
    cd "${ASSETS}" && with-index sh -c "${ASSETS_COMMAND:-npm run build}"

FROM base AS assets

# hadolint ignore=DL3006 # it is one of these two
FROM assets${ASSETS:+-node} AS wanted-assets

FROM dependencies AS built
COPY docker/build-step /usr/local/bin/
ARG APP
COPY ${APP}/ /srv/app/
COPY --from=wanted-assets /srv/app/ /srv/app/
ARG WORKDIR_IN_APP
ARG PYTHONPATH_IN_APP
ARG BUILD_COMMAND
ARG BUILD_ENV
ARG ASSETS
ARG STATIC
WORKDIR /srv/app
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index build-step && \
    # Whatever umask the checkout had.
    chmod -R u=rwX,go=rX /srv/app

FROM runtime AS production
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=servers /opt/gangway/servers /opt/gangway/servers
COPY --chmod=0755 scripts/ /opt/gangway/bin/
COPY --from=built /srv/app/ /srv/app/
ARG WORKDIR_IN_APP
ARG STATIC
ARG MEDIA
WORKDIR /srv/app/${WORKDIR_IN_APP}
# Files that the build step left elsewhere; and the folders of volumes, for whoever runs it.
RUN --mount=type=bind,from=built,target=/built \
    case "${STATIC}" in /*) mkdir -p "${STATIC}" && cp -R "/built${STATIC}/." "${STATIC}" ;; esac && \
    install -d -m 1777 /srv/static ${MEDIA:+"${MEDIA}"} && \
    { [ -z "${MEDIA}" ] || chmod -R a+rwX "${MEDIA}"; }
WORKDIR /srv/app
USER 10001:10001
