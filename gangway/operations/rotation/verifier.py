"""Passwords as PostgreSQL keeps them: nobody can log in with what is in a log or a process list."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata
from typing import Final

_KIND: Final = "SCRAM-SHA-256"
# PostgreSQL's own default.
_ITERATIONS: Final = 4096
_SALT: Final = 16  # bytes


def made(password: str) -> str:
    """Return what PostgreSQL is told in place of the password itself."""
    return _scram(password, _ITERATIONS, secrets.token_bytes(_SALT))


def fits(password: str, user: str, verifier: str) -> bool:
    """Say whether a password is the one that PostgreSQL keeps for a user."""
    if verifier.startswith("md5"):
        digest = hashlib.md5(f"{password}{user}".encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(verifier, f"md5{digest}")
    try:
        kind, how, _ = verifier.split("$")
        iterations, salt = how.split(":")
        again = _scram(password, int(iterations), base64.b64decode(salt))
    except ValueError:
        return False
    return kind == _KIND and hmac.compare_digest(again, verifier)


def _scram(password: str, iterations: int, salt: bytes) -> str:
    # All but normalising does nothing to what a password may sensibly have in it.
    text = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", text, salt, iterations)

    def key(name: bytes) -> bytes:
        return hmac.digest(salted, name, "sha256")

    stored = hashlib.sha256(key(b"Client Key")).digest()
    parts = [base64.b64encode(each).decode() for each in (salt, stored, key(b"Server Key"))]
    return f"{_KIND}${iterations}:{parts[0]}${parts[1]}:{parts[2]}"
