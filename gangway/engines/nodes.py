"""The machines of an engine that has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Node(NamedTuple):
    """One machine of several."""

    id: str
    name: str
    ready: bool
    """whether it answers the managers"""
    availability: str
    """active, pause (nothing new) or drain (nothing at all)"""
    manager: str
    """leader, reachable, unreachable, or empty for a worker"""
    address: str
    engine: str
    """the version of its engine"""
    labels: Mapping[str, str]
    runs: Sequence[str] = ()
    """the project's services that run there"""
    data: Sequence[str] = ()
    """the project's volumes that are there"""
    reached: str = ""
    """where its own engine answers whoever deploys; empty where it doesn't"""


class Nodes(Protocol):
    """What can be done with the machines of an engine."""

    def all(self) -> Sequence[Node]:
        """Return the machines, managers first."""

    def joining(self, *, manager: bool) -> list[str]:
        """Return the command by which another machine joins as a worker, or as a manager."""

    def add(self, host: str, *, manager: bool) -> Node:
        """Have the engine at `host`, as docker's `--host` has it, join; return its machine.

        Raises GangwayError where it doesn't answer, is too old, or belongs elsewhere.
        """

    def join(self, manager: str, token: str) -> None:
        """Have this machine's own engine join the managers at an address, by their token.

        Raises GangwayError where they don't answer, or the token is none of theirs.
        """

    def drain(self, node: Node) -> None:
        """Have everything that runs on a machine run elsewhere, new replicas before old ones end.

        Raises GangwayError where there is no other, with nothing changed.
        """

    def restore(self, node: Node) -> None:
        """Let a machine run services again."""
