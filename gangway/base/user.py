"""Who runs this, for whoever reads of it later."""

from __future__ import annotations

import getpass
import os
import socket


def name() -> str:
    """Return the user's name: a number where the system has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def at_host() -> str:
    """Return the user and this machine: USER@HOST."""
    return f"{name()}@{socket.gethostname()}"
