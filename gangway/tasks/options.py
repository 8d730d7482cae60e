"""What tasks have in common on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple


class Option(NamedTuple):
    """How a parameter looks on the command line: its help and a short flag without the dash."""

    help: str
    short: str = ""


Stack = Annotated[str, Option("a stack, a folder in stacks/", "s")]
Images = Annotated[str, Option("image source from env/images/: registry, mirror or offline")]
Engine = Annotated[str, Option("auto, docker, podman, native or swarm: docs/native.md, swarm.md")]
Values = Annotated[
    list[str], Option("NAME=value: overrides all other sources; may be repeated", "e")
]
DryRun = Annotated[bool, Option("print the plain commands, run nothing", "n")]
Yes = Annotated[bool, Option("don't ask before something is deleted", "y")]
Service = Annotated[str, Option("service")]
Services = Annotated[str, Option("services; all where none is named")]
After = Sequence[str]
"""What stands after `--`: of a parameter that is called `after`."""
