"""Production only: its secrets, its certificate, and what is known against it."""

from __future__ import annotations

from gangway.operations.project import Project


def init(project: Project) -> None:
    """Make production's secrets, strong and readable by nobody else; keeps those there are."""
    from gangway.operations import production

    production.init(project)


def tls(project: Project) -> int:
    """Show the certificate that the proxy serves: its names, its issuer and how long it is good."""
    from gangway.operations import tls

    return tls.show(project)


def scan(project: Project) -> int:
    """Look for known weaknesses: Dockerfiles, the model, locked packages and images."""
    from gangway.operations import scan as scanning

    return scanning.scan(project)
