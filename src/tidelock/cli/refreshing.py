"""`tidelock aggregates refresh`: aggregates filled by hand, with the care that a migration's CALL gets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tidelock.cli import wiring
from tidelock.cli.verbs import one_target
from tidelock.config import duration
from tidelock.core.aggregates import EPOCH, INTEGERS, Span
from tidelock.core.facts.tree import identifier
from tidelock.core.report import Event, Happening
from tidelock.errors import DatabaseFault, PassingFault, TidelockError, UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.app.apply import Run
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.filling import Fill
    from tidelock.timescale.refreshing import Outcome, Refreshing


class AggregateUnknown(UsageFault):
    """A name that is no continuous aggregate of this database."""

    code = "U030"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        listed = ", ".join(known[:8]) + (" …" if len(known) > 8 else "")
        super().__init__(
            f"there is no continuous aggregate {name}",
            hint=f"did you mean {near[0]}?" if near else f"known: {listed or 'none'}",
        )


class BadMoment(UsageFault):
    """--from or --to is no point in the time of the aggregate."""

    code = "U031"

    def __init__(self, option: str, value: str, kind: str) -> None:
        super().__init__(
            f"{option}: “{value}” is no {kind}",
            hint="write a whole number"
            if kind in INTEGERS
            else "write a date or a timestamp: 2026-05-27, 2026-05-27T08:00+02:00 (without a zone it is UTC)",
        )


class EndsBeforeItBegins(UsageFault):
    """--from is not before --to."""

    code = "U032"

    def __init__(self, start: str, end: str) -> None:
        super().__init__(
            f"--from {start} is not before --to {end}: nothing lies between them",
            hint="exchange the two",
        )


class NoAggregates(DatabaseFault):
    """TimescaleDB is not there, or cannot do it."""

    code = "D050"

    def __init__(self, target: str, *, installed: bool) -> None:
        what = "TimescaleDB is the Apache edition, which has no continuous aggregates" if installed else ""
        super().__init__(
            f"{target}: {what or 'the extension timescaledb is not in this database'}",
            hint="use the community edition (image timescale/timescaledb without -oss)"
            if installed
            else "check --database, or CREATE EXTENSION timescaledb",
        )


class RefreshStopped(PassingFault):
    """SIGTERM or ctrl-C between two windows."""

    code = "T017"

    def __init__(self, name: str, windows: int, left: Span | None) -> None:
        what = f"; left: {left}" if left else ""
        super().__init__(
            f"{name}: stopped after {windows} windows{what}",
            hint="run the command again: what is done is found up to date, and it goes on with the rest",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said."""

    names: tuple[str, ...]
    start: str | None = None
    end: str | None = None
    parallel: int | None = None
    max_lock_wait: str | None = None


def refresh(asked: Asked, out: Output, wanted: Wanted) -> int:
    """`tidelock aggregates refresh`."""
    try:
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, "aggregates refresh")

    def on(target: Target) -> int:
        return one_target(
            target, asked, out, "aggregates refresh", lambda run: filled(run, out, target, wanted), reads=False
        )

    codes = [on(each) for each in targets]
    return next((code for code in codes if code not in (0, 75)), max(codes))


def filled(run: Run, out: Output, target: Target, wanted: Wanted) -> int:
    """One database's aggregates, those beneath first when they are stale."""
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.postgres.translation import translated

    database = run.database
    assert isinstance(database, PostgresDatabase)
    observed = database.observe()
    if "timescaledb" not in observed.extensions:
        raise NoAggregates(database.target, installed=False)
    from tidelock.timescale import look
    from tidelock.timescale.order import ordered

    with translated(database.target):
        conn = database.conn
        stock = look.take(conn)
        if not stock.community:
            raise NoAggregates(database.target, installed=True)
        names = ordered(conn, stock, [found(stock, each).name for each in wanted.names])
        moments(wanted, found(stock, wanted.names[0]))
        outcomes = [one(run, look.take(conn), name, target, wanted) for name in names]
    from tidelock.timescale.telling import kept_line, outcome_line

    lines = [line for each in outcomes for line in (outcome_line(each), kept_line(each) if each.kept else "") if line]
    run.sink.close()
    out.show("\n".join(lines), data(database.target, outcomes))
    return 0


def found(stock: Stock, name: str) -> Aggregate:
    """The aggregate of a name as SQL writes it; without a schema the one in public, or the only one of that name."""
    schema, bare = identifier(name)
    places = {identifier(each.name): each for each in stock.aggregates}
    short = [each for (_, other), each in places.items() if other == bare and not schema]
    there = places.get((schema or "public", bare)) or (short[0] if len(short) == 1 else None) or stock.aggregate(name)
    if there is None:
        raise AggregateUnknown(name, [each.name.removeprefix("public.") for each in stock.aggregates])
    return there


