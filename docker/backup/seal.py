"""Encryption with age, where a key is configured: to public keys, so no secret is needed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backup.errors import Failed, Refused

SUFFIX = ".age"


def recipients(keys: Sequence[str]) -> list[Any]:
    """Return age's recipients for public keys; raises Refused for what is none."""
    import pyrage

    found = []
    for key in keys:
        kind = pyrage.ssh if key.startswith("ssh-") else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(key))
        except pyrage.RecipientError:
            raise Refused(
                f"BACKUP_RECIPIENTS: {key} is no public key of age",
                fix="age1…, as age-keygen prints it",
            ) from None
    return found


def close(path: Path, keys: Sequence[str]) -> Path:
    """Encrypt a file beside itself, remove it, and return the encrypted one."""
    sealed = path.with_name(path.name + SUFFIX)
    close_to(path, sealed, keys)
    path.unlink()
    return sealed


def close_to(path: Path, sealed: Path, keys: Sequence[str]) -> None:
    """Encrypt a file into another; raises Failed where that can't be done."""
    import pyrage

    known = recipients(keys)
    with path.open("rb") as plain, sealed.open("wb") as file:
        try:
            pyrage.encrypt_io(plain, file, known)
        except pyrage.EncryptError as error:
            raise Failed(f"{path.name} can't be encrypted: {error}") from None


def open_to(sealed: Path, identity: Path | None, plain: Path, what: str = "") -> None:
    """Decrypt a file into another with the identities in a file; `what` is what it is called.

    Raises Refused for no identity, one that is not the file's, and for a file that is damaged.
    """
    import pyrage

    known, what = _identities(identity), what or sealed.parent.name
    if not known:
        raise Refused(
            f"{what} is encrypted, and there is no key to open it with",
            fix="put the secret key (AGE-SECRET-KEY-…) into the secret backup_identity",
        )
    with sealed.open("rb") as file, plain.open("wb") as to:
        try:
            pyrage.decrypt_io(file, to, known)
        except (pyrage.DecryptError, OSError) as error:
            plain.unlink()
            raise Refused(
                f"{what} is not opened by the key in backup_identity: {error}",
                fix="take the key whose public one was in BACKUP_RECIPIENTS then",
            ) from None


def _identities(file: Path | None) -> list[Any]:
    import pyrage

    text = file.read_text() if file else ""
    if "PRIVATE KEY" in text:
        return [pyrage.ssh.Identity.from_buffer(text.encode())]
    lines = [line.strip() for line in text.splitlines()]
    try:
        return [
            pyrage.x25519.Identity.from_str(line)
            for line in lines
            if line and not line.startswith("#")
        ]
    except pyrage.IdentityError:
        raise Refused(
            "the secret backup_identity holds no secret key of age", fix="AGE-SECRET-KEY-…"
        ) from None
