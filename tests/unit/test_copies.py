"""Copies of development's database: what can be told without a server."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.operations.copies import backup, branches, server, snapshots

ROOT = Path(__file__).parents[2]


def test_the_lock_that_is_looked_for_is_the_one_that_migrations_hold() -> None:
    tree = ast.parse((ROOT / "scripts" / "db.py").read_text(encoding="utf-8"))
    lock = next(
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LOCK"
    )
    assert lock == "int.from_bytes(b'gangway')"
    assert int.from_bytes(b"gangway", "big") == server.LOCK


class TestBranchNames:
    def test_a_plain_one_is_the_database_s(self) -> None:
        assert branches.name_of("shop_dev", "fix_1234") == "shop_dev_fix_1234"

    def test_no_two_branches_share_one(self) -> None:
        names = ["fix/a", "fix-a", "fix_a", "Fix_a", "fix.a", "fix/ä", "fix/ö", "f" * 70, "f" * 71]
        found = {branches.name_of("shop_dev", name) for name in names}
        assert len(found) == len(names)

    def test_what_an_app_is_told_is_a_name_that_the_contract_takes(self) -> None:
        for branch in ("fix/a", "Ünïcode", "-", "1", "dependabot/npm/a-1.2.3"):
            name = branches.name_of("shop_dev", branch)
            assert name.isascii() and name.isidentifier() and len(name) <= server.LONGEST


class TestBackups:
    def refused(self, path: Path) -> str:
        with pytest.raises(GangwayError) as error:
            backup.find(path)
        return str(error.value)

    def test_what_is_none_is_said_to_be_none(self, tmp_path: Path) -> None:
        assert "there is no backup at" in self.refused(tmp_path / "no-such")
        assert "it has no manifest.json" in self.refused(tmp_path)
        sql = tmp_path / "dump.sql"
        sql.write_text("DROP TABLE users;\n")
        assert "no dump in pg_dump's custom format" in self.refused(sql)

    def test_a_manifest_that_was_changed_is_refused(self, tmp_path: Path) -> None:
        for text in ("", "[]", "{}", '{"digest": "0", "files": {}}', "\0"):
            (tmp_path / "manifest.json").write_text(text)
            assert "is damaged: manifest.json" in self.refused(tmp_path), text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (8192, "8 kB"), (7 * 2**20, "7 MB"), (3 * 2**29, "1.5 GB")]
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert snapshots.human(size) == text
