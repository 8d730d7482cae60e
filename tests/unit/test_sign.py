"""What of a release is signed, and what a signature says of it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gangway.base.errors import GangwayError
from gangway.model.release import Image, Release
from gangway.operations.project import Project
from gangway.operations.releases import sign
from gangway.settings.environment import load

IMAGE = Image("shop-api:1", "sha256:1", "linux/amd64")
RELEASE = Release(
    "20260101-000000-abcdef1", "shop", "core", "abcdef1", dirty=False,
    made="2026-01-01T00:00:00Z", made_by="me@here", images={"api": IMAGE},
    model={"services": {"api": {"image": "shop-api:1"}}},
)  # fmt: skip


class Store:
    """Records that are kept in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        return self.files


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def checkout(tmp_path: Path, store: Store) -> Any:
    if not shutil.which("cosign"):
        pytest.skip("no cosign here: scripts/host/debian-cosign.sh")
    env = tmp_path / "env" / "prod.env"
    env.parent.mkdir()
    env.write_text(
        "ENVIRONMENT=production\nRELEASE_SIGNING_KEY=cosign.key\nRELEASE_VERIFY_KEY=cosign.pub\n"
    )
    shell = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "COSIGN_PASSWORD": ""}
    argv = ["cosign", "generate-key-pair"]
    subprocess.run(argv, cwd=tmp_path, env=shell, check=True, capture_output=True)
    engine = SimpleNamespace(production=SimpleNamespace(records=store))
    return Project(load(tmp_path, "prod", shell=shell), cast(Any, engine))


def test_a_registrys_digest_is_not_part_of_what_is_signed() -> None:
    published = replace(RELEASE, images={"api": IMAGE._replace(digest="sha256:2")})
    assert sign.signed(published) == sign.signed(RELEASE)


def test_everything_else_is() -> None:
    other = replace(RELEASE, images={"api": IMAGE._replace(id="sha256:3")})
    assert sign.signed(other) != sign.signed(RELEASE)


def test_a_signed_release_is_taken(checkout: Project, store: Store) -> None:
    store.files |= sign.sign(checkout, RELEASE)
    sign.check(checkout, RELEASE)


def test_one_that_was_changed_afterwards_is_refused(checkout: Project, store: Store) -> None:
    store.files |= sign.sign(checkout, RELEASE)
    with pytest.raises(GangwayError, match="isn't what was signed"):
        sign.check(checkout, replace(RELEASE, model={"services": {}}))


def test_one_without_a_signature_is_refused(checkout: Project) -> None:
    with pytest.raises(GangwayError, match="isn't signed"):
        sign.check(checkout, RELEASE)


def test_a_key_that_is_not_there_is_named_before_anything_is_built(checkout: Project) -> None:
    (checkout.root / "cosign.key").unlink()
    with pytest.raises(GangwayError, match=r"no file cosign\.key"):
        sign.require(checkout)
