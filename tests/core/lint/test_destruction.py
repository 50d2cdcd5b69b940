"""Where destruction begins and ends."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core.lint.destruction_rows import seconds
from tidelock.core.lint.narrowing import lost


def codes(text: str) -> list[str]:
    return [each.code for each in examples.found(examples.parted(text), select=("DE",))]


NOTHING_LOST = [
    ("int4", "int8"),
    ("serial", "int8"),
    ("varchar(20)", "varchar(40)"),
    ("varchar(20)", "text"),
    ("bpchar(2)", "varchar(2)"),
    ("numeric(10,2)", "numeric(12,2)"),
    ("numeric(10,2)", "numeric"),
    ("timestamp", "timestamptz"),
    ("date", "timestamptz"),
    ("float4", "float8"),
    ("int4", "float8"),
    ("int4", "numeric(12,2)"),
    ("text", "mood"),
    ("text[]", "text"),
    ("jsonb", "json"),
]
SOMETHING_LOST = [
    ("int8", "int4", "larger numbers fail"),
    ("bigserial", "int4", "larger numbers fail"),
    ("int4", "bool", "every number but 0 becomes true"),
    ("float8", "int4", "fractions are rounded away"),
    ("numeric(10,2)", "int8", "fractions are rounded away"),
    ("float8", "float4", "digits after the 6th are lost"),
    ("int8", "float8", "digits after the 15th are lost"),
    ("numeric", "float8", "digits after the 15th are lost"),
    ("numeric(10,4)", "numeric(10,2)", "rounded to 2 digits"),
    ("numeric(10,2)", "numeric(8,2)", "more than 6 digits before the point fail"),
    ("numeric", "numeric(8,2)", "rounded to 2 digits"),
    ("int8", "numeric(10,0)", "numbers of more than 10 digits fail"),
    ("text", "varchar(40)", "more than 40 characters"),
    ("varchar", "varchar(40)", "more than 40 characters"),
    ("varchar(50)", "varchar(20)", "more than 20 characters"),
    ("text", "bpchar(3)", "more than 3 characters"),
    ("text[]", "varchar(3)[]", "more than 3 characters"),
    ("timestamptz", "timestamp", "the zone is lost"),
    ("timestamptz", "date", "the time of day is lost"),
    ("timestamptz", "timestamptz(0)", "rounded to 0 digits"),
]


@pytest.mark.parametrize(("old", "new"), NOTHING_LOST)
def test_a_wider_type_loses_nothing(old: str, new: str):
    assert lost(old, new) == ""


@pytest.mark.parametrize(("old", "new", "what"), SOMETHING_LOST)
def test_a_narrower_type_says_what_it_loses(old: str, new: str, what: str):
    assert what in lost(old, new)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90 days", 90 * 86400),
        ("1 day 12 hours", 1.5 * 86400),
        ("2 weeks", 14 * 86400),
        ("6 months", 180 * 86400),
        ("3 mons", 90 * 86400),
        ("30d", 30 * 86400),
        (5, 5.0),
        ("a while", None),
        ("12:00", None),
        (None, None),
        (True, None),
    ],
)
def test_an_interval_has_a_length(text: str | int | None, length: float | None):
    assert seconds(text) == length


FINE = [
    "CREATE TABLE t (id int); INSERT INTO t VALUES (1); TRUNCATE t; DELETE FROM t; UPDATE t SET id = 2; DROP TABLE t;",
    "CREATE TEMP TABLE t AS SELECT 1 AS a; DROP TABLE t;",
    "CREATE VIEW v AS SELECT 1; DROP VIEW v CASCADE;",
    "DROP INDEX i;",
    "DROP TRIGGER IF EXISTS a ON t; CREATE TRIGGER a BEFORE UPDATE ON t EXECUTE FUNCTION f();",
    "ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 5; ALTER TABLE t ALTER a DROP DEFAULT;",
    "ALTER TABLE t ADD COLUMN a int; UPDATE t SET a = 1; ALTER TABLE t RENAME COLUMN a TO b;",
    "ALTER TABLE t RENAME CONSTRAINT a TO b; ALTER INDEX i RENAME TO j;",
    "ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; CREATE VIEW t_new AS SELECT 1;",
    "ALTER TABLE t RENAME COLUMN a TO b; ALTER TABLE t ADD COLUMN a int;",
    "UPDATE t SET a = 1 FROM u WHERE u.id = t.id; DELETE FROM t USING u WHERE u.id = t.id;",
    (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c;"
        "ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE t DROP CONSTRAINT c;"
    ),
    "ALTER TABLE t DISABLE ROW LEVEL SECURITY; UPDATE t SET a = 1 WHERE b; ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
    "REVOKE ALL ON FUNCTION f() FROM PUBLIC;",
    "SET session_replication_role = replica; RESET session_replication_role;",
    "SELECT remove_retention_policy('t'); SELECT add_retention_policy('t', INTERVAL '1 day');",
]


@pytest.mark.parametrize("text", FINE)
def test_what_takes_nothing_from_anybody_is_fine(text: str):
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DO $$ BEGIN IF true THEN DROP TABLE t; END IF; END $$;", ["DE001"]),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE t'; END $$;", ["DE001"]),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t';", []),
        ("DROP TABLE t; CREATE TABLE t (id int);", ["DE001"]),
        ("DROP TABLE a, b;", ["DE001", "DE001"]),
        ("DROP OWNED BY bob CASCADE;", ["DE020"]),
        ("DROP FUNCTION f(int) CASCADE; CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';", ["DE012"]),
        ("ALTER TABLE t DROP COLUMN a, DROP COLUMN b;", ["DE002"]),
        ("SET session_replication_role = replica;", ["DE019"]),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1; DROP MATERIALIZED VIEW m;", []),
        ("ALTER SCHEMA a RENAME TO b;", ["DE015"]),
        ("ALTER TYPE t RENAME ATTRIBUTE a TO b;", ["DE015"]),
    ],
)
def test_what_takes_something_is_found(text: str, found: list[str]):
    assert codes(text) == found


BASE = """-- file: 001_base.sql
CREATE TABLE parcels (id bigint PRIMARY KEY, name text, note text);
CREATE TYPE addr AS (street text, zip text);
-- file: 002_next.sql
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("WITH d AS (DELETE FROM parcels RETURNING id) SELECT count(*) FROM d;", ["DE009"]),
        ("WITH d AS (UPDATE parcels SET name = 'x' RETURNING id) SELECT count(*) FROM d;", ["DE010"]),
        ("DELETE FROM parcels USING gone;", ["DE009"]),
        ("UPDATE parcels p SET note = 'x' FROM gone;", ["DE010"]),
        ("DELETE FROM parcels WHERE true;", ["DE009"]),
        ("DELETE FROM parcels WHERE 1 = 1 AND true;", ["DE009"]),
        ("DELETE FROM parcels WHERE 1 = 1 OR id = 5;", ["DE009"]),
        ("DELETE FROM parcels WHERE 1 = 1 AND id = 5;", []),
        ("DELETE FROM parcels WHERE NOT false AND id < 5;", []),
        ("DELETE FROM parcels WHERE id IS NOT NULL;", ["DE009"]),
        ("DELETE FROM parcels WHERE note IS NOT NULL;", []),
        ("DELETE FROM elsewhere WHERE id IS NOT NULL;", []),
        ("DELETE FROM parcels USING gone WHERE gone.id = parcels.id;", []),
        ("MERGE INTO parcels p USING parcels q ON p.id = q.id WHEN MATCHED THEN DELETE;", ["DE009"]),
        ("MERGE INTO parcels p USING gone q ON p.id = q.id WHEN MATCHED THEN DELETE;", []),
        ("MERGE INTO parcels p USING gone q ON p.id = q.id WHEN NOT MATCHED BY SOURCE THEN DELETE;", ["DE009"]),
        ("ALTER TYPE addr DROP ATTRIBUTE IF EXISTS zip CASCADE;", ["DE002"]),
        ("CREATE TYPE b AS (x int, y int); ALTER TYPE b DROP ATTRIBUTE y;", []),
    ],
)
def test_what_takes_every_row_is_found_however_it_is_said(text: str, found: list[str]):
    assert codes(BASE + text) == found


