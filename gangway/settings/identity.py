"""What makes an environment the one that it is, and so never comes from the shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gangway.base.errors import Finding, FindingsError
from gangway.settings.environment import Environment

# Exported once, one of these would make several environments the same project, or leave out
# what another one of them is made of.
_OWN: Final = (
    "COMPOSE_FILE",
    "COMPOSE_PATH_SEPARATOR",
    "COMPOSE_PROFILES",
    "COMPOSE_PROJECT_NAME",
    "ENVIRONMENT_NAME",
    "OVERLAY",
    "PROJECT",
)


def require_own(env: Environment) -> None:
    """Raise FindingsError where the shell says otherwise than the files which environment it is."""
    if findings := list(_foreign(env)):
        raise FindingsError(findings, summary=f"the shell would make {env.name} something else")


def _foreign(env: Environment) -> Iterator[Finding]:
    for name in _OWN:
        given, own = env.variable(name), env.written.get(name)
        if given and own and given.layer == "shell" and given.value != own.value:
            yield Finding(
                f"{name}={given.value} would stand in the place of {own.value} ({own.origin})",
                "shell",
                f"unset {name}; for one command: -e {name}={given.value}",
            )
