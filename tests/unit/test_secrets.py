"""Secrets: strong, private from the first moment, never overwritten, never shown."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import GangwayError
from gangway.settings import secrets
from tests.unit.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["postgres_password", "redis_password"]
needs_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give files away"
)


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_secrets_are_made_strong_and_different(tmp_path: Path) -> None:
    outcomes = secrets.init(tmp_path / "a/b", NAMES)
    assert [(outcome.path.name, outcome.action) for outcome in outcomes] == [
        (name, "made") for name in NAMES
    ]
    values = [value.strip() for value in contents(tmp_path / "a/b").values()]
    assert all(len(value) >= 43 for value in values)
    assert len(set(values)) == len(NAMES)


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    secrets.init(tmp_path / "s", NAMES)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    for name in NAMES:
        assert stat.S_IMODE((tmp_path / "s" / name).stat().st_mode) == 0o600


def test_they_are_private_from_their_first_moment_whatever_the_umask(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from gangway.settings import secrets\n"
        "os.umask(0)\n"
        "real = os.open\n"
        "def spy(path, flags, mode=0o777):\n"
        "    descriptor = real(path, flags, mode)\n"
        "    print(oct(os.fstat(descriptor).st_mode & 0o777), bool(flags & os.O_EXCL))\n"
        "    return descriptor\n"
        "os.open = spy\n"
        "secrets.init(pathlib.Path(sys.argv[1]), ['one'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # The first tries whether the file system keeps modes.
    assert done.stdout.splitlines() == ["0o600 True"] * 2


def test_a_second_run_keeps_everything(tmp_path: Path) -> None:
    secrets.init(tmp_path / "s", NAMES)
    before = contents(tmp_path / "s")
    outcomes = secrets.init(tmp_path / "s", [*NAMES, "secret_key"])
    assert [outcome.action for outcome in outcomes] == ["kept", "kept", "made"]
    assert {name: contents(tmp_path / "s")[name] for name in NAMES} == before


def test_no_value_is_in_what_is_returned_or_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = secrets.init(tmp_path / "s", NAMES)
    said = repr(outcomes) + "".join(capfd.readouterr())
    assert not [value for value in contents(tmp_path / "s").values() if value.strip() in said]


@needs_root
def test_root_gives_them_to_the_containers_user(tmp_path: Path) -> None:
    secrets.init(tmp_path / "s", NAMES)
    for path in [tmp_path / "s", *(tmp_path / "s").iterdir()]:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (10001, 10001)


def test_a_file_system_that_keeps_no_modes_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def everybody_s(descriptor: int) -> os.stat_result:
        status = list(real(descriptor))
        return os.stat_result([int(status[0]) | 0o777, *status[1:]])

    monkeypatch.setattr(os, "fstat", everybody_s)
    with pytest.raises(GangwayError, match="keeps no modes") as caught:
        secrets.init(tmp_path / "s", NAMES)
    assert "/etc/wsl.conf" in (caught.value.fix or "")
    assert contents(tmp_path / "s") == {}


def test_a_place_that_cannot_be_written_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file where the directory should be")
    with pytest.raises(GangwayError, match="cannot make the secrets: ") as caught:
        secrets.init(tmp_path / "s" / "prod", NAMES)
    assert caught.value.where is not None
