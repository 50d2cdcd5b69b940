"""16 runners at once against one database, half of them direct and half through PgBouncer in transaction mode.

In every other round the pooled ones know the server itself (`--direct`); in the others they stop with 5 when they
meet the concurrent index build, and must do no harm. In the rounds with a death the runner that works is killed
(SIGKILL) while its index build goes on, held up by an old snapshot for 4 or for 11 s.
"""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import psycopg

from tests.proof.client import Nursery
from tests.proof.rounds import Result, Ticker, programs, workplace
from tests.proof.sets import TABLE, WITNESS, MigrationSet, witness
from tests.rig.bouncer import PgBouncer
from tests.rig.dump import Dump, differences, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.proof.client import Command
    from tests.rig.postgres import Server

RUNNERS = 16
WAIT_S = 180
POOL = 40
TAKEOVER_S = 15.0
HOLDS_S = (4.0, 11.0, 4.0)
SETTINGS = {"autovacuum": "off", "max_connections": "200", "log_lock_waits": "on"}
BUILDS = "state = 'active' AND query LIKE '/* tidelock run %%CREATE INDEX CONCURRENTLY%%'"

WORK = MigrationSet(
    "runners",
    "",
    {
        "001_base.sql": WITNESS + TABLE.format(rows=30_000) + witness("001"),
        "002_index.sql": witness("002.1") + "CREATE INDEX CONCURRENTLY t_v ON t (v, id);\n" + witness("002.3"),
        "003_own.sql": f"BEGIN;\n{witness('003.1')}COMMIT;\nBEGIN;\n{witness('003.2')}SELECT pg_sleep(0.1);\nCOMMIT;\n",
        "004_slow.sql": witness("004") + "ALTER TABLE t ADD COLUMN x int;\nSELECT pg_sleep(0.1);\n",
        "005_unnamed.sql": "CREATE INDEX CONCURRENTLY ON t (id);\n" + witness("005.2"),
        "006_last.sql": witness("006"),
    },
)