PLPGSQL = "CREATE FUNCTION {}() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {} END $$; "


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PLPGSQL.format("wipe", "TRUNCATE parcels;") + "SELECT wipe();", ["DE008"]),
        (PLPGSQL.format("wipe", "TRUNCATE parcels;") + "-- file: 003_c.sql\nSELECT public.wipe();", ["DE008"]),
        ("CREATE PROCEDURE wipe() LANGUAGE sql AS 'DELETE FROM parcels'; CALL wipe();", ["DE009"]),
        (
            (
                "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM parcels; END; "
                "DO $$ BEGIN PERFORM wipe(); END $$;"
            ),
            ["DE009"],
        ),
        (
            PLPGSQL.format("a", "DROP TABLE parcels;") + PLPGSQL.format("b", "PERFORM a();") + "SELECT b();",
            ["DE001"],
        ),
        (
            PLPGSQL.format("fill", "ALTER TABLE parcels ADD new int; UPDATE parcels SET new = 1;") + "SELECT fill();",
            [],
        ),
        (PLPGSQL.format("wipe", "TRUNCATE parcels;") + "CREATE VIEW v AS SELECT wipe();", []),
        (PLPGSQL.format("wipe", "TRUNCATE parcels;"), []),
        (
            "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM log; RETURN NEW; END $$;",
            [],
        ),
        ("SELECT 'DROP TABLE parcels' \\gexec\n", ["DE001"]),
        ("SELECT format('DROP TABLE %I', tablename) FROM pg_tables \\gexec\n", ["DE023"]),
        ("DO $$ DECLARE t text; BEGIN SELECT a INTO t FROM b; EXECUTE 'DELETE FROM ' || t; END $$;", ["DE023"]),
        (
            "DO $$ DECLARE t text; BEGIN SELECT a INTO t FROM b; EXECUTE 'TRUNCATE ' || quote_ident(t); END $$;",
            ["DE023"],
        ),
        ("DO $$ DECLARE t text; BEGIN EXECUTE format('DELETE FROM %I WHERE id = 1', t); END $$;", []),
        ("DO $$ DECLARE t text; BEGIN EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t); END $$;", []),
    ],
)
def test_code_that_is_run_is_looked_into(text: str, found: list[str]):
    assert codes(BASE + text) == found


