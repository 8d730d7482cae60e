"""What reading can't tell: asked on a terminal, taken as it is likely anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from gangway.base.errors import GangwayError
from gangway.operations.adoption import adopt
from gangway.operations.adoption.found import Question


def can_ask() -> bool:
    """Say whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("CI") is None


def answers(
    questions: Iterable[Question], *, ask: bool, read: Callable[[str], str] = input
) -> dict[str, str]:
    """Return the answer to each question by its fact; without `ask` the likely one is taken.

    Raises GangwayError, naming the option that answers it, where there is none.
    """
    found = {}
    for question in questions:
        if ask:
            found[question.fact] = _asked(question, read)
        elif question.default:
            found[question.fact] = question.default
        else:
            raise GangwayError(
                f"{question.text} There is nobody to ask here",
                fix=option(question, question.choices),
            )
    return found


def option(question: Question, answers: Iterable[str]) -> str:
    """Return the option that answers a question with one of `answers`."""
    name = "--name NAME" if question.fact == adopt.NAME else f"-e {question.fact}=…"
    choices = " or ".join(answers)
    return f"{name} ({choices})" if choices else name


def _asked(question: Question, read: Callable[[str], str]) -> str:
    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    default = f" [{question.default}]" if question.default else ""
    while True:
        try:
            answer = read(f"{question.text}{choices}{default} ").strip() or question.default
        except EOFError:
            raise GangwayError("nothing was changed") from None
        fault = _fault(question, answer)
        if not fault:
            return answer
        print(f"  {fault}", file=sys.stderr)


def _fault(question: Question, answer: str) -> str:
    if not answer:
        return "there is no likely answer: one is needed"
    if question.choices and answer not in question.choices:
        return f"one of {', '.join(question.choices)}"
    if question.fact == adopt.NAME:
        try:
            adopt.check_name(answer)
        except GangwayError as error:
            return error.message
    return ""
