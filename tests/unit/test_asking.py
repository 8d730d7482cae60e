"""The one real request that a new replica has to answer before it gets anybody else's."""

from __future__ import annotations

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.releases import Answer
from gangway.operations.rollout.asking import Question


def answer(status: int, body: str = "") -> Answer:
    return Answer("api", "0123", status, body)


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("/", Question("/")),
        ("/habits=200", Question("/habits", 200)),
        ("/habits=200~[", Question("/habits", 200, "[")),
        ("/health~ok", Question("/health", 0, "ok")),
    ],
)
def test_it_is_a_path_a_status_and_a_text(words: str, question: Question) -> None:
    assert Question.parse(words, "api") == question


@pytest.mark.parametrize("words", ["", "habits", "/habits=2xx", "/a b"])
def test_what_is_none_is_refused_with_the_service(words: str) -> None:
    with pytest.raises(GangwayError, match="api is to be asked"):
        Question.parse(words, "api")


@pytest.mark.parametrize(
    ("question", "right"), [("/", 404), ("/", 200), ("/a=404", 404), ("/a=200~yes", 200)]
)
def test_a_right_answer_passes(question: str, right: int) -> None:
    assert not Question.parse(question, "api").wrong(answer(right, "oh yes"))


@pytest.mark.parametrize(
    ("question", "wrong", "said"),
    [
        ("/", answer(500), "status 500"),
        ("/", answer(0, "refused"), "no answer: refused"),
        ("/a=200", answer(404), "status 404, not 200"),
        ("/a~yes", answer(200, "no"), "status 200 without 'yes' in it"),
    ],
)
def test_a_wrong_answer_is_said(question: str, wrong: Answer, said: str) -> None:
    assert Question.parse(question, "api").wrong(wrong) == said
