"""What the apps keep besides the database, in a backup and out of it again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backups import Backups, backups
from tests.support.postgres import Postgres

pytestmark = pytest.mark.timeout(300)


def owned(path: Path) -> None:
    """Make a path the program's own."""
    if os.geteuid() == 0:
        shutil.chown(path, "nobody")


@pytest.fixture
def program(server: Postgres, tmp_path: Path) -> Iterator[Backups]:
    server.query("CREATE TABLE IF NOT EXISTS volumes_item (id int)")
    with backups(server, server.database, tmp_path) as program:
        media = program.folder / "volumes" / "media"
        (media / "2026").mkdir(parents=True)
        (media / "2026" / "a picture.jpg").write_bytes(os.urandom(3 << 20))
        (media / "2026" / "ü.txt").write_text("text")
        (media / "empty").touch()
        for path in (media.parent, media, *media.rglob("*")):
            owned(path)
        program.variables["BACKUP_VOLUMES"] = str(media.parent)
        yield program


def media(program: Backups) -> Path:
    return program.folder / "volumes" / "media"


def contents(program: Backups) -> dict[str, bytes]:
    folder = media(program)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_uploads_go_along_and_come_back(program: Backups) -> None:
    before = contents(program)
    assert "3 files of media" in program.does("make")
    assert program.manifest()["volumes"]["media"]["files"] == 3
    (media(program) / "2026" / "ü.txt").write_text("another")
    shutil.rmtree(media(program) / "2026" / "none", ignore_errors=True)
    (media(program) / "2026" / "a picture.jpg").unlink()
    (media(program) / "later").write_text("stays")
    owned(media(program) / "later")
    assert program.does("put", "media").startswith("2 of 3 files of media are put back")
    assert contents(program) == {**before, "later": b"stays"}
    assert program.does("put", "media").startswith("0 of 3")


def test_an_archive_that_is_damaged_puts_nothing_back(program: Backups) -> None:
    program.does("make")
    archive = program.path() / "volume-media.tar.gz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    (media(program) / "empty").unlink()
    before = contents(program)
    outcome = program.run("put", "media")
    assert outcome.status == 2
    assert "volume-media.tar.gz is not what was written" in outcome.err
    assert contents(program) == before


def test_a_volume_that_is_not_there_is_refused(program: Backups) -> None:
    outcome = program.run("put", "medium")
    assert outcome.status == 2
    assert "there is no volume medium (there is: media)" in outcome.err
