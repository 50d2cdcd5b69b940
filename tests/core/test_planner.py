"""What is to be done, and why it is refused: without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tidelock.app.reading import Reader
from tidelock.core import planner
from tidelock.core.edited import ChecksumChanged
from tidelock.core.model import LedgerEntry, Migration, Observed, Outcome, Plan, StepRecord
from tidelock.core.planner import Policy, plan
from tidelock.core.source import SourceFile, migrations
from tidelock.core.statement import Script
from tidelock.core.step import Mode


def files(**texts: str) -> tuple[Migration, ...]:
    """`_001_a="…"` → migrations/001_a.sql."""
    return migrations(SourceFile(f"migrations/{name[1:]}.sql", text.encode()) for name, text in texts.items())


def reader(of: tuple[Migration, ...]) -> Reader:
    return Reader(of, load=lambda path: "")


def entry(of: Migration, script: Script) -> LedgerEntry:
    return LedgerEntry(
        version=of.version,
        description=of.description,
        applied_at=datetime(2026, 3, 2, 8, 14, tzinfo=UTC),
        checksum=of.checksum,
        tokens=script.tokens,
        tokens_version=1,
        commit="42f2cdd0000",
        applied_by="deploy-bot",
    )


def seen(*applied: Migration, **changes: Any) -> Observed:
    read = reader(applied)
    base = Observed(
        database="farm",
        user="app",
        server_version=160004,
        applied={each.version: entry(each, read.script(each)) for each in applied},
        unfinished={},
        overridden={},
        extensions={"timescaledb": "2.24.0"},
    )
    return replace(base, **changes)


def decide(of: tuple[Migration, ...], observed: Observed, policy: Policy = Policy(), **more: Any) -> Plan:
    return plan(of, observed, read=reader(of).script, policy=policy, **more)


A, B, C = files(_001_a="CREATE TABLE a (id int);", _002_b="CREATE TABLE b (id int);", _003_c="CREATE TABLE c (id int);")


def test_what_the_ledger_does_not_have_is_pending_in_order():
    assert [each.migration.version for each in decide((A, B, C), seen(A)).pending] == [2, 3]


def test_nothing_is_planned_twice():
    assert decide((A, B), seen(A, B)).pending == ()


def test_the_plan_has_the_same_id_for_the_same_files_and_ledger():
    assert decide((A, B), seen(A)).id == decide((A, B), seen(A)).id != decide((A, B, C), seen(A)).id


def test_an_edited_file_stops_the_plan_and_says_what_to_do():
    [edited] = files(_001_a="CREATE TABLE a (id bigint);")
    with pytest.raises(ChecksumChanged, match=r"migrations/001_a\.sql changed after it was applied") as caught:
        decide((edited, B), seen(A), stored=lambda _: A.text)
    assert "git checkout 42f2cdd0000"[:20] in caught.value.hint
    assert "tidelock new" in caught.value.hint
    assert "2026-03-02 08:14 UTC by deploy-bot" in caught.value.detail
    assert "-CREATE TABLE a (id int);" in caught.value.detail
    assert "+CREATE TABLE a (id bigint);" in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "CREATE  TABLE a\n(id int);",
        "-- why\nCREATE TABLE a (id int);",
        "CREATE TABLE a (id int);\r\n",
        "\ufeffCREATE TABLE a (id int);",
    ],
)
def test_white_space_comments_line_ends_and_marks_are_cosmetic(text: str):
    edited = files(_001_a=text)
    assert decide(edited, seen(A)).cosmetic == ("migrations/001_a.sql",)


def test_a_row_that_another_hand_wrote_is_believed():
    foreign = replace(seen(A).applied[1], checksum=None, tokens=None)
    assert decide((A,), seen(applied={1: foreign})).pending == ()


def test_a_pending_version_below_the_highest_applied_one_is_refused():
    with pytest.raises(planner.OutOfOrder, match=r"migrations/002_b\.sql: not applied, and below 3"):
        decide((A, B, C), seen(A, C))


def test_out_of_order_can_be_allowed_for_the_directory_and_for_the_file():
    assert decide((A, B, C), seen(A, C), Policy(out_of_order=True)).pending[0].migration is B
    [b] = files(_002_b="-- tidelock: out-of-order\nCREATE TABLE b (id int);")
    assert decide((A, b, C), seen(A, C)).pending[0].migration is b


def test_an_applied_file_that_is_gone_is_named():
    with pytest.raises(planner.FileMissing, match="2 b"):
        decide((A, C), seen(A, B, C))
    assert decide((A, C), seen(A, B, C), Policy(allow_missing=True)).missing == (2,)


def test_a_database_that_is_ahead_is_refused_by_default_and_tolerated_on_demand():
    with pytest.raises(planner.DatabaseAhead, match="2 b, 3 c, the files end at 1"):
        decide((A,), seen(A, B, C))
    assert decide((A,), seen(A, B, C), Policy(allow_ahead=True)).ahead == (2, 3)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ("timescaledb >= 2.18", True),
        ("timescaledb >= 2.25", False),
        ("postgresql >= 16", True),
        ("postgresql < 16", False),
        ("timescaledb = 2.24", True),
        ("postgis", False),
        ("postgresql >= 16.4", True),
        ("postgresql >= 16.10", False),
    ],
)
def test_requirements_are_compared_number_by_number(wanted: str, met: bool):
    of = files(_001_a=f"-- tidelock: requires {wanted}\nSELECT 1;")
    if met:
        assert decide(of, seen()).pending
    else:
        with pytest.raises(planner.RequirementMissing, match="requires"):
            decide(of, seen())


CUT = "CREATE TABLE x (id int);\nCREATE INDEX CONCURRENTLY x_id ON x (id);\nINSERT INTO x VALUES (1);"


def record(step: int, outcome: Outcome, digest: str) -> StepRecord:
    return StepRecord(version=1, step=step, outcome=outcome, digest=digest, evidence={}, variables={})


def test_an_interrupted_file_goes_on_after_what_is_done():
    of = files(_001_x=CUT)
    steps = decide(of, seen()).pending[0].steps
    assert [step.mode for step in steps] == [Mode.TRANSACTION, Mode.ALONE, Mode.TRANSACTION]
    found = decide(
        of,
        seen(unfinished={1: (record(1, Outcome.DONE, steps[0].digest), record(2, Outcome.STARTED, steps[1].digest))}),
    ).pending[0]
    assert found.done == 1
    assert found.interrupted is not None
    assert found.interrupted.step == 2


def test_an_edit_of_what_has_run_is_refused():
    of = files(_001_x=CUT.replace("id int", "id bigint"))
    with pytest.raises(planner.UnfinishedChanged, match="step 1 was edited"):
        decide(
            of,
            seen(
                unfinished={1: (record(1, Outcome.DONE, decide(files(_001_x=CUT), seen()).pending[0].steps[0].digest),)}
            ),
        )


def test_a_failed_statement_may_be_mended():
    of = files(_001_x=CUT.replace("x_id ON", "x_key ON"))
    done = decide(of, seen()).pending[0].steps[0].digest
    found = decide(
        of, seen(unfinished={1: (record(1, Outcome.DONE, done), record(2, Outcome.FAILED, "another"))})
    ).pending[0]
    assert found.done == 1
    assert found.interrupted is not None


def test_a_decision_to_retry_clears_the_way():
    of = files(_001_x=CUT)
    steps = decide(of, seen()).pending[0].steps
    found = decide(
        of, seen(unfinished={1: (record(1, Outcome.DONE, steps[0].digest), record(2, Outcome.RETRY, steps[1].digest))})
    ).pending[0]
    assert found.interrupted is None


INCLUDES = "\\i parts/x.sql\n\\copy t from d.csv csv\nSELECT :v, :w;"
TEXTS = {"migrations/parts/x.sql": "SELECT 1;", "migrations/d.csv": "1\n"}


def beside(texts: dict[str, str] = TEXTS, **variables: str) -> Reader:
    """A reader of one file that names others and variables."""
    return Reader(files(_001_a=INCLUDES), load=texts.__getitem__, variables=variables)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (beside(v="1", w="2", u="3"), None),
        (beside(TEXTS | {"migrations/parts/x.sql": "SELECT 2;"}, v="1", w="2"), "parts/x.sql changed"),
        (beside(TEXTS | {"migrations/d.csv": "2\n"}, v="1", w="7"), "d.csv changed, variable w changed"),
        (beside(v="1"), "variable w is not there now"),
        (beside({}, v="1", w="2"), "migrations/001_a.sql:1:1: migrations/parts/x.sql cannot be read"),
    ],
)
def test_of_what_decided_beside_a_file_the_message_names_what_changed(now: Reader, message: str | None):
    [file], then = now.files, beside(v="1", w="2").script(now.files[0])
    applied = {1: entry(file, then)}
    known: dict[str, Any] = {"read": now.script, "changed": now.changed_beside, "stored": lambda _: file.text}
    if message is None:
        assert plan((file,), seen(applied=applied), **known, beside=lambda _: then.beside).pending == ()
        return
    with pytest.raises(ChecksumChanged) as caught:
        plan((file,), seen(applied=applied), **known, beside=lambda _: then.beside)
    assert caught.value.message.startswith(f"migrations/001_a.sql changed after it was applied ({message}")
    with pytest.raises(ChecksumChanged, match=r"one of these: d\.csv|cannot be read"):
        plan((file,), seen(applied=applied), **known)


def test_a_digest_of_another_algorithm_is_made_anew_from_the_stored_text():
    old = replace(seen(A).applied[1], checksum="old", tokens="of another algorithm", tokens_version=0)
    assert decide((A,), seen(applied={1: old}), stored=lambda _: A.text).pending == ()
    with pytest.raises(ChecksumChanged):
        decide((A,), seen(applied={1: old}), stored=lambda _: "CREATE TABLE a (id bigint);")


def test_an_extension_of_an_earlier_pending_file_counts():
    of = files(_001_a="CREATE EXTENSION IF NOT EXISTS hstore;", _002_b="-- tidelock: requires hstore >= 1.8\nSELECT 1;")
    assert len(decide(of, seen()).pending) == 2
    with pytest.raises(planner.RequirementMissing):
        decide(of[1:], seen())
