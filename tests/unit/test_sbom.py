"""What is said to be in an image, by the files in it that tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.model.bom import Bom

from gangway.model.release import Image
from gangway.operations.releases.sbom import (
    debian,
    document,
    is_wanted,
    packed,
    sbom_file,
    unpacked,
)

IMAGE = Image("shop-api:20260101-000000-abcdef1", f"sha256:{'ab' * 32}", "linux/amd64")
STATUS = b"""Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.37-2
Maintainer: Matthias Klose <doko@debian.org>
Description: GNU Bourne Again SHell

"""
METADATA = (
    "Metadata-Version: 2.4\nName: Sample.Lib\nVersion: 1.2\nLicense-Expression: MIT\n\nText\n"
)
FILES = {
    "opt/venv/lib/python3.13/site-packages/sample-1.2.dist-info/METADATA": METADATA.encode(),
    "opt/other/sample-1.2.dist-info/METADATA": METADATA.encode(),
    "srv/node_modules/@scope/tool/package.json": b'{"name": "@scope/tool", "version": "3.0.0"}',
    "srv/node_modules/broken/package.json": b"{",
}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("var/lib/dpkg/status", True),
        ("var/lib/dpkg/status.d/base-files", True),
        ("var/lib/dpkg/info/bash.list", False),
        ("opt/venv/x-1.dist-info/METADATA", True),
        ("opt/venv/x-1.dist-info/RECORD", False),
        ("srv/node_modules/a/package.json", True),
        ("srv/node_modules/@b/a/package.json", True),
        ("srv/node_modules/a/dist/esm/package.json", False),
        ("srv/package.json", False),
    ],
)
def test_what_tells_of_packages_is_read_and_nothing_else(path: str, wanted: bool) -> None:
    assert is_wanted(path) is wanted


def test_a_package_that_is_there_twice_is_one_with_two_places() -> None:
    found = {each["purl"]: each for each in document(IMAGE, FILES, None)["components"]}
    assert list(found) == ["pkg:npm/%40scope/tool@3.0.0", "pkg:pypi/sample.lib@1.2"]
    assert len(found["pkg:pypi/sample.lib@1.2"]["properties"]) == 2


def test_debians_packages_are_in_it_with_their_sources(tmp_path: Path) -> None:
    found = debian(tmp_path, {**FILES, "var/lib/dpkg/status": STATUS}, "linux/amd64")
    purls = [each["purl"] for each in document(IMAGE, FILES, found)["components"]]
    assert "pkg:deb/debian/bash@5.2.37-2?arch=amd64" in purls
    assert "pkg:deb/debian/bash@5.2.37-2?arch=source" in purls


def test_an_image_without_debian_needs_none(tmp_path: Path) -> None:
    assert debian(tmp_path, FILES, "linux/amd64") is None


def test_cyclonedx_own_library_reads_it(tmp_path: Path) -> None:
    found = document(IMAGE, FILES, debian(tmp_path, {"var/lib/dpkg/status": STATUS}, "linux/amd64"))
    read = Bom.from_json(found)  # type: ignore[attr-defined]  # added by a decorator
    assert len(read.components) == len(found["components"])
    read.validate()


def test_the_same_image_has_the_same_document() -> None:
    backwards = dict(reversed(FILES.items()))
    assert json.loads(unpacked(packed(document(IMAGE, FILES, None))))["components"]
    assert [each["purl"] for each in document(IMAGE, FILES, None)["components"]] == [
        each["purl"] for each in document(IMAGE, backwards, None)["components"]
    ]


def test_it_is_kept_where_a_release_keeps_what_travels_with_it() -> None:
    assert sbom_file("NAME", "api") == "sboms/NAME/api.cdx.json.gz"
