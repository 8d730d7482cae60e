"""Signatures of releases: cosign's, by a key of one's own, with nothing sent anywhere.

What is signed is all of a release but the digests that a registry gives to its images: the numbers
of these are their content's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.model.release import Release
from gangway.operations.project import Project

KEY: Final = "RELEASE_SIGNING_KEY"
PUBLIC_KEY: Final = "RELEASE_VERIFY_KEY"
_INSTALL: Final = (
    "Debian has it from 13 on: apt install cosign; before: scripts/host/debian-cosign.sh"
)


def signature_file(name: str) -> str:
    """Return the path of a release's signature."""
    return f"signatures/{name}.sig"


def signed(release: Release) -> bytes:
    """Return what of a release is signed, always in the same way."""
    images = {name: {**image._asdict(), "digest": ""} for name, image in release.images.items()}
    whole = {**asdict(release), "images": images}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


def require(project: Project) -> None:
    """Raise GangwayError where a release would have to be signed and can't be."""
    _key(project, KEY)


def sign(project: Project, release: Release) -> dict[str, str]:
    """Return a release's signature by its path; none where no key is configured."""
    key = _key(project, KEY)
    if not key:
        return {}
    with tempfile.TemporaryDirectory(prefix="gangway-") as folder:
        blob, out = Path(folder, "release"), Path(folder, "signature")
        blob.write_bytes(signed(release))
        argv = ["cosign", "sign-blob", "--yes", "--key", key, "--tlog-upload=false"]
        # On this terminal: it may ask for the key's password.
        status = project.environment.runner.run([*argv, "--output-signature", str(out), str(blob)])
        if status != 0:
            raise GangwayError(
                f"{release.name} isn't signed: cosign says why above",
                where=KEY,
                fix="the key's password: COSIGN_PASSWORD in the shell, empty for a key without one",
            )
        return {signature_file(release.name): out.read_text(encoding="ascii").strip()}


def make_up(project: Project, release: Release) -> None:
    """Sign a release that was made while no key was configured, where one is."""
    store = project.engine.production.records
    if project.environment.get(KEY) and not store.read().get(signature_file(release.name)):
        store.write(sign(project, release))


def check(project: Project, release: Release) -> None:
    """Refuse a release that nobody has signed with the key that counts here, if there is one."""
    key = _key(project, PUBLIC_KEY)
    if not key:
        return
    name = release.name
    signature = project.engine.production.records.read().get(signature_file(name))
    fix = f"build it where {KEY} is set, and bring it here (prod.publish, prod.bundle)"
    if not signature:
        raise GangwayError(f"{name} isn't signed", where=PUBLIC_KEY, fix=fix)
    with tempfile.TemporaryDirectory(prefix="gangway-") as folder:
        blob = Path(folder, "release")
        blob.write_bytes(signed(release))
        argv = ["cosign", "verify-blob", "--key", key, "--insecure-ignore-tlog=true"]
        argv += ["--signature", signature, str(blob)]
        if project.environment.runner.capture(argv, timeout=60).status != 0:
            raise GangwayError(
                f"{name} isn't what was signed, or somebody else's key has signed it",
                where=PUBLIC_KEY,
                fix=fix,
            )


def _key(project: Project, variable: str) -> str:
    """Return the key that a variable names, empty for none; raises GangwayError without cosign."""
    key = project.environment.get(variable)
    if not key:
        return ""
    if "://" not in key and not (project.root / key).is_file():
        raise GangwayError(
            f"there is no file {key}",
            where=variable,
            fix="cosign generate-key-pair makes cosign.key, and cosign.pub to check by",
        )
    if not shutil.which("cosign", path=project.environment.process_environment().get("PATH")):
        raise GangwayError("cosign is not on PATH", where=variable, fix=_INSTALL)
    return key
