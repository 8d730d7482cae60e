# Python 3.13 as Debian ships it, with the official image's interface: python, python3 and pip
# in /usr/local/bin, `python -m pip` and `python -m venv` work, no compiler.
FROM gangway.local/debian:13

ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8

# pip comes from the wheel that Debian keeps for virtual environments. The marker that forbids
# pip outside a virtual environment goes: this image holds nothing that it could break.
RUN set -eux; \
    apt-get update -qq; \
    apt-get install -y -qq python3.13 python3.13-venv ca-certificates; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log; \
    rm -f /usr/lib/python3.13/EXTERNALLY-MANAGED; \
    python3.13 "$(echo /usr/share/python-wheels/pip-*.whl)/pip" install --no-index --no-compile --no-cache-dir \
        --root-user-action=ignore --find-links /usr/share/python-wheels pip; \
    for name in python python3 python3.13; do ln -sf /usr/bin/python3.13 "/usr/local/bin/$name"; done; \
    python --version; \
    python -m pip --version; \
    pip3 --version

CMD ["python3"]
