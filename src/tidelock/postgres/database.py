"""The port `Database` on a real server: joins connection, ledger, lease, watch and executor."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tidelock import __version__
from tidelock.app.patience import backoff
from tidelock.app.sinks import Discreet
from tidelock.core.given import NOTHING, Given
from tidelock.core.model import Migration, PlannedMigration
from tidelock.core.report import Event, Happening
from tidelock.postgres import catalog, lease, libpq, records
from tidelock.postgres import ledger as ledgers
from tidelock.postgres.limits import Limits
from tidelock.postgres.records import Author
from tidelock.postgres.translation import ReadOnly, RoleUnfit, ServerSilent, Standby, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import psycopg

    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink
    from tidelock.core.adoption.match import History
    from tidelock.core.check import Check
    from tidelock.core.critical import Critical, Seen
    from tidelock.core.drift import Baseline
    from tidelock.core.model import Observed, Plan, StepRecord
    from tidelock.core.report import AppliedMigration
    from tidelock.core.snapshot import Key, Snapshot
    from tidelock.core.statement import Object, Script
    from tidelock.core.step import Step
    from tidelock.core.surroundings import Surroundings
    from tidelock.postgres.address import Address
    from tidelock.postgres.executor import Executor
    from tidelock.postgres.ledger import Ledger
    from tidelock.postgres.turn import Hooks, Turn

    Connection = psycopg.Connection[tuple[object, ...]]


OTHERS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND relname IN (
  'flyway_schema_history', 'schema_version', '_sqlx_migrations', 'goose_db_version', '__diesel_schema_migrations',
  'databasechangelog', '_yoyo_migration', 'atlas_schema_revisions', 'schema_migrations'))"""
"""Of tools whose files may be run as they are."""
SIZES = """
SELECT n.nspname || '.' || c.relname, (sum(greatest(p.reltuples, 0)))::bigint
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN LATERAL (SELECT c.reltuples UNION ALL
                SELECT k.reltuples FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = c.oid) p
    ON true
 WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$|_timescaledb)'
 GROUP BY 1 HAVING max(p.reltuples) >= 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to connect and run, beside the address."""

    direct: Address | None = None
    """The server itself, when `where` leads to a pooler."""
    ledger: str | None = None
    role: str | None = None
    create_database: bool = False
    glance: bool = True
    """The first look goes through libpq alone. Not where it is known that there is something to run: it would cost a
    connection more."""
    limits: Limits = field(default_factory=Limits)
    commit: Callable[[], str | None] = lambda: None
    """The commit that is checked out; asked only when something is to be applied."""
    hooks: Hooks = lambda *_: ()
    """Makes those who look on while steps run: a proof, and on TimescaleDB its keeper."""
    given: Given = NOTHING
    """The variables of --set and tidelock.toml."""


