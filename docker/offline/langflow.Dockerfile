# Langflow from its wheels, as far as they are there: see overrides-langflow.txt. Of the official
# image's interface what the Compose file uses: `langflow run`, and python beside it.
FROM gangway.local/python:3.13 AS wheels

COPY install-wheel /usr/local/bin/
COPY requirements-langflow.txt /tmp/
RUN --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf \
    install-wheel /tmp/requirements-langflow.txt /opt/langflow

FROM gangway.local/python:3.13

COPY --from=wheels /opt/langflow /opt/langflow
ENV PYTHONPATH=/opt/langflow \
    PATH=/opt/langflow/bin:$PATH
# What it imports, compiled once and not at every start; whoever runs it can't write here.
RUN python -m compileall -q /opt/langflow || true
RUN langflow --version
CMD ["langflow", "run"]
