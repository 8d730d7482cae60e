"""What of a database isn't in its dump: how it was made, its settings and grants, and the roles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from backup import programs, sql
from backup.errors import Refused
from backup.settings import Server
from backup.sql import Session, literal, name

LISTS = ("search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries")
"""Settings whose values are lists, quoted as they stand."""

LOCALES = {"b": "BUILTIN_LOCALE", "i": "ICU_LOCALE"}
PROVIDERS = {"b": "builtin", "i": "icu", "c": "libc"}


def server(session: Session) -> dict[str, Any]:
    """Return who a server is: its version, its major and the number that its cluster has."""
    number = int(session.text("SHOW server_version_num"))
    allowed = session.text(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
    )
    system = "SELECT system_identifier FROM pg_catalog.pg_control_system()"
    return {
        "version": session.text("SHOW server_version"),
        "major": number // 10000,
        "system": session.text(system) if allowed == "t" else "",
    }


def facts(session: Session) -> dict[str, Any]:
    """Return what is needed to make the session's database anew."""
    (found,) = session.rows(
        """SELECT pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate,
            d.datctype AS ctype, d.datlocprovider AS provider,
            coalesce(pg_catalog.to_jsonb(d)->>'datlocale', pg_catalog.to_jsonb(d)->>'daticulocale')
                AS locale,
            pg_catalog.pg_get_userbyid(d.datdba) AS owner, d.datacl IS NOT NULL AS granted
        FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"""
    )
    settings = session.rows(
        """SELECT coalesce(pg_catalog.pg_get_userbyid(nullif(s.setrole, 0)), '') AS role, v AS value
        FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
            pg_catalog.unnest(s.setconfig) v WHERE d.datname = pg_catalog.current_database()"""
    )
    grants = session.rows(
        """SELECT coalesce(pg_catalog.pg_get_userbyid(nullif(g.grantee, 0)), '') AS role,
            g.privilege_type AS privilege, g.is_grantable AS further
        FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) g
        WHERE d.datname = pg_catalog.current_database()"""
    )
    return {**found, "settings": settings, "grants": grants}


def roles(session: Session) -> list[str]:
    """Return the names of the server's roles, without PostgreSQL's own."""
    found = session.rows(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
    )
    return [each["rolname"] for each in found]


def make(on: Server, database: str, known: Mapping[str, Any]) -> None:
    """Make an empty database as another one was made; `known` is what `facts` returned."""
    words = [f"ENCODING {literal(known['encoding'])}", f"LC_COLLATE {literal(known['collate'])}",
             f"LC_CTYPE {literal(known['ctype'])}",
             f"LOCALE_PROVIDER {PROVIDERS[known['provider']]}"]  # fmt: skip
    if known["provider"] in LOCALES:
        words.append(f"{LOCALES[known['provider']]} {literal(known['locale'])}")
    made, owner = name(database), name(known["owner"])
    sql.execute(
        on, f"CREATE DATABASE {made} TEMPLATE template0 OWNER {owner} {' '.join(words)}",
        *_settings(made, known["settings"]), *_grants(made, known), database="postgres",
    )  # fmt: skip


def add_roles(on: Server, wanted: Iterable[str], *words: str) -> list[str]:
    """Make the roles that aren't there, with these words behind their names; return which."""
    with sql.session(on, "postgres") as session:
        missing = sorted({*wanted} - {*roles(session)})
    sql.execute(
        on,
        *(f"CREATE ROLE {name(each)} {' '.join(words)}" for each in missing),
        database="postgres",
    )
    return missing


def check_client(server_major: int) -> None:
    """Refuse programs of another major than the server's: what they write may not be restorable."""
    text = programs.run(["pg_dump", "--version"])
    found = re.search(r"\) ([0-9]+)", text)
    if not found or int(found[1]) != server_major:
        raise Refused(
            f"the server is PostgreSQL {server_major}, and the programs here are {text.strip()}",
            fix="build the image from the server's POSTGRES_IMAGE: invoke prod.rebuild backup",
        )


def _settings(made: str, settings: Iterable[Mapping[str, str]]) -> list[str]:
    found = []
    for each in settings:
        key, _, value = each["value"].partition("=")
        role = f"ROLE {name(each['role'])} IN " if each["role"] else ""
        shown = (value or "''") if key in LISTS else literal(value)
        found.append(f"ALTER {role}DATABASE {made} SET {key} TO {shown}")
    return found


def _grants(made: str, known: Mapping[str, Any]) -> list[str]:
    if not known["granted"]:
        return []
    return [
        f"REVOKE ALL ON DATABASE {made} FROM PUBLIC",
        *(
            f"GRANT {each['privilege']} ON DATABASE {made}"
            f" TO {name(each['role']) if each['role'] else 'PUBLIC'}"
            f"{' WITH GRANT OPTION' if each['further'] else ''}"
            for each in known["grants"]
        ),
    ]
