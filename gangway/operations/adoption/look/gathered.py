"""What one part of looking comes to, to be put together with the others'."""

from __future__ import annotations

from dataclasses import dataclass, field

from gangway.operations.adoption.found import Loss


@dataclass
class Gathered:
    """Facts, what was found where, and what is lost."""

    facts: dict[str, str] = field(default_factory=dict)
    evidence: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def add(self, other: Gathered) -> None:
        """Take another part in; its facts are the later word."""
        self.facts.update(other.facts)
        self.evidence += other.evidence
        self.losses += other.losses

    def lose(self, what: str, where: str, do: str) -> None:
        """Note what isn't carried over."""
        self.losses.append(Loss(what, where, do))

    def saw(self, what: str, where: str) -> None:
        """Note what was found."""
        self.evidence.append((what, where))
