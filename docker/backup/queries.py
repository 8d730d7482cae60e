"""What is asked of the catalogs: everything that is the app's, and nothing of PostgreSQL itself."""

from backup.sql import literal

# What belongs to an extension is made anew with it.
_OURS = """n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid
        AND d.classid = 'pg_catalog.CATALOG'::pg_catalog.regclass AND d.deptype = 'e')"""
_CLASS = _OURS.replace("CATALOG", "pg_class")
_NAMED = """pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""

TABLES = f"""SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM {_NAMED} WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_CLASS} ORDER BY 1"""

SEQUENCES = f"""SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
        coalesce(pg_catalog.pg_sequence_last_value(c.oid), s.seqstart) AS value,
        s.seqincrement > 0 AS up, s.seqcycle AS cycles
    FROM {_NAMED} JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid WHERE {_CLASS} ORDER BY 1"""

# By name and kind, not by definition: PostgreSQL writes some of these in another way after a
# restore.
OBJECTS = {
    "columns": f"""SELECT pg_catalog.concat_ws(' ', n.nspname, c.relname, a.attname,
            pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef)
        FROM {_NAMED} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND {_CLASS}""",
    "relations": f"""SELECT pg_catalog.concat_ws(' ', n.nspname, c.relname, c.relkind,
            pg_catalog.pg_get_userbyid(c.relowner), i.indisunique, i.indisvalid)
        FROM {_NAMED} LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
        WHERE c.relkind <> 't' AND c.relpersistence <> 't' AND {_CLASS}""",
    "constraints": f"""SELECT pg_catalog.concat_ws(' ', n.nspname, c.relname, k.conname, k.contype,
            k.convalidated)
        FROM {_NAMED} JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid
        WHERE k.conparentid = 0 AND k.contype <> 't' AND {_CLASS}""",
    "functions": f"""SELECT pg_catalog.concat_ws(' ', n.nspname, c.proname,
            pg_catalog.pg_get_function_identity_arguments(c.oid), pg_catalog.md5(c.prosrc))
        FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace
        WHERE {_OURS.replace("CATALOG", "pg_proc")}""",
    "triggers": f"""SELECT pg_catalog.concat_ws(' ', n.nspname, c.relname, t.tgname, t.tgenabled)
        FROM {_NAMED} JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
        WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {_CLASS}""",
    "extensions": "SELECT e.extname || ' ' || e.extversion FROM pg_catalog.pg_extension e",
}

MIGRATIONS = {
    "alembic_version": """SELECT pg_catalog.string_agg(version_num, ' ' ORDER BY version_num) AS v
        FROM {}""",
    "django_migrations": """SELECT pg_catalog.string_agg(app || '.' || last, ' ' ORDER BY app) AS v
        FROM (SELECT app, max(name) AS last FROM {} GROUP BY app) m""",
}
"""How a database says how far it was migrated, by the table that says it."""


def hashed(source: str, pages: tuple[int, int] | None = None) -> str:
    """Return the query for the rows and the hash of a table, or of so many of its pages."""
    within = "WHERE ctid >= '({},0)' AND ctid < '({},0)'".format(*pages) if pages else ""
    # The sums of bigints are kept in 128 bits: nothing overflows. The alias is no column's name.
    return f"""SELECT pg_catalog.count(*) AS rows,
        coalesce(pg_catalog.sum(pg_catalog.hashtextextended(
            gangway_row::pg_catalog.text, 0)), 0)::pg_catalog.text AS hash
        FROM {source} AS gangway_row {within}"""


def pages(table: str) -> str:
    """Return the query for how many pages a table has by now."""
    return f"""SELECT pg_catalog.pg_relation_size({literal(table)}::pg_catalog.regclass)
        / pg_catalog.current_setting('block_size')::bigint"""