def moments(wanted: Wanted, aggregate: Aggregate) -> tuple[int | None, int | None]:
    """--from and --to as numbers."""
    start, end = point(wanted.start, "--from", aggregate.kind), point(wanted.end, "--to", aggregate.kind)
    if start is not None and end is not None and start >= end:
        raise EndsBeforeItBegins(str(wanted.start), str(wanted.end))
    return start, end


def point(value: str | None, option: str, kind: str) -> int | None:
    """A point in time, as a person writes it."""
    if value is None:
        return None
    try:
        if kind in INTEGERS:
            return int(value)
        at = datetime.fromisoformat(value)
    except ValueError:
        raise BadMoment(option, value, kind) from None
    between = (at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH
    return (between.days * 86_400 + between.seconds) * 1_000_000 + between.microseconds


def one(run: Run, stock: Stock, name: str, target: Target, wanted: Wanted) -> Outcome:
    """One aggregate, from its first window to its last."""
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.timescale.call import Way, Wish
    from tidelock.timescale.refreshing import Refreshing

    database = run.database
    assert isinstance(database, PostgresDatabase)
    aggregate = found(stock, name)
    label = f"refresh {name.removeprefix('public.')}"
    start, end = moments(wanted, aggregate)
    lock_wait = wanted.max_lock_wait
    way = Way(
        parallel=wanted.parallel or target.refresh_parallel,
        lock_wait_s=duration(lock_wait, "--max-lock-wait") if lock_wait else target.refresh_lock_wait_s,
        role=target.role,
    )
    run.sink.emit(Event(what=Happening.MIGRATION, label=label, text="looking at its raw data"))
    work = Refreshing(
        conn=database.conn,
        connect=database.another,
        stock=stock,
        wish=Wish(aggregate=name, start=start, end=end),
        way=way,
        tell=lambda text, fraction: run.sink.emit(
            Event(what=Happening.PROGRESS, label=label, text=text, fraction=fraction)
        ),
        note=noter(database, aggregate),
        fill=rebuilt(database, aggregate),
    )
    return carried_out(work, name.removeprefix("public."))


def carried_out(work: Refreshing, name: str) -> Outcome:
    """Run it; a signal ends it at the window."""
    from tidelock.timescale.refreshing import hull

    try:
        return work.run()
    except KeyboardInterrupt:
        left = hull(work.worker.pile.left) if hasattr(work, "worker") else None
        raise RefreshStopped(name, work.windows, left) from None


def noter(database: Any, aggregate: Aggregate) -> Callable[[Span], None]:
    """Writes each window into the journal, when there is a ledger that this role may write."""
    import psycopg

    from tidelock.postgres import records

    def note(window: Span) -> None:
        if not database.ledger.format:
            return
        detail = {"aggregate": aggregate.name, "number": aggregate.number, "from": window.start, "to": window.end}
        with suppress(psycopg.errors.InsufficientPrivilege):
            database.conn.execute(
                records.journal(database.ledger, database.author, "refreshed", detail=detail).encode()
            )

    return note


def rebuilt(database: Any, aggregate: Aggregate) -> Fill | None:
    """What the journal says of it, when it was rebuilt; None also when this role may not read the journal."""
    import psycopg

    from tidelock.core.filling import read
    from tidelock.postgres.records import noted
    from tidelock.timescale.filling import NOTED

    try:
        found = [detail for event in NOTED for _, _, detail in noted(database.conn, database.ledger, event)]
        done = [detail for _, _, detail in noted(database.conn, database.ledger, "refreshed")] if found else []
    except psycopg.errors.InsufficientPrivilege:
        return None
    return read(found, done, aggregate.number)


def data(target: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The result as JSON (docs/schema/aggregates-refresh.schema.json)."""
    from tidelock.render.json import SCHEMA

    return {
        "schema": SCHEMA,
        "command": "aggregates refresh",
        "target": target,
        "refreshed": [
            {
                "aggregate": each.aggregate,
                "windows": each.windows,
                "from": written(each.span, "start"),
                "to": written(each.span, "end"),
                "kept_buckets": each.kept,
                "kept_from": written(each.kept_span, "start"),
                "kept_to": written(each.kept_span, "end"),
                "parallel": each.parallel,
                "duration_s": round(each.took_s, 3),
            }
            for each in outcomes
        ],
    }


def written(span: Span | None, side: str) -> str | None:
    """One end of a span, as the server writes it."""
    from tidelock.timescale.points import text

    return text(getattr(span, side), span.kind) if span else None
