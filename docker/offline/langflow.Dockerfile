# Langflow from its wheels, as far as there are any: see overrides-langflow.txt. Of the official
# image's interface it has what the Compose file uses: `langflow run`, and python beside it.
FROM gangway.local/python:3.13 AS wheels

COPY install-wheel install-many /usr/local/bin/
COPY requirements-uv.txt requirements-langflow.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-uv.txt /uv && \
    install-many /uv/bin/uv /tmp/requirements-langflow.txt /opt/langflow

FROM gangway.local/python:3.13

COPY --from=wheels /opt/langflow /opt/langflow
ENV PYTHONPATH=/opt/langflow \
    PATH=/opt/langflow/bin:$PATH
# Compiled once and not at every start: whoever runs it can't write here.
RUN python -m compileall -q -j 2 /opt/langflow >/dev/null 2>&1 || true; \
    langflow --version
CMD ["langflow", "run"]
