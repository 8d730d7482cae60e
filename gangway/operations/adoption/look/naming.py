"""A name for the project, valid for Compose."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from gangway.settings.environment import DEFAULT_STACK

_GENERIC = frozenset(
    {
        "app", "application", "api", "backend", "server", "src", "project", "web", "main",
        "service", "root", "code", "repository", "my-app", "my-project", "workspace", "website",
        "django", "flask", "fastapi", "site",
    }
)  # fmt: skip


def valid(name: str) -> str:
    """Return a name as Compose takes it; empty where nothing of it can be kept."""
    letters = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9_-]+", "-", letters)
    found = re.sub(r"[-_]*-[-_]*|_{2,}", "-", plain).strip("-_")[:40].strip("-_")
    return f"{found}-app" if found == DEFAULT_STACK else found


def choose(names: Iterable[str], folder: str) -> str:
    """Return the first name that says something, else the folder's; empty for none that will do."""
    for name in names:
        known = valid(name)
        if known and known not in _GENERIC:
            return known
    return valid(folder)
