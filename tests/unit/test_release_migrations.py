"""Which statements of a migration break the code before it: squawk's word, and where it counts."""

from collections.abc import Sequence

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.base.process import Completed
from gangway.operations.releases import migrations, statements
from gangway.operations.releases.migrations import Destructive, judge, pending

# Printed by `migrate --plan` of apps/api (Alembic 1.20), with a migration each.
ALEMBIC_ADDS = """\
-- at: alembic_version 0002
-- alembic upgrade head
BEGIN;

-- Running upgrade 0002 -> 0003

ALTER TABLE habits ADD COLUMN note VARCHAR(200);

ALTER TABLE habits ADD COLUMN price NUMERIC(5, 2) DEFAULT '0' NOT NULL;

CREATE TABLE tags (
    id SERIAL NOT NULL,
    habit_id INTEGER NOT NULL,
    name VARCHAR(40),
    PRIMARY KEY (id),
    UNIQUE (name)
);

ALTER TABLE habits ADD COLUMN tag_id INTEGER;

ALTER TABLE habits ADD CONSTRAINT fk_tag FOREIGN KEY(tag_id) REFERENCES tags (id);

ALTER TABLE tags ADD FOREIGN KEY(habit_id) REFERENCES habits (id);

CREATE UNIQUE INDEX ix_tags_name ON tags (name);

CREATE INDEX ix_habits_note ON habits (note);

UPDATE habits SET note = 'a; b' WHERE note IS NULL;

UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';

COMMIT;

"""
# Of a Django project (5.2): what 0002_change does.
DJANGO_CHANGES = """\
-- at: django_migrations shop.0001_thing
-- python manage.py migrate --no-input
-- shop.0002_change
--
-- Remove field name from thing
--
ALTER TABLE "shop_thing" DROP COLUMN "name" CASCADE;
--
-- Rename field size on thing to width
--
ALTER TABLE "shop_thing" RENAME COLUMN "size" TO "width";
--
-- Add field colour to thing
--
ALTER TABLE "shop_thing" ADD COLUMN "colour" varchar(9) DEFAULT 'red' NOT NULL;
ALTER TABLE "shop_thing" ALTER COLUMN "colour" DROP DEFAULT;
--
-- Add field note to thing
--
ALTER TABLE "shop_thing" ADD COLUMN "note" text DEFAULT '' NULL;
ALTER TABLE "shop_thing" ALTER COLUMN "note" DROP DEFAULT;
--
-- Add field other to thing
--
ALTER TABLE "shop_thing" ADD COLUMN "other_id" bigint NULL CONSTRAINT "shop_thing_other_id_fk" \
REFERENCES "shop_other"("id") DEFERRABLE INITIALLY DEFERRED; \
SET CONSTRAINTS "shop_thing_other_id_fk" IMMEDIATE;
CREATE INDEX "shop_thing_other_id_idx" ON "shop_thing" ("other_id");
--
-- Raw Python operation
--
-- THIS OPERATION CANNOT BE WRITTEN AS SQL
"""


def found(sql: str) -> list[tuple[str, str]]:
    return [(each.table, each.column) for each in judge(sql)[0]]


def does(sql: str) -> str:
    (one,) = judge(sql)[0]
    return one.does


