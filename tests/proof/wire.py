"""What had passed between client and server when a kill came, and which state that was.

A state is derived from two things, neither of which is what was intended: the messages that the proxy had really
passed on, and what the server says right after the kill (is the statement still running; is the witness row there;
what is the journal's last word; what does the catalog show).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg

from tests.rig.proxy import Direction

if TYPE_CHECKING:
    from tests.proof.sets import MigrationSet
    from tests.rig.proxy import Connection, Message, Proxy

TAG = re.compile(r"/\* tidelock run \w+ \*/ ")
LABEL = re.compile(r"INSERT INTO witness\(file\) VALUES \('([^']+)'\)")
OPENS = re.compile(r"(BEGIN|START TRANSACTION)\b", re.IGNORECASE)


class State(StrEnum):
    """Where a kill hit."""

    BEFORE_BEGIN = "before BEGIN"
    INSIDE = "inside a transaction"
    COMMIT_UNANSWERED = "COMMIT sent and unanswered"
    LONE_RUNNING = "lone statement running"
    LONE_DONE = "its effect there and its row not"
    LONE_LOST = "its effect answered, and lost with the server's memory"
    BETWEEN = "between steps"
    RECOVERING = "recovering, before its own first BEGIN"
    RELEASE = "in the release"
    AFTER = "after the release"


FIVE = (State.BEFORE_BEGIN, State.INSIDE, State.COMMIT_UNANSWERED, State.LONE_RUNNING, State.LONE_DONE)


@dataclass(slots=True)
class Sent:
    """A query that the proxy passed on to the server."""

    text: str
    tagged: bool
    """Sent by the executor, as one simple query."""
    server_done: bool = False
    """The server's ReadyForQuery after it reached the proxy …"""
    answered: bool = False
    """… and the client."""
    tags: list[str] = field(default_factory=list)
    """The CommandCompletes that reached the proxy."""

    @property
    def opens(self) -> bool:
        """It begins a transaction."""
        return bool(OPENS.match(self.text))

    @property
    def commits(self) -> bool:
        """It ends with COMMIT."""
        return self.text.rstrip().endswith("COMMIT")

    @property
    def rolls_back(self) -> bool:
        """It ends with ROLLBACK."""
        return self.text.rstrip().endswith("ROLLBACK")

    @property
    def journal(self) -> bool:
        """A record by itself: no step of the file."""
        return self.opens and "\n;SET LOCAL ROLE NONE\n;SET LOCAL synchronous_commit" in self.text[:120]


class Tape:
    """Listens at a proxy until it is frozen."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.sent: dict[int, list[Sent]] = {}
        """By connection."""
        self.frozen = False
        proxy.before(self._arrived, lambda _: None)
        proxy.after(self._passed, lambda _: None)

    def _arrived(self, message: Message) -> bool:
        if not self.frozen and message.direction is Direction.TO_CLIENT and (sent := self._last(message.connection)):
            if message.kind == "C":
                sent.tags.append(message.text)
            sent.server_done = sent.server_done or message.kind == "Z"
        return False

    def _passed(self, message: Message) -> bool:
        if self.frozen:
            return False
        if message.direction is Direction.TO_CLIENT:
            if message.kind == "Z" and (sent := self._last(message.connection)):
                sent.answered = True
        elif message.kind in ("Q", "P", "X"):
            text = TAG.sub("", message.text, count=1) if message.kind != "X" else "X"
            tagged = bool(TAG.match(message.text))
            self.sent.setdefault(id(message.connection), []).append(Sent(text, tagged))
        return False

    def _last(self, connection: Connection) -> Sent | None:
        sent = self.sent.get(id(connection))
        return sent[-1] if sent else None

    def freeze(self) -> None:
        """From here on nothing passes any more, and nothing is noted."""
        self.frozen = True
        for connection in list(self.proxy.connections):
            for direction in Direction:
                connection.hold(direction)

    @property
    def work(self) -> Connection | None:
        """The connection that carries the work: the last with a query of the executor, or else the last of all."""
        connections = [each for each in self.proxy.connections if each.backend_pid is not None]
        tagged = [each for each in connections if any(sent.tagged for sent in self.sent.get(id(each), ()))]
        found = tagged or connections
        return found[-1] if found else None

    @property
    def queries(self) -> list[Sent]:
        """What passed on it."""
        return self.sent.get(id(self.work), []) if self.work is not None else []


@dataclass(frozen=True, slots=True)
class Look:
    """What the server says right after a kill."""

    active: bool
    """A statement of the run is being executed."""
    witness: frozenset[str]
    event: str | None
    """The journal's last word on a step."""
    effect: bool | None
    """The lone statement's effect is there; None when the catalog does not show it, or there is none."""


