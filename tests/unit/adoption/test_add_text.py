"""Entries put into YAML and env files as text: the rest of the file stays as its user wrote it."""

from __future__ import annotations

import pytest
import yaml

from gangway.base.errors import GangwayError
from gangway.operations.adoption.appending import with_entry, with_profile

FILE = "stacks/shop/compose.yml"
BLOCK = "mail:\n  image: mail:1.0\n"
HAND_WRITTEN = """\
# Ours.
x-image: &image {image: "shop:local"}

services:
    web:
        <<: *image      # as built

        # quite:
        #   a comment
        command: [serve]
        # the last of web's

# Below: what it keeps.
volumes: {data: {}}
"""


def test_a_service_is_the_last_one_and_everything_else_stays() -> None:
    text = with_entry(HAND_WRITTEN, ["services"], BLOCK, file=FILE, apart=True)
    assert text == HAND_WRITTEN.replace(
        "of web's\n", "of web's\n\n    mail:\n      image: mail:1.0\n"
    )


@pytest.mark.parametrize(
    "before",
    ["services:\n", "services: {}\n", "services: null  # none\n", "", "# nothing yet\n", "name: a"],
)
def test_it_is_put_where_there_is_none_yet(before: str) -> None:
    text = with_entry(before, ["services"], BLOCK, file=FILE, apart=True)
    assert yaml.safe_load(text)["services"] == {"mail": {"image": "mail:1.0"}}
    assert text.startswith(before.partition(" {}")[0].partition(" null")[0].rstrip())


def test_mappings_on_the_way_to_it_are_made() -> None:
    before = "services:\n  api: {image: api}\n"
    path = ["services", "test-runner", "depends_on"]
    text = with_entry(before, path, "mail: {condition: service_started}", file=FILE)
    assert text == before + (
        "\n  test-runner:\n    depends_on:\n      mail: {condition: service_started}\n"
    )


def test_line_ends_stay_what_they_are() -> None:
    before = "services:\r\n  api: {image: api}\r\n"
    text = with_entry(before, ["services"], BLOCK, file=FILE, apart=True)
    assert text == before + "\r\n  mail:\r\n    image: mail:1.0\r\n"


def test_a_line_is_added_to_a_mapping_in_one_line() -> None:
    before = "services:\n  runner:\n    depends_on: {a: {b: c}}  # why\n"
    path = ["services", "runner", "depends_on"]
    text = with_entry(before, path, "mail: {b: d}", file=FILE)
    assert text == before.replace("}}", "}, mail: {b: d}}")


def test_a_mapping_in_one_line_is_refused_with_its_place() -> None:
    before = "# one\nservices: {api: {image: api}}\n"
    with pytest.raises(GangwayError) as caught:
        with_entry(before, ["services"], BLOCK, file=FILE)
    assert caught.value.where == f"{FILE}:2"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("COMPOSE_PROFILES=a,b\n", "COMPOSE_PROFILES=a,b,mail\n"),
        ("A=1\nCOMPOSE_PROFILES=a # c\nB=2\n", "A=1\nCOMPOSE_PROFILES=a,mail # c\nB=2\n"),
        ('export COMPOSE_PROFILES="a,b"  # c\n', 'export COMPOSE_PROFILES="a,b,mail"  # c\n'),
        ("COMPOSE_PROFILES='a'", "COMPOSE_PROFILES='a,mail'"),
        ("COMPOSE_PROFILES=\n", "COMPOSE_PROFILES=mail\n"),
        ("COMPOSE_PROFILES=${A},a\r\n", "COMPOSE_PROFILES=${A},a,mail\r\n"),
        ("A=1", "A=1\nCOMPOSE_PROFILES=${COMPOSE_PROFILES},mail\n"),
    ],
)  # fmt: skip
def test_a_profile_is_turned_on_whatever_the_value_looks_like(before: str, after: str) -> None:
    assert with_profile(before, "mail", file="stacks/shop/stack.env") == after
