"""What an adoption says: what was found, what is written, what isn't carried over, what to type."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gangway.base import output
from gangway.operations.adoption import starter
from gangway.operations.adoption.adopt import Plan
from gangway.operations.adoption.found import Found, Loss
from gangway.operations.adoption.writing import MESSAGE, Outcome


def before(plan: Plan) -> str:
    """Return what is said before anything is written."""
    found = plan.found
    parts = [f"{found.name}: {found.about}", _evidence(found)]
    if plan.kept:
        parts.append("Kept as they are, and worked beside: " + ", ".join(plan.kept))
    parts.append(_files(plan))
    if found.losses:
        parts.append(_losses(found.losses))
    return "\n\n".join(filter(None, parts))


def after(plan: Plan, outcome: Outcome) -> str:
    """Return what is said when all is written: how to take it back, and what to type."""
    count = len(outcome.files)
    if outcome.uncommitted == "--no-commit":
        done = f"{count} files are staged: git commit, or git reset --hard takes them back"
    elif outcome.uncommitted:
        done = (
            f"{count} files are staged, and git didn't commit them ({outcome.uncommitted}):\n"
            f"  git commit --message {MESSAGE!r}"
        )
    else:
        done = f"{count} files are in one commit, {MESSAGE!r}: git revert HEAD takes them back"
    parts = [done]
    if outcome.unlocked:
        folder = Path(plan.found.facts["API_LOCK"]).parent
        where = "" if folder == Path() else f" --project {folder}"
        parts.append(
            f"The dependencies aren't locked, for {outcome.unlocked}. Once, before the rest:\n"
            f"  uv lock{where} && git add {plan.found.facts['API_LOCK']}"
        )
    invoke = _invoke(plan)
    parts.append(f"Now type:\n  {invoke} dev.up\n  {invoke} test.run")
    return "\n\n".join(parts)


def _evidence(found: Found) -> str:
    if not found.evidence:
        return ""
    return "Found\n" + _indented(output.table(found.evidence))


def _files(plan: Plan) -> str:
    places = Counter(path.partition("/")[0] + "/" for path in plan.files if "/" in path)
    top = [path for path in plan.files if "/" not in path]
    stack = f"{plan.names.stack}/"
    rows = [
        *((path, "") for path in top),
        *((place, _count(number)) for place, number in places.items() if place != "stacks/"),
        (
            stack,
            ", ".join(path.removeprefix(stack) for path in plan.files if path.startswith(stack)),
        ),
        (starter.LOCK, ""),
    ]
    if plan.found.lock_missing:
        rows.append((plan.found.facts.get("API_LOCK", ""), "made by uv lock"))
    return f"To be written: {_count(len(plan.files) + 1)}\n" + _indented(output.table(rows))


def _losses(losses: Sequence[Loss]) -> str:
    head = f"Not carried over: {len(losses)}"
    return head + "\n" + "\n".join(line for loss in losses for line in _loss(loss))


def _loss(loss: Loss) -> Iterator[str]:
    yield f"  {loss.where}: {output.printable(loss.what)}"
    yield f"    do: {loss.do}"


def _invoke(plan: Plan) -> str:
    """Return how the tasks are called from here: by the program's path where PATH lacks it."""
    words = plan.names.invoke
    beside = Path(sys.executable).with_name("invoke")
    found = shutil.which("invoke")
    if found is None and beside.exists():
        return str(beside) + words.removeprefix("invoke")
    return words


def _count(number: int) -> str:
    return f"{number} file" + ("" if number == 1 else "s")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def bold_heads(text: str, heads: Iterable[str]) -> str:
    """Return the text with these lines' beginnings in bold, for a terminal."""
    for head in heads:
        text = text.replace(f"\n{head}", f"\n\x1b[1m{head}\x1b[0m")
    return text
