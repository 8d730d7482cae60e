"""Layers without the time of the build: the same files make the same bytes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest

from gangway.engines.docker.timeless import (
    NONE,
    configured,
    entries,
    own_steps,
    rewrite,
    source_of,
    time_of,
)

MOMENT = 1_700_000_000
LONG = "/".join(["a-rather-long-folder"] * 12)


def layer(
    files: Mapping[str, bytes],
    time: float,
    *,
    form: int = tarfile.PAX_FORMAT,
    more: Mapping[str, Any] | None = None,
) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("srv")
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o1777, time
        archive.addfile(folder)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uid = len(data), time, 10001
            entry.pax_headers = dict(more or {})
            archive.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("app")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "/srv/app", time
        archive.addfile(link)
    out.seek(0)
    return out


def rewritten(source: io.BytesIO, **times: int) -> io.BytesIO:
    out = io.BytesIO()
    by_path = {name.replace("__", "/") + ".py": each for name, each in times.items()}
    rewrite(source, out, time_of(0, 0, MOMENT), by_path)
    out.seek(0)
    return out


def members(archive: io.BytesIO) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=archive) as found:
        return {each.name: each for each in found}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_same_files_at_another_time_make_the_same_bytes(form: int) -> None:
    files = {"srv/a": b"1", f"srv/{LONG}/b": b"2" * 5000}
    one = rewritten(layer(files, 1_764_000_000.25, form=form))
    other = rewritten(layer(files, 1_765_000_000.75, form=form))
    assert one.getvalue() == other.getvalue()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_nothing_but_the_time_is_changed(form: int) -> None:
    source = layer(
        {"srv/a": b"1", f"srv/{LONG}/b": b"2" * 5000, "srv/é": b""}, MOMENT + 9.5, form=form
    )
    before = members(source)
    source.seek(0)
    after = members(rewritten(source))
    for name, entry in before.items():
        found = after[name]
        fields = ("type", "mode", "uid", "gid", "size", "linkname")
        assert [getattr(entry, each) for each in fields] == [
            getattr(found, each) for each in fields
        ]
    assert list(after) == list(before)


def test_an_attribute_of_a_file_stays() -> None:
    more = {"SCHILY.xattr.user.kept": "yes"}
    found = members(rewritten(layer({"srv/a": b"1"}, MOMENT + 0.5, more=more)))
    assert found["srv/a"].pax_headers == more


def test_a_file_gets_the_time_of_the_sources_and_a_folder_and_a_link_none() -> None:
    found = members(rewritten(layer({"srv/a": b"1"}, MOMENT + 5)))
    assert {name: each.mtime for name, each in found.items()} == {
        "srv": NONE,
        "srv/a": MOMENT,
        "app": NONE,
    }


def test_a_file_that_says_that_it_has_no_time_keeps_none() -> None:
    assert members(rewritten(layer({"srv/a": b"1"}, NONE)))["srv/a"].mtime == NONE


def test_what_a_step_made_before_anything_was_copied_has_no_time() -> None:
    (_, entry, _) = entries(layer({"srv/a": b"1"}, MOMENT + 5))
    assert (time_of(0, 1, MOMENT)(entry), time_of(1, 1, MOMENT)(entry)) == (NONE, MOMENT)


def compiled(time: int, *, flags: int = 0) -> bytes:
    return b"abcd" + flags.to_bytes(4, "little") + time.to_bytes(4, "little") + bytes(700)


def content(archive: io.BytesIO, name: str) -> bytes:
    with tarfile.open(fileobj=archive) as found:
        file = found.extractfile(name)
        assert file
        return file.read()


def test_compiled_python_goes_with_its_source() -> None:
    name = "srv/__pycache__/a.cpython-313.pyc"
    found = rewritten(layer({name: compiled(MOMENT + 5)}, MOMENT + 5), srv__a=MOMENT)
    assert content(found, name) == compiled(MOMENT)


def test_compiled_python_whose_source_has_not_changed_stays() -> None:
    name = "srv/__pycache__/b.cpython-313.pyc"
    assert content(rewritten(layer({name: compiled(5)}, MOMENT + 5)), name) == compiled(5)


def test_compiled_python_that_knows_its_source_by_its_text_stays() -> None:
    name = "srv/a.pyc"
    data = compiled(5, flags=1)
    assert content(rewritten(layer({name: data}, MOMENT + 5), srv__a=MOMENT), name) == data


@pytest.mark.parametrize(
    ("compiled", "source"),
    [
        ("a/__pycache__/b.cpython-313.opt-1.pyc", "a/b.py"),
        ("a/b.pyc", "a/b.py"),
        ("__pycache__/b.cpython-313.pyc", "b.py"),
    ],
)
def test_a_source_is_found_by_the_path_of_what_was_compiled(compiled: str, source: str) -> None:
    assert source_of(compiled) == source


CONFIG: dict[str, Any] = {
    "created": "2026-01-01T00:00:00Z",
    "moby.buildkit.buildinfo.v1": "x",
    "config": {"User": "1", "Labels": {"com.docker.compose.version": "2", "base": "yes"}},
    "history": [
        {"created": "2025-01-01T00:00:00Z", "created_by": "the base's"},
        {"created": "1980-01-01T00:00:00Z", "created_by": "COPY a"},
        {"created": "1980-01-01T00:00:00Z", "created_by": "USER 1", "empty_layer": True},
    ],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
}


def test_the_builds_own_steps_are_those_that_it_was_told_the_time_of() -> None:
    assert [step["created_by"] for step in own_steps(CONFIG)] == ["COPY a", "USER 1"]


def test_the_configuration_has_the_new_layers_the_moment_and_the_labels() -> None:
    made = json.loads(configured(CONFIG, {1: "sha256:3"}, "2026-02-02T00:00:00Z", {"new": "1"}))
    assert made["rootfs"]["diff_ids"] == ["sha256:1", "sha256:3"]
    assert made["created"] == "2026-02-02T00:00:00Z"
    assert [step["created"][:4] for step in made["history"]] == ["2025", "2026", "2026"]
    assert made["config"]["Labels"] == {"base": "yes", "new": "1"}
    assert "moby.buildkit.buildinfo.v1" not in made
