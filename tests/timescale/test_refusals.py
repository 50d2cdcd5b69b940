"""What TimescaleDB refuses is refused by Tidelock first, in its own words; what it takes is never refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.core.lint import examples
from tests.postgres.test_apply import ok
from tests.rig.project import Project
from tests.timescale.test_rule_claims import START, VARIANTS, begin, claims, time_goes_by

from tidelock.core.lint.rule import RULES
from tidelock.core.model import Place
from tidelock.timescale.rejections import EditionLacks, ExtensionMissing, ServerRefuses

if TYPE_CHECKING:
    from tidelock.errors import TidelockError

MORE = """
CREATE TABLE full_one (time timestamptz NOT NULL, n int);
INSERT INTO full_one VALUES (now(), 1);
CREATE TABLE empty_one (time timestamptz NOT NULL, n int);
SELECT compress_chunk(c) FROM show_chunks('c', older_than => INTERVAL '20 days') c;
"""
UNMARKED = {
    "TS004": "",
    "TS008": "asked of the rows themselves",
    "TS015": "which job it is depends on the database",
    "TS016": "which chunk it is depends on the database",
    "TS017": "Tidelock opens a session for it",
    "TS027": "a row that breaks the constraint",
    "TS029": "how many rows it meets",
    "TS041": "a DO block need not come there",
    "TS051": "depends on the minute",
}
"""Rules whose statement the server refuses, and of which that is not certain before."""


def test_every_rule_that_claims_an_error_is_asked_or_says_why_not():
    for code in (each for each in RULES if each.startswith("TS") and each not in UNMARKED):
        states = [each.split()[1] for each in claims(code) if each.startswith("error")]
        assert set(states) <= set(RULES[code].refused), code
        assert bool(RULES[code].refused) == bool(states), code


@pytest.fixture
def lived(project: Project) -> Project:
    """A system in use: hypertables, compressed chunks, aggregates, policies."""
    project.write("001_start.sql", START)
    ok(project.apply())
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        begin(conn)
        time_goes_by(conn)
        conn.execute(MORE)
    return project


def failure(project: Project) -> TidelockError | None:
    """What `apply` ends with."""
    return project.apply().failure


STATE = """
SELECT string_agg(c::text, ' ' ORDER BY c::text) FROM (
  SELECT oid::regclass || ' ' || relnatts || coalesce(reloptions::text, '') FROM pg_class WHERE oid > 16384
   UNION ALL SELECT conname FROM pg_constraint UNION ALL SELECT config::text FROM timescaledb_information.jobs) x (c)