class TestJudge:
    @pytest.mark.parametrize(
        ("sql", "place"),
        [
            ("ALTER TABLE habits DROP COLUMN name", ("habits", "name")),
            ('ALTER TABLE "Habits" DROP "a ""b"""', ("Habits", 'a "b"')),
            ("ALTER TABLE shop.ä ADD x int, DROP COLUMN IF EXISTS ö", ("shop.ä", "ö")),
            ("DROP TABLE IF EXISTS public.habits", ("habits", "")),
            ("ALTER TABLE habits RENAME COLUMN a TO b", ("habits", "a")),
            ("ALTER TABLE habits RENAME TO customs", ("habits", "")),
            ("ALTER TABLE habits SET SCHEMA other", ("habits", "")),
            ("ALTER TABLE habits ALTER COLUMN name TYPE varchar(5)", ("habits", "name")),
            ("ALTER TABLE habits ADD COLUMN a int NOT NULL", ("habits", "a")),
            ("ALTER TABLE habits ALTER COLUMN a SET NOT NULL", ("habits", "a")),
            ("ALTER TABLE habits ALTER COLUMN a DROP NOT NULL", ("habits", "a")),
            ("ALTER TABLE habits ALTER COLUMN a DROP DEFAULT", ("habits", "a")),
            ("ALTER TABLE habits ADD CONSTRAINT u UNIQUE (a, b)", ("habits", "a, b")),
            ("ALTER TABLE habits ADD FOREIGN KEY (a) REFERENCES b (c)", ("habits", "a")),
            ("ALTER TABLE habits ADD CONSTRAINT c CHECK (a > 1) NOT VALID", ("habits", "")),
            ("ALTER TABLE habits DROP CONSTRAINT c", ("habits", "")),
            ("CREATE UNIQUE INDEX CONCURRENTLY u ON habits USING btree (a)", ("habits", "a")),
            ("DROP VIEW shown", ("shown", "")),
            ("DROP FUNCTION habit_streaks(date)", ("habit_streaks", "")),
            ("DROP TYPE colour", ("colour", "")),
            ("TRUNCATE habits", ("habits", "")),
            ("DELETE FROM habits", ("habits", "")),
        ],
    )
    def test_what_breaks_the_code_before_is_named_with_its_place(
        self, sql: str, place: tuple[str, str]
    ) -> None:
        assert found(f"SELECT 1;\n{sql};") == [place]

    @pytest.mark.parametrize(
        "sql",
        [
            "ALTER TABLE habits ADD COLUMN a int",
            "ALTER TABLE habits ADD COLUMN a numeric(5, 2) DEFAULT 0 NOT NULL",
            "ALTER TABLE habits ADD COLUMN a int REFERENCES b (c)",
            "ALTER TABLE habits ADD COLUMN a int; ALTER TABLE habits ADD UNIQUE (a)",
            "ALTER TABLE habits ADD a int DEFAULT 1; ALTER TABLE habits ALTER a SET NOT NULL",
            "ALTER TABLE habits ADD a int; ALTER TABLE habits ALTER a TYPE text",
            "CREATE INDEX i ON habits (a)",
            "CREATE TABLE t (a int); ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN a",
            'CREATE TABLE "t" (a int); CREATE UNIQUE INDEX i ON public.t (a); DROP TABLE t',
            "CREATE TABLE t (a int); DELETE FROM t",
            "DROP VIEW v; CREATE VIEW v AS SELECT 1",
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$",
            "DELETE FROM habits WHERE id = 1",
            "INSERT INTO habits VALUES ('DROP TABLE habits; --')",
            "COMMENT ON TABLE habits IS 'it''s; DROP TABLE habits;'",
            "-- DROP TABLE habits;\n/* DROP TABLE habits; */",
            "",
        ],
    )
    def test_what_only_adds_breaks_nothing(self, sql: str) -> None:
        assert judge(sql) == ([], [])

    @pytest.mark.parametrize(
        ("before", "after", "wider"),
        [
            ("character varying(9)", "VARCHAR(10)", True),
            ("character varying(9)", "character varying(9)", True),
            ("character varying(9)", "text", True),
            ("character varying(9)", 'varchar USING "name"::varchar', True),
            ("character varying(9)", "varchar(8)", False),
            ("text", "varchar(8)", False),
            ("character varying", "varchar(8)", False),
            ("integer", "text", False),
            ("", "text", False),
        ],
    )
    def test_a_type_that_only_gets_wider_breaks_nothing(
        self, before: str, after: str, wider: bool
    ) -> None:
        sql = f'ALTER TABLE "Thing" ALTER COLUMN "name" TYPE {after};\n'
        said = f'-- has: "Thing"."name" {before}\n' if before else ""
        assert found(sql + said) == ([] if wider else [("Thing", "name")])

    def test_a_new_column_that_must_be_given_breaks_it_all_the_same(self) -> None:
        later = "ALTER TABLE habits ADD a int; ALTER TABLE habits ALTER COLUMN a SET NOT NULL"
        assert found(later) == [("habits", "a")]
        assert "may write" in does(later)

    def test_a_table_that_is_made_again_was_dropped_before(self) -> None:
        assert found("DROP TABLE habits; CREATE TABLE habits (id int)") == [("habits", "")]

    def test_several_in_one_statement_are_each_named(self) -> None:
        sql = "ALTER TABLE habits DROP COLUMN a, DROP COLUMN b, ALTER COLUMN c TYPE text"
        assert found(sql) == [("habits", "a"), ("habits", "b"), ("habits", "c")]

    def test_a_statement_of_several_lines_is_shown_in_one(self) -> None:
        sql = "-- why\nALTER TABLE\n  habits\n  -- gone\n  DROP COLUMN name\n;"
        (one,) = judge(sql)[0]
        assert one.statement == "ALTER TABLE habits DROP COLUMN name"
        assert one.column == "name"

    def test_what_cannot_be_read_hides_nothing_else(self) -> None:
        destructive, untold = judge("SELEKT it all;\nDROP TABLE habits;\n")
        assert [each.table for each in destructive] == ["habits"]
        assert untold == ["can't be read: SELEKT it all"]

    def test_alembics_additions_break_nothing(self) -> None:
        assert judge(ALEMBIC_ADDS) == ([], [])

    def test_djangos_changes_are_told_apart(self) -> None:
        destructive, untold = judge(DJANGO_CHANGES)
        assert [each.column for each in destructive] == ["name", "size", "colour"]
        assert "db_default" in destructive[2].fix
        assert untold == ["shop.0002_change: Raw Python operation, which is no SQL"]

    def test_each_rule_is_one_that_squawk_has(self) -> None:
        """It refuses a name that it doesn't know."""
        judge("SELECT 1")
        assert all(what and fix for what, fix in migrations.RULES.values())


