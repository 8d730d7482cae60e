"""A start of services under way, as every engine shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gangway.engines.container import Container
from gangway.engines.timeline import Timeline


class Start(Protocol):
    """A start under way. Whoever has it calls `poll` again and again, and looks at the timeline."""

    timeline: Timeline

    @property
    def fetching(self) -> bool:
        """Whether images are being built or pulled, which takes what it takes."""

    def poll(self) -> bool:
        """Go on for a moment; return whether something has happened.

        Raises GangwayError when the start itself goes wrong, rather than a service.
        """

    def done(self) -> bool:
        """Say whether all that is wanted has been started, ready or not."""

    def containers(self) -> Sequence[Container]:
        """Return what is there of the services now."""

    def give_up(self, seconds: float = 0.0) -> None:
        """Start nothing more, or let it come to its own end in so many seconds; see what is there.

        What runs goes on running.
        """
