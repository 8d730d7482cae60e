ARG NGINX_IMAGE=nginx:1.29-trixie

# hadolint ignore=DL3006 # the image is named, and pinned, by env/images/*.env
FROM ${NGINX_IMAGE}
COPY docker/nginx/gangway.conf.template /etc/nginx/templates/default.conf.template
COPY scripts/healthcheck /usr/local/bin/
USER 10001:10001
