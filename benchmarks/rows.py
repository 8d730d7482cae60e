"""The lines of docs/performance.md: what was measured, what was promised, whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Samples


@dataclass(frozen=True)
class Row:
    """One line of a table; `goal` and `met` say what was promised and whether it holds."""

    what: str
    measured: str
    ratio: str
    goal: str
    met: bool

    @property
    def verdict(self) -> str:
        """Return how a table says whether the goal was met."""
        return "yes" if self.met else "**no**"

    def show(self) -> None:
        """Print it as soon as it is known."""
        mark = "ok  " if self.met else "MISS"
        print(f"{mark} {self.what}: {self.measured} {self.ratio} ({self.goal})", flush=True)


def seconds(what: str, got: Samples, limit: float) -> Row:
    """Return a row for a figure with a limit in seconds."""
    return Row(what, str(got), "", f"at most {limit:g} s", got.median <= limit)


def against(what: str, got: Samples, floor: Samples, limit: float) -> Row:
    """Return a row for a figure with a limit that is a multiple of the floor's."""
    ratio = got.median / floor.median
    return Row(what, str(got), f"{ratio:.2f} ×", f"at most {limit:g} × the floor", ratio <= limit)


def none(what: str, count: int, of: str = "") -> Row:
    """Return a row for a count that should be 0."""
    return Row(what, f"{count}{of}", "", "none", count == 0)


def put_section(file: Path, heading: str, lines: list[str]) -> None:
    """Put a section into a page, in the place of the one of this heading, or at its end."""
    before, _, rest = file.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    _, mark, after = rest.partition("\n## ")
    parts = [before.rstrip("\n"), f"## {heading}", *(["\n".join(lines).strip("\n")])]
    text = "\n\n".join(parts) + "\n"
    file.write_text(f"{text}{mark}{after}" if mark else text, encoding="utf-8")
