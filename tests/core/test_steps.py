"""How a file is cut into steps."""

from __future__ import annotations

import pytest

from tidelock.app.reading import Reader
from tidelock.core import steps
from tidelock.core.source import SourceFile, migrations
from tidelock.core.step import Mode, Step
from tidelock.core.steps import Surroundings, steps_of

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


def test_no_transaction_makes_each_statement_a_step():
    assert modes("-- tidelock: no-transaction\nCREATE TABLE a (id int); INSERT INTO a VALUES (1); CALL p();") == [
        (T, 1),
        (T, 1),
        (A, 1),
    ]


def test_a_new_enum_value_is_committed_before_it_is_used():
    assert modes("ALTER TYPE e ADD VALUE 'x'; INSERT INTO a VALUES ('x');") == [(T, 1), (T, 1)]
    assert modes("ALTER TYPE e ADD VALUE 'x'; ALTER TYPE e ADD VALUE 'y'; INSERT INTO a VALUES ('z');") == [(T, 3)]


def test_deferred_checks_are_made_before_the_table_is_changed():
    text = "INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN x int;"
    assert modes(text) == [(T, 2)]
    assert modes(text, Surroundings(deferred=frozenset({"a"}))) == [(T, 1), (T, 1)]


def test_a_deferred_constraint_of_the_same_file_counts():
    assert modes(
        "CREATE TABLE a (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN x int;"
    ) == [(T, 2), (T, 1)]


def test_a_procedure_that_commits_is_called_alone():
    assert modes("SELECT 1; CALL p();", Surroundings(committing=frozenset({"p"}))) == [(T, 1), (A, 1)]


def test_a_procedure_that_commits_is_known_to_the_next_file():
    [migration] = files = migrations(
        [SourceFile("001_x.sql", b"CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$;")]
    )
    script = Reader(files, load=lambda path: "").script(migration)
    assert Surroundings().after(script).committing == {"p"}


def test_gexec_that_builds_create_database_is_alone():
    assert modes(r"SELECT 'CREATE DATABASE x' WHERE true \gexec") == [(A, 1)]


def test_an_edited_step_has_another_digest_and_a_reformatted_one_has_not():
    assert (
        cut("INSERT INTO a VALUES (1);")[0].digest
        == cut("INSERT  INTO a\nVALUES (1) ;")[0].digest
        != cut("INSERT INTO a VALUES (2);")[0].digest
    )