"""

REFUSED = [
    # (statement, the SQLSTATE of its refusal through psycopg, a word of ours)
    ("CREATE INDEX CONCURRENTLY ON r (device)", "0A000", "CONCURRENTLY"),
    ("CREATE INDEX CONCURRENTLY ON h (device)", "0A000", "continuous aggregate"),
    ("CREATE INDEX CONCURRENTLY IF NOT EXISTS r_n ON r (n)", "0A000", "CONCURRENTLY"),
    ("CREATE UNIQUE INDEX ON r (device, time) WITH (timescaledb.transaction_per_chunk)", "0A000", "chunk by chunk"),
    ("DROP INDEX CONCURRENTLY r_n", "0A000", "each chunk"),
    ("REINDEX TABLE CONCURRENTLY r", "0A000", "CONCURRENTLY"),
    ("REINDEX INDEX r_n", "0A000", "REINDEX TABLE"),
    ("CREATE RULE nothing AS ON INSERT TO r DO NOTHING", "0A000", "rules"),
    ("DROP VIEW h", "0A000", "DROP MATERIALIZED VIEW"),
    ("ALTER VIEW h RENAME TO other", "0A000", "ALTER MATERIALIZED VIEW"),
    ("REFRESH MATERIALIZED VIEW h", "0A000", "refresh_continuous_aggregate"),
    ("CREATE UNIQUE INDEX ON h (bucket)", "0A000", "unique"),
    ("CREATE OR REPLACE MATERIALIZED VIEW h AS SELECT 1 AS n", "42601", "CREATE OR REPLACE"),
    ("SELECT create_hypertable('full_one', 'time')", "0A000", "has rows"),
    ("SELECT create_hypertable('full_one', by_range('time'))", "0A000", "has rows"),
    ("ALTER TABLE c ADD COLUMN k timestamptz DEFAULT now()", "0A000", "constant"),
    ("ALTER TABLE c ENABLE ROW LEVEL SECURITY", "0A000", "row security"),
    ("ALTER TABLE c DISABLE ROW LEVEL SECURITY", "0A000", "row security"),
    ("ALTER TABLE c SET (timescaledb.enable_columnstore = false)", "0A000", "compressed chunks"),
    ("ALTER TABLE public.c ALTER COLUMN n TYPE bigint", "0A000", "compressed chunks"),
    ("SELECT add_compression_policy('c', INTERVAL '7 days')", "42710", "in this database already"),
    ("CALL add_columnstore_policy('c', (SELECT INTERVAL '9 days'))", "0A000", "subquery"),
    ("CALL refresh_continuous_aggregate('h', (SELECT now() - INTERVAL '9 days'), now())", "0A000", "subquery"),
    *((statement, state, "") for code, statement, state in VARIANTS if state and code not in UNMARKED),
]
CALMS = [
    "ALTER TABLE c ADD COLUMN k int",
    "ALTER TABLE c ADD COLUMN k int NOT NULL DEFAULT 5",
    "ALTER TABLE c ADD CONSTRAINT positive CHECK (n > -1)",
    "ALTER TABLE c DROP COLUMN m",
    "SELECT add_retention_policy('r', INTERVAL '30 days', if_not_exists => true)",
    "SELECT add_retention_policy('r', INTERVAL '99 days', true)",
    "SELECT add_continuous_aggregate_policy('h', INTERVAL '240 hours', INTERVAL '60 minutes', INTERVAL '1 hour', "
    "if_not_exists => true)",
    "SELECT create_hypertable('r', 'time', if_not_exists => true)",
    "SELECT create_hypertable('full_one', 'time', migrate_data => true)",
    "SELECT create_hypertable('empty_one', 'time')",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS h WITH (timescaledb.continuous) AS "
    "SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, device, avg(v) AS v FROM r GROUP BY 1, 2 WITH NO DATA",
    # what an earlier statement, or an earlier file, makes right
    "DROP MATERIALIZED VIEW d; DROP MATERIALIZED VIEW h; ALTER TABLE r ALTER COLUMN v TYPE real",
    "SELECT remove_retention_policy('r'); SELECT add_retention_policy('r', INTERVAL '90 days')",
    "ALTER TABLE p DROP CONSTRAINT p_pkey; SELECT create_hypertable('p', 'time')",
    "DELETE FROM full_one; SELECT create_hypertable('full_one', 'time')",
    "SELECT decompress_chunk(c, true) FROM show_chunks('c') c; ALTER TABLE c ALTER COLUMN n TYPE bigint",
    "ALTER TABLE secret DISABLE ROW LEVEL SECURITY; ALTER TABLE secret SET (timescaledb.compress)",
    "CREATE FUNCTION lower_it() RETURNS void LANGUAGE sql AS 'SELECT remove_retention_policy(''r'')'; "
    "SELECT lower_it(); SELECT add_retention_policy('r', INTERVAL '90 days')",
    "DO $$ BEGIN EXECUTE 'DROP RULE IF EXISTS x ON p'; PERFORM remove_retention_policy('r'); END $$; "
    "SELECT add_retention_policy('r', INTERVAL '90 days')",
    "DO $$ BEGIN IF false THEN ALTER TABLE r ADD PRIMARY KEY (device); END IF; END $$",
    "\\if false\nALTER TABLE r ADD PRIMARY KEY (device);\n\\endif\nSELECT 1",
    "SELECT to_regclass('nothing') IS NOT NULL AS there \\gset\n\\if :there\nDROP VIEW h;\n\\endif\nSELECT 1",
    # another table of that name
    "CREATE SCHEMA app; CREATE TABLE app.r (id int PRIMARY KEY); SET search_path = app; "
    "CREATE RULE nothing AS ON INSERT TO r DO NOTHING",
    "CREATE TABLE plain (id int); CREATE RULE nothing AS ON INSERT TO plain DO NOTHING",
    *(statement for _, statement, state in VARIANTS if not state),
]


def test_each_refusal_is_told_before_the_server_tells_it(lived: Project):
    wrong = []
    for number, (statement, state, word) in enumerate(REFUSED):
        for conn in direct(lived):
            with pytest.raises(psycopg.Error) as seen:
                conn.execute(statement.encode())
            if seen.value.sqlstate != state:
                wrong.append(f"{statement}: the server says {seen.value.sqlstate}, not {state}")
        before = lived.one(STATE)
        path = lived.write("002_change.sql", f"SELECT {number};\n{statement};\n")
        found = failure(lived)
        if not isinstance(found, ServerRefuses):
            wrong.append(f"{statement}: {found and found.message}")
        elif word not in f"{found.message} {found.hint}" or found.findings[0].place != Place(str(path), 2, 1):
            wrong.append(f"{statement}: {found.message} {found.hint} {found.findings[0].place}")
        if lived.one(STATE) != before or lived.versions() != [1]:
            wrong.append(f"{statement}: something changed")
    assert "\n".join(wrong) == ""


def direct(project: Project) -> list[psycopg.Connection[tuple[object, ...]]]:
    """A connection as psql has it."""
    return [psycopg.connect(project.dsn, autocommit=True)]


def test_what_the_server_takes_is_not_refused(lived: Project):
    """Each in the database as it is, which is then brought back."""
    wrong = []
    for statement in CALMS:
        with psycopg.connect(make_conninfo(lived.dsn, dbname="postgres"), autocommit=True) as admin:
            name = psycopg.conninfo.conninfo_to_dict(lived.dsn)["dbname"]
            admin.execute(f'CREATE DATABASE "{name}_b" TEMPLATE "{name}"'.encode())
            try:
                copy = Project(lived.folder, make_conninfo(lived.dsn, dbname=f"{name}_b"))
                lived.write("002_change.sql", f"{statement};\n")
                found = failure(copy)
            finally:
                admin.execute(f'DROP DATABASE "{name}_b" WITH (FORCE)'.encode())
        if found:
            wrong.append(f"{statement}: {found.code} {found.message}")
    assert "\n".join(wrong) == ""
