# certbot, for TLS=acme.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${PYTHON_IMAGE} AS certbot
COPY docker/requirements-acme.txt /tmp/
COPY docker/with-index docker/undated /usr/local/bin/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    python -m venv --without-pip /opt/acme && \
    with-index python -m pip --python /opt/acme/bin/python install --quiet \
        --disable-pip-version-check --root-user-action=ignore \
        --no-compile --only-binary :all: --require-hashes -r /tmp/requirements-acme.txt && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/acme/lib && \
    undated /opt/acme

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE}
ENV PATH=/opt/acme/bin:$PATH \
    PYTHONUNBUFFERED=1
# A new volume gets the mode: any user may keep certificates there.
RUN install -d -m 1777 /var/lib/acme
COPY --link --from=certbot /opt/acme /opt/acme
COPY --chmod=0755 scripts/acme /usr/local/bin/
USER 10001:10001
ENTRYPOINT ["acme"]
CMD ["serve"]
