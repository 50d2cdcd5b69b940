"""A kill at every protocol message and at random moments; the next apply ends as if nothing had happened.

The command runs through a proxy that counts messages. At the chosen one, or at a random moment, everything that
passes is frozen and the client, its session, its backend, or every process of the server is killed. A client that
is not the victim is stopped (SIGSTOP) until the server has been asked what state the kill hit, and then goes on by
itself. At last `tidelock apply --wait 60s` has to end with 0, and catalog and rows have to be those of a run that
nobody disturbed.
"""

from __future__ import annotations

import contextlib
import queue
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg

from tests.proof.client import Nursery
from tests.proof.rounds import Result, Ticker, programs, say, workplace
from tests.proof.sets import BIG, SETS
from tests.proof.wire import FIVE, TAG, Look, State, Tape, lone_of, look, state_of
from tests.rig.dump import Dump, differences, dump
from tests.rig.proxy import Direction, Message, Proxy, at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.proof.client import Command
    from tests.proof.sets import MigrationSet
    from tests.rig.postgres import Garage, Server

LANES = 4
PATIENCE_S = 90.0
SETTINGS = {"autovacuum": "off", "max_connections": "40", "shared_buffers": "32MB"}
"""fsync is off: a SIGKILL takes the server's own memory, not what it has handed to the operating system."""


class How(StrEnum):
    """Who is killed. While a session has no process yet, a kill of it is a connection that breaks."""

    CLIENT = "client, SIGKILL"
    SESSION = "session, pg_terminate_backend"
    BACKEND = "backend, SIGKILL"
    SERVER = "server, SIGKILL to every process"
    BOTH = "server and client, SIGKILL"

    @property
    def client_dies(self) -> bool:
        """The client is a victim."""
        return self in (How.CLIENT, How.BOTH)


