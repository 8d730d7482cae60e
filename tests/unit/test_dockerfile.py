"""What a Dockerfile takes from its context, and what .dockerignore keeps out of that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gangway.engines.docker import context
from gangway.engines.docker.context import Ignored
from gangway.engines.docker.dockerfile import taken

ROOT = Path(__file__).parents[2]

STAGES = """\
# syntax=docker/dockerfile:1
ARG BASE=python:3.13
FROM ${BASE} AS base
COPY scripts/ /opt/bin/

FROM base AS dependencies
ARG APP=nothing
COPY apps/${APP}/*requirements.txt \\
    # a comment within
    apps/${APP}/*.loc[k] /tmp/app/

FROM base AS test
RUN --mount=type=bind,source=tests,target=/t --mount=type=cache,target=/c true

FROM base AS production
COPY --link --from=dependencies /opt/venv /opt/venv
ARG APP
ARG BESIDE
COPY ["apps/${APP}/", "/srv/app/"]
COPY apps/${BESIDE:-${APP}}/ /srv/beside/
"""


def test_a_target_takes_what_it_and_the_stages_before_it_copy() -> None:
    assert taken(STAGES, "production", {"APP": "api"}) == [
        "apps/api",
        "apps/api/*requirements.txt",
        "apps/api/*.loc[k]",
        "scripts",
    ]


def test_the_last_stage_is_the_target_where_none_is_named() -> None:
    assert taken(STAGES, "", {"APP": "api"}) == taken(STAGES, "production", {"APP": "api"})


def test_a_mount_of_the_context_is_taken_too_and_a_cache_is_not() -> None:
    assert taken(STAGES, "test") == ["tests", "scripts"]


def test_arguments_replace_defaults_unless_they_come_without_a_value() -> None:
    assert "apps/nothing/*.loc[k]" in taken(STAGES, "dependencies", {"APP": None})
    assert "apps/web" in taken(STAGES, "production", {"APP": "api", "BESIDE": "web"})


def test_here_documents_and_addresses_are_no_files_of_the_context() -> None:
    text = """\
FROM x
COPY <<EOF /etc/file
COPY nothing /really
EOF
ADD https://example.com/a.tar.gz /tmp/
ADD a.tar.gz . /srv/
"""
    assert taken(text) == ["a.tar.gz", "."]


@pytest.mark.parametrize("text", ["", "FROM x\nCOPY [broken\n", "RUN something\n"])
def test_a_dockerfile_that_is_not_right_takes_nothing(text: str) -> None:
    assert taken(text) == []


@pytest.mark.parametrize(
    ("lines", "kept_out", "let_in"),
    [
        (["*", "!apps", "!docker/*.txt"], ["a", "docker/x.sh"], ["apps/a/b", "docker/x.txt"]),
        (["**/tests"], ["tests", "tests/x", "a/b/tests/c"], ["atests", "a/tests.py"]),
        (["/a/", "# no", ""], ["a", "a/b"], ["b/a"]),
        (["a/**", "!a/b"], ["a/c", "a/c/d"], ["a", "a/b", "a/b/c"]),
        (["*.py[co]", "a?c"], ["x.pyc", "abc/d"], ["x.py", "d/x.pyc", "ac"]),
        (["**/*.pyc"], ["x.pyc", "a/b/x.pyc"], ["x.py"]),
    ],
)
def test_the_last_line_that_matches_decides(
    lines: list[str], kept_out: list[str], let_in: list[str]
) -> None:
    rules = Ignored(lines)
    assert [path for path in kept_out if not rules(path)] == []
    assert [path for path in let_in if rules(path)] == []


def test_a_folder_is_only_passed_by_where_nothing_below_is_let_in() -> None:
    rules = Ignored(["*", "!docker/*.txt", "!apps/*/src", "docs"])
    assert [
        each for each in ("docs", "docker", "apps", "apps/a", "apps/a/x") if rules.wholly(each)
    ] == [
        "docs",
        "apps/a/x",
    ]


def test_what_is_hidden_or_kept_out_is_not_walked(tmp_path: Path) -> None:
    for name in ("a/x.py", "a/__pycache__/x.pyc", "mounted/y.py", "out/z", "b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rules = Ignored(["out"])
    found = context.files(tmp_path, ["."], rules, {str(tmp_path / "mounted")})
    assert sorted(path for path, _ in found) == ["a/x.py", "b.txt"]
    assert list(context.files(tmp_path, ["mounted/*"], rules, {str(tmp_path / "mounted")})) == []


def test_our_own_images_are_made_of_scripts_and_one_app() -> None:
    text = (ROOT / "docker" / "app.Dockerfile").read_text(encoding="utf-8")
    found = taken(text, "production", {"APP": "apps/api"})
    assert {"scripts", "apps/api"} <= set(found)
    assert not any("jobs" in path for path in found)


def test_our_own_takes_an_app_s_folder_and_not_all_there_is() -> None:
    text = (ROOT / "docker" / "app.Dockerfile").read_text(encoding="utf-8")
    for target in ("development", "production"):
        found = taken(text, target, {"APP": "backend", "LOCK": "uv.lock"})
        assert "backend" in found and "scripts" in found and "." not in found
    assert "backend" not in taken(text, "test", {"APP": "backend"})
    assets = taken(text, "production", {"APP": "backend", "ASSETS": "web"})
    assert "backend/web/package.json" in assets


@pytest.mark.parametrize("image", ["acme", "app", "backup", "frontend", "nginx"])
def test_settings_and_data_of_the_checkout_are_in_no_image(image: str) -> None:
    rules = context.ignored(ROOT, ROOT / "docker" / f"{image}.Dockerfile")
    secret = [".env", ".env.local", "config/.env.production.local", "dump.sqlite3", "x/a.sqlite"]
    apps = [f"apps/{app}/{name}" for app in ("api", "frontend") for name in secret]
    kept = [path for path in [*apps, "secrets/prod/key", "env/local.env"] if not rules(path)]
    assert kept == []


@pytest.mark.parametrize("image", ["acme", "app", "backup", "frontend", "nginx"])
def test_what_an_image_s_user_runs_is_readable_whatever_the_checkout_s_umask(image: str) -> None:
    """Docker keeps the modes of what it copies, and the image's user isn't the files' owner."""
    text = (ROOT / "docker" / f"{image}.Dockerfile").read_text(encoding="utf-8")
    final = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    ours = [stage for stage in final if "\nUSER 10001" in stage]
    assert ours
    copied = [
        line
        for stage in ours
        for line in stage.splitlines()
        if re.match(r"COPY (?!.*--from=)", line) and " /srv/app/" not in line and " ./" not in line
    ]
    assert copied and all("--chmod=0755" in line for line in copied), copied
