"""What facts say of a statement, without a server. What servers do is compared in tests/postgres."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

import pytest

from tidelock.core.facts import facts_of, index_definition
from tidelock.core.statement import UNKNOWN, Facts, Kind, Lock, Object


def obj(kind: str, name: str, schema: str = "", parent: str = "") -> Object:
    return Object(kind, name, schema, parent)


# Kinds and commands

COMMANDS = [
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", Kind.BEGIN, "BEGIN"),
    ("START TRANSACTION", Kind.BEGIN, "START TRANSACTION"),
    ("COMMIT", Kind.COMMIT, "COMMIT"),
    ("END", Kind.COMMIT, "COMMIT"),
    ("COMMIT AND CHAIN", Kind.COMMIT, "COMMIT AND CHAIN"),
    ("COMMIT AND NO CHAIN", Kind.COMMIT, "COMMIT"),
    ("ABORT", Kind.ROLLBACK, "ROLLBACK"),
    ("ROLLBACK AND CHAIN", Kind.ROLLBACK, "ROLLBACK AND CHAIN"),
    ("SAVEPOINT a", Kind.SAVEPOINT, "SAVEPOINT"),
    ("RELEASE a", Kind.SAVEPOINT, "RELEASE SAVEPOINT"),
    ("ROLLBACK TO SAVEPOINT a", Kind.SAVEPOINT, "ROLLBACK TO SAVEPOINT"),
    ("PREPARE TRANSACTION 'x'", Kind.TWO_PHASE, "PREPARE TRANSACTION"),
    ("COMMIT PREPARED 'x'", Kind.TWO_PHASE, "COMMIT PREPARED"),
    ("ROLLBACK PREPARED 'x'", Kind.TWO_PHASE, "ROLLBACK PREPARED"),
    ("SELECT 1", Kind.QUERY, "SELECT"),
    ("TABLE t", Kind.QUERY, "SELECT"),
    ("VALUES (1)", Kind.QUERY, "VALUES"),
    ("SHOW work_mem", Kind.QUERY, "SHOW"),
    ("EXPLAIN SELECT 1", Kind.QUERY, "EXPLAIN"),
    ("INSERT INTO t VALUES (1)", Kind.DML, "INSERT"),
    ("UPDATE t SET a = 1", Kind.DML, "UPDATE"),
    ("DELETE FROM t", Kind.DML, "DELETE"),
    ("MERGE INTO t USING s ON t.i = s.i WHEN MATCHED THEN DELETE", Kind.DML, "MERGE"),
    ("COPY t FROM STDIN", Kind.COPY, "COPY"),
    ("SET work_mem = '1MB'", Kind.SESSION, "SET"),
    ("SET LOCAL work_mem = '1MB'", Kind.SESSION, "SET LOCAL"),
    ("RESET ALL", Kind.SESSION, "RESET"),
    ("SET TRANSACTION READ ONLY", Kind.SESSION, "SET TRANSACTION"),
    ("DISCARD ALL", Kind.SESSION, "DISCARD ALL"),
    ("LISTEN a", Kind.SESSION, "LISTEN"),
    ("NOTIFY a", Kind.UTILITY, "NOTIFY"),
    ("DO 'BEGIN END'", Kind.CODE, "DO"),
    ("CALL s.p()", Kind.CODE, "CALL s.p"),
    ("CALL refresh_continuous_aggregate('a', NULL, NULL)", Kind.CODE, "refresh_continuous_aggregate"),
    ("SELECT create_hypertable('t', 'ts')", Kind.QUERY, "create_hypertable"),
    ("SELECT * FROM create_hypertable('t', 'ts')", Kind.QUERY, "create_hypertable"),
    ("VACUUM (FULL) t", Kind.UTILITY, "VACUUM FULL"),
    ("ANALYZE", Kind.UTILITY, "ANALYZE"),
    ("LOCK t", Kind.UTILITY, "LOCK TABLE"),
    ("REINDEX TABLE CONCURRENTLY t", Kind.UTILITY, "REINDEX CONCURRENTLY"),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", Kind.UTILITY, "REFRESH MATERIALIZED VIEW CONCURRENTLY"),
    ("CREATE TABLE t (i int)", Kind.DDL, "CREATE TABLE"),
    ("CREATE UNIQUE INDEX CONCURRENTLY ON t (i)", Kind.DDL, "CREATE INDEX CONCURRENTLY"),
    ("DROP INDEX CONCURRENTLY i", Kind.DDL, "DROP INDEX CONCURRENTLY"),
    ("DROP MATERIALIZED VIEW v", Kind.DDL, "DROP MATERIALIZED VIEW"),
    ("ALTER TABLE t ADD COLUMN a int", Kind.DDL, "ALTER TABLE … ADD COLUMN"),
    ("ALTER TABLE t ADD COLUMN a int, ADD COLUMN b int", Kind.DDL, "ALTER TABLE … ADD COLUMN"),
    ("ALTER TABLE t ADD COLUMN a int, DROP COLUMN b", Kind.DDL, "ALTER TABLE"),
    ("ALTER TABLE t RENAME COLUMN a TO b", Kind.DDL, "ALTER TABLE … RENAME COLUMN"),
    ("ALTER VIEW v RENAME TO w", Kind.DDL, "ALTER VIEW … RENAME"),
    ("ALTER TYPE e ADD VALUE 'x'", Kind.DDL, "ALTER TYPE … ADD VALUE"),
    ("ALTER SYSTEM SET a = 1", Kind.UTILITY, "ALTER SYSTEM"),
    ("GRANT SELECT ON t TO r", Kind.DDL, "GRANT"),
    ("-- a comment\n/* and another */ CREATE VIEW v AS SELECT 1 -- the end", Kind.DDL, "CREATE VIEW"),
    ("EXECUTE s", Kind.UNKNOWN, "EXECUTE"),
]


@pytest.mark.parametrize(("text", "kind", "command"), COMMANDS)
def test_kind_and_command(text: str, kind: Kind, command: str) -> None:
    facts = facts_of(text)
    assert (facts.kind, facts.command) == (kind, command)


# What nobody can read


@pytest.mark.parametrize("text", ["SELEC 1", "CREATE TABLE :name (i int)", "SELECT 1 +", "\0", "'", "🐘"])
def test_what_the_parser_cannot_read_is_unknown_and_never_called_safe(text: str) -> None:
    facts = facts_of(text)
    assert facts.kind is Kind.UNKNOWN
    assert facts.session
    assert not facts.rerunnable


@pytest.mark.parametrize(
    ("text", "parents"),
    [
        ("CREATE TABLE c PARTITION OF s.p DEFAULT", {("s.p", "c")}),
        ("CREATE TABLE c () INHERITS (p, q)", {("p", "c"), ("q", "c")}),
        ("ALTER TABLE p ATTACH PARTITION s.c DEFAULT", {("p", "s.c")}),
        ("ALTER TABLE c INHERIT p", {("p", "c")}),
        ("DO $$BEGIN CREATE TABLE c PARTITION OF p DEFAULT; END$$", {("p", "c")}),
        ("CREATE TABLE c (p int REFERENCES p, LIKE q)", set()),
    ],
)
def test_partitions_and_children_are_told_with_their_parents(text: str, parents: set[tuple[str, str]]) -> None:
    assert facts_of(text).parents == parents


@pytest.mark.parametrize(
    ("text", "command", "alone"),
    [
        ("VACUUM (SOMETHING NEW, OF VERSION 20 +) t", "VACUUM", True),
        ("/* x */ CREATE UNIQUE -- y\n INDEX CONCURRENTLY :name ON t (a)", "CREATE INDEX CONCURRENTLY", True),
        ("create database :name", "CREATE DATABASE", True),
        ("ALTER SYSTEM SET :x = 1", "ALTER SYSTEM", True),
        ("ALTER TYPE e ADD VALUE %L", "ALTER TYPE … ADD VALUE", False),
        ("ALTER TYPE %I OWNER TO u", "ALTER TYPE", False),
        ("REINDEX DATABASE :db", "REINDEX DATABASE", True),
        ("CREATE OR REPLACE FUNCTION :x", "CREATE FUNCTION", False),
        ("CREATE INDEX :name ON t (a)", "CREATE INDEX", False),
        ("SELECT :x", "SELECT", False),
    ],
)
def test_the_first_words_of_an_unreadable_statement_help_where_they_are_certain(
    text: str, command: str, alone: bool
) -> None:
    facts = facts_of(text)
    assert (facts.kind, facts.command, bool(facts.alone)) == (Kind.UNKNOWN, command, alone)


def test_several_statements_in_one_text_are_unknown_and_have_all_that_each_does() -> None:
    facts = facts_of("CREATE TABLE t (i int); DROP TABLE u")
    assert facts.kind is Kind.UNKNOWN
    assert facts.creates == (obj("table", "t"),)
    assert facts.drops == (obj("table", "u"),)
    assert not facts.rerunnable


def test_nothing_is_harmless() -> None:
    facts = facts_of("-- only a comment")
    assert facts.rerunnable
    assert not facts.session


def test_the_default_is_that_nothing_is_known() -> None:
    assert Facts(kind=Kind.UNKNOWN) == UNKNOWN
    assert UNKNOWN.session
    assert not UNKNOWN.rerunnable


# Objects

CREATED = [
    ("CREATE TABLE s.t (i int)", obj("table", "t", "s")),
    ('CREATE TABLE "S"."T" (i int)', obj("table", "T", "S")),
    ("CREATE TABLE T (i int)", obj("table", "t")),
    ("CREATE TEMP TABLE t (i int)", obj("table", "t", "pg_temp")),
    ("CREATE TABLE t AS SELECT 1", obj("table", "t")),
    ("SELECT 1 AS i INTO s.t", obj("table", "t", "s")),
    ("CREATE FOREIGN TABLE t (i int) SERVER x", obj("table", "t")),
    ("CREATE OR REPLACE VIEW v AS SELECT 1", obj("view", "v")),
    ("CREATE MATERIALIZED VIEW v AS SELECT 1", obj("materialized view", "v")),
    ("CREATE INDEX i ON s.t (a)", obj("index", "i", "s", "s.t")),
    ("CREATE INDEX ON t (a)", obj("index", "", "", "t")),
    ("CREATE SEQUENCE s.q", obj("sequence", "q", "s")),
    ("CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", obj("function", "f", "s")),
    ("CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'", obj("procedure", "p")),
    ("CREATE AGGREGATE a (int) (sfunc = int4pl, stype = int)", obj("function", "a")),
    ("CREATE TRIGGER g AFTER INSERT ON s.t EXECUTE FUNCTION f()", obj("trigger", "g", "s", "s.t")),
    ("CREATE POLICY p ON s.t USING (true)", obj("policy", "p", "s", "s.t")),
    ("CREATE RULE r AS ON INSERT TO t DO NOTHING", obj("rule", "r", "", "t")),
    ("CREATE TYPE s.e AS ENUM ('a')", obj("type", "e", "s")),
    ("CREATE TYPE s.c AS (a int)", obj("type", "c", "s")),
    ("CREATE TYPE r AS RANGE (subtype = int)", obj("type", "r")),
    ("CREATE DOMAIN s.d AS int", obj("domain", "d", "s")),
    ("CREATE SCHEMA IF NOT EXISTS s", obj("schema", "s")),
    ("CREATE SCHEMA AUTHORIZATION r", obj("schema", "r")),
    ("CREATE EXTENSION IF NOT EXISTS timescaledb", obj("extension", "timescaledb")),
    ("CREATE DATABASE d", obj("database", "d")),
    ("CREATE ROLE r", obj("role", "r")),
    ("CREATE USER r", obj("role", "r")),
    ("CREATE TABLESPACE t LOCATION '/x'", obj("tablespace", "t")),
    ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", obj("subscription", "s")),
    ("CREATE PUBLICATION p FOR ALL TABLES", obj("publication", "p")),
    ("CREATE STATISTICS s.x ON a, b FROM t", obj("other", "x", "s")),
    ("CREATE SERVER x FOREIGN DATA WRAPPER y", obj("other", "x")),
    ("ALTER TABLE s.t ADD COLUMN c int", obj("column", "c", "s", "s.t")),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", obj("constraint", "c", "", "t")),
    (
        "CREATE MATERIALIZED VIEW s.a WITH (timescaledb.continuous) AS SELECT 1 WITH NO DATA",
        obj("aggregate", "a", "s"),
    ),
    ("CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous = false) AS SELECT 1", obj("materialized view", "v")),
    ("SELECT create_hypertable('s.t', 'ts')", obj("hypertable", "t", "s")),
    ("SELECT create_hypertable(relation => 'T', time_column_name => 'ts')", obj("hypertable", "t")),
    ("SELECT create_hypertable('\"T\"'::regclass, by_range('ts'))", obj("hypertable", "T")),
    ("SELECT add_retention_policy('s.t', INTERVAL '1 day')", obj("job", "policy_retention", "s", "s.t")),
    ("SELECT add_dimension('t', 'device', 4)", obj("dimension", "device", "", "t")),
]


@pytest.mark.parametrize(("text", "made"), CREATED)
def test_what_a_statement_creates(text: str, made: Object) -> None:
    assert facts_of(text).creates == (made,)


DROPPED = [
    ("DROP TABLE s.t, u", (obj("table", "t", "s"), obj("table", "u"))),
    ("DROP TRIGGER g ON s.t", (obj("trigger", "g", "s", "s.t"),)),
    ("DROP POLICY p ON t", (obj("policy", "p", "", "t"),)),
    ("DROP FUNCTION s.f(int), g", (obj("function", "f", "s"), obj("function", "g"))),
    ("DROP SCHEMA a, b", (obj("schema", "a"), obj("schema", "b"))),
    ("DROP TYPE s.e", (obj("type", "e", "s"),)),
    ("DROP EXTENSION x", (obj("extension", "x"),)),
    ("DROP DATABASE IF EXISTS d", (obj("database", "d"),)),
    ("DROP ROLE a, b", (obj("role", "a"), obj("role", "b"))),
    ("DROP SUBSCRIPTION s", (obj("subscription", "s"),)),
    ("ALTER TABLE s.t DROP COLUMN c", (obj("column", "c", "s", "s.t"),)),
    ("ALTER TABLE t DROP CONSTRAINT c", (obj("constraint", "c", "", "t"),)),
    ("SELECT remove_retention_policy('t')", (obj("job", "policy_retention", "", "t"),)),
]


@pytest.mark.parametrize(("text", "gone"), DROPPED)
def test_what_a_statement_drops(text: str, gone: tuple[Object, ...]) -> None:
    assert facts_of(text).drops == gone


ALTERED = [
    ("ALTER TABLE s.t ALTER COLUMN c SET NOT NULL", (obj("table", "t", "s"), obj("column", "c", "s", "s.t"))),
    ("ALTER TABLE t VALIDATE CONSTRAINT c", (obj("table", "t"), obj("constraint", "c", "", "t"))),
    ("ALTER TABLE t RENAME TO u", (obj("table", "t"),)),
    ("ALTER TABLE t RENAME a TO b", (obj("column", "a", "", "t"), obj("table", "t"))),
    ("ALTER TABLE p ATTACH PARTITION c DEFAULT", (obj("table", "p"), obj("table", "c"))),
    ("ALTER FUNCTION s.f(int) OWNER TO r", (obj("function", "f", "s"),)),
    ("COMMENT ON COLUMN s.t.c IS 'x'", (obj("column", "c", "s", "s.t"),)),
    ("GRANT SELECT ON s.t, u TO r", (obj("table", "t", "s"), obj("table", "u"))),
    ("ALTER SEQUENCE q RESTART", (obj("sequence", "q"),)),
    ("ALTER EXTENSION x UPDATE TO '2'", (obj("extension", "x"),)),
    ("REFRESH MATERIALIZED VIEW s.v", (obj("materialized view", "v", "s"),)),
    ("CALL refresh_continuous_aggregate('s.a', NULL, NULL)", (obj("aggregate", "a", "s"),)),
]


@pytest.mark.parametrize(("text", "changed"), ALTERED)
def test_what_a_statement_alters(text: str, changed: tuple[Object, ...]) -> None:
    assert facts_of(text).alters == changed


def test_objects_created_with_a_schema_are_in_that_schema() -> None:
    facts = facts_of("CREATE SCHEMA s CREATE TABLE t (i int) CREATE VIEW v AS SELECT * FROM t")
    assert facts.creates == (obj("schema", "s"), obj("table", "t", "s"), obj("view", "v", "s"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO s.t VALUES (1)", {"s.t"}),
        ("WITH a AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM a", {"t", "u"}),
        ("TRUNCATE t, s.u", {"t", "s.u"}),
        ("COPY t FROM STDIN", {"t"}),
        ("COPY t TO STDOUT", set()),
        ("SELECT * FROM t", set()),
        ("EXPLAIN DELETE FROM t", set()),
        ("EXPLAIN (ANALYZE) DELETE FROM t", {"t"}),
        ("CREATE RULE r AS ON INSERT TO t DO INSTEAD DELETE FROM u", set()),
        ("PREPARE p AS DELETE FROM t", set()),
    ],
)
def test_the_tables_whose_rows_it_changes(text: str, expected: set[str]) -> None:
    assert facts_of(text).writes == expected


# Details


def test_cascade_is_noted() -> None:
    assert facts_of("DROP TABLE t CASCADE").cascade
    assert facts_of("ALTER TABLE t DROP COLUMN c CASCADE").cascade
    assert facts_of("TRUNCATE t CASCADE").cascade
    assert not facts_of("DROP TABLE t").cascade


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (i int UNIQUE DEFERRABLE INITIALLY DEFERRED, j int REFERENCES u)",
        "ALTER TABLE t ADD CONSTRAINT c UNIQUE (i) INITIALLY DEFERRED",
        "ALTER TABLE t ALTER CONSTRAINT c INITIALLY DEFERRED",
        "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()",
    ],
)
def test_a_table_with_a_deferred_constraint_is_noted(text: str) -> None:
    assert facts_of(text).deferred == {"t"}


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (i int REFERENCES u DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE t (i int, FOREIGN KEY (i) REFERENCES u INITIALLY DEFERRED)",
        "ALTER TABLE t ADD COLUMN i int REFERENCES u INITIALLY DEFERRED",
    ],
)
def test_a_deferred_foreign_key_is_noted_of_both_its_tables(text: str) -> None:
    assert facts_of(text).deferred == {"t", "u"}


def test_a_constraint_that_is_only_deferrable_is_not_deferred() -> None:
    assert facts_of("CREATE TABLE t (i int REFERENCES u DEFERRABLE)").deferred == frozenset()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SET search_path TO a, b", "search_path"),
        ("SET LOCAL search_path TO a", "search_path"),
        ("RESET search_path", "search_path"),
        ("RESET ALL", "all"),
        ("SET ROLE r", "role"),
        ("RESET ROLE", "role"),
        ("SET SESSION AUTHORIZATION r", "role"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "transaction"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "session characteristics"),
        ("SET CONSTRAINTS ALL DEFERRED", "constraints"),
        ("SELECT 1", ""),
    ],
)
def test_the_setting_that_it_changes(text: str, name: str) -> None:
    assert facts_of(text).sets == name


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("SET a.b = 'c'", True),
        ("CREATE TEMP TABLE t AS SELECT 1", True),
        ("INSERT INTO pg_temp.t VALUES (1)", True),
        ("INSERT INTO pg_temp.t SELECT nextval('s')", False),
        ("WITH a AS (DELETE FROM t RETURNING *) INSERT INTO pg_temp.u SELECT * FROM a", False),
        ("DROP TABLE pg_temp.t", True),
        ("DROP TABLE pg_temp.t, u", False),
        ("INSERT INTO t VALUES (1)", False),
        ("CREATE TABLE t (i int)", False),
        ("DECLARE c CURSOR FOR SELECT 1", True),
    ],
)
def test_whether_the_session_is_all_that_it_changes(text: str, only: bool) -> None:
    assert facts_of(text).session_only is only


@pytest.mark.parametrize(
    "text",
    [
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CREATE TABLESPACE t LOCATION '/x'",
        "DROP TABLESPACE t",
        "COPY t TO '/tmp/x'",
        "COPY t TO PROGRAM 'cat'",
        "COPY t FROM PROGRAM 'cat'",
        "SELECT dblink_exec('c', 'DELETE FROM t')",
        "SELECT s.dblink('c', 'SELECT 1')",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT pg_file_write('x', 'y', false)",
        "SELECT pg_create_physical_replication_slot('x')",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
        "DROP SUBSCRIPTION s",
        "DO $$ BEGIN PERFORM dblink_exec('c', 'x'); END $$",
    ],
)
def test_effects_that_no_rollback_undoes_are_external(text: str) -> None:
    assert facts_of(text).external


@pytest.mark.parametrize(
    "text",
    [
        "COPY t FROM '/tmp/x'",
        "COPY t FROM STDIN",
        "COPY t TO STDOUT",
        "CREATE DATABASE d",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
        "SELECT nextval('s')",
        "CREATE VIEW v AS SELECT dblink_exec('c', 'x')",
    ],
)
def test_effects_that_stay_inside_are_not_external(text: str) -> None:
    assert not facts_of(text).external


def test_an_enum_value_is_named_with_its_type() -> None:
    assert facts_of("ALTER TYPE s.e ADD VALUE IF NOT EXISTS 'x' BEFORE 'y'").new_enum_values == (("s.e", "x"),)
    assert facts_of("ALTER TYPE e RENAME VALUE 'x' TO 'y'").new_enum_values == ()


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("ALTER TABLE s.t RENAME TO u", obj("table", "t", "s"), obj("table", "u", "s")),
        ("ALTER TABLE t RENAME a TO b", obj("column", "a", "", "t"), obj("column", "b", "", "t")),
        ("ALTER INDEX i RENAME TO j", obj("index", "i"), obj("index", "j")),
        ("ALTER FUNCTION f(int) RENAME TO g", obj("function", "f"), obj("function", "g")),
        ("ALTER POLICY p ON t RENAME TO q", obj("policy", "p", "", "t"), obj("policy", "q", "", "t")),
        ("ALTER TABLE t SET SCHEMA s", obj("table", "t"), obj("table", "t", "s")),
        ("ALTER TYPE e SET SCHEMA s", obj("type", "e"), obj("type", "e", "s")),
        (
            "ALTER TYPE s.e RENAME VALUE 'x' TO 'y'",
            obj("enum value", "x", "s", "s.e"),
            obj("enum value", "y", "s", "s.e"),
        ),
    ],
)
def test_a_rename_gives_both_names(text: str, before: Object, after: Object):
    assert facts_of(text).renames == ((before, after),)
    assert facts_of(f"DO $$ BEGIN {text}; END $$").renames == ((before, after),)


def test_string_constants_are_kept_of_everything_but_plain_ddl() -> None:
    assert facts_of("SELECT format('CREATE DATABASE %I', 'x')").literals == {"CREATE DATABASE %I", "x"}
    assert facts_of("INSERT INTO t VALUES ('a', 'b')").literals == {"a", "b"}
    assert facts_of("DO $$ BEGIN EXECUTE 'SELECT ' || 'a'; PERFORM 'b'; END $$").literals == {"SELECT ", "a", "b"}
    assert facts_of("CREATE TABLE t (a text DEFAULT 'x')").literals == frozenset()


def test_calls_are_named_as_written_and_in_lower_case() -> None:
    facts = facts_of("SELECT S.F(1), Now(), coalesce(a, b) FROM generate_series(1, 2) a, t b")
    assert facts.calls == {"s.f", "now", "generate_series"}
    assert facts_of("CALL s.p()").calls == {"s.p"}
    assert facts_of("CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION s.f()").calls == {"s.f"}


# The ledger

LEDGER: list[tuple[str, tuple[int, ...] | None]] = [
    ("INSERT INTO schema_migrations (version, description) VALUES (7, 'x')", (7,)),
    ("INSERT INTO schema_migrations (description, version) VALUES ('x', '007'), ('y', 8)", (7, 8)),
    ("INSERT INTO public.schema_migrations VALUES (7, 'x')", (7,)),
    ("INSERT INTO tidelock.schema_migrations (version) VALUES ('20240101120000'::bigint)", (20240101120000,)),
    ("INSERT INTO schema_migrations (version) VALUES (99999999999999999) ON CONFLICT DO NOTHING", (99999999999999999,)),
    ("INSERT INTO schema_migrations (version) VALUES (1) ON CONFLICT (version) DO UPDATE SET name = 'x'", (1,)),
    ("INSERT INTO schema_migrations (name) VALUES ('x')", ()),
    ("INSERT INTO schema_migrations SELECT 1, 'x'", ()),
    ("INSERT INTO schema_migrations (version) VALUES (1), (1 + 1)", ()),
    ("INSERT INTO schema_migrations (version) VALUES ('v1')", ()),
    ("INSERT INTO schema_migrations (version) VALUES (NULL)", ()),
    ("INSERT INTO schema_migrations DEFAULT VALUES", ()),
    ("UPDATE schema_migrations SET name = 'x'", ()),
    ("DELETE FROM schema_migrations WHERE version = 1", ()),
    ("TRUNCATE schema_migrations", ()),
    ("COPY schema_migrations FROM STDIN", ()),
    ("DO $$ BEGIN INSERT INTO schema_migrations (version) VALUES (5); END $$", (5,)),
    ("WITH a AS (INSERT INTO schema_migrations VALUES (3) RETURNING 1) SELECT * FROM a", (3,)),
    ("INSERT INTO other VALUES (1)", None),
    ("SELECT * FROM schema_migrations", None),
    ("CREATE TABLE schema_migrations (version int)", None),
    ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'INSERT INTO schema_migrations VALUES (1)'", None),
]


@pytest.mark.parametrize(("text", "versions"), LEDGER)
def test_the_versions_that_a_file_writes_to_the_ledger_itself(text: str, versions: tuple[int, ...] | None) -> None:
    assert facts_of(text).ledger_versions == versions


# Code


def test_what_the_static_sql_of_a_do_block_does_is_what_the_block_does() -> None:
    facts = facts_of("""DO $$ DECLARE r record; BEGIN
        IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'e') THEN CREATE TYPE e AS ENUM ('a'); END IF;
        FOR r IN SELECT * FROM t LOOP INSERT INTO u VALUES (r.a); END LOOP;
        ALTER TABLE s.v ADD COLUMN c int;
    EXCEPTION WHEN duplicate_object THEN DROP TABLE w; END $$""")
    assert facts.creates == (obj("type", "e"), obj("column", "c", "s", "s.v"))
    assert facts.drops == (obj("table", "w"),)
    assert facts.writes == {"u"}
    assert {Lock("t", "AccessShare"), Lock("u", "RowExclusive"), Lock("s.v", "AccessExclusive")} <= set(facts.locks)
    assert not facts.rerunnable
    assert not facts.session


def test_sql_that_is_built_while_a_block_runs_may_do_anything() -> None:
    facts = facts_of("DO $$ DECLARE t text; BEGIN EXECUTE format('DROP TABLE %I', t); END $$")
    assert facts.kind is Kind.CODE
    assert facts.session
    assert not facts.rerunnable
    assert not facts.drops


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN EXECUTE 'DROP TABLE t'; END",
        "BEGIN EXECUTE 'DROP ' || 'TABLE t'::text; END",
        "BEGIN EXECUTE format('DROP TABLE %I', 't'); END",
        "BEGIN EXECUTE format('%2$s TABLE %1$I', 't', 'DROP'); END",
        "DECLARE q text := 'DROP TABLE t'; BEGIN EXECUTE q; END",
        "DECLARE q text; BEGIN q := 'TABLE t'; EXECUTE 'DROP ' || q; END",
    ],
)
def test_a_constant_given_to_execute_is_read_as_the_statement_it_is(body: str) -> None:
    facts = facts_of(f"DO $$ {body} $$")
    assert not facts.unread
    assert facts.drops == (obj("table", "t"),)
    assert not facts.session


@pytest.mark.parametrize(
    "body",
    [
        "DECLARE q text := 'SELECT 1'; BEGIN IF random() > 0.5 THEN q := 'DROP TABLE t'; END IF; EXECUTE q; END",
        "DECLARE q text := 'SELECT 1'; BEGIN SELECT sql INTO q FROM t; EXECUTE q; END",
        "DECLARE q text := 'SELECT 1'; BEGIN FOR q IN SELECT sql FROM t LOOP EXECUTE q; END LOOP; END",
        "BEGIN EXECUTE format('DROP TABLE %s', current_setting('x')); END",
    ],
)
def test_a_variable_that_may_be_another_text_is_not_read(body: str) -> None:
    assert facts_of(f"DO $$ {body} $$").unread


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("DO $$ BEGIN COMMIT; END $$", True),
        ("DO $$ BEGIN NULL; EXCEPTION WHEN others THEN ROLLBACK; END $$", True),
        ("DO $$ BEGIN CALL refresh_continuous_aggregate('a', NULL, NULL); END $$", True),
        ("DO $$ BEGIN RAISE NOTICE 'COMMIT;'; END $$", False),
        ("DO $$ DECLARE r s.unknown_type; BEGIN r.a := 1; COMMIT; END $$", True),
        ("DO $$ this is not plpgsql; COMMIT; $$", True),
        ("DO LANGUAGE plpython3u $$ plpy.commit() $$", False),
    ],
)
def test_a_block_that_commits_is_alone(text: str, alone: bool) -> None:
    assert bool(facts_of(text).alone) is alone


def test_creating_a_function_does_nothing_of_what_its_body_does() -> None:
    facts = facts_of("""CREATE OR REPLACE PROCEDURE p(a s.kind[], b s.t, c s.t.x%TYPE) LANGUAGE plpgsql AS $$
        DECLARE r s.t; BEGIN DELETE FROM t WHERE x = r.x; PERFORM set_config('a', 'b', false); COMMIT; END $$""")
    assert facts.creates == (obj("procedure", "p"),)
    assert not facts.writes
    assert not facts.locks
    assert not facts.calls
    assert not facts.alone
    assert not facts.session
    assert facts.rerunnable
    assert facts.body is not None
    assert facts.body.writes == {"t"}
    assert facts.body.calls == {"set_config"}
    assert facts.body.alone
    assert facts.body.session


@pytest.mark.parametrize(
    "body",
    [
        "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (new.id); RETURN new; END $$",
        "RETURNS void LANGUAGE sql AS $$ SELECT 1; INSERT INTO log VALUES (1) $$",
        "RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO log VALUES (1); END",
        "RETURNS TABLE (a int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN QUERY SELECT 1; END $$",
    ],
)
def test_bodies_in_each_language_of_sql_are_read(body: str) -> None:
    facts = facts_of(f"CREATE FUNCTION f() {body}")
    assert facts.body is not None
    assert facts.body.writes == {"log"}
    assert facts.writes == frozenset()


def test_a_body_in_another_language_is_unknown() -> None:
    facts = facts_of("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'return 1'")
    assert facts.body is not None
    assert facts.body.kind is Kind.UNKNOWN
    assert facts_of("DO LANGUAGE plpython3u 'pass'").session


# Indexes


def test_the_definition_of_an_index_names_its_table_and_columns() -> None:
    found = index_definition("CREATE UNIQUE INDEX i ON s.t USING btree (a, lower(b) DESC) WHERE c IS NULL")
    assert found is not None
    assert (found.name, found.schema, found.table, found.unique) == ("i", "s", "t", True)
    assert (found.method, found.columns) == ("btree", ("a", "(expression)"))


def test_definitions_are_the_same_whatever_the_name_and_whether_the_schema_is_given() -> None:
    asked = index_definition("CREATE INDEX CONCURRENTLY ON t (a)")
    there = index_definition("CREATE INDEX t_a_idx1 ON public.t USING btree (a)")
    other = index_definition("CREATE INDEX t_a_idx1 ON public.t USING btree (a DESC)")
    assert asked is not None
    assert there is not None
    assert other is not None
    assert asked.same_as(there)
    assert not asked.same_as(other)


@pytest.mark.parametrize("text", ["SELECT 1", "CREATE INDEX", "CREATE INDEX ON a (b); CREATE INDEX ON c (d)"])
def test_only_an_index_has_a_definition(text: str) -> None:
    assert index_definition(text) is None


# Cost


def test_a_thousand_small_statements_cost_a_fraction_of_a_second() -> None:
    texts = [
        text
        for i in range(200)
        for text in (
            f"CREATE TABLE IF NOT EXISTS t{i} (id bigint PRIMARY KEY, name text, made timestamptz DEFAULT now())",
            f"ALTER TABLE t{i} ADD COLUMN c int",
            f"CREATE INDEX i{i} ON t{i} (name)",
            f"INSERT INTO t{i} VALUES (1, 'a')",
            f"UPDATE t{i} SET name = 'b' WHERE id = {i}",
        )
    ]
    facts_of("SELECT 1")
    best = min(_seconds(texts) for _ in range(3))
    assert best < 0.5  # 0.05 s on an idle machine; the bound tells a change of order, not a busy neighbour


def _seconds(texts: list[str]) -> float:
    began = time.perf_counter()
    for text in texts:
        facts_of(text)
    return time.perf_counter() - began


def test_a_statement_of_ten_thousand_rows_is_read() -> None:
    rows = ", ".join(f"({i}, 'name {i}')" for i in range(10_000))
    facts = facts_of(f"INSERT INTO t VALUES {rows}")
    assert facts.writes == {"t"}
    assert len(facts.literals) == 10_000


def test_facts_are_values() -> None:
    def shown(facts: Facts) -> dict[str, Any]:
        return {each.name: getattr(facts, each.name) for each in fields(facts)}

    text = "CREATE TABLE t (i int REFERENCES u)"
    assert shown(facts_of(text)) == shown(facts_of(text))
    assert hash(facts_of(text)) == hash(facts_of(text))
