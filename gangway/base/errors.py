"""What a user can get wrong, as one kind of error: what is wrong, where, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


class Finding(NamedTuple):
    """One thing that is wrong.

    `what` is a sentence without a full stop, `where` a place such as `env/dev.env:12`, `fix` what
    to do about it.
    """

    what: str
    where: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        """One line for the place and the fault, one more for the fix."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  fix: {self.fix}" if self.fix else head


class GangwayError(Exception):
    """Something that the user can put right; shown without a traceback, exit status `status`."""

    status = 2

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        """Keep the parts; `str()` puts them together."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.fix = fix

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The same error as findings, so that several can be gathered into one report."""
        return (Finding(self.message, self.where, self.fix),)

    def __str__(self) -> str:
        """Return the text for stderr: several lines, no trailing newline."""
        return "\n".join(str(finding) for finding in self.findings)


class FindingsError(GangwayError):
    """Several findings, shown all at once so that one round of mending is enough."""

    def __init__(self, findings: Iterable[Finding], *, summary: str | None = None) -> None:
        """`summary` is the first line; without it, it counts the findings."""
        self._findings = tuple(findings)
        count = len(self._findings)
        default = "one thing to fix" if count == 1 else f"{count} things to fix"
        super().__init__(summary or default)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, in the order in which they were given."""
        return self._findings

    def __str__(self) -> str:
        """Return the summary, then every finding on its own lines."""
        return "\n".join([f"{self.message}:", *(str(finding) for finding in self._findings)])


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None."""
    import difflib  # only a message needs it

    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def unknown(
    kind: str, name: str, known: Sequence[str], *, where: str | None = None
) -> GangwayError:
    """Return the error for a name that is not among the `known`, with the nearest one."""
    guess = nearest(name, known)
    there = f"there are: {', '.join(known)}" if known else f"there is no {kind} at all"
    fix = f"did you mean {guess}? ({there})" if guess else there
    return GangwayError(f"no {kind} named {name!r}", where=where, fix=fix)
