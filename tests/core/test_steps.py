"""How a file is cut into steps."""

from __future__ import annotations

import pytest

from tidelock.app.reading import Reader
from tidelock.core import steps
from tidelock.core.source import SourceFile, migrations
from tidelock.core.step import Mode, Step
from tidelock.core.steps import steps_of
from tidelock.core.surroundings import Surroundings

T, OWN, A = Mode.TRANSACTION, Mode.OWN, Mode.ALONE


def cut(text: str, surroundings: Surroundings = Surroundings()) -> tuple[Step, ...]:
    [migration] = files = migrations([SourceFile("001_x.sql", text.encode())])
    return steps_of(migration, Reader(files, load=lambda path: "").script(migration), surroundings)


def modes(text: str, surroundings: Surroundings = Surroundings()) -> list[tuple[Mode, int]]:
    return [(step.mode, len(step.statements)) for step in cut(text, surroundings)]


def test_a_file_is_one_transaction():
    assert modes("CREATE TABLE a (id int); INSERT INTO a VALUES (1); SELECT 1;") == [(T, 3)]


def test_a_file_of_comments_is_one_empty_transaction():
    assert modes("-- nothing") == [(T, 0)]


def test_what_no_transaction_may_hold_is_a_step_of_its_own():
    assert modes(
        "CREATE TABLE a (id int); CREATE INDEX CONCURRENTLY i ON a (id); VACUUM a; INSERT INTO a VALUES (1);"
    ) == [(T, 1), (A, 1), (A, 1), (T, 1)]


def test_the_files_own_transactions_keep_their_meaning():
    assert modes(
        "CREATE TABLE a (id int); BEGIN; INSERT INTO a VALUES (1); COMMIT; BEGIN; DELETE FROM a; ROLLBACK; SELECT 1;"
    ) == [(T, 1), (OWN, 1), (OWN, 1), (T, 1)]
    assert [step.rolled_back for step in cut("BEGIN; DELETE FROM a; ROLLBACK;")] == [True]


def test_and_chain_begins_the_next_transaction_alike():
    found = cut(
        "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO a VALUES (1); COMMIT AND CHAIN; INSERT INTO a VALUES (2); COMMIT;"
    )
    assert [(step.mode, step.begin.text if step.begin else "") for step in found] == [
        (OWN, "BEGIN ISOLATION LEVEL SERIALIZABLE")
    ] * 2


def test_a_begin_without_commit_is_refused():
    with pytest.raises(steps.NeverCommitted, match=r"001_x\.sql:2:1"):
        cut("SELECT 1;\nBEGIN; INSERT INTO a VALUES (1);")


def test_a_commit_without_begin_is_nothing_as_in_psql():
    assert modes("INSERT INTO a VALUES (1); COMMIT; INSERT INTO a VALUES (2);") == [(T, 2)]


def test_alone_inside_the_files_own_transaction_is_refused():
    with pytest.raises(steps.AloneInBlock, match=r"001_x\.sql:2:1"):
        cut("BEGIN;\nVACUUM a; COMMIT;")


def test_two_phase_commit_is_refused():
    with pytest.raises(steps.TwoPhase, match="PREPARE TRANSACTION"):
        cut("BEGIN; INSERT INTO a VALUES (1); PREPARE TRANSACTION 'x';")


NO_TRANSACTION = "-- tidelock: no-transaction\n"


def test_statements_that_a_separator_joins_are_one_step_as_they_are_one_transaction_in_psql():
    joined = "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1)\\; DO ''\\; SELECT 2;\nINSERT INTO a VALUES (3);"
    assert modes(NO_TRANSACTION + joined) == [(T, 1), (T, 3), (T, 1)]
    assert modes(joined) == [(T, 5)]
    assert modes(f"{NO_TRANSACTION}BEGIN\\; INSERT INTO a VALUES (1)\\; COMMIT;\nSELECT 1;") == [(OWN, 1), (T, 1)]


@pytest.mark.parametrize(
    "group", ["VACUUM a\\; SELECT 1;", "SELECT 1\\; VACUUM a;", "SELECT 1\\; VACUUM a\\; SELECT 2;"]
)
def test_one_that_no_transaction_may_hold_is_not_joined_to_others(group: str):
    with pytest.raises(steps.AloneInBlock, match=r"inside the transaction that `\\;` makes"):
        cut(NO_TRANSACTION + group)


def test_no_transaction_makes_each_statement_a_step():
    assert modes("-- tidelock: no-transaction\nCREATE TABLE a (id int); INSERT INTO a VALUES (1); CALL p();") == [
        (T, 1),
        (T, 1),
        (A, 1),
    ]


