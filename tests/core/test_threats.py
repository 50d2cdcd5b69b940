"""What a statement may take from aggregates, by its text alone."""

from __future__ import annotations

import pytest

from tidelock.core.facts import facts_of
from tidelock.core.model import Place
from tidelock.core.statement import Ending, Statement
from tidelock.core.threats import Bound, How, Threat, threats


def of(text: str, ending: Ending = Ending.SEMICOLON) -> tuple[Threat, ...]:
    return threats(Statement(text=text, place=Place("a.sql", 1), facts=facts_of(text), ending=ending))


@pytest.mark.parametrize(
    ("text", "hows"),
    [
        ("CREATE TABLE t (id serial)", []),
        ("DROP TABLE t", []),
        ("INSERT INTO t SELECT f(x) FROM u", []),
        ("ALTER TABLE t ADD COLUMN x int", []),
        ("DELETE FROM t WHERE id = 1", [How.THIN, How.EMPTY]),
        ("DROP MATERIALIZED VIEW a", [How.DROP]),
        ("DROP TABLE t CASCADE", [How.DROP]),
        ("DROP OWNED BY bob", [How.DROP]),
        ("TRUNCATE t", [How.EMPTY, How.UPROOT]),
        ("DELETE FROM t", [How.UPROOT, How.EMPTY]),
        ("MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", [How.UPROOT, How.EMPTY]),
        ("WITH d AS (DELETE FROM t RETURNING 1) SELECT 1", [How.UPROOT, How.EMPTY]),
        ("EXPLAIN ANALYZE DELETE FROM t WHERE id = 1", [How.THIN, How.EMPTY]),
        ("EXPLAIN DELETE FROM t WHERE id = 1", []),
        ("COPY (DELETE FROM t RETURNING 1) TO STDOUT", [How.UPROOT, How.EMPTY]),
        ("PREPARE d AS DELETE FROM t", [How.EMPTY]),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'", []),
        ("DELETE FROM _timescaledb_internal._hyper_2_4_chunk WHERE true", [How.UPROOT, How.EMPTY]),
        ("DO $$ BEGIN DROP MATERIALIZED VIEW a; END $$", [How.DROP]),
        ("DO $$ BEGIN PERFORM 1; END $$", []),
        ("DO $$ BEGIN EXECUTE x; END $$", [How.UNSEEN]),
        ("DO $$ DECLARE n text := 'a'; BEGIN CALL refresh_continuous_aggregate(n, NULL, NULL); END $$", [How.UNSEEN]),
        ("SELECT detach_chunk(format('%I', 'a'))", [How.UNSEEN]),
        ("DO LANGUAGE plpython3u 'drop()'", [How.UNSEEN]),
        ("CALL mine()", [How.UNSEEN]),
        ("SOMETHING ELSE", [How.UNSEEN]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", [How.REPLACE]),
        ("CALL run_job(1000)", [How.JOB]),
    ],
)
def test_what_a_statement_may_do(text: str, hows: list[How]):
    assert [each.how for each in of(text)] == hows


def test_a_statement_that_is_built_while_it_runs_is_unseen():
    assert [each.how for each in of("SELECT 'x'", Ending.GEXEC)] == [How.UNSEEN]


@pytest.mark.parametrize(
    ("arguments", "start", "end"),
    [
        ("'a', NULL, NULL", Bound(), Bound()),
        ("'a', now() - INTERVAL '3 days', now()", Bound("3 days", age=True), Bound()),
        ("'a', '2026-01-01'::timestamptz, window_end => '2026-02-01'", Bound("2026-01-01"), Bound("2026-02-01")),
        ("'a', f(), 17", Bound(), Bound("17")),
    ],
)
def test_the_range_of_a_refresh_and_what_cannot_be_read_is_everything(arguments: str, start: Bound, end: Bound):
    found, *_ = of(f"CALL refresh_continuous_aggregate({arguments})")
    assert (found.how, found.start, found.end) == (How.REFRESH, start, end)
