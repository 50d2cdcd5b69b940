"""Policies that erode an aggregate: refused for what a plan leaves behind, and only when that is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.core.lint.test_timescale import HOURLY, KEEP, READINGS, REFRESH

from tidelock.app.reading import Reader
from tidelock.core.lint.eroding import Erosion, Witness, accepted, brought, pairs, paused
from tidelock.core.lint.refusing import LIVE, Pending, Server, live, refused
from tidelock.core.source import SourceFile, migration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.core.lint.look import Look
    from tidelock.core.lint.refusing import Doubt
    from tidelock.core.report import Finding

FAR = REFRESH.format("45 days")
ALL = FAR.replace("INTERVAL '45 days'", "NULL")
GONE = "SELECT remove_continuous_aggregate_policy('hourly');\n"
KEPT = "SELECT public.alter_job(public.add_retention_policy('readings', drop_after => INTERVAL '30 days'), max_retries => -1);\n"
PAUSED = KEPT.replace("max_retries => -1", "scheduled => false")


def found(*texts: str, schema: str = "") -> list[Erosion]:
    """What files bring, on a database with that schema."""
    reader = Reader((), load=str, detailed=True, digests=False)
    script = reader.beside(LIVE, schema)
    known = live(script)
    files = [migration(SourceFile(f"{n:03}_file.sql", each.encode())) for n, each in enumerate(texts, start=1)]
    pending = [Pending(migration=each, script=reader.script(each)) for each in files]
    before, witness = [pair for pair, *_ in pairs(known)], Witness()

    def see(look: Look, doubt: Doubt) -> Iterable[Finding]:
        witness.see(look, doubt)
        return ()

    list(refused(pending, known, Server(), see))
    some = brought(known, before, witness, pending, paused(script))
    return [each for each in some if not accepted(each, pending)]


@pytest.mark.parametrize("texts", [(KEEP, FAR), (FAR, KEEP), (KEEP + FAR,), (ALL, KEEP)])
def test_a_plan_from_nothing_that_erodes_is_told_at_what_completes_it(texts: tuple[str, ...]):
    [one] = found(READINGS, HOURLY, *texts)
    assert (one.aggregate, one.source, one.kept) == ("hourly", "readings", "30 days")
    assert one.start == ("" if ALL in texts else "45 days")
    assert one.place.path == f"{len(texts) + 2:03}_file.sql"


def test_either_half_may_be_in_the_database_already():
    assert found(FAR, schema=READINGS + HOURLY + KEPT)
    assert found(KEEP, schema=READINGS + HOURLY + FAR)


@pytest.mark.parametrize(
    "later",
    [
        GONE,
        GONE + REFRESH.format("30 days"),
        "SELECT remove_retention_policy('readings');",
        "DROP MATERIALIZED VIEW hourly;",
        'SELECT alter_job(job_id, config => config || \'{"start_offset": "30 days"}\') FROM timescaledb_information.jobs',
        "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$;",
        "SELECT mend_policies();",
    ],
)
def test_what_a_later_file_mends_or_may_mend_is_let_pass(later: str):
    assert found(READINGS, HOURLY, KEEP, FAR, later) == []


def test_what_the_database_has_already_or_has_switched_off_is_no_fault_of_the_plan():
    eroding = READINGS + HOURLY + KEPT + FAR
    assert found("CREATE TABLE t (id int);", schema=eroding) == []
    assert found(GONE + FAR, schema=eroding) == []
    assert found(GONE + REFRESH.format("60 days"), schema=eroding)  # it reaches further now
    assert found(FAR, schema=READINGS + HOURLY + PAUSED) == []


@pytest.mark.parametrize(
    "asks",
    [
        KEEP.replace("SELECT", "SELECT count(*), ").replace(";", " WHERE NOT EXISTS (SELECT FROM t);"),
        f"DO $$ BEGIN IF random() > 2 THEN {KEEP.replace('SELECT', 'PERFORM')} END IF; END $$;",
        KEEP.replace("INTERVAL '30 days'", ":'age'"),
    ],
)
def test_a_policy_that_may_not_come_is_not_counted(asks: str):
    assert found(asks, FAR, schema=READINGS + HOURLY) == []


def test_as_far_back_as_raw_data_is_kept_is_safe_and_so_is_what_reads_an_aggregate_that_keeps_all():
    assert found(READINGS, HOURLY, KEEP, REFRESH.format("30 days")) == []
    daily = HOURLY.replace("hourly", "daily").replace("1 hour", "1 day").replace("readings", "hourly")
    assert found(READINGS, HOURLY, daily, KEEP, FAR.replace("hourly", "daily")) == []


def test_a_loss_is_accepted_in_a_file_that_has_a_part_in_it():
    said = "-- tidelock: accept-loss hourly: recent ones are enough\n"
    assert found(READINGS, HOURLY, said + KEEP, FAR) == []
    assert found(READINGS, HOURLY, KEEP, said + FAR) == []
    assert found(said + READINGS, HOURLY, KEEP, FAR)
