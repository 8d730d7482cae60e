"""What runs an ordinary command line inside its own process."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# As pip and uv write it where the interpreter's path has a blank, or more than the kernel takes.
BY_A_SHELL = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    venv.create(tmp_path / "my venv", symlinks=True)
    return tmp_path / "my venv" / "bin"


@pytest.mark.parametrize("head", ["#!{python}\n", BY_A_SHELL], ids=["plain", "by a shell"])
def test_a_program_of_the_environment_runs_where_it_is_called(environment: Path, head: str) -> None:
    python = environment / "python"
    program = environment / "tool"
    program.write_text(
        head.format(python=python) + "import builtins, sys\nprint(builtins.HOOKED, sys.argv[1:])\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    code = "import builtins, launch; builtins.HOOKED = 'hooked'; launch.run(['tool', 'a b'])"
    done = subprocess.run(
        [python, "-c", code],
        env={"PATH": f"{environment}:{os.defpath}", "PYTHONPATH": str(SCRIPTS)},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stdout == "hooked ['a b']\n", done.stderr
