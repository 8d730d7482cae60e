"""TLS in development: production's proxy in front, with a certificate that this machine trusts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gangway.base import user
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.operations.project import Project, with_choices
from gangway.settings import certificates, checkout, secrets, tls
from gangway.settings.certificates import Pair
from gangway.settings.environment import Environment

PROFILE: Final = "https"
_NAMES: Final = ("localhost", "*.localhost", "127.0.0.1", "::1")
# Made anew so many days before it ends.
_RENEWED: Final = 30
# Whoever reaches an app in development is the proxy, or this machine's own user.
_ANYBODY: Final = "0.0.0.0/0,::/0"


def with_https(project: Project, services: Sequence[str]) -> tuple[Project, tuple[str, ...]]:
    """Return the project with the proxy on, and what to start: the proxy with what was named.

    A certificate is made where there is none. Raises GangwayError outside development, and where
    services run natively.
    """
    env = project.environment
    if env.kind != "dev":
        raise GangwayError(
            f"--https is for development; in {env.name} TLS decides",
            fix="set TLS to files, self-signed or acme: docs/tls.md",
        )
    project.engine.check_proxy()
    if not project.dry_run:
        _certificate(env)
    profiles = ",".join((*env.profiles, PROFILE))
    overrides = {"TLS": tls.FILES, "COMPOSE_PROFILES": profiles, "TRUSTED_PROXIES": _ANYBODY}
    if owner := secrets.default_owner():
        # nginx is not fit to be a root that may do nothing.
        overrides |= {"NGINX_UID": str(owner[0]), "NGINX_GID": str(owner[1])}
    on = with_choices(project, overrides=overrides)
    return on, (*services, "nginx") if services else ()


def _certificate(env: Environment) -> None:
    checkout.own_folder(env.root)
    if env.get("TLS_FOLDER"):
        return
    folder, names = tls.folder(env), list(dict.fromkeys((*_NAMES, *tls.names(env))))
    if root := _mkcert_root(env):
        if not _serves(folder, names, root):
            _by_mkcert(env, folder, names)
        return
    home = _home(env) / "gangway" / "ca"
    authority = certificates.read(home)
    if authority is None:
        authority = certificates.authority(f"{user.name()} on this machine")
        certificates.write(home, authority)
    if not _serves(folder, names, authority.certificate):
        certificates.write(folder, certificates.issued(names, authority), secrets.default_owner())
    say(
        f"https: a browser warns until it trusts {home / certificates.CERTIFICATE} (docs/tls.md); "
        "its key is yours alone, and good for this machine's names only"
    )


def _serves(folder: Path, names: Sequence[str], authority: bytes) -> bool:
    """Say whether what lies there is for these names, for a while, and by that authority."""
    there = certificates.read(folder)
    if there is None or certificates.fault(there):
        return False
    found = certificates.parse(there.certificate)
    issuer = certificates.parse(authority).issuer
    return (
        set(found.names) == set(names) and found.days_left() > _RENEWED and found.issuer == issuer
    )


def _home(env: Environment) -> Path:
    data = env.shell.get("XDG_DATA_HOME")
    return Path(data) if data else Path(env.shell.get("HOME") or Path.home()) / ".local" / "share"


def _mkcert_root(env: Environment) -> bytes | None:
    """Return the certificate of mkcert's CA; None where it isn't there."""
    if not shutil.which("mkcert", path=env.shell.get("PATH")):
        return None
    where = env.runner.capture(["mkcert", "-CAROOT"], timeout=10).stdout.strip()
    root = Path(where) / "rootCA.pem"
    return root.read_bytes() if where and root.is_file() else None


def _by_mkcert(env: Environment, folder: Path, names: Sequence[str]) -> None:
    new = folder.with_name(f"{folder.name}.mkcert")
    secrets.make_directory(new, None)
    certificate, key = new / certificates.CERTIFICATE, new / certificates.KEY
    argv = ["mkcert", "-cert-file", os.fspath(certificate), "-key-file", os.fspath(key), *names]
    done = env.runner.capture(argv, timeout=30)
    if done.status != 0:
        said = done.stderr.strip().splitlines()
        raise GangwayError(f"mkcert: {said[-1] if said else 'it failed'}", fix="mkcert -install")
    pair = Pair(certificate.read_bytes(), key.read_bytes())
    certificates.write(folder, pair, secrets.default_owner())
    shutil.rmtree(new)
