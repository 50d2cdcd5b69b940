"""A database with every kind of object, and what psql and pg_dump say of a database."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from tests.rig.installation import Installation

RICH = (Path(__file__).parents[1] / "postgres" / "schemas" / "rich.sql").read_text(encoding="utf-8")
ROWS = (Path(__file__).parent / "farm.sql").read_text(encoding="utf-8")
# Columns by name: who inherits some has those first after pg_dump, wherever they were. The hash of an enum's value is another one in another database: rows of such partitions are those of the whole.
SUMS = r"""
SELECT format($$SELECT %L, count(*), md5(coalesce(string_agg(r, E'\n' ORDER BY r COLLATE "C"), '-'))
                  FROM (SELECT ROW(%s)::text AS r FROM %s %s) t$$,
              c.oid::regclass, (SELECT string_agg(format('%I', attname), ', ' ORDER BY attname COLLATE "C")
                                  FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
              CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY' END, c.oid::regclass)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE CASE WHEN c.relkind = 'p' THEN EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = c.oid AND partstrat = 'h')
            ELSE c.relkind IN ('r', 'm')
                 AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
                                  WHERE i.inhrelid = c.oid AND p.partstrat = 'h') END
   AND n.nspname !~ '^(pg_|information_schema|_timescaledb)'
   AND c.relname NOT LIKE 'schema_migrations%' ORDER BY c.oid::regclass::text COLLATE "C" \gexec
SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname !~ '^_timescaledb' ORDER BY 1, 2;
SELECT md5(lo_get(oid)), lomowner::regrole FROM pg_largeobject_metadata ORDER BY 1;
"""


def fill(dsn: str) -> None:
    """Make it."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(RICH.encode())
        conn.execute(ROWS.encode())
        names = {row[0] for row in conn.execute("SELECT name FROM pg_available_extensions")}
        for name in sorted(names & {"pg_trgm", "hstore", "citext"})[:2]:
            conn.execute(f"CREATE EXTENSION {name}".encode())


def clean() -> dict[str, str]:
    """The environment without what leads to a database."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL"))}


def sums(programs: Installation, dsn: str, *, views: bool = True) -> str:
    """Rows and checksum of each table, sequences, large objects: said by psql. `views`: of materialized ones too, which
    are filled anew by a restore, and may have been stale."""
    asked = SUMS if views else SUMS.replace("IN ('r', 'm')", "IN ('r')")
    done = subprocess.run(
        [programs.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", dsn],
        input=asked, capture_output=True, text=True, check=False, env=clean(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def schema(programs: Installation, dsn: str) -> str:
    """The schema, said by pg_dump."""
    done = subprocess.run(
        [programs.program("pg_dump"), "--schema-only", dsn], capture_output=True, text=True, check=False, env=clean()
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(line for line in done.stdout.splitlines() if "restrict " not in line)
