"""The rows of the ledger and the lines of its journal: how they are read and written."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from tidelock.core.model import LedgerEntry, Outcome, StepRecord
from tidelock.postgres.ledger import LedgerUnfit, literal, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg

    from tidelock.core.drift import Baseline
    from tidelock.core.model import Migration
    from tidelock.core.statement import Script
    from tidelock.core.step import Step
    from tidelock.postgres.ledger import Ask, Ledger

    Connection = psycopg.Connection[tuple[object, ...]]

# --- reading ---------------------------------------------------------------------------------------------------

APPLIED = "SELECT coalesce(json_agg(json_build_array({{columns}})), '[]') FROM {ledger}"
OWN_COLUMNS = ("applied_at", "sha256", "tokens", "tokens_version", "git_commit", "applied_by", "backup")


def applied(ask: Ask, ledger: Ledger) -> dict[int, LedgerEntry]:
    """Every migration this database knows of, by version."""
    if not ledger.exists:
        return {}
    columns = [
        quoted(name) if name in ledger.columns else "NULL" for name in ("version", ledger.description, *OWN_COLUMNS)
    ]
    rows = ask(ledger.fill(APPLIED).format(columns=", ".join(columns)))
    if any(row[0] is None for row in rows):
        how = f"DELETE FROM {ledger.name} WHERE version IS NULL"  # noqa: S608 - printed
        raise LedgerUnfit(ledger.name, "it has a row without a version", how)
    return {
        version: LedgerEntry(
            version=version,
            description=description or "",
            applied_at=moment(applied_at),
            checksum=sha256,
            tokens=tokens,
            tokens_version=tokens_version,
            commit=commit,
            applied_by=by,
            backup=backup,
        )
        for version, description, applied_at, sha256, tokens, tokens_version, commit, by, backup in rows
    }


def moment(text: object) -> datetime | None:
    """A timestamp as JSON has it. None for what is none: `infinity`, or another hand's column of that name."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


# A row without a run is the file's own, or a person's. It says that the version is applied, unless it came with a step
# that was not the last: then the journal has noted it, or has not seen the end of that step.
UNFINISHED = """
WITH last AS (
  SELECT DISTINCT ON (j.version, j.step) j.*
    FROM {journal} j
   WHERE j.event IN ('started', 'done', 'failed', 'retry') AND j.step IS NOT NULL
     AND NOT EXISTS (SELECT FROM {ledger} l WHERE l.version = j.version AND l.run_id IS NOT NULL)
   ORDER BY j.version, j.step, j.id DESC)
SELECT coalesce(json_agg(json_build_array(version, step, event, digest, at, run_id, statement, detail)), '[]')
  FROM last j
 WHERE NOT EXISTS (SELECT FROM {ledger} l WHERE l.version = j.version)
    OR EXISTS (SELECT FROM {journal} o WHERE o.version = j.version AND o.event = 'row')
    OR EXISTS (SELECT FROM last o WHERE o.version = j.version AND o.event <> 'done')"""


def unfinished(ask: Ask, ledger: Ledger) -> dict[int, tuple[StepRecord, ...]]:
    """The journal's last word on each step of versions that are not applied to their end."""
    if ledger.format == 0:
        return {}
    found: dict[int, list[StepRecord]] = {}
    for version, step, event, digest, at, run_id, statement, detail in ask(ledger.fill(UNFINISHED)):
        known = detail or {}
        found.setdefault(version, []).append(
            StepRecord(
                version=version,
                step=step,
                outcome=Outcome(event),
                digest=digest or "",
                at=moment(at),
                run_id=run_id,
                statement=statement or "",
                evidence=known.get("evidence", {}),
                variables=known.get("variables", {}),
            )
        )
    return {version: tuple(records) for version, records in found.items()}


def stored_text(conn: Connection, ledger: Ledger, version: int) -> str | None:
    """The text that was applied as this version; None when it was not kept, or is no longer what was kept."""
    if "content" not in ledger.columns:
        return None
    row = conn.execute(ledger.fill("SELECT content FROM {ledger} WHERE version = %s").encode(), (version,)).fetchone()
    try:
        return zlib.decompress(cast("bytes", row[0])).decode() if row and row[0] is not None else None
    except (zlib.error, UnicodeDecodeError):
        return None


BESIDE = """
SELECT detail -> 'beside' FROM {journal}
 WHERE version = %s AND event IN ('applied', 'adopted', 'renumbered') ORDER BY id DESC LIMIT 1"""


def beside(conn: Connection, ledger: Ledger, version: int) -> Mapping[str, str]:
    """The `Script.beside` of what was applied as this version; empty where that was not recorded."""
    row = conn.execute(ledger.fill(BESIDE).encode(), (version,)).fetchone() if ledger.format else None
    return cast("dict[str, str]", row[0]) if row and row[0] else {}


