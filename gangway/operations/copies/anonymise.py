"""What becomes of production's data before development gets it: a rule for each column, as SQL.

The rules are a mapping, `env/anonymise.yml`:

    users.email: fake email     one of FAKES, made from what was there: the same for the same
    users.iban: hash            what can't be told from anything, the same for the same
    users.note: null            nothing
    users.country: keep         as it is
    sessions: empty             no rows at all; keep: all columns that no rule of their own has
    large_objects: empty        what pg_largeobject has, likewise

A table outside `public` has its schema before its name. What a run makes of a value no other run
does: a salt goes into it, which nobody keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gangway.base.errors import Finding, nearest
from gangway.operations.copies.server import literal, quoted

FILE: Final = "env/anonymise.yml"
LARGE_OBJECTS: Final = "large_objects"
FAKES: Final = ("name", "email", "phone", "text", "date", "ip", "json")
RULES: Final = (*(f"fake {kind}" for kind in FAKES), "hash", "null", "keep")

_FIRST: Final = "Ada Ben Cleo Dan Eva Finn Gia Hal Ida Jon Kim Leo Mia Ned Ola Pia"
_LAST: Final = (
    "Abel Bird Cole Dale Eden Ford Gray Hill Ivey Jung King Lane Moss Nash Owen Page "
    "Quin Reed Snow Todd Ueda Vale West York Zane Ames Boyd Cash Dunn Ellis Frost Gale"
)
_LOREM: Final = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "

# The parts of a column's name that say that it is about somebody, with the rule that fits;
# the first of them counts.
_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("email", "mail", "emails"), "fake email"),
    **dict.fromkeys(("phone", "mobile", "fax", "telephone", "tel", "cell"), "fake phone"),
    **dict.fromkeys(("birth", "birthday", "birthdate", "dob", "born"), "fake date"),
    **dict.fromkeys(("ip", "ipaddress", "addr"), "fake ip"),
    **dict.fromkeys(
        (
            "password", "passwd", "token", "secret", "apikey", "ssn", "passport", "iban", "bic",
            "card", "tax", "vat", "session", "fingerprint", "otp", "pin", "social",
        ),
        "hash",
    ),
    **dict.fromkeys(
        (
            "name", "firstname", "lastname", "fullname", "surname", "forename", "nickname",
            "username", "login", "contact", "author", "recipient", "sender",
        ),
        "fake name",
    ),
    **dict.fromkeys(
        (
            "address", "street", "city", "town", "zip", "zipcode", "postcode", "postal", "location",
            "note", "notes", "comment", "comments", "message", "bio", "about", "remark", "remarks",
            "biography", "signature", "diagnosis", "agent",
        ),
        "fake text",
    ),
    **dict.fromkeys(
        (
            "latitude", "longitude", "lat", "lng", "lon", "gender", "sex", "salary", "religion",
            "photo", "avatar", "picture",
        ),
        "null",
    ),
}  # fmt: skip
# What an id or a number with such a word in its name may give away all the same.
_NUMBERS: Final = frozenset(
    ("phone", "mobile", "fax", "tel", "telephone", "cell", "ssn", "passport", "card", "tax", "vat",
     "pin", "latitude", "longitude", "lat", "lng", "lon", "salary", "zip", "zipcode", "postcode",
     "postal", "social")
)  # fmt: skip
_PARTS: Final = (
    "email",
    "phone",
    "birth",
    "password",
    "firstname",
    "lastname",
    "address",
    "token",
    "apikey",
    "username",
)
# What frameworks keep of themselves.
_FRAMEWORKS: Final = frozenset(
    ("alembic_version", "django_migrations", "django_content_type", "auth_permission", "auth_group",
     "django_site", "spatial_ref_sys")
)  # fmt: skip
_STRINGS: Final = frozenset(("text", "varchar", "bpchar", "citext", "name"))
_NUMERIC: Final = frozenset(("int2", "int4", "int8", "numeric", "float4", "float8"))
_DATES: Final = frozenset(("date", "timestamp", "timestamptz"))
_JSON: Final = frozenset(("json", "jsonb"))
# What may hold anything.
_OPAQUE: Final = _JSON | {"bytea", "xml", "hstore"}


class Column(NamedTuple):
    """A column as the catalog has it.

    `type` is its type's own name, that of the base for a domain, `limit` the most characters that
    it takes (0: any number), `found` what some of its values look like (`email`, `phone`), and
    `refers` the column that a foreign key of its own points to.
    """

    table: str
    """as the rules name it: with its schema, unless that is `public`"""
    name: str
    type: str
    limit: int = 0
    nullable: bool = True
    unique: bool = False
    found: str = ""
    refers: str = ""

    @property
    def key(self) -> str:
        """What the rules call it."""
        return f"{self.table}.{self.name}"


Rules = Mapping[str, str]


def read(content: Any) -> tuple[Rules, list[Finding]]:
    """Return the rules that a YAML file's content has, and what is wrong with it."""
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        return {}, [Finding("it is no mapping", FILE, "one rule a line: users.email: fake email")]
    rules, findings = {}, []
    for key, value in content.items():
        # YAML's own null, without quotes.
        rules[str(key)] = rule = "null" if value is None else " ".join(str(value).split())
        if rule not in (*RULES, "empty"):
            guess = nearest(rule, RULES)
            said = f"did you mean {guess}? " if guess else ""
            fix = f"{said}({', '.join(RULES)}; of a table: empty, keep)"
            findings.append(Finding(f"{key}: {rule} is no rule", FILE, fix))
    return rules, findings


