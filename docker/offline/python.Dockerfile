# Python as a release of Debian ships it, with the official image's interface: python, python3 and
# pip in /usr/local/bin, `python -m pip` and `python -m venv` work, no compiler.
ARG DEBIAN_IMAGE=gangway.local/debian:13

# hadolint ignore=DL3006 # made here, by its release
FROM ${DEBIAN_IMAGE}

ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8

# pip comes from the wheel that Debian keeps for virtual environments. The marker that forbids
# pip outside a virtual environment goes: this image holds nothing that it could break.
ARG PYTHON=3.13
RUN set -eux; \
    apt-get update -qq; \
    apt-get install -y -qq "python$PYTHON" "python$PYTHON-venv" ca-certificates; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log; \
    rm -f "/usr/lib/python$PYTHON/EXTERNALLY-MANAGED"; \
    "python$PYTHON" "$(echo /usr/share/python-wheels/pip-*.whl)/pip" install --no-index --no-compile --no-cache-dir \
        --root-user-action=ignore --find-links /usr/share/python-wheels pip; \
    for name in python python3 "python$PYTHON"; do ln -sf "/usr/bin/python$PYTHON" "/usr/local/bin/$name"; done; \
    python --version; \
    python -m pip --version; \
    pip3 --version

ARG PYTHON_VERSION
ENV PYTHON_VERSION=${PYTHON_VERSION}
CMD ["python3"]