class PostgresDatabase:
    """One target database. Connects at the first `observe`."""

    def __init__(self, where: Address, patience: Patience, sink: Sink, options: Options = Options()) -> None:
        self.where, self.patience, self.options = where, patience, options
        self.sink = Discreet(sink, options.given) if options.given.values else sink
        self.author = Author(run_id=new_run_id(), who=f"{where.user}@{socket.gethostname()}")
        self._conn: Connection | None = None
        self._work: Connection | None = None
        self._before: str | None = None
        """A run id of ours whose connection broke: known to be dead."""
        self._executor: Executor | None = None
        self.observed: Observed
        self.ledger: Ledger

    @property
    def target(self) -> str:
        """`database@host:port`."""
        return self.where.target

    @property
    def conn(self) -> Connection:
        """The connection for looking; made, and if wanted the database too, when there is none."""
        if self._conn is None or self._conn.closed:
            from tidelock.postgres.connection import DatabaseMissing, connect_patiently, create_database

            try:
                self._conn = connect_patiently(self.where, self.patience, self.sink, run_id=self.author.run_id)
            except DatabaseMissing:
                if not self.options.create_database:
                    raise
                create_database(self.options.direct or self.where, self.patience, self.sink, run_id=self.author.run_id)
                self._conn = connect_patiently(self.where, self.patience, self.sink, run_id=self.author.run_id)
        return self._conn

    def close(self) -> None:
        """Close what is open."""
        for conn in (self._conn, self._work):
            if conn is not None:
                conn.close()

    def reconnect(self) -> None:
        """After ConnectionLost: the next look opens a new connection, the next lease succeeds the one that broke."""
        self.close()
        self._conn = self._work = None
        self._before, self.author = self.author.run_id, replace(self.author, run_id=new_run_id())

    def observe(self) -> Observed:
        """One look at the database."""
        self.observed, self.ledger = self._glance() or self._look()
        if self.options.given.values and self.observed.unfinished:
            self.observed = replace(self.observed, unfinished=self._revealed(self.observed.unfinished))
        return self.observed

    def _revealed(self, unfinished: Mapping[int, tuple[StepRecord, ...]]) -> dict[int, tuple[StepRecord, ...]]:
        """What a run that goes on needs of the journal, with the values that were given; not what is shown of it."""
        there = self.options.given.revealed_in
        return {
            version: tuple(
                replace(each, evidence=there(each.evidence), variables=there(each.variables)) for each in records_
            )
            for version, records_ in unfinished.items()
        }

    def _glance(self) -> tuple[Observed, Ledger] | None:
        """A first look without psycopg: it is all that a run with nothing to do needs. None when that cannot be."""
        if self._conn is not None or not self.options.glance:
            return None
        started = time.monotonic()
        try:
            with self._light() as server:
                where = catalog.Where(self.where.host, server.port, server.backend_pid)
                return catalog.observe(server.ask, self.options.ledger, where)
        except libpq.Unavailable:
            self.patience.spend(time.monotonic() - started)
            return None

    @contextmanager
    def _light(self) -> Iterator[libpq.Glance]:
        """A connection through libpq alone. Raises Unavailable, and ServerSilent when patience ends."""
        answer_s = max(1.0, self.patience.left_s)
        try:
            with libpq.glance(self.where.connecting(self.author.run_id, self.patience.left_s), answer_s) as server:
                yield server
        except libpq.Silent:
            raise ServerSilent(self.target, answer_s) from None

    def _look(self) -> tuple[Observed, Ledger]:
        """A look through the connection that migrations use as well."""
        from tidelock.postgres.connection import asking

        with translated(self.target):
            info = self.conn.info
            where = catalog.Where(self.where.host, str(info.port), info.backend_pid)
            return catalog.observe(asking(self.conn), self.options.ledger, where)

    def holder(self) -> str:
        """Who holds the lease, since when, and whether it is silent or gone; empty when nobody does."""
        with translated(self.target):
            return lease.read(self.conn, self.ledger).told

    def executing(self, run_id: str) -> str:
        """Who executes a statement of this run at this moment, in which server process and for how long; or nothing."""
        with translated(self.target):
            holder = lease.read(self.conn, self.ledger)
            active = [each for each in lease.sessions(self.conn, holder) if each.state == "active"]
        return f"{holder.told} ({active[0]})" if active and holder.run_id == run_id else ""

    def surroundings(self) -> Surroundings:
        """Where files are cut, as far as the database decides it."""
        with translated(self.target):
            return catalog.surroundings(self.conn)

    def stored_text(self, version: int) -> str | None:
        """The text that was applied."""
        return records.stored_text(self.conn, self.ledger, version)

    def beside(self, version: int) -> Mapping[str, str]:
        """What the files and variables were that it was applied with."""
        return records.beside(self.conn, self.ledger, version)

    def promoted(self) -> bool:
        """Wait while the server is a standby. True when it takes writes by now, so that all is to be looked at anew.

        Each look is through a new connection: a failover may change who answers. Raises Standby.
        """
        if self.observed.writable:
            return False
        started, told_s, attempt = time.monotonic(), -5.0, 0
        while self._in_recovery():
            waited_s = time.monotonic() - started
            if waited_s - told_s >= 5 and self.patience.left_s > 0:
                text = f"waiting for {self.target} to be promoted: it is a standby ({self.patience.left_s:.0f} s left)"
                self.sink.emit(Event(what=Happening.WAITING, text=text))
                told_s = waited_s
            self.close()
            if not self.patience.pause(backoff(attempt, most_s=2.0)):
                raise Standby(self.target, waited_s)
            attempt += 1
        return self._look()[0].writable

    def _in_recovery(self) -> bool:
        """The server is a standby now, not merely a session that may not write."""
        with translated(self.target):
            row = self.conn.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
        return bool(row and row[0])

    def check(self, plan: Plan) -> None:
        """Refuse, before anything runs, what this connection cannot carry."""
        if plan.pending and not self.observed.writable:
            raise ReadOnly(self.target)
        if plan.pending and self.options.role:
            self._check_role(self.options.role)
        if self._pooled:
            from tidelock.postgres.transaction import check_pooled

            for step in (step for each in plan.pending for step in each.steps[each.done :]):
                check_pooled(step)

    def _check_role(self, role: str) -> None:
        """The role of --role is there, and this one may become it."""
        with translated(self.target):
            row = self.conn.execute(
                "SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", (role,)
            ).fetchone()
        if row is None or not row[0]:
            raise RoleUnfit(self.target, role, self.observed.user, exists=row is not None)

    @contextmanager
    def lease(
        self, plan_scripts: Sequence[Script], highest_version: int, detail: Mapping[str, object]
    ) -> Iterator[None]:
        """Be the one runner. On leaving normally, everything that was done is durable."""
        from tidelock.postgres import creation, tables

        self.author = replace(self.author, commit=self.options.commit())
        with self.options.given.unsaid(), translated(self.target):
            conn = self._working_connection()
            self.ledger = tables.prepare(
                conn,
                self.ledger,
                created_by_file=creation.first_in(plan_scripts, self.ledger),
                highest_version=highest_version,
                user=self.observed.user,
            )
            self._acquire(conn, detail)
        self._executor = executor = self._executor_on(conn)
        executor.turn.watch.start()
        try:
            yield
        finally:
            executor.turn.watch.stop()
            self._work = executor.turn.session.conn  # a migration may have needed another one
            self._let_go(executor.turn)
            self._work.remove_notice_handler(executor.performer.notice)
            self._executor = None

    @property
    def _pooled(self) -> bool:
        """The work itself goes through a pooler."""
        return self.observed.pooled and self.options.direct is None

    def _working_connection(self) -> Connection:
        """The connection that looks, or one to the server itself when that goes through a pooler."""
        if self.options.direct is None or not self.observed.pooled:
            self._work = self.conn
        else:
            from tidelock.postgres.connection import connect_patiently

            self._work = connect_patiently(self.options.direct, self.patience, self.sink, run_id=self.author.run_id)
        return self._work

    def _acquire(self, conn: Connection, detail: Mapping[str, object]) -> None:
        """Take the lease, with the server process in it that statements outside of transactions will run in."""
        pid = None if self._pooled else conn.info.backend_pid
        who = {"tidelock": __version__, "who": self.author.who, "commit": self.author.commit}
        lease.acquire(
            conn,
            self.ledger,
            self.author,
            pid=pid,
            before=self._before,
            detail={**detail, **who},
            patience=self.patience,
            sink=self.sink,
        )

    def _executor_on(self, conn: Connection) -> Executor:
        """What runs migrations. Imported here: a run with nothing to do needs none of it."""
        from tidelock.postgres.executor import Executor
        from tidelock.postgres.session import Session
        from tidelock.postgres.turn import Turn
        from tidelock.postgres.watch import Watch

        session = Session(conn, self.author.run_id, self.target)
        session.lent = self._pooled
        watch = Watch(self._another, self.ledger, self.author.run_id, self.sink)
        watch.session = session
        turn = Turn(
            session=session,
            ledger=self.ledger,
            author=self.author,
            watch=watch,
            patience=self.patience,
            sink=self.sink,
            limits=self.options.limits,
            role=self.options.role,
            pooled=self._pooled,
            server_version=self.observed.server_version,
            connect=self._another,
            versions=set(self.observed.applied),
            extensions=self.observed.extensions,
            given=self.options.given,
        )
        return Executor(turn, self.options.hooks)

    def _another(self) -> Connection:
        """One more connection to where the work is done."""
        from tidelock.postgres.connection import connect

        return connect(self.options.direct or self.where, run_id=self.author.run_id)

    def another(self) -> Connection:
        """One more connection to where the work is done; whoever asks closes it."""
        return self._another()

    def _let_go(self, turn: Turn) -> None:
        """Release the lease, also after a failure; not when the connection or the lease itself is gone."""
        session = turn.session
        if session.broken or turn.watch.lost:
            return
        with translated(self.target):
            session.rollback()
            if (session.dirty or turn.prepared) and not turn.pooled:
                session.run(["DISCARD ALL"])  # another lease may follow in this session
            with lease.there(self.ledger):
                lease.release(session.conn, self.ledger, self.author, {"lock_wait_s": round(self.patience.spent_s, 3)})

    def renewed(self) -> Observed:
        """A second look, as the holder of the lease: what was seen before may be old."""
        observed = self.observe()
        with translated(self.target):  # a row may be there whose file did not come to its end
            there = records.versions(self.conn, self.ledger) if observed.unfinished else observed.applied
        cast("Executor", self._executor).turn.versions = set(there)
        return observed

    def note(self, event: str, detail: Mapping[str, object]) -> None:
        """A line in the journal about no migration. Only inside `lease`."""
        assert self._executor is not None, "a run has the lease"
        turn = self._executor.turn
        line = records.journal(self.ledger, self.author, event, detail=detail)
        with translated(self.target):
            turn.session.run(["BEGIN", turn.fence, line, "COMMIT"])

    def secured(self, backup: str) -> None:
        """The backup that precedes this run. Only inside `lease`."""
        assert self._executor is not None, "a run has the lease"
        self._executor.turn.author = self.author = replace(self.author, backup=backup)

    def apply(self, pending: Sequence[PlannedMigration]) -> Iterator[AppliedMigration]:
        """Run what is left of each migration, in order, and record it. Only inside `lease`."""
        assert self._executor is not None, "apply needs the lease"
        with (
            self.options.given.unsaid(),
            translated(self.target),
        ):  # its questions to the catalog; for statements of files the executor does it
            yield from self._executor.apply(pending)

    def soundness(self, keyed: Sequence[tuple[str, str]]) -> list[Check]:
        """What may be wrong with the live database."""
        from tidelock.postgres import soundness
        from tidelock.postgres.connection import asking
        from tidelock.postgres.fallback import path_of

        with translated(self.target):
            return soundness.checks(
                asking(self.conn),
                [(name, path_of(name), place) for name, place in keyed],
                timescale="timescaledb" in self.observed.extensions,
            )

    def snapshot(self) -> Snapshot:
        """The schema as it is now."""
        from tidelock.postgres.snapshot import take

        with translated(self.target):
            return take(self.conn, owner=self.options.role)

    def written(self, keys: Collection[Key]) -> Mapping[Key, datetime] | None:
        """Object → when its entry in the catalog was last written; None when the server does not note it."""
        from tidelock.postgres.written import written

        with translated(self.target):
            return written(self.conn, self.options.role, keys)

    def sizes(self) -> dict[str, int]:
        """Table → rows that the server believes it, its partitions and chunks to have; without those never counted."""
        with translated(self.target):
            return dict(cast("list[tuple[str, int]]", self.conn.execute(SIZES).fetchall()))

    def baseline(self) -> Baseline | None:
        """The schema as it was when the database was adopted, when that was kept."""
        with translated(self.target):
            return records.baseline(self.conn, self.ledger)

    def critical(self, wanted: Sequence[Critical]) -> list[Seen]:
        """How the critical tables are found. Through libpq alone when nothing else has needed psycopg."""
        from tidelock.postgres import fallback

        if self._conn is None:
            with suppress(libpq.Unavailable), self._light() as server:
                ledger = ledgers.find(server.ask, self.options.ledger)
                return fallback.seen(server.ask, ledger, wanted)
        from tidelock.postgres.connection import asking

        with translated(self.target):
            ask = asking(self.conn)
            return fallback.seen(ask, ledgers.find(ask, self.options.ledger), wanted)

    def fall_back(self, path: str, text: str, script: Script, tables: Sequence[str]) -> None:
        """Run a fallback script in one transaction with its line in the journal. Only inside `lease`."""
        from tidelock.core.fallback import unfit

        assert self._executor is not None, "a fallback needs the lease"
        for fault in unfit(script):
            raise fault
        with translated(self.target):
            self._executor.fall_back(
                Migration(version=0, description="fallback", path=path, text=text, checksum=""), script, tables
            )

    def others_were_here(self) -> bool:
        """There is a table by a name in which another tool keeps its history."""
        with translated(self.target):
            row = self.conn.execute(OTHERS).fetchone()
        return bool(row and row[0])

    def histories(self) -> list[History]:
        """What other tools have recorded in this database."""
        from tidelock.postgres import histories
        from tidelock.postgres.connection import asking

        with translated(self.target):
            return histories.found(asking(self.conn))

    def histories_looked_for(self) -> Mapping[str, tuple[str, ...]]:
        """Tool → tables, for a message."""
        from tidelock.postgres import histories

        return histories.absent()

    def states(self, objects: Iterable[Object]) -> dict[Object, str | None]:
        """present, absent or invalid; None for a kind that the catalog is not asked for."""
        from tidelock.postgres.presence import state

        timescale = "timescaledb" in self.observed.extensions
        with translated(self.target):
            return {
                each: state(self.conn, each) if timescale or each.kind not in ("hypertable", "job") else "absent"
                for each in dict.fromkeys(objects)
            }

    def noted(self, event: str) -> list[tuple[int, str, dict[str, Any]]]:
        """(version, run, detail) of the journal's lines with an event, oldest first."""
        return records.noted(self.conn, self.ledger, event)

    def journaled(self, event: str) -> frozenset[int]:
        """Versions of which the journal has this event."""
        with translated(self.target):
            return records.journaled(self.conn, self.ledger, event)

    def move(self, files: Mapping[int, Migration]) -> None:
        """Give ledger rows (by version) to the files that were renumbered. Only inside `lease`."""
        assert self._executor is not None, "moving needs the lease"
        turn = self._executor.turn
        with translated(self.target):
            turn.session.run(["BEGIN", turn.fence, *records.moves(self.ledger, self.author, files), "COMMIT"])

    def record_adopted(
        self, migrations: Sequence[tuple[Migration, Script]], still_pending: Sequence[Migration] = ()
    ) -> None:
        """Ledger rows for what the database already has, and a line for what a person says is pending, in `lease`."""
        from tidelock.core.statement import Script

        assert self._executor is not None, "adopting needs the lease"
        for migration in still_pending:
            self._executor.turn.begin(adopted(migration, Script((), {}, "")))
            self._executor.turn.write(records.journal(self.ledger, self.author, "settled", version=migration.version))
        for migration, script in migrations:
            self._executor.turn.begin(adopted(migration, script))
            row = records.record(self.ledger, migration, script, None, self.author, event="adopted")
            self._executor.turn.write(row)
        if migrations:  # what drift compares with: the files did not make this schema
            from tidelock.core.snapshot import packed

            detail = {"snapshot": packed(self.snapshot())}
            self._executor.turn.write(records.journal(self.ledger, self.author, "snapshot", detail=detail))

    def outlook(self, step: Step, record: StepRecord, variables: Mapping[str, str]) -> tuple[bool, str]:
        """Whether `apply` goes on by itself, and why, or why a person must decide."""
        from tidelock.postgres import recovery

        with translated(self.target):
            finding = recovery.outlook(self.conn, step, record, variables)
        return finding.verdict is not recovery.Verdict.ASK, finding.why

    def foresee(self, planned: PlannedMigration) -> None:
        """Refuse as `apply` will where what an earlier run's session had is gone, and the rest of the file wants it."""
        from tidelock.postgres import imprint, replay

        with translated(self.target):
            holder = lease.read(self.conn, self.ledger)
            if not planned.done or (holder.run_id and not holder.dead):  # its session is there
                return
            version, step = planned.migration.version, planned.done + 1
            before, found = imprint.last(self.conn, self.ledger, self.options.given, version, step)
            remade = replay.remake(planned.steps[: planned.done])
            if found:
                remade.lose(found.objects, remade.names)
            replay.check(self.conn, planned, remade, before)

    def decide(self, step: Step, record: StepRecord, *, done: bool) -> None:
        """Write a person's decision about an interrupted step. Only inside `lease`."""
        assert self._executor is not None, "deciding needs the lease"
        self._executor.turn.write(
            records.journal(
                self.ledger,
                self.author,
                "done" if done else "retry",
                version=step.version,
                step=step,
                statement=record.statement,
                detail={"decided_by": self.author.who},
            ),
            durable=True,
            provided=[records.own_row(self.ledger, self.author, step)],
        )

    def bundle_of(self, plan_id: str) -> str | None:
        """The digest of the files that a run with this plan had, by the journal."""
        with translated(self.target):
            return records.bundle_of(self.conn, self.ledger, plan_id)

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The journal's last lines, newest first."""
        with translated(self.target):
            return records.history(self.conn, self.ledger, limit)


def adopted(migration: Migration, script: Script) -> PlannedMigration:
    """A migration of which nothing is to be run."""
    return PlannedMigration(migration=migration, script=script, steps=(), variables={})


def new_run_id() -> str:
    """Twelve hex digits: a name for one run in journal, lease and pg_stat_activity."""
    return os.urandom(6).hex()