@dataclass
class Tally:
    """What adds up over the rounds."""

    codes: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    takeovers_s: list[float] = field(default_factory=list)
    """From the death, or from the end of the dead one's statement, to the next run's first line in the journal."""
    since_death_s: list[float] = field(default_factory=list)
    outlived: int = 0
    """Deaths after which the statement was seen going on."""
    looks: int = 0
    most_builds: int = 0
    """Concurrent builds seen at one moment."""
    pooled_sessions: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Arena:
    """Server, pooler, and a nursery for each runner."""

    server: Server
    pooler: PgBouncer
    nurseries: Sequence[Nursery]
    folder: Path
    expected: Dump | None = None
    tally: Tally = field(default_factory=Tally)

    def start(self, name: str, *, told: bool) -> list[Command]:
        """All runners: even ones direct, odd ones pooled, and `told` where the server itself is."""
        commands = []
        for number, nursery in enumerate(self.nurseries):
            pooled = number % 2 == 1
            where = (self.pooler if pooled else self.server).database(name)
            direct = ["--direct", self.server.database(name)] if pooled and told else []
            arguments = ["apply", "--wait", f"{WAIT_S}s", "--dir", str(self.folder), "--database", where, *direct]
            commands.append(nursery.start(*arguments))
        return commands

    def round(self, number: int, *, hold_s: float | None) -> None:
        """One round. `hold_s`: how long the build of the runner that is killed goes on after its death."""
        name, told = self.server.create_database(), number % 2 == 0
        before = self.server.log.stat().st_size
        try:
            with snapshot(self.server.database(name)) if hold_s else contextlib.nullcontext() as holder:
                commands = self.start(name, told=told)
                killed = self.kill(name, commands, holder, hold_s) if hold_s and holder else None
            self.end(commands, killed, told=told)
            self.verify(name, killed, before)
        except (AssertionError, TimeoutError) as error:
            self.tally.failures.append(f"round {number}: {error}")
        for each in self.nurseries:
            each.settle()
        self.server.drop_database(name)

    def kill(
        self, name: str, commands: Sequence[Command], holder: psycopg.Connection[tuple[object, ...]], hold_s: float
    ) -> Command:
        """Kill the runner whose build is going on, let the build go on, and time who takes over."""
        dsn = self.server.database(name)
        with psycopg.connect(dsn, autocommit=True) as conn:
            pid, port = wait_for_build(conn)
            victim = owner_of(port, commands)
            victim.signal(signal.SIGKILL)
            died = time.monotonic()
            self.watch(conn, until=died + hold_s)
            if conn.execute(f"SELECT pid FROM pg_stat_activity WHERE pid = %s AND {BUILDS}", (pid,)).fetchone():
                self.tally.outlived += 1
            holder.rollback()
            wait_until(
                lambda: not conn.execute("SELECT pid FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone(), 30
            )
            ended = time.monotonic()
            query = "SELECT count(*) > 1 FROM schema_migrations_journal WHERE event = 'run'"
            wait_until(lambda: conn.execute(query).fetchone() == (True,), 60)
            self.tally.takeovers_s.append(time.monotonic() - ended)
            self.tally.since_death_s.append(time.monotonic() - died)
        self.tally.deaths += 1
        return victim

    def watch(self, conn: psycopg.Connection[tuple[object, ...]], until: float) -> None:
        """See how many builds run at a time."""
        while time.monotonic() < until:
            row = conn.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {BUILDS} AND %s", (True,)).fetchone()
            assert row is not None
            self.tally.looks += 1
            self.tally.most_builds = max(self.tally.most_builds, int(str(row[0])))
            time.sleep(0.05)

    def end(self, commands: Sequence[Command], killed: Command | None, *, told: bool) -> None:
        """Wait for everybody's end; 5 is right only for a pooled runner that was not told the server."""
        for number, command in enumerate(commands):
            code = command.end(WAIT_S + 30)
            kind = "direct" if number % 2 == 0 else "pooled, --direct" if told else "pooled alone"
            self.tally.codes["killed" if command is killed else f"{kind}: {code}"] += 1
            allowed = (0, 5) if kind == "pooled alone" else (0,)
            assert command is killed or code in allowed, f"a runner ({kind}) ended with {code}:\n{command.said}"

    def verify(self, name: str, killed: Command | None, before: int) -> None:
        """Each migration once, nothing deadlocked, nothing left in the pool."""
        dsn = self.server.database(name)
        assert self.expected is not None
        found = differences(self.expected, dump(dsn, fed_columns=False))
        assert not found, "not as with one runner:\n" + "\n".join(map(str, found))
        with psycopg.connect(dsn, autocommit=True) as conn:
            twice = conn.execute("SELECT version, step FROM schema_migrations_journal WHERE event IN ('done', 'applied') GROUP BY 1, 2 HAVING count(*) > 1").fetchall()  # fmt: skip
            locks = conn.execute("SELECT pid, mode FROM pg_locks WHERE locktype = 'advisory'").fetchall()
        assert not twice, f"recorded twice: {twice}"
        assert not locks, f"advisory locks are left: {locks}"
        with self.server.log.open("rb") as log:
            log.seek(before)
            said = log.read().decode(errors="replace")
        bad = complaints(said)
        assert not bad, f"the server's log says\n{bad}"
        self.tally.pooled_sessions += leaks(self.pooler, self.server, name)


def complaints(log: str) -> str:
    """Errors in the server's log with the lines that belong to them; that sessions were ended is none."""
    found, kept = [], False
    for line in log.splitlines():
        if re.search(r" (LOG|ERROR|FATAL|PANIC): ", line):
            kept = " LOG: " not in line and "terminating connection due to administrator command" not in line
        if kept:
            found.append(line)
    return "\n".join(found[:40])


@contextlib.contextmanager
def snapshot(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An old snapshot, which a concurrent build waits for at its end. Rolled back at the latest when the block ends."""
    with psycopg.connect(dsn, application_name="old snapshot") as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT count(*) FROM pg_class")
        yield conn
        conn.rollback()


def wait_for_build(conn: psycopg.Connection[tuple[object, ...]]) -> tuple[int, int]:
    """(pid, client's port) of the session that builds an index."""
    found: list[tuple[object, ...]] = []

    def seen() -> bool:
        query = f"SELECT pid, client_port FROM pg_stat_activity WHERE datname = current_database() AND {BUILDS} AND %s"
        found[:] = conn.execute(query, (True,)).fetchall()
        return bool(found)

    wait_until(seen, 60)
    return int(str(found[0][0])), int(str(found[0][1]))


def wait_until(holds: Callable[[], bool], wait_s: float) -> None:
    """Ask until it holds."""
    ends = time.monotonic() + wait_s
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {wait_s:.0f} s in vain")
        time.sleep(0.02)


def owner_of(port: int, commands: Sequence[Command]) -> Command:
    """The runner whose connection has this local port."""
    for command in commands:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any(each.laddr.port == port for each in psutil.Process(command.pid).net_connections()):
                return command
    raise AssertionError(f"no runner has port {port}")


IGNORED = ("application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings")
"""PgBouncer itself sets these, to what each client asked for at its start."""


def leaks(pooler: PgBouncer, server: Server, name: str) -> int:
    """Look into every session that the pooler has in this database; how many there were."""
    with contextlib.ExitStack() as stack:
        seen: dict[object, str] = {}
        for _ in range(POOL):
            conn = stack.enter_context(psycopg.connect(pooler.database(name), prepare_threshold=None))
            row = conn.execute("SELECT pg_backend_pid(), current_user = session_user").fetchone()
            left = conn.execute("SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> ALL (%s)", (list(IGNORED),)).fetchall()  # fmt: skip
            held = conn.execute("SELECT locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'").fetchall()  # fmt: skip
            stored = conn.execute("SELECT name FROM pg_prepared_statements").fetchall()
            assert row is not None
            assert row[1], "a role is left in a pooled session"
            assert not left + held + stored, f"left in a pooled session: {left} {held} {stored}"
            seen[row[0]] = ""
        with psycopg.connect(server.database(name)) as direct:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND NOT pid = ANY (%s)"
            others = direct.execute(query, (list(seen),)).fetchone()
        assert others == (0,), f"{others} sessions of the pooler were not looked into"
    return len(seen)


def prove(*, rounds: int, deaths: int) -> Result:
    """Run the rounds, `deaths` of them with the death of the one who works."""
    began = time.monotonic()
    with workplace() as (garage, folder), contextlib.ExitStack() as stack:
        place = WORK.write(folder)
        server = stack.enter_context(garage.server(programs(folder), settings=SETTINGS))
        pooler = stack.enter_context(PgBouncer(server, folder / "pgbouncer", pool_size=POOL))
        nurseries = [stack.enter_context(Nursery(folder / f"runner-{number}")) for number in range(RUNNERS)]
        arena, ticker = Arena(server, pooler, nurseries, place), Ticker("runner rounds", rounds)
        arena.expected = alone(arena)
        every = max(1, rounds // deaths) if deaths else rounds + 1
        for number in range(rounds):
            dies = number % every == 0 and arena.tally.deaths < deaths
            arena.round(number, hold_s=HOLDS_S[arena.tally.deaths % len(HOLDS_S)] if dies else None)
            ticker.tick(f"{arena.tally.deaths} deaths, {len(arena.tally.failures)} failures")
        return summary(arena.tally, rounds, time.monotonic() - began)


def alone(arena: Arena) -> Dump:
    """What one runner makes."""
    name = arena.server.create_database()
    dsn = arena.server.database(name)
    command = arena.nurseries[0].start("apply", "--dir", str(arena.folder), "--database", dsn)
    assert command.end(60) == 0, command.said
    return dump(dsn, fed_columns=False)


def summary(tally: Tally, rounds: int, took_s: float) -> Result:
    """Counts, and how the runners ended."""
    result = Result("Runners: 16 at once, direct and pooled", about=" ".join((__doc__ or "").split()))
    result.counts = {
        "rounds": rounds,
        "runners": sum(tally.codes.values()),
        "runners that worked and were killed while their index build went on": tally.deaths,
        "of these builds seen going on after the death": tally.outlived,
        "most builds at one moment after a death": f"{tally.most_builds} (in {tally.looks} looks)",
        "seconds from death to take-over, longest": f"{max(tally.since_death_s, default=0):.1f}",
        "seconds from the end of the dead one's build to take-over, longest": f"{max(tally.takeovers_s, default=0):.1f}",
        "pooled server sessions looked into afterwards": tally.pooled_sessions,
        "failures": len(tally.failures),
    }
    result.tables.append((["how runners ended", ""], [[name, count] for name, count in sorted(tally.codes.items())]))
    result.failures, result.took_s = list(tally.failures), took_s
    if (slowest := max(tally.since_death_s, default=0)) > TAKEOVER_S:
        result.failures.append(f"a take-over came {slowest:.1f} s after the death")
    if tally.most_builds > 1:
        result.failures.append(f"{tally.most_builds} builds at one moment")
    return result