VERSIONS = "SELECT coalesce(pg_catalog.array_agg(version ORDER BY version), '{{}}') FROM {ledger}"


def versions(conn: Connection, ledger: Ledger) -> list[int]:
    """The versions that the ledger has now, in order."""
    row = conn.execute(ledger.fill(VERSIONS).encode()).fetchone()
    return cast("list[int]", row[0]) if row else []


NOTED = "SELECT coalesce(version, 0), run_id, coalesce(detail, '{{}}') FROM {journal} WHERE event = %s ORDER BY id"


def noted(conn: Connection, ledger: Ledger, event: str) -> list[tuple[int, str, dict[str, Any]]]:
    """(version, run, detail) of the journal's lines with this event, oldest first."""
    if not ledger.format:
        return []
    return cast("list[tuple[int, str, dict[str, Any]]]", conn.execute(ledger.fill(NOTED).encode(), (event,)).fetchall())


JOURNALED = "SELECT DISTINCT version FROM {journal} WHERE event = %s AND version IS NOT NULL"


def journaled(conn: Connection, ledger: Ledger, event: str) -> frozenset[int]:
    """Versions of which the journal has this event."""
    if not ledger.format:
        return frozenset()
    rows = conn.execute(ledger.fill(JOURNALED).encode(), (event,))
    return frozenset(cast("int", row[0]) for row in rows)


BUNDLE_OF = """
SELECT detail ->> 'bundle' FROM {journal} WHERE event = 'run' AND detail ->> 'plan' = %s ORDER BY id DESC LIMIT 1"""


def bundle_of(conn: Connection, ledger: Ledger, plan_id: str) -> str | None:
    """The digest of the files that a run with this plan had, by the journal."""
    row = conn.execute(ledger.fill(BUNDLE_OF).encode(), (plan_id,)).fetchone() if ledger.format else None
    return cast("str", row[0]) if row else None


HISTORY = """
SELECT id, at, run_id, event, version, step, statement, duration_ms, lock_wait_ms, detail FROM {journal}
 WHERE event NOT IN ('snapshot', 'session')
 ORDER BY id DESC LIMIT %s"""