def looks_personal(column: Column) -> str:
    """Return the rule that fits a column which looks like personal data; empty where it doesn't."""
    if column.table.rpartition(".")[2] in _FRAMEWORKS or column.type == "bool" or column.refers:
        return ""
    if column.found:
        return _fitting(f"fake {column.found}", column)
    words = _split(column.name)
    if column.type in _NUMERIC or words[-1:] == ["id"]:
        words = [word for word in words if word in _NUMBERS and words[-1:] != ["id"]]
    rule = next((rule for word, rule in _WORDS.items() if word in words), "")
    if not rule and column.type in _STRINGS:
        whole = "".join(words)
        rule = next((_WORDS[part] for part in _PARTS if part in whole), "")
    if column.type in _DATES and rule != "fake date":
        return ""
    known = _STRINGS | _NUMERIC | _DATES | _OPAQUE | {"uuid", "inet", "cidr", "macaddr", "point"}
    if not rule and column.type in ("inet", "macaddr"):
        rule = "fake ip"
    if not rule and column.type in _OPAQUE:
        rule = "null"
    is_list = column.type.startswith("_") and column.type[1:] in _STRINGS
    return _fitting(rule, column) if rule and (column.type in known or is_list) else ""


def may_hold_text(column: Column) -> bool:
    """Say whether there may be texts in a column, which may be anything."""
    is_list = column.type.startswith("_") and column.type[1:] in _STRINGS
    return (column.type in _STRINGS | _JSON or is_list) and not (
        column.refers or column.table.rpartition(".")[2] in _FRAMEWORKS
    )


def findings(columns: Sequence[Column], rules: Rules, *, large_objects: int) -> list[Finding]:
    """Return what is wrong with the rules for these columns, and what is missing in them."""
    by_key = {column.key: column for column in columns}
    tables = {column.table for column in columns}
    found = []
    for key, rule in rules.items():
        if key in tables or key == LARGE_OBJECTS:
            if rule not in ("empty", "keep"):
                found.append(Finding(f"{key}: {rule} is for a column", FILE, f"{key}: empty"))
            continue
        if key not in by_key:
            guess = nearest(key, [*by_key, *tables])
            fix = f"did you mean {guess}?" if guess else "take it out"
            found.append(Finding(f"{key}: the backup has no such column or table", FILE, fix))
        elif problem := _unfit(rule, by_key[key]):
            found.append(Finding(f"{key}: {rule} is not for it: {problem}", FILE, _others(rule)))
    missing = [
        (column, rule)
        for column in columns
        if column.key not in rules and column.table not in rules
        if (rule := looks_personal(column))
    ]
    found += [
        Finding(
            f"{column.key} looks like personal data"
            + (f": there are values like an {column.found}'s" if column.found else "")
            + ", and no rule says what becomes of it",
            FILE,
            f"{column.key}: {rule}    (or keep)",
        )
        for column, rule in missing
    ]
    if large_objects and LARGE_OBJECTS not in rules:
        found.append(
            Finding(
                f"there are {large_objects} large objects, and no rule says what becomes of them",
                FILE,
                f"{LARGE_OBJECTS}: empty    (or keep)",
            )
        )
    return found


