# ruff: noqa: E501 - a page is written in lines of its own
"""`python -m bench.refresh`: filling an aggregate of 20 million rows, by one CALL and by Tidelock, in pairs.

Needs TIDELOCK_TEST_TIMESCALE_DSN. The rows are made once, as the template database `bench_energy`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

TEMPLATE, NAME = "bench_energy", "bench_refresh"
DAYS, DEVICES = 60, 232
TABLE = """
CREATE EXTENSION timescaledb;
CREATE TABLE energy (time timestamptz NOT NULL, device int NOT NULL, power double precision NOT NULL);
SELECT create_hypertable('energy', 'time', chunk_time_interval => interval '1 day')"""
ROWS = """
INSERT INTO energy SELECT t, d, (d * 7 + extract(epoch FROM t)::bigint / 60 % 1000) % 100
  FROM generate_series('2026-09-01+00'::timestamptz + make_interval(days => {0}),
                       '2026-09-01+00'::timestamptz + make_interval(days => {0}, mins => 1439), '1 minute') t,
       generate_series(1, {1}) d"""
AGGREGATE = """
CREATE MATERIALIZED VIEW energy_hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, avg(power) AS mean, max(power) AS peak, count(*) AS n
  FROM energy GROUP BY 1, 2 WITH NO DATA"""
SUMS = "SELECT count(*), sum(n), sum(mean)::numeric(20, 3), sum(peak) FROM energy_hourly"
CALL = "CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL)"
INSERT = "INSERT INTO energy VALUES ('2026-10-30 23:59+00', 1, 1)"
"""Into the last bucket, fifty times a second: the newest window meets it."""


@dataclass(frozen=True)
class Run:
    """One full refresh."""

    took_s: float
    longest_insert_s: float


class Inserting:
    """A client that writes meanwhile, and how long it had to wait at most."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.stop, self.longest_s = dsn, threading.Event(), 0.0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        with closing(psycopg.connect(self.dsn, autocommit=True)) as conn:
            while not self.stop.wait(0.02):
                began = time.monotonic()
                conn.execute(INSERT)
                self.longest_s = max(self.longest_s, time.monotonic() - began)


def admin(server: str, *statements: str) -> None:
    with closing(psycopg.connect(server, autocommit=True)) as conn:
        for each in statements:
            conn.execute(each.encode())


def template(server: str) -> None:
    """The rows, once."""
    with closing(psycopg.connect(server, autocommit=True)) as conn:
        if conn.execute("SELECT FROM pg_database WHERE datname = %s", (TEMPLATE,)).fetchone() is not None:
            return
        conn.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0".encode())
    with closing(psycopg.connect(make_conninfo(server, dbname=TEMPLATE), autocommit=True)) as conn:
        conn.execute("SET client_min_messages = error")
        conn.execute(TABLE.encode())
        for day in range(DAYS):
            conn.execute(ROWS.format(day, DEVICES).encode())
        conn.execute(AGGREGATE.encode())
        conn.execute("VACUUM ANALYZE energy")
    # TimescaleDB's scheduler would sit in it, and nothing can be copied from where someone is.
    admin(
        server,
        f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'",
    )


def fresh(server: str) -> str:
    """A copy, with nothing refreshed."""
    admin(server, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    for left in range(20, -1, -1):
        try:
            admin(server, f"CREATE DATABASE {NAME} TEMPLATE {TEMPLATE}", "CHECKPOINT")
            break
        except psycopg.errors.ObjectInUse:  # TimescaleDB's own scheduler looks in
            if not left:
                raise
            time.sleep(1)
    return make_conninfo(server, dbname=NAME)


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "tidelock", "aggregates", "refresh", "energy_hourly", "--database", dsn]


def ours(dsn: str) -> None:
    subprocess.run(command(dsn), check=True, capture_output=True, cwd="/")


def theirs(dsn: str) -> None:
    admin(dsn, CALL)


def measured(server: str, how: object) -> Run:
    """One of the two, with someone who writes."""
    dsn = fresh(server)
    writer = Inserting(dsn)
    writer.thread.start()
    began = time.monotonic()
    how(dsn)  # type: ignore[operator]
    took_s = time.monotonic() - began
    writer.stop.set()
    writer.thread.join()
    return Run(took_s, writer.longest_s)


def sums(dsn: str) -> tuple[object, ...]:
    with closing(psycopg.connect(dsn)) as conn:
        return conn.execute(SUMS.encode()).fetchone() or ()


def killed(server: str, wanted: tuple[object, ...], whole_s: float, times: int) -> list[tuple[float, float]]:
    """Kill it with signal 9 at random moments, and finish: (seconds until the kill, seconds of the rest)."""
    found = []
    for _ in range(times):
        dsn = fresh(server)
        process = subprocess.Popen(command(dsn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        after = random.uniform(0.1, 0.95) * whole_s
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        ours(dsn)
        found.append((after, time.monotonic() - began))
        if sums(dsn) != wanted:
            raise SystemExit(f"killed after {after:.2f} s it ends otherwise: {sums(dsn)}")
    return found


def page(runs: list[tuple[Run, Run]], kills: list[tuple[float, float]], version: str) -> str:
    """What was found, as a page."""
    them, us = ([pair[i].took_s for pair in runs] for i in (0, 1))
    waits = [[pair[i].longest_insert_s * 1000 for pair in runs] for i in (0, 1)]
    ratio = statistics.median(b / a for a, b in zip(them, us, strict=True))
    lines = [
        "# Filling an aggregate",
        "",
        (
            f"20,044,800 rows over 60 days in one-day chunks, 1-hour aggregate × 232 devices = 334,080 rows. TimescaleDB {version}, "
            f"{os.cpu_count()} cores, fsync off, {len(runs)} pairs in one run, the whole command with its start-up; a client inserts 50 rows a second."
        ),
        "",
        "| | median s | from … to s | longest INSERT, median ms | worst ms |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(took):.1f} | {min(took):.1f} … {max(took):.1f} | {statistics.median(wait):.0f} | {max(wait):.0f} |"
            for name, took, wait in (("one CALL", them, waits[0]), ("tidelock aggregates refresh", us, waits[1]))
        ),
        "",
        f"Median of the pairs' ratios: **{ratio:.2f}** of the CALL's time.",
    ]
    if kills:
        lines += [
            "",
            (
                f"Killed with signal 9 at {len(kills)} random moments and run again: same rows and sums each time. "
                f"Killed after a median of {statistics.median(a for a, _ in kills):.1f} s, the rest took {statistics.median(b for _, b in kills):.1f} s."
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    server = os.environ["TIDELOCK_TEST_TIMESCALE_DSN"]
    template(server)
    runs = []
    for number in range(given.pairs):
        pair = [measured(server, how) for how in ((theirs, ours) if number % 2 == 0 else (ours, theirs))]
        runs.append((pair[0], pair[1]) if number % 2 == 0 else (pair[1], pair[0]))
        print(
            *(f"{each.took_s:.2f} s, longest insert {each.longest_insert_s * 1000:.0f} ms" for each in runs[-1]),
            sep=" | ",
            file=sys.stderr,
        )
    dsn = fresh(server)
    theirs(dsn)
    wanted = sums(dsn)
    with closing(psycopg.connect(dsn)) as conn:
        [version] = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone() or (
            "",
        )
    kills = killed(server, wanted, statistics.median(each.took_s for _, each in runs), given.kills)
    shown = page(runs, kills, version)
    print(shown)
    if given.write:
        given.write.write_text(shown, encoding="utf-8")
    admin(server, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
