# One Dockerfile for every Python service; APP names its folder.
#   base -> uv -> dependencies -> production, development (<- debugger)
#             \-> test-dependencies -> test (all apps side by side)
#   base -> browser -> worker: production with Chromium, and Playwright to drive it
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:/opt/gangway/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    PYTHONUNBUFFERED=1
WORKDIR /srv/app
ENTRYPOINT ["entrypoint"]
CMD ["serve"]

FROM base AS uv
COPY docker/requirements-build.txt /tmp/
COPY docker/with-index docker/install-dependencies docker/poetry-requirements docker/strip-wheels \
    docker/compile-wheels /usr/local/bin/
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

FROM uv AS dependencies
ARG APP
# Whichever the app has: requirements.txt, uv.lock or poetry.lock.
COPY ${APP}/*requirements.txt ${APP}/pyproject.tom[l] ${APP}/*.loc[k] /tmp/app/
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-dependencies /tmp/app && strip-wheels /opt/venv

# The debugger, the profiler and what the reloader needs, for development only and apart from what
# the app has.
FROM uv AS debugger
COPY docker/requirements-debug.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python \
        --target /opt/debugger --require-hashes --only-binary :all: --compile-bytecode \
        -r /tmp/requirements-debug.txt

FROM base AS development
# The mounted source is never written to, and a .pyc can't outlive an edit in the same second.
ENV PYTHONDONTWRITEBYTECODE=1
# `up --watch` copies files for a user whom the image knows.
ARG APP_UID=0
RUN getent passwd "${APP_UID}" || echo "developer:x:${APP_UID}:0::/tmp:/bin/sh" >>/etc/passwd
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link --from=debugger /opt/debugger /opt/debugger
COPY scripts/ /opt/gangway/bin/
ARG APP
COPY ${APP}/ /srv/app/
USER 10001:10001

# The locks alone, so that a change of source doesn't install everything again.
FROM base AS locks
WORKDIR /context
COPY . .
ARG TEST_LOCKS
RUN mkdir /locks && \
    for place in ${TEST_LOCKS}; do \
        find "$place" -maxdepth 1 \
            \( -name '*requirements*.txt' -o -name '*.lock' -o -name pyproject.toml \) \
            -exec cp --parents --target-directory /locks {} + ; \
    done

FROM uv AS test-dependencies
WORKDIR /locks
COPY --from=locks /locks .
ARG TEST_LOCKS
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-dependencies ${TEST_LOCKS}

# Without sources: they are mounted.
FROM base AS test
ENV PYTHONDONTWRITEBYTECODE=1
COPY --link --from=test-dependencies /opt/venv /opt/venv
COPY scripts/ /opt/gangway/bin/
USER 10001:10001
CMD ["python", "-m", "pytest"]

# What a browser needs, before all that changes more often.
FROM base AS browser
# hadolint ignore=DL3008 # a version would keep the security updates out
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core && \
    # Drivers that draw by a graphics card, or do as if there were one: 200 MB that are never used.
    dpkg --purge --force-depends libllvm19 libz3-4 mesa-libgallium && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

FROM dependencies AS worker-dependencies
ARG APP
COPY ${APP}/requirements-worker.txt /tmp/worker/requirements.txt
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/bytecode \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index install-dependencies /tmp/worker && strip-wheels /opt/venv

FROM browser AS worker
COPY --link --from=worker-dependencies /opt/venv /opt/venv
COPY scripts/ /opt/gangway/bin/
ARG APP
COPY ${APP}/ /srv/app/
USER 10001:10001

FROM base AS production
COPY --link --from=dependencies /opt/venv /opt/venv
COPY scripts/ /opt/gangway/bin/
ARG APP
COPY ${APP}/ /srv/app/
USER 10001:10001
