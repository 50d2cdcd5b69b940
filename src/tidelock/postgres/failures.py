"""What the server refused, in the words of the file: line, text with a caret, SQLSTATE, DETAIL, HINT, CONTEXT."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.script_faults import lines_of
from tidelock.core.step import Mode
from tidelock.errors import DatabaseFault, LedgerFault, PassingFault
from tidelock.postgres.ledger import LedgerUnfit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from tidelock.core.model import Migration, Place
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.postgres.session import BatchFailed
    from tidelock.postgres.turn import Turn
    from tidelock.postgres.watch import Blocker


class StatementFailed(DatabaseFault):
    """The server refused a statement of a migration."""

    code = "D010"

    def __init__(
        self, migration: Migration, place: Place, remains: str, *, sqlstate: str, detail: str, hint: str = ""
    ) -> None:
        super().__init__(
            f"{migration.label} failed; {remains}",
            hint=hint or "mend the file and run `tidelock apply` again",
            detail=detail,
        )
        self.place = place
        self.sqlstate = sqlstate


class PermissionMissing(StatementFailed):
    """The role may not do what a migration asks."""

    code = "D011"


class LockNotHad(PassingFault):
    """A table lock was not to be had within the patience of this run."""

    code = "T020"

    def __init__(
        self, migration: Migration, place: Place, waited_s: float, blockers: Sequence[Blocker], table: str
    ) -> None:
        held = "\n".join(f"held by {blocker}" for blocker in blockers) or "the holder was gone before it could be named"
        super().__init__(
            f"{migration.label}: waited {waited_s:.0f} s for a lock" + (f" on {table}" if table else ""),
            hint="nothing of this step was changed; it is tried again when the Job is, "
            "or now and longer: `tidelock apply --wait 10m`",
            detail=f"{place}\n{held}",
        )


class Conflict(PassingFault):
    """A deadlock or a serialization failure that came back each time."""

    code = "T021"

    def __init__(self, migration: Migration, place: Place, what: str) -> None:
        super().__init__(
            f"{migration.label}: {what}, again and again",
            hint="nothing of this step was changed; try again when the application is quieter",
            detail=str(place),
        )


class ForeignLedgerRow(LedgerFault):
    """A file writes or deletes the ledger row of another version."""

    code = "L013"

    def __init__(self, migration: Migration, place: Place, stays: str = "") -> None:
        """`stays`: what is other in the ledger now, when no transaction took it back."""
        super().__init__(
            f"{place}: {migration.label} writes or deletes a ledger row of another version than its own, "
            f"{migration.version}; "
            + (f"it ran outside of a transaction, so that stays: {stays}" if stays else "nothing of it was kept"),
            hint="take that back in the ledger by hand, then `tidelock recover --mark-done`: the statement itself ran"
            if stays
            else f"write its own version, {migration.version}, or delete the statement: "
            "Tidelock records every file by itself",
        )


class WaitedForOthers(PassingFault):
    """A concurrent build waited longer for other sessions than its limit, and was cancelled."""

    code = "T022"

    def __init__(self, migration: Migration, place: Place, waited_s: float, blockers: Sequence[Blocker]) -> None:
        held = "\n".join(f"waited for {blocker}" for blocker in blockers) or "they were gone before they could be named"
        super().__init__(
            f"{migration.label}: cancelled after {waited_s:.0f} s of waiting for other sessions",
            hint="end those sessions, or raise the limit: `-- tidelock: build-limit 2h` in the file, "
            "or build_limit under [limits] in tidelock.toml; the next `tidelock apply` builds it again",
            detail=f"{place}\n{held}",
        )


class NeedsDirect(DatabaseFault):
    """A file needs a session of its own, and a pooler stands between."""

    code = "D012"

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(
            f"{place}: {why}, and the connection goes through a pooler",
            hint="name the server itself beside the pooler: "
            '`[database] direct = "postgresql://…"` in tidelock.toml, or --direct',
        )


def caret(sources: Mapping[str, str], place: Place, *, width: int = 1) -> str:
    """The line of the file with the one before it, and a caret beneath the column; secrets in them as stars."""
    lines = lines_of(sources.get(place.path, ""))
    if place.path not in sources or not 0 < place.line <= len(lines):
        return str(place)
    number = len(str(place.line))
    shown = (
        f"{line:>{number}} │ {lines[line - 1].expandtabs(1)[:200]}"
        for line in range(max(1, place.line - 1), place.line + 1)
    )
    beneath = f"{'':>{number}} │ {' ' * (place.column - 1)}{'^' * max(1, width)}"
    return "\n".join([str(place), *shown, beneath])


def describe(error: psycopg.Error, sources: Mapping[str, str], place: Place) -> str:
    """Everything that the server said, under the text that it is about."""
    diag = error.diag
    lines = [
        caret(sources, place),
        f"{diag.sqlstate or '?????'}  {diag.message_primary or str(error).strip()}",
    ]
    for name, text in (
        ("detail", diag.message_detail),
        ("hint", diag.message_hint),
        ("context", diag.context),
        ("within", diag.internal_query),
    ):
        if text:
            lines.append(f"{name:<8}{' '.join(text.split()) if name == 'within' else text}")
    return "\n".join(lines)


def place_of(error: psycopg.Error, statement: Statement, offset: int) -> Place:
    """Where in the files an error points; `offset` is where the statement's text begins in the query."""
    position = error.diag.statement_position
    if position is None:
        return named_place(error, statement)
    within = int(position) - 1 - offset
    if not 0 <= within <= len(statement.text) + 1:
        return statement.place
    return statement.place_at(min(within, len(statement.text) - 1))  # the semicolon behind it is ours


