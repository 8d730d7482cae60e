# What makes, proves and restores backups: PostgreSQL's own programs, of the server's
# major, for they come out of its image; age and rclone beside.
ARG POSTGRES_IMAGE=postgres:18.1-trixie
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${PYTHON_IMAGE} AS packages
COPY docker/requirements-backup.txt /tmp/
COPY docker/with-index docker/undated /usr/local/bin/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    with-index python -m pip install --quiet --disable-pip-version-check \
        --root-user-action=ignore --no-compile --only-binary :all: --require-hashes \
        --target /opt/backup -r /tmp/requirements-backup.txt && \
    undated /opt/backup

# hadolint ignore=DL3006
FROM ${POSTGRES_IMAGE}
RUN --mount=type=cache,id=debian,target=/var/cache/debian,sharing=locked \
    --mount=type=bind,source=docker/install-packages,target=/run/install-packages \
    bash /run/install-packages python3
ENV PATH=/opt/backup/bin:$PATH \
    PYTHONPATH=/opt/gangway:/opt/backup \
    PYTHONUNBUFFERED=1
# A new volume gets the mode: any user may keep backups there, or copies of them.
RUN install -d -m 1777 /var/lib/backup /var/lib/backup-copies
COPY --link --from=packages /opt/backup /opt/backup
COPY --chmod=0755 scripts/cron docker/backup/start/backup /usr/local/bin/
COPY --chmod=0755 docker/backup/*.py /opt/gangway/backup/
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/gangway /opt/backup
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["backup"]
CMD ["serve"]
