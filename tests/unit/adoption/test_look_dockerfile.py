"""Dockerfiles: read by hand, and what they say about an app."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.operations.adoption.look.dockerfile import parse
from gangway.operations.adoption.look.shell import commands
from tests.unit.adoption.looked import FASTAPI, FLASK, django, looked, loss

# -- the parser -----------------------------------------------------------------------------------


def test_continued_lines_keep_their_place() -> None:
    file = parse(
        "FROM python:3.13\n"
        "RUN apt-get update \\\n"
        "  # a comment between\n"
        "\n"
        "  && apt-get install -y gcc \\\n"
        "  && rm -rf /x\n"
        "EXPOSE 80\n",
        "Dockerfile",
    )
    run, expose = file.stages[0].instructions
    found = [(each.text, run.line + each.line) for each in commands(run.text)]
    assert found == [
        ("apt-get update", 2), ("apt-get install -y gcc", 5), ("rm -rf /x", 6),
    ]  # fmt: skip
    assert expose.line == 7


def test_arguments_are_put_in_as_docker_does_it() -> None:
    file = parse(
        "ARG VERSION=3.12\nFROM python:${VERSION}-slim AS base\nARG VERSION\nARG PORT=8000\n"
        "ENV URL=http://localhost:$PORT NAME='a b'\nENV OLD the whole line\n",
        "Dockerfile",
    )
    assert file.stages[0].base == "python:3.12-slim"
    values = file.values(file.stages[0])
    assert values["VERSION"] == "3.12"
    assert (values["URL"], values["NAME"]) == ("http://localhost:8000", "a b")
    assert values["OLD"] == "the whole line"


def test_here_documents_belong_to_their_instruction() -> None:
    file = parse("FROM python:3.13\nRUN <<EOF\nset -e\nmake it\nEOF\nEXPOSE 9000\n", "Dockerfile")
    run, expose = file.stages[0].instructions
    assert run.body == "set -e\nmake it"
    assert (expose.name, expose.line) == ("EXPOSE", 6)


def test_flags_are_told_from_what_follows() -> None:
    file = parse(
        "FROM python:3.13 AS app\n"
        "RUN --mount=type=cache,target=/c \\\n    --network=none \\\n    make it\n"
        'COPY --from=build --chown=a:b ["x y", "/z"]\n',
        "Dockerfile",
    )
    run, copy = file.stages[0].instructions
    assert run.flags == ("--mount=type=cache,target=/c", "--network=none")
    assert [each.text for each in commands(run.text)] == ["make it"]
    assert (copy.flag("from"), copy.words) == ("build", ("x y", "/z"))


def test_stages_that_build_on_each_other_are_a_lineage() -> None:
    file = parse("FROM a AS one\nFROM one AS two\nCOPY --from=x /y /z\nFROM b AS x\n", "Dockerfile")
    two = file.stage("two")
    assert two
    assert [stage.name for stage in file.lineage(two)] == ["one", "two"]
    assert (file.image(two), file.sources(two)) == ("a", {"x"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a && b || c; d", ["a", "b", "c", "d"]),
        ("sh \"x y\" 'z'", ["sh 'x y' z"]),
        ("A=1 B=2 run it", ["run it"]),
        ("exec run it >/dev/null 2>&1", ["run it"]),
        ("if [ x = x ]; then yes; else no; fi && after", ["yes", "after"]),
        ("if [ x != x ]; then yes; else no; fi", ["no"]),
        ('if [ "$UNKNOWN" = x ]; then yes; else no; fi', ["yes"]),
        ("if ! [ x = x ]; then yes; fi", [":"]),
        ("case $1 in a) b;; *) c;; esac; after", [":", "after"]),
        ("run # not this\nmore", ["run", "more"]),
    ],
)
def test_a_shell_line_is_its_commands(text: str, wanted: list[str]) -> None:
    assert [each.text for each in commands(text)] == wanted


def test_what_depends_on_something_unknown_is_marked() -> None:
    first, second = commands('if [ "$X" = y ]; then seed; fi\nserve')
    assert (first.perhaps, second.perhaps) == (True, False)


# -- packages -------------------------------------------------------------------------------------

STAGES = """
    FROM python:3.13-slim AS builder
    WORKDIR /app
    RUN apt-get update && apt-get install -y --no-install-recommends build-essential libpq-dev curl
    COPY requirements.txt .
    RUN pip wheel -r requirements.txt

    FROM python:3.13-slim
    WORKDIR /app
    RUN apt-get update \\
        && apt-get install -y libpq-dev gettext=0.21* tini \\
        && rm -rf /var/lib/apt/lists/*
    COPY --from=builder /app/wheels /wheels
    COPY . .
    CMD ["uvicorn", "main:app"]
    """


def test_packages_of_builders_are_for_building_and_of_the_last_stage_for_running(
    tmp_path: Path,
) -> None:
    facts = looked(tmp_path, FASTAPI, {"Dockerfile": STAGES}).facts
    assert facts["API_BUILD_PACKAGES"] == "build-essential libpq-dev"
    assert facts["API_RUN_PACKAGES"] == "libpq5 gettext"


def test_compilers_of_a_single_stage_are_for_building_alone(tmp_path: Path) -> None:
    text = "FROM python:3.13\nRUN apt-get install -y gcc libmagic-dev ffmpeg\nCOPY . /app\n"
    facts = looked(tmp_path, FASTAPI, {"Dockerfile": text}).facts
    assert facts["API_BUILD_PACKAGES"] == "gcc libmagic-dev"
    assert facts["API_RUN_PACKAGES"] == "libmagic1 ffmpeg"


def test_packages_of_alpine_are_a_loss(tmp_path: Path) -> None:
    text = "FROM python:3.13-alpine\nRUN apk add --no-cache libpq\nCOPY . /app\n"
    found = looked(tmp_path, FASTAPI, {"Dockerfile": text})
    assert "Debian" in loss(found, "apk add").do


# -- what is done in a build ----------------------------------------------------------------------


def test_what_nothing_stands_for_is_named_with_its_line(tmp_path: Path) -> None:
    text = (
        "FROM python:3.13\n"
        "RUN curl -fsSL https://example.com/install.sh | sh\n"
        "COPY . /app\n"
        "RUN pip install -r requirements.txt \\\n"
        " && python -m nltk.downloader punkt\n"
        "COPY --from=example/tool /usr/bin/tool /usr/bin/\n"
    )
    found = looked(tmp_path, FASTAPI, {"Dockerfile": text})
    assert [(each.what, each.where) for each in found.losses] == [
        ("RUN curl -fsSL https://example.com/install.sh | sh", "Dockerfile:2"),
        ("RUN python -m nltk.downloader punkt", "Dockerfile:5"),
        ("COPY --from=example/tool /usr/bin/tool /usr/bin/", "Dockerfile:6"),
    ]


def test_what_only_prepares_an_image_is_no_loss(tmp_path: Path) -> None:
    text = """
        FROM ghcr.io/astral-sh/uv:python3.13-trixie-slim
        ENV UV_COMPILE_BYTECODE=1 PATH="/app/.venv/bin:$PATH"
        WORKDIR /app
        RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev
        RUN groupadd -g 1000 app && useradd -u 1000 -g app app && mkdir -p /x && chown app /x
        COPY --from=ghcr.io/astral-sh/uv:0.8 /uv /bin/
        COPY ./start /start
        RUN sed -i 's/\\r$//g' /start && chmod +x /start
        COPY . .
        USER app
        CMD ["uvicorn", "main:app"]
        """
    assert not looked(tmp_path, FASTAPI, {"Dockerfile": text, "start": "#!/bin/sh\n"}).losses


def test_collectstatic_is_the_build_step_with_what_it_is_told(tmp_path: Path) -> None:
    text = """
        FROM python:3.13
        WORKDIR /app
        COPY . .
        ARG DEBUG="false"
        RUN if [ "${DEBUG}" = "false" ]; then \\
          PAPER=A4 python3 manage.py collectstatic --no-input; \\
          else mkdir -p /x; fi
        RUN python manage.py compilemessages
        """
    found = looked(tmp_path, django(), {"Dockerfile": text})
    assert found.facts["API_BUILD_COMMAND"] == (
        "sh -c 'python manage.py collectstatic --no-input && python manage.py compilemessages'"
    )
    assert found.facts["API_BUILD_ENV"] == "PAPER=A4"
    assert ("build step: python manage.py compilemessages", "Dockerfile:8") in found.evidence


def test_what_node_builds_in_a_stage_of_its_own_are_assets(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {
            "Dockerfile": """
                FROM node:24 AS assets
                WORKDIR /app/assets
                COPY assets/package.json assets/*yarn* ./
                RUN yarn install
                COPY . ..
                RUN yarn build
                FROM python:3.13
                WORKDIR /app
                COPY . .
                COPY --from=assets /app/public /public
                """,
            "assets/package.json": '{"scripts": {"build": "x"}, "dependencies": {"esbuild": "1"}}',
            "assets/yarn.lock": "",
        },
    )
    assert found.facts["API_ASSETS"] == "assets"
    assert found.facts["API_ASSETS_COMMAND"] == "npm run build"
    assert not found.losses


def test_a_script_of_the_repository_is_looked_into(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {
            "Dockerfile": """
                FROM python:3.13
                WORKDIR /app
                COPY . .
                COPY bin/start /start
                ENTRYPOINT ["/app/bin/entrypoint"]
                CMD ["/start"]
                """,
            "bin/entrypoint": '#!/bin/sh\nset -e\nwait-for-it db:5432\nexec "$@"\n',
            "bin/start": "#!/bin/sh\nrsync a b\nexec gunicorn app:app --bind 0.0.0.0:5000\n",
        },
    )
    assert found.facts["API_PORT"] == "5000"
    assert [(each.what, each.where) for each in found.losses] == [
        ("rsync a b at every start", "bin/start:2")
    ]


def test_a_configuration_of_gunicorn_that_is_not_found_is_said(tmp_path: Path) -> None:
    found = looked(tmp_path, FLASK, {"Procfile": "web: gunicorn -c config/gunicorn.py app:app\n"})
    assert loss(found, "gunicorn's configuration").where == "Procfile:1"


def test_variables_of_the_image_are_the_apps(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {
            "Dockerfile": """
                FROM python:3.13
                ENV COLOUR=red PYTHONUNBUFFERED=1 UNREAD=1
                COPY . /app
                """,
            "app.py": """
                import os
                from flask import Flask
                COLOUR = os.getenv("COLOUR")
                app = Flask(__name__)
                """,
        },
    )
    assert found.variables == {"": {"COLOUR": "red"}}


def test_productions_dockerfile_counts_more_than_a_local_one(tmp_path: Path) -> None:
    text = "FROM python:3.13\nCOPY . /app\nEXPOSE {}\n"
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "compose/local/Dockerfile": text.format(8000),
            "compose/production/Dockerfile": text.format(5000),
        },
    )
    assert found.facts["API_PORT"] == "5000"


def test_a_volume_that_is_nobodys_uploads_is_a_loss(tmp_path: Path) -> None:
    text = "FROM python:3.13\nWORKDIR /app\nCOPY . .\nVOLUME /app/data\n"
    assert "API_MEDIA" in loss(looked(tmp_path, FASTAPI, {"Dockerfile": text}), "/app/data").do