ACTIVE = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
    AND pid <> pg_backend_pid() AND query LIKE '/* tidelock run %'"""
EVENT = """SELECT event FROM schema_migrations_journal WHERE step IS NOT NULL
    AND event IN ('started', 'done', 'applied', 'failed') ORDER BY id DESC LIMIT 1"""


def look(dsn: str, effect: str | None) -> Look:
    """Ask the server: first what runs, so that what had ended before is seen as ended."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        active = bool(one(conn, ACTIVE))
        there = conn.execute("SELECT to_regclass('witness') IS NOT NULL, to_regclass('schema_migrations_journal') IS NOT NULL").fetchone()  # fmt: skip
        assert there is not None
        labels = [str(label) for (label,) in conn.execute("SELECT file FROM witness")] if there[0] else []
        event = one(conn, EVENT) if there[1] else None
        return Look(
            active, frozenset(labels), str(event) if event else None, bool(one(conn, effect)) if effect else None
        )


def one(conn: psycopg.Connection[tuple[object, ...]], query: str) -> object:
    """The first value of the first row, or None."""
    row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def lone_of(queries: list[Sent], migrations: MigrationSet) -> Sent | None:
    """The last lone statement that passed, when no other step has begun after it."""
    for sent in reversed(queries):
        if sent.tagged and migrations.effect(sent.text) is not None:
            return sent
        if sent.tagged and sent.opens and not sent.journal:
            return None
    return None


def state_of(queries: list[Sent], seen: Look, migrations: MigrationSet) -> State:
    """The state that a kill hit."""
    steps = [sent for sent in queries if sent.tagged and ((sent.opens and not sent.journal) or migrations.effect(sent.text) is not None)]  # fmt: skip
    if not steps:
        return State.AFTER if queries and queries[-1].text == "X" else State.BEFORE_BEGIN
    tagged = [sent for sent in queries if sent.tagged]
    later = queries[queries.index(tagged[-1]) + 1 :]
    if later and later[-1].text == "X":
        return State.AFTER
    if any(sent.text == "BEGIN" for sent in later):
        return State.RELEASE
    return _working(tagged, seen, migrations)


def _working(tagged: list[Sent], seen: Look, migrations: MigrationSet) -> State:
    last, lone = tagged[-1], lone_of(tagged, migrations)
    if lone is not None:
        return _lone(last, lone, seen)
    if last.journal:
        return State.BETWEEN
    if is_open(tagged) and not last.commits:
        return State.INSIDE
    if last.commits and not last.answered:
        return State.COMMIT_UNANSWERED if not last.opens or _committed(last, seen) else State.INSIDE
    return State.INSIDE if last.rolls_back and not last.answered else State.BETWEEN


def _lone(last: Sent, lone: Sent, seen: Look) -> State:
    if seen.event != "started":
        return State.BETWEEN if last.answered or not last.journal else State.COMMIT_UNANSWERED
    if seen.active and last is lone:
        return State.LONE_RUNNING
    done = "C" in _kinds(lone) if seen.effect is None else seen.effect
    if done:
        return State.LONE_DONE
    return State.LONE_LOST if lone.server_done else State.LONE_RUNNING


def _kinds(sent: Sent) -> str:
    return "C" if sent.tags else ""


def _committed(last: Sent, seen: Look) -> bool:
    labels = LABEL.findall(last.text)
    return labels[-1] in seen.witness if labels else "COMMIT" in last.tags


def is_open(tagged: list[Sent]) -> bool:
    """A transaction of a step is open after these."""
    opened = False
    for sent in tagged:
        opened = (opened or sent.opens) and not (sent.commits or sent.rolls_back)
    return opened
