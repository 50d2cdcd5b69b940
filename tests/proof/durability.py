"""Every process of the server is killed right after `tidelock apply` ended with 0: nothing may be missing.

fsync is on, synchronous_commit at its default, and the WAL writer sleeps for 10 s (`wal_writer_delay`), so that what
a run left to it would still be in the server's memory and be lost. Every fourth round is the one that the
issue names: a run is killed between its last commit and its release, the next one finds nothing to do, ends with 0,
and then the server dies.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from tests.proof.client import Nursery
from tests.proof.rounds import Result, Ticker, programs, workplace
from tests.proof.sets import WITNESS
from tests.rig.proxy import Proxy, sends

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.postgres import Server

SETTINGS = {"wal_writer_delay": "10s", "autovacuum": "off"}
ALONE, DEAD = 3, 4
"""Every so many rounds the file has a lone statement, or the run that applied it is killed before its release."""
LOST_ROWS = 50


@dataclass
class Bench:
    """A server, a folder of migrations that grows, and what has to be in the database."""

    server: Server
    nursery: Nursery
    folder: Path
    expected: int = 0
    killed: int = 0
    idle: int = 0

    def write(self, number: int) -> None:
        """The next file: a table, a row, and now and then a concurrent index."""
        lone = f"CREATE INDEX CONCURRENTLY d{number}_n ON d{number} (n);\n" if number % ALONE == 0 else ""
        text = (
            (WITNESS if number == 1 else "")
            + f"CREATE TABLE d{number} AS SELECT generate_series(1, 20) AS n;\n{lone}"
            + f"INSERT INTO witness(file) VALUES ('{number}');\n"
        )
        (self.folder / f"{number:03}_d.sql").write_text(text)
        self.expected = number

    def apply(self, dsn: str) -> str:
        """`tidelock apply`, which has to end with 0. The server dies at once after it."""
        command = self.nursery.start("apply", "--wait", "60s", "--dir", str(self.folder), "--database", dsn)
        code = command.end(60)
        self.server.kill9_all()
        if code != 0:
            raise AssertionError(f"apply ended with {code}:\n{command.said}")
        return command.said

    def leave_a_dead_run(self, dsn: str) -> None:
        """A run that did all of its work and was killed before its last commit, which waits for the disk."""
        with Proxy(self.server.port) as proxy:
            release = proxy.before(sends("SET run_id = NULL"), lambda seen: seen.connection.hold(seen.direction))
            arguments = ("apply", "--wait", "60s", "--dir", str(self.folder), "--database", proxy.dsn(dsn))
            command = self.nursery.start(*arguments)
            release.wait()
            command.signal(signal.SIGKILL)
            command.wait(10)
        self.killed += 1

    def round(self, number: int) -> str:
        """One round; what is missing, or nothing."""
        self.write(number)
        dsn = self.server.dsn
        if number % DEAD == 0:
            self.leave_a_dead_run(dsn)
        said = self.apply(dsn)
        self.idle += "Nothing to do" in said or "Applied 0" in said
        self.server.start()
        return self.missing()

    def missing(self) -> str:
        """Compare the database with what has to be there."""
        with psycopg.connect(self.server.dsn, autocommit=True) as conn:
            rows = conn.execute("SELECT file::int FROM witness ORDER BY 1").fetchall()
            ledger = conn.execute("SELECT version FROM schema_migrations ORDER BY 1").fetchall()
            tables = conn.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^d[0-9]+$'").fetchone()
            indexes = conn.execute("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE relname ~ '^d[0-9]+_n$' AND indisvalid").fetchone()  # fmt: skip
        wanted = [(number,) for number in range(1, self.expected + 1)]
        good = rows == ledger == wanted and tables == (self.expected,) and indexes == (self.expected // ALONE,)
        return "" if good else f"{len(rows)} rows, {len(ledger)} in the ledger, {tables} tables, {indexes} indexes of {self.expected}"  # fmt: skip


def lose(server: Server, *, synchronous_end: bool) -> int:
    """How many of `LOST_ROWS` commits with synchronous_commit off are gone after the server was killed."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS volatile")
        conn.execute("CREATE TABLE volatile (n int)")
        conn.execute("SET synchronous_commit = off")
        for number in range(LOST_ROWS):
            conn.execute("INSERT INTO volatile VALUES (%s)", (number,))
        if synchronous_end:
            conn.execute("SET synchronous_commit = on")
            conn.execute("INSERT INTO volatile VALUES (-1)")
        server.kill9_all()
    server.start()
    with psycopg.connect(server.dsn) as conn:
        row = conn.execute("SELECT count(*) FROM volatile WHERE n >= 0").fetchone()
    assert row is not None
    return LOST_ROWS - int(row[0])


def prove(*, rounds: int, shows: int) -> Result:
    """Run the rounds, and show `shows` times that a commit that nobody waited for is lost here."""
    began, failures = time.monotonic(), []
    with workplace(disk=True) as (garage, folder), Nursery(folder / "client") as nursery:
        (folder / "migrations").mkdir()
        with garage.server(programs(folder), fsync=True, settings=SETTINGS) as server:
            lost = [lose(server, synchronous_end=False) for _ in range(shows)]
            kept = [LOST_ROWS - lose(server, synchronous_end=True) for _ in range(shows)]
            bench, ticker = Bench(server, nursery, folder / "migrations"), Ticker("durability rounds", rounds)
            for number in range(1, rounds + 1):
                if missing := bench.round(number):
                    failures.append(f"round {number}: {missing}")
                ticker.tick(f"{len(failures)} with something missing")
    return summary(bench, rounds, lost, kept, failures, time.monotonic() - began)


def summary(bench: Bench, rounds: int, lost: list[int], kept: list[int], failures: list[str], took_s: float) -> Result:
    """Counts."""
    result = Result("Durability: the server killed right after exit 0", about=" ".join((__doc__ or "").split()))
    result.counts = {
        "rounds (every process of the server killed after exit 0)": rounds,
        "of these after a run that was killed before its release": bench.killed,
        "of these whose last run found nothing to do": bench.idle,
        "rounds with something missing": len(failures),
        f"teeth: of {LOST_ROWS} commits with synchronous_commit off, lost": ", ".join(map(str, lost)),
        "teeth: the same and one synchronous commit behind them, kept": ", ".join(map(str, kept)),
    }
    result.failures, result.took_s = failures, took_s
    return result
