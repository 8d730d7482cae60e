"""What a registry is shown on behalf of the nodes, which pull by themselves: docker's own login."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gangway.base.errors import GangwayError
from gangway.settings.environment import Environment

HEADER = "X-Registry-Auth"


def header(environment: Environment, image: str) -> dict[str, str]:
    """Return the header with the login for an image's registry; none where docker has none."""
    registry, slash, _ = image.partition("/")
    if not slash or not any(sign in registry for sign in ".:"):
        return {}
    user, password = _login(environment, registry)
    if not user:
        return {}
    login = {"username": user, "password": password, "serveraddress": registry}
    return {HEADER: base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}


def _login(environment: Environment, registry: str) -> tuple[str, str]:
    config = _config(environment)
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    if helper:
        argv = [f"docker-credential-{helper}", "get"]
        with suppress(GangwayError, ValueError):
            said = json.loads(environment.runner.capture(argv, text=registry, timeout=30).stdout)
            return str(said.get("Username", "")), str(said.get("Secret", ""))
    kept = str(((config.get("auths") or {}).get(registry) or {}).get("auth") or "")
    user, _, password = base64.b64decode(kept).decode(errors="replace").partition(":")
    return user, password


def _config(environment: Environment) -> Mapping[str, Any]:
    shell = environment.process_environment()
    folder = Path(shell.get("DOCKER_CONFIG") or Path(shell.get("HOME", "/")) / ".docker")
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