@dataclass(frozen=True, slots=True)
class Shot:
    """One round: what is run, who is killed, and when."""

    migrations: MigrationSet
    how: How
    number: int = 0
    """At this message, counted over both directions; 0: at a moment of chance."""
    after: bool = True
    """When it has been passed on; otherwise it never arrives."""
    delay_s: float = 0.0
    """So long after that message, or after the start of the client."""
    again_s: float | None = None
    """The run that recovers is killed as well, after so many seconds."""

    def __str__(self) -> str:
        message = f" {'after' if self.after else 'before'} message {self.number}" if self.number else ""
        when = f"{self.delay_s:.3f} s{message}"
        again = f", again {self.again_s:.3f} s" if self.again_s is not None else ""
        return f"{self.migrations.name}, {self.how}, {when}{again}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that nobody disturbed."""

    dump: Dump
    log: tuple[Message, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A kill and the state it hit."""

    how: How
    state: State
    second: bool
    """It hit a run that was recovering from another kill."""
    ended: int | None
    """How the client ended that was not killed itself."""


@dataclass(slots=True)
class Outcome:
    """What became of a round."""

    shot: Shot
    hits: list[Hit] = field(default_factory=list)
    failure: str = ""


class Strike:
    """Kills, once, and keeps what it needs to tell what it hit."""

    def __init__(self, server: Server, tape: Tape, how: How) -> None:
        self.server, self.tape, self.how = server, tape, how
        self.command: Command | None = None
        self.begun = threading.Event()
        self.done = threading.Event()
        self._once = threading.Lock()
        self._started = threading.Event()

    def aim(self, command: Command) -> None:
        """The client that is to be hit, or stopped."""
        self.command = command
        self._started.set()

    def late(self, delay_s: float) -> Callable[[Message], None]:
        """What a trigger does: kill, so long after its message. Only what follows in its direction waits meanwhile."""

        def act(_: Message) -> None:
            time.sleep(delay_s)
            self()

        return act

    def __call__(self) -> None:
        """Freeze everything and kill."""
        if not self._once.acquire(blocking=False):
            return
        self.begun.set()
        self.tape.freeze()
        self._started.wait()
        assert self.command is not None
        self.command.signal(signal.SIGKILL if self.how.client_dies else signal.SIGSTOP)
        try:
            self._kill()
        finally:
            self.tape.proxy.cut()
            self.done.set()

    def _kill(self) -> None:
        work = self.tape.work
        if self.how in (How.SERVER, How.BOTH):
            self.server.kill9_all()
        elif self.how is How.SESSION and work is not None:
            with psycopg.connect(self.server.dsn, autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", (work.backend_pid,))
        elif self.how is How.BACKEND and work is not None and work.backend_pid is not None:
            kill_backend(self.server, work.backend_pid)


def kill_backend(server: Server, pid: int) -> None:
    """SIGKILL it, and return when the server has noticed and cut everybody off."""
    ended = (psycopg.Error, ValueError)  # the canary's session, and a backend that was gone before
    with contextlib.suppress(*ended), psycopg.connect(server.dsn, autocommit=True) as canary:
        server.kill9_backend(pid)
        while True:
            canary.execute("SELECT 1")
            time.sleep(0.005)


class Lane:
    """A server and a nursery of its own; rounds run here one after another."""

    def __init__(self, garage: Garage, folder: Path, number: int, references: dict[str, Reference]) -> None:
        self.server = garage.server(programs(folder), settings=SETTINGS)
        self.server.create_database("proof_template")
        self.nursery = Nursery(folder / f"lane-{number}")
        self.folder = folder / "sets"
        self.references = references

    def close(self) -> None:
        """Stop the server and the nursery."""
        self.nursery.__exit__()
        self.server.remove()

    def start(self, migrations: MigrationSet, dsn: str) -> Command:
        """`tidelock apply --wait 60s`."""
        place = str(self.folder / migrations.name)
        return self.nursery.start("apply", "--wait", "60s", "--dir", place, "--database", dsn)

    def reference(self, migrations: MigrationSet) -> Reference:
        """Run it undisturbed, through a proxy too."""
        name = self.server.create_database(template="proof_template")
        with Proxy(self.server.port) as proxy:
            began = time.monotonic()
            command = self.start(migrations, proxy.dsn(self.server.database(name)))
            if command.end(PATIENCE_S) != 0:
                raise RuntimeError(f"{migrations.name} fails without a crash:\n{command.said}")
            took = time.monotonic() - began
            found = Reference(dump(self.server.database(name), fed_columns=False), tuple(proxy.log), took)
        self.server.drop_database(name)
        return found

    def run(self, shot: Shot) -> Outcome:
        """One round."""
        outcome = Outcome(shot)
        try:
            name = self.server.create_database(template="proof_template")
            self.disturb(shot, name, outcome)
            self.verify(shot, name, outcome)
            self.server.drop_database(name)
        except Exception as error:
            outcome.failure = outcome.failure or f"{type(error).__name__}: {error}"
            self.server.restart(signal.SIGQUIT)
        return outcome

    def disturb(self, shot: Shot, name: str, outcome: Outcome) -> None:
        """The kill, and the one that hits the recovery."""
        outcome.hits += self.attack(shot, name, second=False)
        if shot.again_s is not None:
            again = replace(shot, number=0, delay_s=shot.again_s, again_s=None)
            outcome.hits += self.attack(again, name, second=True)

    def attack(self, shot: Shot, name: str, *, second: bool) -> list[Hit]:
        """Run the command and kill. Nothing when it had ended before the moment came."""
        dsn = self.server.database(name)
        with Proxy(self.server.port) as proxy:
            tape = Tape(proxy)
            strike = Strike(self.server, tape, shot.how)
            if shot.number:
                (proxy.after if shot.after else proxy.before)(at(shot.number), strike.late(shot.delay_s))
            command = self.start(shot.migrations, proxy.dsn(dsn))
            strike.aim(command)
            await_moment(shot, command, strike)
            if not strike.done.is_set():
                return []
            state = self.state(shot, tape, dsn)
            command.signal(signal.SIGCONT)
            code = command.end(PATIENCE_S)
            if not shot.how.client_dies and code not in (0, 75):
                raise AssertionError(f"the client that lived ended with {code}:\n{command.said}")
        if second and state is State.BEFORE_BEGIN:
            state = State.RECOVERING
        return [Hit(shot.how, state, second, None if shot.how.client_dies else code)]

    def state(self, shot: Shot, tape: Tape, dsn: str) -> State:
        """Which state was hit; starts the server again when that is what was killed."""
        if not self.server.running:
            self.server.start()
        elif shot.how is How.BACKEND:
            self.server.wait_until_ready()
        queries = tape.queries
        lone = lone_of([sent for sent in queries if sent.tagged], shot.migrations)
        effect = shot.migrations.effect(lone.text) if lone is not None else None
        return state_of(queries, self.look(dsn, effect), shot.migrations)

    def look(self, dsn: str, effect: str | None) -> Look:
        """Ask, and again when the server is not back yet."""
        ends = time.monotonic() + 20
        while True:
            try:
                return look(dsn, effect)
            except psycopg.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)

    def verify(self, shot: Shot, name: str, outcome: Outcome) -> None:
        """The next apply ends with 0, and everything is as without the crash."""
        dsn = self.server.database(name)
        command = self.start(shot.migrations, dsn)
        if (code := command.end(PATIENCE_S)) != 0:
            outcome.failure = f"the next apply ended with {code}:\n{command.said}"
            return
        found = differences(self.references[shot.migrations.name].dump, dump(dsn, fed_columns=False))
        with psycopg.connect(dsn) as conn:
            held = conn.execute("SELECT run_id FROM schema_migrations_lease WHERE run_id IS NOT NULL AND part = 'holder'").fetchall()  # fmt: skip
        if found or held:
            outcome.failure = f"left: undisturbed, right: after the crash (lease: {held})\n" + "\n".join(
                map(str, found)
            )


def await_moment(shot: Shot, command: Command, strike: Strike) -> None:
    """Wait for the kill, or for the command's end."""
    if not shot.number and not command.wait(shot.delay_s):
        strike()
    ends = time.monotonic() + PATIENCE_S
    while not strike.done.wait(0.02):
        if command.wait(0) and not strike.begun.is_set():
            return
        if time.monotonic() > ends:
            command.signal(signal.SIGKILL)
            raise TimeoutError(f"neither the moment came nor the end:\n{command.said}")


# --- which rounds ------------------------------------------------------------------------------------------------


def beginning(log: Sequence[Message]) -> int:
    """How many messages pass before the first of a migration: they are the same in every set."""
    return next((each.number for each in log if each.kind == "Q" and each.text.startswith("/* tidelock run")), 1) - 1


def every_message(references: dict[str, Reference], chance: random.Random) -> list[Shot]:
    """A kill at every message of every set; at the beginning, which all sets share, of the first only."""
    shots, hows = [], list(How)
    for index, migrations in enumerate(SETS):
        log = references[migrations.name].log
        for number in range(beginning(log) + 1 if index else 1, len(log) + 1):
            how = chance.choice(hows)
            after = log[number - 1].direction is Direction.TO_SERVER or chance.random() < 0.5
            shots.append(Shot(migrations, how, number, after=after if chance.random() < 0.8 else not after))
    return shots


def some_messages(references: dict[str, Reference], chance: random.Random, count: int) -> list[Shot]:
    """A sample: from each set alike, a fifth of it from the beginning."""
    shots = every_message(references, chance)
    early = [each for each in shots if each.number <= beginning(references[each.migrations.name].log)]
    late = [each for each in shots if each.number > beginning(references[each.migrations.name].log)]
    return chance.sample(early, count // 5) + chance.sample(late, count - count // 5)


def while_running(references: dict[str, Reference], chance: random.Random) -> list[Shot]:
    """Moments soon after a lone statement was sent, for every one of them and every way to kill."""
    shots = []
    for migrations in SETS:
        longest_s, times = (0.06, 8) if migrations is BIG else (0.002, 2)
        for message in references[migrations.name].log:
            if message.kind == "Q" and migrations.effect(TAG.sub("", message.text)) is not None:
                for how in list(How) * times:
                    shots.append(Shot(migrations, how, message.number, delay_s=chance.uniform(0, longest_s)))
    return shots


def random_moments(references: dict[str, Reference], chance: random.Random, count: int) -> list[Shot]:
    """Moments of chance, counted in turn from the start and from the first migration (an idle machine is faster).

    Half of the rounds kill the recovery as well.
    """
    shots = []
    for number in range(count):
        migrations, how = SETS[number % len(SETS)], list(How)[number // len(SETS) % len(How)]
        reference = references[migrations.name]
        first = beginning(reference.log) if number // 2 % 2 else 0
        again = chance.uniform(0, reference.seconds) if number % 2 else None
        shots.append(Shot(migrations, how, first, delay_s=chance.uniform(0, reference.seconds), again_s=again))
    return shots


# --- running them ------------------------------------------------------------------------------------------------


def telling_first(shots: Sequence[Shot], references: dict[str, Reference]) -> list[Shot]:
    """Moments of chance; queries, completions and ends of answers; then rows, settings and the like."""

    def rank(shot: Shot) -> int:
        if shot.delay_s:
            return 0
        message = references[shot.migrations.name].log[shot.number - 1]
        return 1 if message.direction is Direction.TO_SERVER or message.kind in ("C", "Z") else 2

    return sorted(shots, key=rank)


def prove(
    *, messages: int | None, moments: int, most_s: float = 3600.0, seed: int = 20261123, lanes: int = LANES
) -> Result:
    """Run the rounds. `messages` None is every one of them; after `most_s` seconds no further round begins."""
    began, chance = time.monotonic(), random.Random(seed)
    with workplace() as (garage, folder), contextlib.ExitStack() as stack:
        for each in SETS:
            each.write(folder / "sets")
        references: dict[str, Reference] = {}
        teams = []
        for number in range(lanes):
            teams.append(Lane(garage, folder, number, references))
            stack.callback(teams[-1].close)
        say(f"crash: {len(SETS)} sets run undisturbed …")
        references.update({each.name: teams[0].reference(each) for each in SETS})
        shots = every_message(references, chance) if messages is None else some_messages(references, chance, messages)
        running = while_running(references, chance)
        shots += running if messages is None else chance.sample(running, messages // 3)
        shots += random_moments(references, chance, moments)
        chance.shuffle(shots)
        outcomes = share(teams, telling_first(shots, references), until=began + most_s)
        result = summary(outcomes, references, seed, time.monotonic() - began)
        result.counts = {"rounds planned": len(shots), **result.counts}
        return result


def share(teams: Sequence[Lane], shots: Sequence[Shot], until: float) -> list[Outcome]:
    """Give the rounds to the lanes, and collect what became of them."""
    waiting: queue.SimpleQueue[Shot] = queue.SimpleQueue()
    for each in shots:
        waiting.put(each)
    outcomes: list[Outcome] = []
    ticker, lock = Ticker("crash rounds", len(shots)), threading.Lock()

    def work(lane: Lane) -> None:
        while time.monotonic() < until:
            try:
                outcome = lane.run(waiting.get_nowait())
            except queue.Empty:
                return
            with lock:
                outcomes.append(outcome)
                if outcome.failure:
                    say(f"FAILED {outcome.shot}: {outcome.failure[:300]} … {outcome.failure[-1500:]}")
                ticker.tick(note(outcomes))

    threads = [threading.Thread(target=work, args=(lane,)) for lane in teams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def note(outcomes: Sequence[Outcome]) -> str:
    """Where the kills have hit so far."""
    hits = Counter(hit.state for outcome in outcomes for hit in outcome.hits)
    failed = sum(bool(each.failure) for each in outcomes)
    return f"{hits.total()} kills, {failed} failures; " + ", ".join(f"{hits[state]} {state}" for state in FIVE)


def summary(outcomes: Sequence[Outcome], references: dict[str, Reference], seed: int, took_s: float) -> Result:
    """Counts, and the table of states and ways to kill."""
    hits = [hit for outcome in outcomes for hit in outcome.hits]
    about = " ".join((__doc__ or "").split())
    result = Result("Crash: killed at every protocol message and at random moments", about=about, took_s=took_s)
    result.counts = {
        "migration sets": len(references),
        "protocol messages of undisturbed runs": sum(len(each.log) for each in references.values()),
        "rounds": len(outcomes),
        "kills": len(hits),
        "kills at a chosen message": sum(len(each.hits) for each in outcomes if not each.shot.delay_s),
        "kills at a random moment, of the run or of a lone statement": sum(
            len(each.hits) for each in outcomes if each.shot.delay_s
        ),
        "kills of a run that was recovering from one": sum(hit.second for hit in hits),
        "clients that lived, connected again and ended with 0": sum(hit.ended == 0 for hit in hits),
        "clients that lived and ended with 75": sum(hit.ended == 75 for hit in hits),
        "rounds whose first run had ended before its moment came": sum(not each.hits for each in outcomes),
        "failures": sum(bool(each.failure) for each in outcomes),
        "seed": seed,
    }
    result.tables.append(states_table(hits))
    result.tables.append(sets_table(outcomes, references))
    result.failures = [f"{each.shot}: {each.failure}" for each in outcomes if each.failure]
    return result


def states_table(hits: Sequence[Hit]) -> tuple[list[str], list[list[object]]]:
    """State by way to kill."""
    counts = Counter((hit.state, hit.how) for hit in hits)
    rows: list[list[object]] = [
        [str(state), *(counts[state, how] for how in How), sum(counts[state, how] for how in How)] for state in State
    ]
    return ["state that the kill hit", *(str(how) for how in How), "all"], rows


def sets_table(outcomes: Sequence[Outcome], references: dict[str, Reference]) -> tuple[list[str], list[list[object]]]:
    """Kills by set."""
    counts = Counter(outcome.shot.migrations.name for outcome in outcomes for _ in outcome.hits)
    rows: list[list[object]] = [
        [each.name, each.about, len(references[each.name].log), counts[each.name]] for each in SETS
    ]
    return ["set", "what is in it", "messages", "kills"], rows


def hit_counts(result: Result) -> dict[str, int]:
    """State → kills."""
    _, rows = result.tables[0]
    return {str(row[0]): int(str(row[-1])) for row in rows}