def named_place(error: psycopg.Error, statement: Statement) -> Place:
    """Where the statement has the name that an error without a position is about; otherwise where it begins."""
    named = re.search(r'"([^"]+)"', error.diag.message_primary or "")
    if named is None or not (error.diag.sqlstate or "").startswith("42"):
        return statement.place
    found = re.search(rf"(?<![\w$]){re.escape(named[1])}(?![\w$])", statement.text)
    return statement.place_at(found.start()) if found else statement.place


WHOLE_FILE = "`-- tidelock: no-transaction`"
HINTS = {
    **dict.fromkeys(
        ("42P07", "42710", "42701", "42723"),
        "it is there already: if from before Tidelock, `tidelock adopt --observe` tells which files are; otherwise "
        "write IF NOT EXISTS, or mend the file",
    ),
    "2D000": (
        "it commits by itself, and so needs to run outside of a transaction: "
        "`-- tidelock: no-transaction` at the top of the file"
    ),
    "25001": (
        "it cannot run inside a transaction: "
        "`-- tidelock: no-transaction` at the top of the file runs each statement on its own"
    ),
    "refresh": (
        "write CALL refresh_continuous_aggregate('NAME', …) as a statement of its own, with the name in words: it is "
        "run outside of a transaction, and with care for what exists nowhere else (from code that is refused, L045)"
    ),
    "55P04": (
        "a new enum value can be used only after its commit: "
        "put the use into the next file, or `-- tidelock: no-transaction`"
    ),
    "55006": (
        "deferred checks are pending on the table: put the change into the next file, or `-- tidelock: no-transaction`"
    ),
    "42501": "grant the right, or run as the owner: `--role OWNER` (or `[database] role`)",
    "25006": (
        "the server or the transaction is read-only: "
        "connect to the primary (target_session_attrs=read-write in the connection string)"
    ),
    "53100": "free space on the server's disk, then run `tidelock apply` again",
    "53200": (
        "the server is out of memory or of lock slots: see DETAIL; for many partitions raise max_locks_per_transaction"
    ),
}


def statement_failed(
    migration: Migration,
    error: psycopg.Error,
    sources: Mapping[str, str],
    place: Place,
    remains: str,
    near: str = "",
    hint: str = "",
) -> StatementFailed:
    """The fault for an error of the server; `near` is a thing whose name comes close to one that is missing."""
    state = error.diag.sqlstate or ""
    refresh = "refresh_continuous_aggregate" in (error.diag.message_primary or "")
    kind = PermissionMissing if state == "42501" else StatementFailed
    return kind(
        migration,
        place,
        remains,
        sqlstate=state,
        detail=describe(error, sources, place) + (f"\nnear   {near}" if near else ""),
        hint=hint or HINTS.get("refresh" if refresh and state == "25001" else state, ""),
    )


REFUSED = ("22001", "22003", "428C9", "42703", "55000", "P0001")
"""string_data_right_truncation, numeric_value_out_of_range, generated_always, undefined_column,
object_not_in_prerequisite_state (published, and without a replica identity), raise_exception; and class 23, integrity
constraints."""


