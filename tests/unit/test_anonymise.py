"""Production's data for development: which columns need a rule, and what a rule does to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gangway.operations.copies import anonymise
from gangway.operations.copies.anonymise import Column
from tests.support.postgres import Postgres, postgres


def fitting(name: str, type: str = "text", table: str = "things", **more: object) -> str:  # noqa: A002
    return anonymise.looks_personal(Column(table, name, type)._replace(**more))  # type: ignore[arg-type]


class TestWhatLooksPersonal:
    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            ("email", "fake email"),
            ("user_email", "fake email"),
            ("contactEmail", "fake email"),
            ("EMAILADDRESS", "fake email"),
            ("name", "fake name"),
            ("last_name", "fake name"),
            ("lastname", "fake name"),
            ("phone_2", "fake phone"),
            ("street", "fake text"),
            ("internal_note", "fake text"),
            ("password_hash", "hash"),
            ("api_token", "hash"),
            ("iban", "hash"),
            ("ip_address", "fake ip"),
        ],
    )
    def test_a_name_that_says_so(self, name: str, rule: str) -> None:
        assert fitting(name) == rule

    @pytest.mark.parametrize(
        "name", ["id", "country", "total", "status", "slug", "quantity", "currency", "enumeration"]
    )
    def test_a_name_that_says_nothing_of_the_kind(self, name: str) -> None:
        assert fitting(name) == ""

    @pytest.mark.parametrize(
        ("name", "type", "rule"),
        [
            ("birthday", "date", "fake date"),
            ("dob", "timestamptz", "fake date"),
            ("created_at", "timestamptz", ""),
            ("email_sent_at", "timestamptz", ""),
            ("email_confirmed", "bool", ""),
            ("address_id", "int4", ""),
            ("phone", "int8", "hash"),
            ("salary", "numeric", "null"),
            ("seen_from", "inet", "fake ip"),
            ("settings", "jsonb", "null"),
            ("picture", "bytea", "null"),
            ("emails", "_text", "null"),
            ("session", "uuid", "hash"),
        ],
    )
    def test_the_type_has_a_say(self, name: str, type: str, rule: str) -> None:  # noqa: A002
        assert fitting(name, type) == rule

    def test_what_is_in_it_has_the_last_word(self) -> None:
        assert fitting("stuff", found="email") == "fake email"
        assert fitting("stuff", "jsonb", found="email") == "null"
        assert fitting("stuff", "jsonb", found="email", nullable=False) == "fake json"

    def test_frameworks_own_tables_and_references_are_let_be(self) -> None:
        assert fitting("name", table="django_migrations") == ""
        assert fitting("user_name", refers="users.name") == ""

    def test_what_it_proposes_is_a_rule_for_the_column(self) -> None:
        for type_ in ("text", "int2", "int4", "numeric", "float8", "date", "inet", "jsonb", "uuid"):
            for nullable in (True, False):
                for name in ("email", "phone", "birthday", "salary", "avatar", "ip"):
                    column = Column("t", name, type_, nullable=nullable)
                    if rule := anonymise.looks_personal(column):
                        found = anonymise.findings([column], {column.key: rule}, large_objects=0)
                        assert not found, (column, rule)


class TestRules:
    COLUMNS = (
        Column("users", "email", "varchar", limit=60, nullable=False),
        Column("users", "note", "text"),
        Column("users", "age", "int4"),
        Column("log.visits", "page", "text"),
    )

    def findings(self, *rules: str, large_objects: int = 0) -> list[str]:
        known = dict(rule.split(": ") for rule in rules)
        return [
            f"{each.what} | {each.fix}"
            for each in anonymise.findings(self.COLUMNS, known, large_objects=large_objects)
        ]

    def test_each_missing_one_is_named_with_one_that_fits(self) -> None:
        found = self.findings()
        assert [each.split(" ")[0] for each in found] == ["users.email", "users.note"]
        assert found[0].endswith("| users.email: fake email    (or keep)")

    def test_keep_is_a_rule_of_a_column_or_a_table(self) -> None:
        assert self.findings("users.email: keep", "users.note: null") == []
        assert self.findings("users: keep") == []
        assert self.findings("users: empty") == []

    def test_one_for_nothing_is_an_error_with_the_nearest(self) -> None:
        found = self.findings("users: keep", "users.emial: hash", "log.visit: empty")
        assert "users.emial: the backup has no such column or table" in found[0]
        assert "did you mean users.email?" in found[0]
        assert "did you mean log.visits?" in found[1]

    def test_one_that_does_not_fit_says_why(self) -> None:
        found = self.findings("users.email: null", "users.note: fake date", "users.age: fake name")
        assert "users.email: null is not for it: it is NOT NULL" in found[0]
        assert "users.note: fake date is not for it: it is a text" in found[1]
        assert "users.age: fake name is not for it: it is a int4" in found[2]

    def test_large_objects_need_one_as_well(self) -> None:
        assert "3 large objects" in self.findings("users: keep", large_objects=3)[0]
        assert self.findings("users: keep", "large_objects: empty", large_objects=3) == []

    def test_a_file_is_read_as_people_write_it(self) -> None:
        rules, found = anonymise.read({"users.note": None, "users.email": "fake   email"})
        assert rules == {"users.note": "null", "users.email": "fake email"} and not found
        _, found = anonymise.read({"users.email": "fake mail"})
        assert "fake mail is no rule" in found[0].what
        assert "did you mean fake email?" in (found[0].fix or "")
        _, found = anonymise.read(["users.email"])
        assert "it is no mapping" in found[0].what
        assert anonymise.read(None) == ({}, [])


COLUMNS = (
    Column("people", "id", "int4"),
    Column("people", "email", "varchar", limit=30, nullable=False, unique=True),
    Column("people", "name", "varchar", limit=20, unique=True),
    Column("people", "phone", "text"),
    Column("people", "born", "date"),
    Column("people", "note", "text"),
    Column("people", "number", "int4"),
    Column("people", "token", "uuid"),
    Column("people", "raw", "bytea"),
    Column("people", "ip", "inet"),
    Column("people", "extra", "jsonb", nullable=False),
    Column("orders", "email", "varchar", limit=30, refers="people.email"),
    Column("visits", "page", "text"),
)
RULES = {
    "people.email": "fake email",
    "people.name": "fake name",
    "people.phone": "fake phone",
    "people.born": "fake date",
    "people.note": "fake text",
    "people.number": "hash",
    "people.token": "hash",
    "people.raw": "hash",
    "people.ip": "fake ip",
    "people.extra": "fake json",
    "visits": "empty",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as found:
        yield found


class TestWhatTheyDo:
    """The SQL, done by a real server."""

    MADE = """
    DROP TABLE IF EXISTS visits, orders, people;
    CREATE TABLE people (id int, email varchar(30) UNIQUE NOT NULL, name varchar(20) UNIQUE,
      phone text, born date, note text, number int, token uuid, raw bytea, ip inet,
      extra jsonb NOT NULL);
    CREATE TABLE orders (email varchar(30));
    CREATE TABLE visits (page text);
    INSERT INTO people SELECT i, 'real' || i || '@corp.test', 'Real ' || i, '+49 ' || i,
      date '1980-06-15', 'a note', i, gen_random_uuid(), 'secret', '10.0.0.1', '{"real": 1}'
      FROM generate_series(1, 2000) i;
    INSERT INTO people (id, email, extra) VALUES (0, 'nobody@corp.test', '{}');
    INSERT INTO orders SELECT email FROM people;
    INSERT INTO visits VALUES ('/real');
    """

    def done(self, server: Postgres, salt: str = "salt") -> None:
        server.query(self.MADE)
        for sql in anonymise.changes(COLUMNS, RULES, salt).values():
            server.query(sql)

    def test_nothing_of_what_was_there_is_left(self, server: Postgres) -> None:
        self.done(server)
        rows = server.query("SELECT to_jsonb(p) - 'id' FROM people p ORDER BY id").splitlines()
        text = "\n".join(rows)
        for real in ("corp.test", "Real", "+49", "a note", "10.0.0.1", "real"):
            assert real not in text, real
        # A few are born then by chance.
        assert text.count("1980-06-15") < 50
        assert len(rows) == 2001 and server.query("SELECT count(*) FROM visits") == "0"

    def test_the_same_stays_the_same_and_what_was_nothing_stays_nothing(
        self, server: Postgres
    ) -> None:
        self.done(server)
        joined = "SELECT count(*) FROM orders JOIN people USING (email)"
        assert server.query(joined) == "2001"
        empty = "SELECT name, phone, born, note, number, token, raw, ip FROM people WHERE id = 0"
        assert server.query(empty) == "|||||||"

    def test_no_two_runs_make_the_same(self, server: Postgres) -> None:
        self.done(server, "one")
        first = server.query("SELECT email FROM people WHERE id = 1")
        self.done(server, "two")
        assert server.query("SELECT email FROM people WHERE id = 1") != first
