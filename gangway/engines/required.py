"""What a release needs where it is to run, on whichever engine: its variables and its images."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.model.release import Release
from gangway.model.released import needs
from gangway.settings import checkout
from gangway.settings.environment import Environment


def values(environment: Environment, release: Release) -> dict[str, str]:
    """Return the values of the variables that a release refers to.

    Raises GangwayError where one is missing.
    """
    found = {name: environment.get(name) for name in needs(release.model)}
    if missing := [name for name, value in found.items() if not value]:
        raise GangwayError(
            f"the release {release.name} needs {', '.join(missing)}, which isn't set",
            fix=f"set it in the shell, or in {checkout.DIRECTORY}/{environment.name}.env",
        )
    return found


def refuse_gone(environment: Environment, release: Release, services: Sequence[str]) -> None:
    """Refuse a release of which the images of these services are gone; none is well."""
    if services:
        name = environment.name
        gone = ", ".join(f"{service} ({release.images[service].ref})" for service in services)
        raise GangwayError(
            f"images of the release {release.name} are gone: {gone}",
            fix=f"invoke {name}.deploy makes a new release of what is here; "
            f"invoke {name}.releases lists the others",
        )