def row_refused(turn: Turn, error: psycopg.Error, remains: str = "") -> LedgerUnfit | None:
    """The fault for an error of a record, when it is the ledger that does not take it; the file is not to blame."""
    diag = error.diag
    if diag.sqlstate not in REFUSED and not (diag.sqlstate or "").startswith("23"):
        return None
    swallowed = (diag.table_name, diag.column_name) == (f"{turn.ledger.table}_journal", "run_id")
    why = "swallows or changes (a trigger or a rule on it)" if swallowed else "refuses"
    words = (f"{diag.sqlstate}  {diag.message_primary}", diag.message_detail, diag.message_hint)
    detail = "" if swallowed else "\n".join(filter(None, words))
    return LedgerUnfit(turn.ledger.name, f"it {why} the row of {turn.migration.label}{remains}", detail=detail)


ALREADY_THERE = ("42P07", "42710", "42701", "42P06", "42723")
"""duplicate table, object, column, schema, function."""
FALLBACK = "SELECT detail ->> 'path' FROM {journal} WHERE event = 'fallback' ORDER BY id DESC LIMIT 1"


def step_failed(turn: Turn, step: Step, failed: BatchFailed, place: Place) -> StatementFailed | LedgerUnfit:
    """What a person is told of a step's failure: where, with the server's words, and what remains."""
    from tidelock.postgres.catalog import similar

    statement = failed.sent[failed.index] if failed.index < len(failed.sent) else None
    remains = what_remains(step)
    moment = "at COMMIT" if failed.texts[failed.index : failed.index + 1] == ["COMMIT"] else "while it was recorded"
    if statement is None:  # one of ours: the COMMIT, whose deferred checks are those of the statements before it
        recording = failed.texts[failed.index + 1 : failed.index + 2] == ["COMMIT"]
        if recording and (refused := row_refused(turn, failed.error, f"; {remains}")):
            return refused
        if failed.error.diag.sqlstate == "42P01" and turn.ledger.table in str(failed.error):
            return ledger_removed(turn, remains)
        before = next((each for each in reversed(failed.sent[: failed.index]) if each), None)
        at, words = (before.place, f"{remains} ({moment})") if before else (place, remains)
        return statement_failed(turn.migration, failed.error, turn.sources, at, words)
    offset = len(turn.session.tag) + sum(len(text) + 2 for text in failed.texts[: failed.index])
    at = place_of(failed.error, statement, offset)
    near = similar(turn.session.conn, failed.error)
    hint = made_before(turn, failed.error)
    if step.number > 1 and not hint and WHOLE_FILE in HINTS.get(failed.error.diag.sqlstate or "", ""):
        hint = "put this statement, and what follows it, into the next file: steps of this one are done"
    return statement_failed(turn.migration, failed.error, turn.sources, at, remains, near, hint)


def ledger_removed(turn: Turn, remains: str) -> LedgerUnfit:
    """The fault for a file that drops or renames the ledger, or the schema that it lies in."""
    schema = f"{turn.ledger.schema}_of_tidelock"
    return LedgerUnfit(
        turn.ledger.name,
        f"{turn.migration.label} drops, renames or moves it, or its schema; {remains}",
        hint="leave it where it is, or keep the ledger in a schema that no file touches: move its three tables there "
        f"(CREATE SCHEMA {schema}; ALTER TABLE {turn.ledger.name} SET SCHEMA {schema}; the same for _journal and "
        f'_lease), and write `[ledger] table = "{schema}.{turn.ledger.table}"` into tidelock.toml',
    )


def made_before(turn: Turn, error: psycopg.Error) -> str:
    """What to do when a statement makes what Tidelock or a fallback of a critical table has made already."""
    named = re.search(r'"([^"]+)"', error.diag.message_primary or "")
    if error.diag.sqlstate not in ALREADY_THERE or named is None:
        return ""
    if named[1] in (f"{turn.ledger.table}_journal", f"{turn.ledger.table}_lease"):
        return f"it is Tidelock's own: leave it out of the file; a dump does with `pg_dump -T '{turn.ledger.table}*'`"
    row = turn.session.conn.execute(turn.ledger.fill(FALLBACK).encode()).fetchone()
    if row is None:
        return ""
    return (
        f"the fallback {row[0]} may have made {named[1]} when this migration could not be applied: write "
        "IF NOT EXISTS (or OR REPLACE) into the statement, its definition being the fallback's, or drop "
        f"{named[1]} while it is empty"
    )


def what_remains(step: Step) -> str:
    """What is true of a migration after one of its steps failed."""
    if step.mode is Mode.ALONE:
        return f"step {step.number} ran outside of a transaction"
    if step.number == 1:
        return "nothing of it remains"
    return f"its steps 1 to {step.number - 1} stay, nothing of step {step.number} remains"
