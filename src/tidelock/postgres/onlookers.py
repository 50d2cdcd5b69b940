"""Who looks on while the steps of a proof run: one that dies at a given place, one that notes locks."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tidelock.app.ports import StepHooks
from tidelock.app.proving.context import Died
from tidelock.core.proof import LockLook, Seen
from tidelock.core.statement import Kind
from tidelock.core.step import Mode
from tidelock.postgres.presence import quoted

if TYPE_CHECKING:
    from tidelock.app.ports import Scene
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

# Every relation of the database's own (and of chunks), with what it is part of and what this session did to it.
RELATIONS = """
SELECT json_object_agg(c.oid, json_build_array(n.nspname || '.' || c.relname, c.relkind, coalesce({whole}, ''),
         coalesce(c.relfilenode::bigint, 0), coalesce(pg_stat_get_xact_numscans(c.oid), 0),
         coalesce((SELECT string_agg(l.mode, ',') FROM pg_catalog.pg_locks l
                    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
                     AND l.relation = c.oid), '')))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.relpersistence <> 't'
   AND (n.nspname NOT LIKE '\\_timescaledb\\_%' OR n.nspname = '_timescaledb_internal')"""
PART_OF = """(SELECT pn.nspname || '.' || pc.relname FROM pg_catalog.pg_inherits i
   JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
  WHERE i.inhrelid = c.oid LIMIT 1)"""
RESOLVE = "SELECT to_regclass(%s)::oid::bigint"
QUERY = RELATIONS.replace("{whole}", PART_OF)


class Stopper(StepHooks):
    """Dies at one place, as a client does that is killed: the connection is cut, and nothing is cleaned up."""

    def __init__(self, scene: Scene, step: int, statement: int | None) -> None:
        self.scene, self.step, self.statement = scene, step, statement

    def after(self, step: Step, statement: Statement) -> None:
        """Die when this is the statement."""
        if step.number == self.step and self.statement is not None and statement is step.statements[self.statement]:
            self.die()

    def committed(self, step: Step) -> None:
        """Die when this is the step."""
        if step.number == self.step and self.statement is None:
            self.die()

    def die(self) -> None:
        """Cut the connection without a word to the server, and be gone."""
        conn = self.scene.conn
        with suppress(OSError), socket.socket(fileno=conn.pgconn.socket) as line:
            line.shutdown(socket.SHUT_RDWR)
            line.detach()
        conn.close()
        raise Died


class Observer(StepHooks):
    """Notes for each statement in a transaction what it locks, rewrites and scans."""

    def __init__(self, scene: Scene, looks: list[LockLook]) -> None:
        self.scene, self.looks = scene, looks
        self.seen: dict[int, Seen] = {}
        self.claimed: dict[str, int] = {}

    def before(self, step: Step, statement: Statement) -> None:
        """The relations as they are."""
        if not measured(step, statement):
            return
        self.seen = self.look()
        self.claimed = {}
        for lock in statement.facts.locks:
            row = self.scene.conn.execute(RESOLVE, (quoted(lock.table),)).fetchone()
            if row and row[0]:
                self.claimed[lock.table] = int(str(row[0]))

    def after(self, step: Step, statement: Statement) -> None:
        """The relations as they are now."""
        if measured(step, statement):
            look = LockLook(statement=statement, claimed=self.claimed, before=self.seen, after=self.look())
            self.looks.append(look)

    def look(self) -> dict[int, Seen]:
        """Every relation now; nothing when the file's own settings keep it from being seen."""
        row = self.scene.conn.execute(QUERY.encode()).fetchone()
        found: dict[str, Any] = row[0] if row and isinstance(row[0], dict) else {}
        return {int(oid): seen(*each) for oid, each in found.items()}


def measured(step: Step, statement: Statement) -> bool:
    """It runs in a transaction and may lock something; SET TRANSACTION must stay the first command of its own."""
    return step.mode is not Mode.ALONE and statement.facts.kind not in (Kind.SESSION, Kind.SAVEPOINT)


def seen(name: str, kind: str, whole: str, file: int, scans: int, modes: str) -> Seen:
    """One relation."""
    from tidelock.core.facts.draft import STRENGTH

    held = (mode.removesuffix("Lock") for mode in modes.split(",") if mode)
    strongest = max(held, key=STRENGTH.__getitem__, default="")
    return Seen(name=name, kind=kind, whole=whole, file=file, scans=scans, mode=strongest)
