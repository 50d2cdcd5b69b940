"""Where idempotence begins and ends."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

FINE = [
    "CREATE TEMP TABLE t (a int); CREATE INDEX ON t (a); INSERT INTO t VALUES (1);",
    "DROP TABLE IF EXISTS t CASCADE; CREATE TABLE t (a int); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1);",
    "DROP TABLE IF EXISTS t CASCADE; CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);",
    "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1; DROP TYPE IF EXISTS s.m; CREATE TYPE s.m AS ENUM ('a');",
    "DROP RULE IF EXISTS r ON t; CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;",
    "DO $$ BEGIN IF to_regclass('t') IS NULL THEN CREATE TABLE t (a int); END IF; END $$;",
    "DO $$ BEGIN CREATE TYPE m AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
    "\\if :{?fresh}\nCREATE TABLE t (a int);\n\\endif\nSELECT 1;",
    "ALTER TABLE t DROP CONSTRAINT IF EXISTS c, ADD CONSTRAINT c CHECK (a > 0);",
    "ALTER TABLE t DROP CONSTRAINT IF EXISTS c; ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);",  # `apply` drops an invalid one before it builds
    "INSERT INTO schema_migrations (version, description) VALUES (1, 'x');",
    "TRUNCATE t; INSERT INTO t VALUES (1); DELETE FROM u; COPY u FROM stdin;\n1\n\\.\n",
    "INSERT INTO t SELECT a FROM u LEFT JOIN t USING (a) WHERE t.a IS NULL;",
    "INSERT INTO t SELECT a FROM u EXCEPT SELECT a FROM t;",
    "UPDATE t SET a = b + 1, c = coalesce(c, 0), d = d || '{\"x\": 1}', e = e - 'key';",
    "UPDATE t SET n = n + 1 WHERE n = 3; UPDATE t SET n = n + 1, done = true WHERE NOT done AND a > 0;",
    "UPDATE t SET n = u.n + 1 FROM u WHERE u.a = t.a; UPDATE t SET n = 2 * (SELECT sum(n) FROM u);",
    "INSERT INTO t (a, n) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET n = excluded.n * 2;",
    "UPDATE t SET url = 'https://' || url WHERE url NOT LIKE 'https://%';",
    "UPDATE t SET d = d || jsonb_build_object('x', 1), e = e || to_jsonb(now());",
    "ALTER TABLE IF EXISTS t RENAME TO u;",
    "SELECT add_retention_policy('t', INTERVAL '1 day', true);",
    "GRANT SELECT ON t TO bob; COMMENT ON TABLE t IS 'x'; ALTER TABLE t ALTER a SET DEFAULT 1;",
]


@pytest.mark.parametrize("text", FINE)
def test_what_can_be_run_twice_is_fine(text: str):
    assert [
        each.code for each in examples.found(examples.parted(text), select=("ID",), ignore=("ID011", "ID014"))
    ] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DO $$ BEGIN CREATE TABLE t (a int); END $$;", ["ID001"]),
        ("CREATE TABLE t AS SELECT 1 AS a;", ["ID001"]),
        ("CREATE CONSTRAINT TRIGGER c AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();", ["ID005"]),
        ("DROP POLICY IF EXISTS p ON t; CREATE POLICY p ON u;", ["ID006"]),
        ("ALTER TABLE t ADD a int REFERENCES u (a);", ["ID012"]),
        ("DROP TABLE t, u;", ["ID013"]),
        ("ALTER TABLE t ADD PRIMARY KEY (a);", ["ID015"]),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET n = t.n + 1;", ["ID020"]),
        ("COPY t FROM stdin;\n1\n\\.\n", ["ID019"]),
        ("UPDATE t SET name = name || ' (old)';", ["ID020"]),
        ("UPDATE t SET name = name || ' (old)' WHERE name LIKE 'a%';", ["ID020"]),
        ("UPDATE t x SET n = x.n * 2 WHERE n = 3 OR n > 7;", ["ID020"]),
        ("UPDATE t SET n = n + 1, s = 'x' WHERE id > 3;", ["ID020"]),
        ("UPDATE t SET n = n + (SELECT count(*) FROM u);", ["ID020"]),
        ("UPDATE t SET at = at - INTERVAL '1 day';", ["ID020"]),
        ("ALTER TABLE t SET SCHEMA s;", ["ID017"]),
        ("CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;", ["ID009"]),
        ("SELECT add_retention_policy('t', INTERVAL '1 day', false);", ["ID021"]),
    ],
)
def test_what_cannot_is_found(text: str, found: list[str]):
    assert [
        each.code for each in examples.found(examples.parted(text), select=("ID",), ignore=("ID011", "ID014"))
    ] == found


def test_a_trigger_of_a_hypertable_is_dropped_first_as_it_knows_no_replace():
    text = (
        "CREATE TABLE IF NOT EXISTS t (time timestamptz NOT NULL);\n"
        "SELECT create_hypertable('t', 'time', if_not_exists => true);\n"
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();\n"
    )
    (found,) = examples.found(examples.parted(text), select=("ID005",))
    assert found.edit is None
    assert found.rewrite.startswith("DROP TRIGGER IF EXISTS a ON t;")


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ("CREATE TABLE IF NOT EXISTS t (id int, name text);", []),
        ("CREATE TABLE IF NOT EXISTS t (id int);", []),
        ("CREATE TABLE IF NOT EXISTS t (id serial, name text);", []),
        ("CREATE TABLE IF NOT EXISTS t (id int, name text, more text);", ["ID010"]),
        ("CREATE TABLE IF NOT EXISTS t (id uuid, name text);", ["ID010"]),
        ("DROP TABLE IF EXISTS t; CREATE TABLE IF NOT EXISTS t (id uuid);", []),
    ],
)
def test_a_table_that_is_there_already_hides_other_columns(second: str, found: list[str]):
    text = f"-- file: 001_a.sql\nCREATE TABLE IF NOT EXISTS t (id int, name text);\n-- file: 002_b.sql\n{second}"
    assert [each.code for each in examples.found(examples.parted(text), select=("ID010",))] == found


NUMBERED = """-- file: 001_a.sql
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE keyed (id bigint PRIMARY KEY, p bigint);
-- file: 002_b.sql
"""


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "INSERT INTO numbered (name) VALUES ('a') ON CONFLICT DO NOTHING;",
            [
                "a second run adds its rows to numbered again: each gets a new number, so that ON CONFLICT never meets one"
            ],
        ),
        ("INSERT INTO keyed (id) VALUES (1) ON CONFLICT DO NOTHING;", []),
        ("INSERT INTO numbered (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'a') ON CONFLICT DO NOTHING;", []),
        (
            (
                "CREATE UNIQUE INDEX n ON numbered (name); "
                "INSERT INTO numbered (name) VALUES ('a') ON CONFLICT DO NOTHING;"
            ),
            [],
        ),
        (
            (
                "WITH a AS (INSERT INTO numbered (name) VALUES ('x') RETURNING id) "
                "INSERT INTO keyed (id, p) SELECT id, id FROM a;"
            ),
            ["a second run adds its rows to keyed again", "a second run adds its rows to numbered again"],
        ),
    ],
)
def test_rows_that_come_again(text: str, messages: list[str]):
    found = examples.found(examples.parted(NUMBERED + text), select=("ID019",))
    assert [each.message for each in found] == messages


def test_a_schema_with_tables_in_it_knows_no_guard():
    [one] = examples.found(examples.parted("CREATE SCHEMA s CREATE TABLE t (id int);"), select=("ID003",))
    assert one.edit is None
    assert one.rewrite == ""


def test_what_a_block_drops_goes_by_its_own_kind():
    [one] = examples.found(examples.parted("DO $$ BEGIN DROP TABLE t; END $$;"), select=("ID013",))
    assert one.message == "a second run stops at the table t, which is gone already"