def history(conn: Connection, ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    """The journal's last lines, newest first."""
    if not ledger.format:
        return []
    cursor = conn.execute(ledger.fill(HISTORY).encode(), (limit,))
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


ADOPTED = """
SELECT at, detail ->> 'snapshot', ARRAY(SELECT version FROM {journal} a WHERE a.event = 'applied' AND a.id > j.id)
  FROM {journal} j WHERE event = 'snapshot' ORDER BY id DESC LIMIT 1"""


def baseline(conn: Connection, ledger: Ledger) -> Baseline | None:
    """The schema as it was when the database was adopted, when that was kept."""
    from tidelock.core.drift import Baseline
    from tidelock.core.snapshot import unpacked

    row = conn.execute(ledger.fill(ADOPTED).encode()).fetchone() if ledger.format else None
    if row is None:
        return None
    at, packed, since = cast("tuple[datetime, str, list[int]]", row)
    return Baseline(snapshot=unpacked(packed), at=at.astimezone(UTC), since=frozenset(since))


# --- writing ---------------------------------------------------------------------------------------------------

# The row of a migration and its line in the journal, in one statement. A row that the file itself wrote is completed,
# and its own words are kept. Times are the server's: now() is the start of the transaction. A row that a trigger
# swallowed, or gave another version, fails it: the journal has no line without a run.
RECORD = """
WITH written AS (
  INSERT INTO {ledger} AS l (version, {description}, sha256, tokens, tokens_version, content, path, git_commit,
                             applied_by, run_id, backup, duration_ms)
  VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
          %s + (extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::bigint)
  ON CONFLICT (version) DO UPDATE SET
    {description} = coalesce(l.{description}, excluded.{description}), sha256 = excluded.sha256,
    tokens = excluded.tokens, tokens_version = excluded.tokens_version, content = excluded.content,
    path = excluded.path, git_commit = excluded.git_commit, applied_by = excluded.applied_by,
    run_id = excluded.run_id, backup = excluded.backup, duration_ms = excluded.duration_ms
  RETURNING l.version, l.run_id, l.duration_ms)
INSERT INTO {journal} (run_id, event, version, step, digest, duration_ms, lock_wait_ms, detail)
SELECT run_id, %s, version, %s, %s, duration_ms, %s, %s::jsonb
  FROM (SELECT) AS one LEFT JOIN written ON written.version = %s
RETURNING extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now())"""

SINCE_BEGIN = "(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::bigint"
JOURNAL = """
INSERT INTO {journal} (run_id, event, version, step, digest, statement, duration_ms, lock_wait_ms, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who runs, and from what: the same for every row of a run."""

    run_id: str
    who: str
    commit: str | None = None
    backup: str | None = None
    """The backup that precedes the run."""


PREPARED_RECORD = "tidelock_record"
RECORD_TYPES = (
    "bigint, text, text, text, integer, bytea, text, text, text, text, text, bigint, text, integer, text, bigint, text"
    ", bigint"
)


def prepare_record(ledger: Ledger) -> str:
    """SQL that prepares `RECORD` in a session of ours: planning it each time costs as much as a small migration."""
    numbers = itertools.count(1)
    body = re.sub(r"%s", lambda _: f"${next(numbers)}", ledger.fill(RECORD))
    return f"PREPARE {PREPARED_RECORD} ({RECORD_TYPES}) AS {body}"


def record(
    ledger: Ledger,
    migration: Migration,
    script: Script,
    step: Step | None,
    author: Author,
    *,
    event: str = "applied",
    earlier_ms: int = 0,
    lock_wait_ms: int = 0,
    prepared: bool = False,
) -> str:
    """SQL that writes a migration's ledger row and its line in the journal.

    `prepared` says that the session has run `prepare_record`.
    """
    from tidelock.core.script import TOKENS_VERSION

    values = (
        migration.version,
        migration.description.replace("_", " "),
        migration.checksum,
        script.tokens,
        TOKENS_VERSION,
        zlib.compress(migration.text.encode(), 6),
        migration.path,
        author.commit,
        author.who,
        author.run_id,
        author.backup,
        earlier_ms,
        event,
        step.number if step else None,
        step.digest if step else None,
        lock_wait_ms,
        json.dumps({"beside": dict(script.beside)}) if script.beside else None,
        migration.version,
    )
    literals = tuple(map(literal, values))
    return f"EXECUTE {PREPARED_RECORD} ({', '.join(literals)})" if prepared else ledger.fill(RECORD) % literals


def journal(
    ledger: Ledger,
    author: Author,
    event: str,
    *,
    version: int | None = None,
    step: Step | None = None,
    statement: str | None = None,
    duration_ms: int | None = None,
    timed: bool = False,
    lock_wait_ms: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> str:
    """SQL that appends one line to the journal. `timed`: it took the time since its transaction began."""
    values = (
        author.run_id,
        event,
        version,
        step.number if step else None,
        step.digest if step else None,
        statement[:2000].replace("\0", "") if statement else None,
        duration_ms,
        lock_wait_ms,
        json.dumps(detail, default=str, ensure_ascii=False) if detail else None,
    )
    literals = [literal(each) for each in values]
    if timed:
        literals[6] = SINCE_BEGIN
    return ledger.fill(JOURNAL) % tuple(literals)


OWN_ROW = """
INSERT INTO {journal} (run_id, event, version, step)
SELECT %s, 'row', version, %s FROM {ledger} WHERE version = %s AND run_id IS NULL"""


def own_row(ledger: Ledger, author: Author, step: Step) -> str:
    """SQL that notes that the file has written its row, for a step that is not its last: more of it is to come."""
    return ledger.fill(OWN_ROW) % (literal(author.run_id), step.number, step.version)


MOVE = "UPDATE {ledger} SET version = -%s, sha256 = %s, path = %s WHERE version = %s"
MOVED = "UPDATE {ledger} SET version = -version WHERE version < 0"


def moves(ledger: Ledger, author: Author, files: Mapping[int, Migration]) -> list[str]:
    """SQL that gives rows their new versions, by way of negative ones: two may change places."""
    move = ledger.fill(MOVE)
    return [
        *(move % (new.version, literal(new.checksum), literal(new.path), old) for old, new in files.items()),
        ledger.fill(MOVED),
        *(
            journal(ledger, author, "renumbered", version=new.version, detail={"was": old})
            for old, new in files.items()
        ),
    ]


# Fails the transaction unless nobody else's row was touched: the file may write its own version's row, no other.
ONLY_OWN_ROW = """
SELECT CASE WHEN pg_catalog.encode(pg_catalog.sha256(coalesce(pg_catalog.string_agg(
              version::text, ',' ORDER BY version), '')::bytea), 'hex') = %s
            THEN 1 ELSE ('tidelock: foreign ledger rows ' || pg_catalog.count(*))::int END
  FROM {ledger} WHERE version <> %s"""
FOREIGN_ROWS = "tidelock: foreign ledger rows"


def only_own_row(ledger: Ledger, version: int, known: Collection[int]) -> str:
    """SQL that fails when the file wrote, deleted or renumbered a row of another version; `known` were there."""
    others = ",".join(str(each) for each in sorted(known) if each != version)
    return ledger.fill(ONLY_OWN_ROW) % (literal(hashlib.sha256(others.encode()).hexdigest()), version)
