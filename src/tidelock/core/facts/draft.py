"""Facts while they are collected."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from tidelock.core.facts.tree import is_temporary_schema
from tidelock.core.statement import Facts, Kind, Lock, Object
from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.action import Action

STRENGTH = {
    mode: number
    for number, mode in enumerate(
        (
            "AccessShare",
            "RowShare",
            "RowExclusive",
            "ShareUpdateExclusive",
            "Share",
            "ShareRowExclusive",
            "Exclusive",
            "AccessExclusive",
        ),
        start=1,
    )
}
"""Table lock modes from weak to strong, numbered as in lockdefs.h and in LOCK's parse tree."""


@record(frozen=False, slots=True)
class Draft:
    """What a handler finds out. Starts as DDL that leaves nothing behind and must not run twice."""

    text: str = ""
    """The statement itself, where a handler needs more than its tree; empty for one of several in a text."""
    detailed: bool = False
    """Actions are wanted too."""
    kind: Kind = Kind.DDL
    command: str = ""
    creates: list[Object] = field(default_factory=list)
    drops: list[Object] = field(default_factory=list)
    alters: list[Object] = field(default_factory=list)
    renames: list[tuple[Object, Object]] = field(default_factory=list)
    writes: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    harms: set[tuple[str, str]] = field(default_factory=set)
    binds: set[tuple[str, str]] = field(default_factory=set)
    parents: set[tuple[str, str]] = field(default_factory=set)
    locks: dict[str, Lock] = field(default_factory=dict)
    alone: str = ""
    first_in_session: bool = False
    rerunnable: bool = False
    guarded: bool = False
    cascade: bool = False
    session: bool = False
    session_only: bool = False
    keeps: str = ""
    unread: bool = False
    external: bool = False
    calls: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)
    fires: frozenset[str] = frozenset()
    sequences: set[str] = field(default_factory=set)
    new_enum_values: list[tuple[str, str]] = field(default_factory=list)
    literals: set[str] = field(default_factory=set)
    ledger_versions: tuple[int, ...] | None = None
    deferred: set[str] = field(default_factory=set)
    sets: str = ""
    body: Facts | None = None
    actions: list[Action] = field(default_factory=list)
    unrepeatable: bool = False
    """A function that it calls may do something else the second time."""
    varies: bool = False
    """A function in it gives another value each time: random(), clock_timestamp()."""

    def lock(self, table: str, mode: str, *, rewrite: bool = False) -> None:
        """Note a table lock; of several on one table the strongest stays."""
        if not table:
            return
        known = self.locks.get(table)
        if known is not None:
            mode = max(mode, known.mode, key=STRENGTH.__getitem__)
            rewrite = rewrite or known.rewrite
        self.locks[table] = Lock(table, mode, rewrite)

    def rename(self, before: Object, *, name: str = "", schema: str = "") -> None:
        """Note another name or schema."""
        self.renames.append((before, replace(before, name=name or before.name, schema=schema or before.schema)))

    def write(self, table: str, *, adds: bool = False) -> None:
        """Note that rows of a table change; `adds`: those from before stay as they are."""
        self.writes.add(table)
        if not adds:
            self.changes.add(table)
        self.lock(table, "RowExclusive")
        if table.rpartition(".")[2] == "schema_migrations" and self.ledger_versions is None:
            self.ledger_versions = ()
        if is_temporary_schema(table.partition(".")[0]):
            self.session = True

    def merge(self, other: Facts) -> None:
        """Take in what a nested statement does as well."""
        self.creates.extend(other.creates)
        self.drops.extend(other.drops)
        self.alters.extend(other.alters)
        self.renames.extend(other.renames)
        self.writes |= other.writes
        self.changes |= other.changes
        self.harms |= other.harms
        self.binds |= other.binds
        self.parents |= other.parents
        self.strange |= other.strange
        for lock in other.locks:
            self.lock(lock.table, lock.mode, rewrite=lock.rewrite)
        self.alone = self.alone or other.alone
        self.first_in_session |= other.first_in_session
        self.cascade |= other.cascade
        self.session |= other.session
        self.keeps = self.keeps or other.keeps
        self.unread |= other.unread or other.kind is Kind.UNKNOWN
        self.external |= other.external
        self.calls |= other.calls
        self.new_enum_values.extend(other.new_enum_values)
        self.literals |= other.literals
        self.deferred |= other.deferred
        self.actions.extend(other.actions)
        if other.ledger_versions is not None:
            self.ledger_versions = (*(self.ledger_versions or ()), *other.ledger_versions)

    def finish(self) -> Facts:
        """The facts, frozen."""
        return Facts(
            kind=self.kind,
            command=self.command,
            creates=tuple(self.creates),
            drops=tuple(self.drops),
            alters=tuple(self.alters),
            renames=tuple(self.renames),
            writes=frozenset(self.writes),
            changes=frozenset(self.changes),
            harms=frozenset(self.harms),
            binds=frozenset(self.binds),
            parents=frozenset(self.parents),
            locks=tuple(self.locks.values()),
            alone=self.alone,
            first_in_session=self.first_in_session,
            rerunnable=self.rerunnable,
            guarded=self.guarded,
            cascade=self.cascade,
            session=self.session,
            session_only=self.session_only,
            keeps=self.keeps,
            unread=self.unread,
            external=self.external,
            calls=frozenset(self.calls),
            strange=frozenset(self.strange),
            varies=self.unrepeatable or self.varies,
            fires=self.fires,
            sequences=frozenset(self.sequences),
            new_enum_values=tuple(self.new_enum_values),
            literals=frozenset(self.literals),
            ledger_versions=self.ledger_versions,
            deferred=frozenset(self.deferred),
            sets=self.sets,
            actions=tuple(self.actions),
            body=self.body,
        )
