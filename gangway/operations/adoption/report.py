"""What an adoption says: what was found, what is written, what isn't carried over, what to type."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gangway.base import output
from gangway.operations.adoption import starter
from gangway.operations.adoption.adopt import Plan
from gangway.operations.adoption.asking import option
from gangway.operations.adoption.found import Loss, Question
from gangway.operations.adoption.writing import MESSAGE, Outcome


def before(plan: Plan, unasked: Iterable[Question] = (), *, colour: bool = False) -> str:
    """Return what is said before anything is written; headings are bold in `colour`.

    `unasked` are the questions whose likely answers were taken.
    """
    found = plan.found
    sections = {
        f"{found.name}: {found.about}": output.table(found.evidence),
        "Taken without asking": "\n".join(map(_taken, unasked)),
        f"To be written: {_count(len(plan.files) + 1)}": _files(plan),
        "Kept as they are, and worked beside": ", ".join(plan.kept),
        f"Not carried over: {len(found.losses)}": "\n".join(map(_loss, found.losses)),
    }
    return "\n\n".join(
        f"{_head(head, colour=colour)}\n{_indented(text)}"
        for head, text in sections.items()
        if text
    )


def after(plan: Plan, outcome: Outcome, *, colour: bool = False) -> str:
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
    go_there = _way(plan.root)
    lines = [*go_there, f"{invoke} dev.up", f"{invoke} test.run"]
    parts.append(_head("Type", colour=colour) + "\n" + _indented("\n".join(lines)))
    return "\n\n".join(parts)


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
    return output.table(rows)


def _taken(question: Question) -> str:
    others = [each for each in question.choices if each != question.default]
    return f"{question.text} {question.default}\n  for another: {option(question, others)}"


def _loss(loss: Loss) -> str:
    return f"{loss.where}: {output.printable(loss.what)}\n  do: {loss.do}"


def _invoke(plan: Plan) -> str:
    """Return how the tasks are called from here: by its path where PATH has none, or another."""
    words = plan.names.invoke
    beside = Path(sys.executable).with_name("invoke")
    found = shutil.which("invoke")
    if beside.exists() and not (found and beside.samefile(found)):
        return shlex.quote(str(beside)) + words.removeprefix("invoke")
    return words


def _way(root: Path) -> list[str]:
    """Return the command that goes to the repository, where that isn't here."""
    if root.resolve() == Path.cwd():
        return []
    return [f"cd {shlex.quote(os.path.relpath(root))}"]


def _count(number: int) -> str:
    return f"{number} file" + ("" if number == 1 else "s")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _head(text: str, *, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text
