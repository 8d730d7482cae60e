"""Where native services' data is: on the disk, or in memory behind a link."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gangway.engines.native import data


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Return what stands for the machine's shared memory."""
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Return where the data of a project that was never started would be."""
    return tmp_path / "state" / "volumes"


def test_the_data_is_in_a_folder_of_this_user_alone(volumes: Path, memory: Path) -> None:
    data.keep_in_memory(volumes, memory)
    (volumes / "postgres-data").mkdir()
    (folder,) = memory.iterdir()
    assert (folder / "postgres-data").is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_there_already_stays(volumes: Path, memory: Path) -> None:
    data.keep_in_memory(volumes, memory)
    (volumes / "kept").touch()
    data.keep_in_memory(volumes, memory)
    assert (volumes / "kept").exists()
    assert len(list(memory.iterdir())) == 1


def test_data_on_the_disk_stays_there(volumes: Path, memory: Path) -> None:
    volumes.mkdir(parents=True)
    data.keep_in_memory(volumes, memory)
    assert not volumes.is_symlink()
    assert list(memory.iterdir()) == []


def test_after_a_restart_of_the_machine_it_begins_anew(volumes: Path, memory: Path) -> None:
    data.keep_in_memory(volumes, memory)
    shutil.rmtree(volumes.readlink())
    data.keep_in_memory(volumes, memory)
    assert volumes.is_dir()


def test_a_machine_without_shared_memory_keeps_it_on_the_disk(volumes: Path, memory: Path) -> None:
    data.keep_in_memory(volumes, memory / "none")
    assert not volumes.is_symlink()


def test_so_does_one_with_too_little_of_it(
    volumes: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_ROOM", shutil.disk_usage(memory).total + 1)
    data.keep_in_memory(volumes, memory)
    assert not volumes.is_symlink()
    assert list(memory.iterdir()) == []


def test_removed_it_is_gone_from_both_places(volumes: Path, memory: Path) -> None:
    data.keep_in_memory(volumes, memory)
    (volumes / "postgres-data").mkdir()
    data.remove(volumes)
    assert list(memory.iterdir()) == []
    assert not volumes.is_symlink()


def test_data_on_the_disk_is_removed_and_none_is_no_error(volumes: Path) -> None:
    (volumes / "postgres-data").mkdir(parents=True)
    data.remove(volumes)
    assert not volumes.exists()
    data.remove(volumes)


def test_what_somebody_has_put_elsewhere_is_only_let_go(volumes: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "postgres-data").mkdir(parents=True)
    volumes.parent.mkdir()
    volumes.symlink_to(theirs)
    data.remove(volumes)
    assert not volumes.is_symlink()
    assert (theirs / "postgres-data").is_dir()
