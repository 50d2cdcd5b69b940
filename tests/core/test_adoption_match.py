"""A history against files: what is applied, what is not, and what only a person can say."""

from __future__ import annotations

import pytest

from tidelock.app.adoption import BadAnswer, settled
from tidelock.core.adoption.match import Entry, History, State, Verdict, compare, encoded, left_over, was
from tidelock.core.adoption.tool import TOOLS
from tidelock.core.source import SourceFile, migrations


def files(*was: str):
    return migrations(
        SourceFile(f"{number:03}_x.sql", (f"-- tidelock: was {text}\n" if text else "").encode() + b"SELECT 1;")
        for number, text in enumerate(was, 1)
    )


def history(tool: str, *entries: Entry) -> History:
    return History(tool=TOOLS[tool], table="public.t", entries=entries)


def verdicts(*args) -> list[Verdict]:
    return [each.verdict for each in compare(*args)]


def test_rows_are_applied_and_what_has_none_is_pending():
    told = files("dbmate 1", "dbmate 2", "")
    assert verdicts(told, history("dbmate", Entry(key="1")), ()) == ["applied", "pending", "pending"]


def test_what_the_ledger_has_is_left_alone():
    assert verdicts(files("dbmate 1"), history("dbmate", Entry(key="1")), [1]) == [Verdict.KNOWN]


def test_a_checksum_proves_or_asks():
    told = files("sqlx 1 (aa | bb)", "sqlx 2 (cc)", "sqlx 3")
    rows = [Entry(key=str(number), checksum=each) for number, each in enumerate(("bb", "xx", "yy"), 1)]
    found = compare(told, history("sqlx", *rows), ())
    assert [each.verdict for each in found] == ["applied", "?", "applied"]
    assert "edited" in found[1].evidence


def test_behind_an_edited_file_of_a_chain_nothing_is_proved_and_only_it_is_named():
    told = files(*(f"atlas {number} (h{number})" for number in (1, 2, 3)))
    rows = [Entry(key="1", checksum="h1"), Entry(key="2", checksum="other"), Entry(key="3", checksum="other too")]
    assert verdicts(told, history("atlas", *rows), ()) == ["applied", "?", "applied"]


@pytest.mark.parametrize("state", [State.FAILED, State.DOUBTFUL])
def test_what_failed_or_is_doubtful_is_never_taken_over(state: State):
    assert verdicts(files("flyway 1"), history("flyway", Entry(key="1", state=state)), ()) == ["?"]


@pytest.mark.parametrize(
    ("tool", "keys", "baseline"),
    [("flyway", ("1", "2.1", "2.10", "10"), "2.10.0"), ("atlas", ("1", "2024", "3", "4"), "3")],
)
def test_what_is_not_above_a_baseline_was_there_before(tool: str, keys: tuple[str, ...], baseline: str):
    told = history(tool, Entry(key=baseline, state=State.BASELINE, note="its baseline"))
    assert verdicts(files(*(f"{tool} {key} (x)" for key in keys)), told, ()) == [*["applied"] * 3, "pending"]


def test_a_number_reaches_all_below_it():
    told = files("tern 1", "tern 2", "tern 3")
    assert verdicts(told, history("tern", Entry(key="2")), ()) == ["applied", "applied", "pending"]


def test_a_dirty_version_is_asked_about_and_those_below_it_are_applied():
    told = files("golang-migrate 1", "golang-migrate 2")
    assert verdicts(told, history("golang-migrate", Entry(key="2", state=State.FAILED)), ()) == ["applied", "?"]


def test_nothing_was_applied_when_there_is_no_row():
    assert verdicts(files("golang-migrate 1"), history("golang-migrate"), ()) == ["pending"]


def test_heads_bring_all_that_they_come_after():
    told = files("alembic a", "alembic b (after a)", "alembic c (after a)", "alembic d (after b, c)")
    assert verdicts(told, history("alembic", Entry(key="b")), ()) == ["applied", "applied", "pending", "pending"]
    assert verdicts(told, history("alembic", Entry(key="d")), ()) == ["applied"] * 4


def test_rows_without_a_file_are_told():
    assert left_over(files("dbmate 1"), history("dbmate", Entry(key="1"), Entry(key="9"))) == ["9"]


def test_a_person_settles_what_is_open():
    found = compare(files("flyway 1"), history("flyway", Entry(key="1", state=State.FAILED)), ())
    assert [each.verdict for each in settled(found, ["1=pending"])] == [Verdict.PENDING]


@pytest.mark.parametrize("text", ["1", "1=maybe", "x=applied", "9=applied"])
def test_an_answer_that_fits_nothing_is_refused(text: str):
    with pytest.raises(BadAnswer):
        settled(compare(files("flyway 1"), history("flyway"), ()), [text])


def test_a_dirty_version_may_be_the_next_ones_way_down():
    told = files("golang-migrate 1", "golang-migrate 2", "golang-migrate 3")
    found = verdicts(told, history("golang-migrate", Entry(key="1", state=State.FAILED)), ())
    assert found == ["?", "?", "pending"]


@pytest.mark.parametrize("key", ["0001_x (copy)", "a, b", "50% (x | y)", "changes/a b.sql::1::ada"])
def test_a_key_comes_back_as_it_was(key: str):
    [file] = migrations(
        [SourceFile("001_x.sql", f"-- tidelock: was yoyo {encoded(key)} (after {encoded(key)})\nS;".encode())]
    )
    told = was(file)
    assert told is not None
    assert (told.key, told.after) == (key, (key,))