def test_a_new_enum_value_is_committed_before_it_is_used():
    assert modes("ALTER TYPE e ADD VALUE 'x'; INSERT INTO a VALUES ('x');") == [(T, 1), (T, 1)]
    assert modes("ALTER TYPE e ADD VALUE 'x'; ALTER TYPE e ADD VALUE 'y'; INSERT INTO a VALUES ('y');") == [
        (T, 2),
        (T, 1),
    ]


@pytest.mark.parametrize(
    "use",
    [
        "COPY t FROM stdin;\nb\n\\.\n",
        "INSERT INTO t SELECT x::e FROM s",
        "INSERT INTO t DEFAULT VALUES",
        "UPDATE s SET x = 1",
        "ALTER TABLE t ALTER x TYPE e USING x::e",
        "ALTER TABLE t ALTER x DROP NOT NULL, ALTER x TYPE e USING x::e",
        "ALTER TABLE t ADD y e DEFAULT enum_last(NULL::e)",
        "SELECT enum_range(NULL::e)",
        "CREATE TABLE u AS SELECT x::e FROM s",
        "CREATE MATERIALIZED VIEW u AS SELECT x::e FROM s",
        "REFRESH MATERIALIZED VIEW u",
        "CREATE INDEX ON s (to_e(x))",
        "ALTER TABLE t ALTER x SET DEFAULT $$b$$",
        "DO $$BEGIN PERFORM f(); END$$",
    ],
)
def test_a_new_enum_value_is_committed_before_what_may_use_it_without_its_name(use: str):
    assert modes(f"ALTER TYPE e ADD VALUE 'b'; COMMENT ON TYPE e IS 'x'; {use};") == [(T, 2), (T, 1)]


ADDS = "CREATE FUNCTION add(v text) RETURNS void LANGUAGE plpgsql AS "


@pytest.mark.parametrize(
    "add",
    [
        "SELECT 'ALTER TYPE e ADD VALUE ''b''' \\gexec\n",
        "SELECT format('ALTER TYPE e ADD VALUE %L', x) FROM s \\gexec\n",
        "SELECT 'b' AS v \\gset\nALTER TYPE e ADD VALUE :'v';",
        "DO $$BEGIN EXECUTE (SELECT format('ALTER TYPE e ADD VALUE %L', x) FROM s); END$$;",
        ADDS + "$$BEGIN ALTER TYPE e ADD VALUE 'b'; END$$; SELECT add('b');",
        ADDS + "$$BEGIN EXECUTE format('ALTER TYPE e ADD VALUE %L', v); END$$; SELECT add('a'); SELECT add('b');",
    ],
)
def test_a_new_enum_value_that_code_adds_is_committed_before_it_is_used(add: str):
    assert modes(f"{add} INSERT INTO t VALUES ('b');")[1:] == [(T, 1)]


@pytest.mark.parametrize(
    "use",
    [
        "SELECT fill();",
        "SELECT 'INSERT INTO t VALUES (''b'')' \\gexec\n",
        "SELECT format('INSERT INTO t VALUES (%L)', x) FROM s \\gexec\n",
    ],
)
def test_a_new_enum_value_of_a_renamed_type_is_committed_before_code_may_use_it(use: str):
    assert modes(f"ALTER TYPE e ADD VALUE 'b'; ALTER TYPE e RENAME TO f; {use}") == [(T, 2), (T, 1)]


def test_a_type_that_code_changes_in_another_way_cuts_nothing():
    owner = "DO $$BEGIN EXECUTE format('ALTER TYPE %I OWNER TO u', 'e'); END$$;"
    assert modes(f"{owner} INSERT INTO t VALUES ('b');") == [(T, 2)]


def test_a_new_enum_value_shares_its_transaction_with_definitions_that_run_nothing():
    text = (
        "ALTER TYPE e ADD VALUE 'b'; ALTER TYPE e ADD VALUE 'c'; COMMENT ON TYPE e IS 'x'; GRANT USAGE ON TYPE e TO u; "
        "CREATE TABLE t (x e, at timestamptz DEFAULT now()); CREATE INDEX ON t (x); ALTER TABLE s ADD COLUMN y int; "
        "CREATE VIEW v AS SELECT enum_range(NULL::e); DROP TABLE w; SET work_mem = '8MB'; SHOW work_mem;"
    )
    assert modes(text) == [(T, 11)]


def test_deferred_checks_are_made_before_the_table_is_changed():
    text = "INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN x int;"
    assert modes(text) == [(T, 2)]
    assert modes(text, Surroundings(deferred=frozenset({"a"}))) == [(T, 1), (T, 1)]


def test_a_deferred_constraint_of_the_same_file_counts():
    assert modes(
        "CREATE TABLE a (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN x int;"
    ) == [(T, 2), (T, 1)]


