"""Which index on a table is the one that a cut-off statement made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.core.facts import facts_of
from tidelock.core.model import Place
from tidelock.core.statement import Statement
from tidelock.postgres import recovery
from tidelock.postgres.recovery import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def conn(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute("CREATE TABLE a (id int, t text); INSERT INTO a VALUES (1, 'x'), (1, 'x')")
        yield opened


def statement(text: str) -> Statement:
    return Statement(text=text, place=Place("001_a.sql", 1), facts=facts_of(text))


def leave_invalid(conn: psycopg.Connection, text: str) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(text.encode())


def test_another_sessions_new_index_is_not_taken_for_ours(conn: psycopg.Connection):
    ours = statement("CREATE INDEX CONCURRENTLY ON a (id)")
    before = recovery.evidence(conn, ours)
    conn.execute("CREATE INDEX ON a (t)")
    assert recovery.judge(conn, ours, before, failed=False).verdict is Verdict.RETRY
    conn.execute("CREATE INDEX ON a (id)")
    assert recovery.judge(conn, ours, before, failed=False).verdict is Verdict.DONE


@pytest.mark.parametrize(
    "text", ["CREATE UNIQUE INDEX CONCURRENTLY ON a (id)", "CREATE UNIQUE INDEX CONCURRENTLY mine ON a (id)"]
)
def test_only_our_invalid_index_is_dropped(conn: psycopg.Connection, text: str):
    ours = statement(text)
    before = recovery.evidence(conn, ours)
    leave_invalid(conn, "CREATE UNIQUE INDEX CONCURRENTLY theirs ON a (t)")
    assert recovery.leftover_indexes(conn, before) == ()
    leave_invalid(conn, text)
    [drop] = recovery.leftover_indexes(conn, before)
    assert drop.endswith("mine" if "mine" in text else "a_id_idx")


@pytest.mark.parametrize("text", ["REINDEX TABLE CONCURRENTLY a", "REINDEX INDEX CONCURRENTLY a_id"])
def test_only_copies_of_the_table_that_was_reindexed_are_dropped(conn: psycopg.Connection, text: str):
    conn.execute("CREATE INDEX a_id ON a (id); CREATE TABLE b (id int); INSERT INTO b VALUES (1), (1)")
    ours = statement(text)
    before = recovery.evidence(conn, ours)
    leave_invalid(conn, "CREATE UNIQUE INDEX CONCURRENTLY b_id_ccnew ON b (id)")
    assert recovery.judge(conn, ours, before, failed=False).repairs == ()
    leave_invalid(conn, "CREATE UNIQUE INDEX CONCURRENTLY a_id_ccnew ON a (id)")
    assert recovery.judge(conn, ours, before, failed=False).repairs == ("DROP INDEX IF EXISTS public.a_id_ccnew",)
