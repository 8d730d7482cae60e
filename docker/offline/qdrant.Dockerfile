# A stand-in for Qdrant, with the official unprivileged image's port, user and storage: no registry
# package holds the server, so qdrant/server.py answers for it on the embedded engine's wheel.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-qdrant.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-qdrant.txt /wheel

FROM gangway.local/python:3.13

# Where others mount a tmpfs anybody may write: Debian 12's runc 1.1.5 gives it the folder's own mode,
# whatever its options say.
RUN set -eux; \
    groupadd --gid 1000 qdrant; \
    useradd --uid 1000 --gid qdrant --no-create-home --home-dir /qdrant qdrant; \
    install -d -o qdrant -g qdrant /qdrant; \
    install -d -o qdrant -g qdrant -m 1777 /qdrant/storage /qdrant/snapshots
COPY --from=wheel /wheel /opt/qdrant
COPY qdrant/server.py /opt/qdrant/

ENV PYTHONPATH=/opt/qdrant \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /qdrant
USER 1000:1000
EXPOSE 6333
ENTRYPOINT ["python", "/opt/qdrant/server.py"]
CMD ["serve"]