@pytest.mark.parametrize(
    "setting",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET default_transaction_isolation = serializable",
        "RESET default_transaction_read_only",
        "SELECT set_config('default_transaction_read_only', 'on', false)",
        "SELECT set_config('search_path', 's', true)",
        "DO $$BEGIN SET LOCAL search_path = s; END$$",
    ],
)
def test_what_the_next_transaction_begins_without_or_with_ends_a_step(setting: str):
    assert modes(f"SELECT 1; {setting}; SELECT 2; SELECT 3;") == [(T, 2), (T, 2)]
    assert modes(f"SELECT 1; {setting};") == [(T, 2)]


def test_other_settings_end_no_step():
    text = (
        "SET search_path = s; SELECT set_config('search_path', '', false); SHOW default_transaction_read_only; "
        "SELECT current_setting('default_transaction_read_only'); RESET ALL; SELECT 1;"
    )
    assert modes(text) == [(T, 6)]


def test_a_local_setting_outside_of_the_files_own_transaction_is_in_vain():
    [ours, own] = cut("SET LOCAL work_mem = '8MB'; SET CONSTRAINTS ALL DEFERRED; SET x.y = 1; "
                      "BEGIN; SET LOCAL work_mem = '8MB'; COMMIT;")  # fmt: skip
    assert [ours.in_vain(each) for each in ours.items] == ["SET LOCAL", "SET CONSTRAINTS", ""]
    assert [own.in_vain(each) for each in own.items] == [""]


REFERENCES = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p INITIALLY DEFERRED); "


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM p; ALTER TABLE p ADD x int;",
        "SELECT ins(); ALTER TABLE c ADD x int;",
        "DO $$BEGIN PERFORM ins(); END$$; DROP TABLE c;",
        "CREATE TABLE n AS SELECT ins(); CREATE INDEX ON c (p);",
        "INSERT INTO with_a_trigger VALUES (1); ALTER TABLE c ADD x int;",
        "INSERT INTO c VALUES (1); TRUNCATE c;",
    ],
)
def test_deferred_checks_of_the_table_referenced_and_of_what_functions_write_are_made_first(text: str):
    [migration] = files = migrations([SourceFile("001_x.sql", REFERENCES.encode())])
    around = Surroundings().after(Reader(files, load=lambda path: "").script(migration))
    assert modes(text, around) == [(T, 1), (T, 1)]
    assert modes(f"{REFERENCES} COMMIT; CREATE INDEX CONCURRENTLY ON a (i); {text}")[2:] == [(T, 1), (T, 1)]


DEFERRED = Surroundings(deferred=frozenset({"c"}))


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE c RENAME TO d; INSERT INTO d VALUES (1); ALTER TABLE d ADD x int;",
        "ALTER TABLE c RENAME TO d; ALTER TABLE d RENAME TO e; INSERT INTO e VALUES (1); DROP TABLE e;",
        "DO $$BEGIN ALTER TABLE c RENAME TO d; END$$; INSERT INTO d VALUES (1); ALTER TABLE d ADD x int;",
        "CREATE TABLE c1 PARTITION OF c FOR VALUES IN (1); INSERT INTO c VALUES (1); DROP TABLE c1;",
        "ALTER TABLE c ATTACH PARTITION s.c1 FOR VALUES IN (1); INSERT INTO c VALUES (1); TRUNCATE s.c1;",
        "ALTER TABLE m ATTACH PARTITION c FOR VALUES IN (1); INSERT INTO c VALUES (1); ALTER TABLE m ADD x int;",
        "ALTER TABLE c INHERIT m; INSERT INTO c VALUES (1); ALTER TABLE m ADD x int;",
        "CREATE FUNCTION alt() RETURNS void LANGUAGE sql AS 'ALTER TABLE c ADD x int'; INSERT INTO c VALUES (1); SELECT alt();",
        (
            "CREATE FUNCTION alt(t text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'ALTER TABLE ' || t || ' ADD x int';"
            "END$$; ALTER FUNCTION alt RENAME TO f; INSERT INTO c VALUES (1); SELECT f('c');"
        ),
        (
            "CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS 'INSERT INTO c VALUES (1)'; SELECT fill();"
            "SELECT format('ALTER TABLE %I ADD x int', relname) FROM pg_class \\gexec\n"
        ),
    ],
)
def test_deferred_checks_are_made_first_under_other_names_and_of_parents_and_by_functions(text: str):
    before, last = cut(text, DEFERRED)
    assert before.statements[-1].text.startswith(("INSERT INTO ", "SELECT fill"))
    assert len(last.statements) == 1