class TestSplit:
    def test_what_only_opens_or_ends_a_transaction_is_left_out(self) -> None:
        sql = "BEGIN; SELECT 1; COMMIT; START TRANSACTION;"
        assert [each.text for each in statements.split(sql)] == ["SELECT 1"]

    def test_places_are_those_of_the_whole_text(self) -> None:
        sql = "-- ä\nSELECT 'a;b';\n\n/* x */ SELECT E'\\';' -- y\n;"
        texts = ["SELECT 'a;b'", "SELECT E'\\';'"]
        assert [each.text for each in statements.split(sql)] == texts
        assert [sql[each.start : each.end] for each in statements.split(sql)] == texts


class TestPending:
    def run(self, status: int = 0, out: str = "", err: str = "") -> migrations.Run:
        def run(words: Sequence[str]) -> Completed:
            assert list(words) == ["migrate", "--plan"]
            return Completed(tuple(words), status, out, err)

        return run

    def test_it_says_where_the_database_is_and_what_is_to_come(self) -> None:
        said = pending(self.run(out=ALEMBIC_ADDS, err="INFO alembic: Generating static SQL\n"))
        assert said.at == ("alembic_version 0002",)
        assert said.newer == () and said.additive
        assert "ADD COLUMN note" in said.sql
        said.refuse_destructive()

    def test_what_breaks_is_refused_with_statement_place_and_way_out(self) -> None:
        said = pending(self.run(out="-- at: x 1\nALTER TABLE habits DROP COLUMN name;\n"))
        assert not said.additive
        with pytest.raises(FindingsError) as refused:
            said.refuse_destructive()
        text = str(refused.value)
        assert "habits.name: drops a column" in text
        assert "ALTER TABLE habits DROP COLUMN name" in text
        assert "later one" in text and "--allow-destructive" in text

    def test_a_database_that_is_ahead_is_told(self) -> None:
        said = pending(self.run(out="-- at: alembic_version 9\nBEGIN;\n\n-- newer: 9\n"))
        assert said.newer == ("9",)
        assert said.destructive == ()

    @pytest.mark.parametrize("status", [2, 255])
    def test_a_plan_that_cannot_be_told_is_neither_good_nor_bad(self, status: int) -> None:
        line = "bash x.sh: what it would do isn't known; say it in MIGRATE_PLAN_COMMAND"
        said = pending(self.run(status, "-- at: x 1\n", f"Traceback\ndb: {line}\n"))
        assert said.untold == (line,)
        assert said.at == ("x 1",) and not said.additive
        said.refuse_destructive()

    def test_a_database_that_does_not_answer_is_an_error(self) -> None:
        line = "no database at postgres:5432 after 600 s"
        with pytest.raises(GangwayError, match=line):
            pending(self.run(2, "", f"db: {line}\n"))


def test_a_finding_without_a_column_names_the_table() -> None:
    one = Destructive("DROP TABLE habits", "habits", "", "drops a table", "don't")
    assert str(one.finding()) == "habits: drops a table: DROP TABLE habits\n  fix: don't"
