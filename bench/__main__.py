"""`python -m bench`: measure, print, and write the page."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from tests.rig.installation import KINDS, Installation, installation
from tests.rig.postgres import Garage, Server

from bench import corpus, proving
from bench.contenders import Alembic, Contender, Dbmate, Floor, Psql, Sqitch, Tidelock, Yoyo
from bench.peers import PeerMissing
from bench.results import APPLY, NOTHING, SETTINGS, Results, Sample, aims, page

if TYPE_CHECKING:
    from collections.abc import Sequence

STOPWATCH = Path(__file__).with_name("stopwatch.py")
SLOW_S = 30.0
"""A contender whose first run takes longer than this takes part in fewer rounds."""
SLOW_ROUNDS = 1
IDLE_RUNS = 2
"""Runs with nothing to do after each run that applied."""


class BrokenRun(Exception):
    """A contender failed, or did not do what it was to do."""


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def measure(contender: Contender, folder: Path, dsn: str) -> dict[str, float]:
    """Run its command: what the stopwatch says."""
    log = folder.parent / f"{folder.name}.log"
    command = [sys.executable, "-IS", str(STOPWATCH), str(log), *contender.command(folder, dsn)]
    environment = {**os.environ, **contender.environment(folder, dsn)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["code"] != 0:
        raise BrokenRun(f"exit {found['code']}: {log.read_text(errors='replace').strip()[-300:]}")
    return {name: float(value) for name, value in found.items()}


def verify(dsn: str, count: int) -> None:
    """It must have applied everything, or its time means nothing."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT relname FROM pg_class WHERE relname ~ '^t_[0-9]+$' AND relkind = 'r'"
        names = [row[0] for row in connection.execute(query)]
        rows = 0
        for name in names:
            found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            rows += found[0] if found else 0
    if (len(names), rows) != (corpus.tables(count), corpus.rows(count)):
        raise BrokenRun(f"exit 0, with {len(names)} tables and {rows} rows")


class Race:
    """One run of the benchmark."""

    def __init__(self, server: Server, folder: Path, count: int, changes: str = "small") -> None:
        self.server = server
        self.folder = folder
        self.count = count
        self.changes = corpus.changes(changes, count)
        self.number = 0
        self.samples: list[Sample] = []
        self.absent: dict[str, str] = {}
        self.slow: set[str] = set()
        self.runs: dict[tuple[str, str], int] = defaultdict(int)

    def enter(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Write each one's migrations; those that cannot be had are noted."""
        ready = []
        for each in contenders:
            (self.folder / each.name).mkdir()
            try:
                each.prepare(self.folder / each.name, self.changes)
            except PeerMissing as reason:
                self.absent[each.name] = str(reason)
            else:
                ready.append(each)
        return ready

    def round(self, contenders: Sequence[Contender], setting: str) -> None:
        """Each of them once."""
        self.number += 1
        for each in contenders:
            done = self.runs[each.name, setting]
            if each.name in self.absent or (each.name in self.slow and done >= SLOW_ROUNDS):
                continue
            try:
                self.one(each, setting)
            except BrokenRun as reason:
                self.absent[each.name] = str(reason)
            self.runs[each.name, setting] += 1

    def one(self, contender: Contender, setting: str) -> None:
        """Apply to a fresh database, check, and run again with nothing to do."""
        name = self.server.create_database()
        self.server.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(sql.Identifier(name), sql.Literal(setting))
        )
        self.server.execute(sql.SQL("CHECKPOINT").format())
        dsn = self.server.database(name)
        try:
            seconds = self.sample(contender, setting, APPLY, dsn)
            if seconds > SLOW_S:
                self.slow.add(contender.name)
            verify(dsn, self.count)
            for _ in range(IDLE_RUNS if contender.repeatable else 0):
                self.sample(contender, setting, NOTHING, dsn)
        finally:
            self.server.drop_database(name)

    def sample(self, contender: Contender, setting: str, task: str, dsn: str) -> float:
        """One measured run."""
        found = measure(contender, self.folder / contender.name, dsn)
        seconds, peak = found["seconds"], int(found["peak_kib"])
        self.samples.append(Sample(contender.name, setting, task, seconds, peak, self.number, found["cpu_seconds"]))
        say(f"  {contender.name:10} {task:14} synchronous_commit {setting:4} {seconds:8.3f} s  {peak // 1024:5} MiB")
        return seconds


def machine(server: Server) -> dict[str, str]:
    """Where this was measured."""
    load = os.getloadavg()[0]
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute("SELECT current_setting('server_version')").fetchone()
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{len(cpus)} × {cpus[0].partition(': ')[2] if cpus else '?'}, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}",
        "load before": f"{load:.2f}" + (" (the machine was busy: do not quote these)" if load > 0.5 else ""),
        "server": f"PostgreSQL {row[0] if row else '?'} ({server.installation.kind}), fsync on, a loopback connection",
        "python": platform.python_version(),
    }


def contenders(programs: Installation) -> list[Contender]:
    """All of them, ours first."""
    psql = Psql(Path(programs.program("psql")))
    return [Tidelock(), Floor(), Dbmate(), psql, Sqitch(), Yoyo(), Alembic()]


def race(server: Server, folder: Path, arguments: argparse.Namespace) -> Results:
    """Everything that was asked for."""
    found = Race(server, folder, arguments.count, arguments.corpus)
    where = machine(server)
    wanted = [each for each in contenders(server.installation) if not arguments.only or each.name in arguments.only]
    ready = found.enter(wanted)
    for number in range(1, arguments.rounds + 1):
        for setting in SETTINGS:
            say(f"Round {number} of {arguments.rounds}, synchronous_commit {setting}")
            found.round(ready, setting)
    versions = {each.name: each.version() for each in ready}
    return Results(
        count=arguments.count,
        changes=corpus.CORPORA[arguments.corpus].says,
        rounds=arguments.rounds,
        machine=where,
        versions=versions,
        absent=found.absent,
        samples=found.samples,
    )


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="migrations (default 1000)")
    parser.add_argument("--corpus", choices=corpus.CORPORA, default="small", help="what they do (default small)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds for each setting (default 5)")
    parser.add_argument("--only", action="append", help="a contender by name, repeat it for several; or prove")
    parser.add_argument("--server", choices=KINDS, default="embedded", help="which PostgreSQL (default embedded)")
    parser.add_argument("--write", type=Path, help="write the page to this file as well")
    return parser


def main() -> None:
    """Measure and report."""
    arguments = options().parse_args()
    if arguments.only == ["prove"]:
        print(proving.section())
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that server and files are cleaned up
    folder = Path(tempfile.mkdtemp(prefix="tidelock-bench-", dir=os.environ.get("TIDELOCK_BENCH_DIR")))
    folder.chmod(0o755)
    programs = installation(arguments.server, folder)
    if programs is None:
        raise SystemExit(f"PostgreSQL ({arguments.server}) is not installed")
    try:
        with Garage(folder).server(programs, fsync=True) as server:
            results = race(server, folder, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = page(results)
    if not arguments.only:
        say("Proving …")
        text += "\n" + proving.section()
    print(text)
    say(aims(results))
    if arguments.write:
        arguments.write.write_text(text)
        say(f"Written to {arguments.write}.")


if __name__ == "__main__":
    main()