def test_a_finding_in_a_function_names_it_and_stands_at_its_call():
    text = BASE + PLPGSQL.format("wipe", "TRUNCATE parcels;") + "\nSELECT wipe();"
    [one] = examples.found(examples.parted(text), select=("DE",))
    assert one.message == "all rows of parcels are gone (by wipe())"
    assert str(one.place) == "002_next.sql:2:1"


RETENTION = """-- file: 001_a.sql
SELECT add_retention_policy('readings', INTERVAL '1 year');
SELECT add_retention_policy('energy', INTERVAL '1 month');
-- file: 002_b.sql
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "SELECT add_retention_policy('readings', INTERVAL '90 days', if_not_exists => true);",
            [],
        ),  # it stays as it is
        (
            "SELECT remove_retention_policy('readings'); SELECT add_retention_policy('readings', INTERVAL '2 years');",
            [],
        ),
        (
            "SELECT remove_retention_policy('readings'); SELECT add_retention_policy('readings', INTERVAL '1 month');",
            ["DE014"],
        ),
        (
            (
                'SELECT alter_job(job_id, config => \'{"hypertable_id": 1, "drop_after": "60 days"}\') '
                "FROM timescaledb_information.jobs WHERE hypertable_name = 'readings';"
            ),
            ["DE014"],
        ),
        (
            (
                "SELECT alter_job(job_id, config => jsonb_set(config, '{drop_after}', '\"60 days\"')) "
                "FROM timescaledb_information.jobs WHERE hypertable_name = 'readings';"
            ),
            ["DE014"],
        ),
        (
            (
                "SELECT alter_job(job_id, config => jsonb_set(config, '{drop_after}', '\"60 days\"')) "
                "FROM timescaledb_information.jobs WHERE hypertable_name = 'energy';"
            ),
            [],
        ),
        ("SELECT alter_job(1000, scheduled => false);", []),
        (
            (
                "DO $$ BEGIN PERFORM remove_retention_policy('readings', if_exists => true); "
                "PERFORM add_retention_policy('readings', INTERVAL '3 days', if_not_exists => true); END $$;"
            ),
            ["DE014"],
        ),
    ],
)
def test_retention_that_becomes_shorter_is_found(text: str, found: list[str]):
    assert codes(RETENTION + text) == found


LOOSENED = (
    "-- file: 001_a.sql\nCREATE TABLE t (id int PRIMARY KEY, u_id int NOT NULL REFERENCES u (id), code text UNIQUE);\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t DROP CONSTRAINT t_u_id_fkey; DROP TABLE t;",
        "ALTER TABLE t DROP CONSTRAINT t_u_id_fkey; DROP TABLE u;",
        "ALTER TABLE t DROP CONSTRAINT t_u_id_fkey; ALTER TABLE t DROP COLUMN u_id;",
        "ALTER TABLE t DROP CONSTRAINT t_code_key; CREATE UNIQUE INDEX t_code ON t (lower(code));",
        "ALTER TABLE t ALTER code DROP DEFAULT, ALTER code TYPE int USING 1, ALTER code SET DEFAULT 1;",
        "ALTER TABLE t ALTER u_id DROP NOT NULL, ADD CONSTRAINT one CHECK (num_nonnulls(u_id, code) = 1);",
        "ALTER TABLE t ALTER u_id DROP NOT NULL; UPDATE t SET u_id = 1; ALTER TABLE t ALTER u_id SET NOT NULL;",
    ],
)
def test_what_goes_with_its_table_or_is_replaced_in_the_same_file_lets_no_wrong_rows_in(text: str):
    assert "DE007" not in codes(f"{LOOSENED}-- file: 002_b.sql\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t DROP CONSTRAINT t_u_id_fkey; ALTER TABLE t DROP COLUMN code;",
        "ALTER TABLE t DROP CONSTRAINT t_u_id_fkey; CREATE UNIQUE INDEX t_code ON t (lower(code));",
        "ALTER TABLE t ALTER code SET DEFAULT 1; ALTER TABLE t ALTER code DROP DEFAULT;",
        "ALTER TABLE t ALTER u_id DROP NOT NULL;",
    ],
)
def test_what_is_taken_away_for_good_does(text: str):
    assert "DE007" in codes(f"{LOOSENED}-- file: 002_b.sql\n{text}\n")
