"""One real request to each new replica, before it gets anybody else's."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.output import printable, say
from gangway.engines.releases import Answer, Rollout
from gangway.model import moves
from gangway.model.model import Model

LABEL: Final = "dev.gangway.ask"
"""The label of a service with what its new replicas are asked: `PATH[=STATUS][~TEXT]`."""
# Characters of a wrong answer.
_SHOWN: Final = 500
_ASK: Final = re.compile(r"(?P<path>/[^=~\s]*)(?:=(?P<status>\d{3}))?(?:~(?P<text>.+))?")


class Question(NamedTuple):
    """What a replica is asked, and what it has to say: any status below 500 where none is given."""

    path: str
    status: int = 0
    text: str = ""

    @classmethod
    def parse(cls, words: str, service: str) -> Question:
        """Read a label's value; raises GangwayError for what is none."""
        found = _ASK.fullmatch(words.strip())
        if not found:
            raise GangwayError(
                f"{service} is to be asked {words!r}, which is not PATH[=STATUS][~TEXT]",
                fix="such as API_ASK=/habits=200",
            )
        return cls(found["path"], int(found["status"] or 0), found["text"] or "")

    def wrong(self, answer: Answer) -> str:
        """Return what is wrong with an answer; nothing where it is right."""
        if answer.status == 0:
            return f"no answer: {answer.body.strip()[:200]}"
        if self.status and answer.status != self.status:
            return f"status {answer.status}, not {self.status}"
        if answer.status >= 500:
            return f"status {answer.status}"
        if self.text and self.text not in answer.body:
            return f"status {answer.status} without {self.text!r} in it"
        return ""


def ask(model: Model, rollout: Rollout) -> None:
    """Ask every new replica behind the proxy; raises GangwayError for the first wrong answer."""
    for service in moves.behind(model):
        if service not in rollout.moves:
            continue
        labels = model.services[service].get("labels") or {}
        question = Question.parse(str(labels.get(LABEL) or "/"), service)
        for answer in rollout.ask(service, question.path):
            if wrong := question.wrong(answer):
                if answer.body.strip():
                    say(f"  | {printable(answer.body.strip())[:_SHOWN]}")
                raise GangwayError(
                    f"{service} ({answer.replica}) is healthy, but {question.path}: {wrong}",
                    fix=f"what it is asked is the label {LABEL} of {service}",
                )