def changes(columns: Sequence[Column], rules: Rules, salt: str) -> dict[str, str]:
    """Return the SQL that does what the rules say, by the table's name in SQL; of the rest, none.

    Triggers and foreign keys have to be off meanwhile. A column that refers to one with a rule
    gets what that one gets.
    """
    by_key = {column.key: column for column in columns}
    sets: dict[str, list[str]] = {}
    for column in columns:
        if rules.get(column.table) == "empty":
            sets[column.table] = []
            continue
        decided = column
        while decided.key not in rules and decided.refers in by_key:
            decided = by_key[decided.refers]
        rule = rules.get(decided.key, "keep")
        if rule != "keep":
            value = _value(rule, decided, quoted(column.name), salt)
            sets.setdefault(column.table, []).append(f"{quoted(column.name)} = {value}")
    update, delete = "UPDATE {} SET {}", "DELETE FROM {}"
    return {
        table(key): (update if each else delete).format(table(key), ", ".join(each))
        for key, each in sets.items()
    }


def _fitting(rule: str, column: Column) -> str:
    """Return the rule, or one that this column can have."""
    if not _unfit(rule, column):
        return rule
    if column.type in _JSON and not column.nullable:
        return "fake json"
    tried = ("hash", "fake ip", "fake date", "null", "keep")
    return next(each for each in tried if not _unfit(each, column))


def _unfit(rule: str, column: Column) -> str:
    """Return why a rule isn't for a column; empty where it is."""
    if rule == "null":
        return "" if column.nullable else "it is NOT NULL"
    kinds: dict[str, frozenset[str]] = {
        "fake date": _DATES,
        "fake ip": frozenset(("inet", *_STRINGS)),
        "fake json": _JSON,
        "hash": _STRINGS | _NUMERIC - {"float4", "float8", "int2"} | {"uuid", "bytea"},
        "empty": frozenset(),
    }
    fits = kinds.get(rule, _STRINGS) if rule != "keep" else {column.type}
    return "" if column.type in fits else f"it is a {column.type}"


def _others(rule: str) -> str:
    return ", ".join(each for each in RULES if each != rule)


def _value(rule: str, column: Column, name: str, salt: str) -> str:
    """Return the SQL of what takes a value's place; NULL stays NULL."""
    if rule == "null":
        return "NULL"
    digest = f"md5({literal(salt)} || {name}::text)"
    number = f"('x' || substr({digest}, 1, 15))::bit(60)::bigint"
    if rule == "fake json":
        return f"CASE WHEN {name} IS NOT NULL THEN '{{}}'::{column.type} END"
    if rule == "fake date":
        return f"date_trunc('year', {name})::date + ({number} % 365)::int"
    if rule == "fake ip" and column.type == "inet":
        return f"('192.0.2.' || {number} % 256)::inet"
    if rule == "hash":
        other = {
            "uuid": f"{digest}::uuid",
            "bytea": f"decode({digest}, 'hex')",
            "int4": f"({number} % 2147483647)::int",
            "int8": number,
            "numeric": number,
        }
        if column.type in other:
            return other[column.type]
    text = {
        "hash": digest,
        "fake email": f"'user-' || substr({digest}, 1, 16) || '@example.org'",
        "fake phone": f"'+999' || lpad(({number} % 10000000000)::text, 10, '0')",
        "fake ip": f"'192.0.2.' || {number} % 256",
        "fake name": _name(digest, number),
        "fake text": f"left(repeat({literal(_LOREM)}, 1 + length({name}::text) / "
        f"{len(_LOREM)}), length({name}::text))",
    }[rule]
    if column.unique and rule in ("fake name", "fake text", "fake ip"):
        text = f"substr({digest}, 1, 12) || ' ' || {text}"
    if rule == "fake email" and 0 < column.limit < len("user-@example.org") + 16:
        text = f"substr({digest}, 1, 16) || '@a.example'"
    return f"left({text}, {column.limit})" if column.limit else text


def _name(digest: str, number: str) -> str:
    second = f"('x' || substr({digest}, 17, 8))::bit(32)::bigint"
    return f"{_one_of(_FIRST, number)} || ' ' || {_one_of(_LAST, second)}"


def _one_of(names: str, number: str) -> str:
    return f"(string_to_array({literal(names)}, ' '))[1 + {number} % {len(names.split())}]"


def table(key: str) -> str:
    """Return the name that a table has in SQL."""
    schema, _, table = key.rpartition(".")
    return f"{quoted(schema or 'public')}.{quoted(table)}"


def _split(name: str) -> list[str]:
    """Return the words of a column's name: first_name, firstName."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z]+", " ", name).lower().split()