@pytest.mark.parametrize(
    "change",
    [
        "SELECT 'ALTER TABLE c ADD x int' \\gexec\n",
        "SELECT format('ALTER TABLE %I ADD x int', relname) FROM pg_class \\gexec\n",
        "SELECT 'CREATE UNIQUE INDEX ON ' || relname || ' (p)' FROM pg_class \\gexec\n",
        "DO $$DECLARE n text; BEGIN FOR n IN SELECT relname FROM pg_class LOOP EXECUTE 'TRUNCATE ' || n; END LOOP; END$$;",
        "SELECT 'c' AS x \\gset\nALTER TABLE :x ADD x int;",
    ],
)
def test_deferred_checks_are_made_before_what_changes_a_table_that_only_the_run_knows(change: str):
    (_, together), (_, last) = modes(f"INSERT INTO c VALUES (1); {change}", DEFERRED)
    assert last == 1
    assert modes(f"INSERT INTO c VALUES (1); {change}") == [(T, together + 1)]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO c VALUES (1); SELECT 'ALTER TABLE other ADD x int' \\gexec\n",
        "INSERT INTO c VALUES (1); SELECT format('GRANT SELECT ON %I TO u', relname) FROM pg_class \\gexec\n",
        "INSERT INTO c VALUES (1); SELECT f('DROP TABLE c');",
        "INSERT INTO other VALUES (1); SELECT format('ALTER TABLE %I OWNER TO u', relname) FROM pg_class \\gexec\n",
        "INSERT INTO c VALUES (1); CREATE TABLE other PARTITION OF m FOR VALUES IN (1);",
    ],
)
def test_what_changes_other_tables_waits_for_no_deferred_checks(text: str):
    assert modes(text, DEFERRED) == [(T, 2)]


def test_what_reads_alone_leaves_no_deferred_checks():
    around = Surroundings(deferred=frozenset({"c"}))
    assert modes("SELECT count(*) FROM c; COMMENT ON TABLE c IS 'x'; ALTER TABLE c ADD x int;", around) == [(T, 3)]


def test_a_procedure_that_commits_is_called_alone():
    assert modes("SELECT 1; CALL p();", Surroundings(committing=frozenset({"p"}))) == [(T, 1), (A, 1)]


def test_a_procedure_that_commits_is_known_to_the_next_file():
    [migration] = files = migrations(
        [SourceFile("001_x.sql", b"CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$;")]
    )
    script = Reader(files, load=lambda path: "").script(migration)
    assert Surroundings().after(script).committing == {"p"}


COMMITS = "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$; "
CALLS = "CREATE PROCEDURE q() LANGUAGE plpgsql AS $$BEGIN CALL p(); END$$; "


@pytest.mark.parametrize(
    "text",
    [
        COMMITS + "ALTER PROCEDURE p() RENAME TO r; CALL r();",
        COMMITS
        + "ALTER ROUTINE p RENAME TO o; ALTER PROCEDURE o SET SCHEMA s; ALTER SCHEMA s RENAME TO t; CALL t.o();",
        COMMITS + "ALTER PROCEDURE p RENAME TO r; DO $$BEGIN CALL r(); END$$;",
        COMMITS + "DO $$BEGIN ALTER PROCEDURE p RENAME TO r; END$$; CALL r();",
        COMMITS + "SELECT 'ALTER PROCEDURE p RENAME TO r' \\gexec\nCALL r();",
        COMMITS + "SELECT 'CALL p()' \\gexec\n",
        COMMITS + CALLS + "ALTER PROCEDURE q RENAME TO r; CALL r();",
        CALLS + COMMITS + "CALL q();",
        CALLS + COMMITS + "ALTER PROCEDURE q RENAME TO r; CALL r();",
    ],
)
def test_a_procedure_that_commits_is_called_alone_under_another_name_too(text: str):
    assert [step.mode for step in cut(text)] == [T, A]


def test_a_procedure_that_an_earlier_file_renamed_is_called_alone():
    [migration] = files = migrations([SourceFile("001_x.sql", b"ALTER PROCEDURE p() RENAME TO r;")])
    around = Surroundings(committing=frozenset({"p"})).after(Reader(files, load=lambda path: "").script(migration))
    assert modes("SELECT 1; CALL r();", around) == [(T, 1), (A, 1)]
    assert modes("SELECT 1; CALL s();", around) == [(T, 2)]


def test_gexec_that_builds_create_database_is_alone():
    assert modes(r"SELECT 'CREATE DATABASE x' WHERE true \gexec") == [(A, 1)]


def test_an_edited_step_has_another_digest_and_a_reformatted_one_has_not():
    assert (
        cut("INSERT INTO a VALUES (1);")[0].digest
        == cut("INSERT  INTO a\nVALUES (1) ;")[0].digest
        != cut("INSERT INTO a VALUES (2);")[0].digest
    )
