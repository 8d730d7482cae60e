"""Who ends TLS (TLS=off, files, self-signed or acme), and what that needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gangway.base.errors import Finding, GangwayError
from gangway.settings import checkout
from gangway.settings.environment import Environment

OFF: Final = "off"
FILES: Final = "files"
SELF_SIGNED: Final = "self-signed"
ACME: Final = "acme"

PORT: Final = 8443
"""Where the proxy has TLS, in its container."""
FOLDER: Final = "tls"
"""The folder in SECRETS_DIR, and the secret's name in the Compose files."""
SOON: Final = 14
"""Days before its end at which a certificate is a finding."""
# One that we make is made anew so many days before its end.
_RENEWED: Final = 30


def mode(env: Environment) -> str:
    """Return who ends TLS in an environment."""
    return env.get("TLS") or OFF


def names(env: Environment) -> list[str]:
    """Return the names that the certificate is for, as TLS_NAMES has them."""
    return re.split(r"[, ]+", env.get("TLS_NAMES").strip(", ")) if env.get("TLS_NAMES") else []


def shown(env: Environment) -> str:
    """Return the folder with the certificate, seen from the checkout."""
    where = checkout.DIRECTORY if env.kind == "dev" else env.get("SECRETS_DIR") or "secrets/prod"
    return env.get("TLS_FOLDER") or Path(where, FOLDER).as_posix()


def folder(env: Environment) -> Path:
    """Return the folder with the certificate."""
    return env.root / shown(env)


def own_is_due(env: Environment) -> list[str]:
    """Return the names for which a certificate of our own is to be made; none where it is there.

    With TLS=self-signed alone, and TLS_NAMES. Raises GangwayError where the files cannot be read.
    """
    from gangway.settings import certificates

    wanted = names(env)
    if mode(env) != SELF_SIGNED or not wanted:
        return []
    pair = certificates.read(folder(env))
    if pair is None or certificates.fault(pair):
        return wanted
    there = certificates.parse(pair.certificate)
    if not there.self_signed:
        # Somebody's own lies there, which is never replaced.
        return []
    same = set(there.names) == set(wanted) and there.days_left() > _RENEWED
    return [] if same else wanted


def findings(env: Environment) -> Sequence[Finding]:
    """Return what stands in the way of TLS as production wants it; development makes its own."""
    if env.kind != "prod":
        return []
    if mode(env) in (SELF_SIGNED, ACME) and not names(env):
        what = f"TLS={mode(env)} is for no name"
        return [Finding(what, _where(env, "TLS"), "set TLS_NAMES, such as: www.example.org")]
    if mode(env) == ACME:
        return list(_unprovable(env))
    if mode(env) in (FILES, SELF_SIGNED):
        try:
            return list(_files(env))
        except GangwayError as error:
            return error.findings
    return []


def _where(env: Environment, name: str) -> str | None:
    found = env.variable(name)
    return found.origin if found else None


def _unprovable(env: Environment) -> Iterator[Finding]:
    for name in names(env):
        if name.startswith("*"):
            fix = f"name each (www.{name[2:]} …), or get it elsewhere and set TLS=files"
            what = f"no ACME server gives a certificate for {name} by a question at port 80"
            yield Finding(what, _where(env, "TLS_NAMES"), fix)


def _files(env: Environment) -> Iterator[Finding]:
    from gangway.settings import certificates

    there, where = folder(env), shown(env)
    put = f"write {certificates.CERTIFICATE}, its chain in it, and {certificates.KEY} there"
    fix = f"invoke {env.name}.init" if mode(env) == SELF_SIGNED else put
    pair = certificates.read(there)
    if pair is None:
        yield Finding(f"TLS={mode(env)} has no certificate there", where, fix)
        return
    if fault := certificates.fault(pair):
        yield Finding(fault, where, fix)
    key = f"{where}/{certificates.KEY}"
    if certificates.is_open(there / certificates.KEY):
        yield Finding("others can read it", key, f"chmod 600 {key}")
    user = env.get("NGINX_UID") or env.get("APP_UID") or "10001"
    if hasattr(os, "getuid") and user.isdecimal():
        for name in (certificates.KEY, certificates.CERTIFICATE):
            status = (there / name).stat()
            if status.st_uid != int(user) and not status.st_mode & 0o004:
                what = f"it belongs to user {status.st_uid}, and the proxy runs as {user}"
                yield Finding(what, f"{where}/{name}", f"chown {user} {where}/{name}")
