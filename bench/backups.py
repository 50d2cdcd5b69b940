"""`python -m bench.backups`: create and restore beside the seeds' pipeline, on one database, in one run.

The pipeline is `pg_dump -F p -b | gzip > file`, then the upload of the file; back: the download, `gunzip | psql`.
Both go to the same S3 server (rclone's) on this machine. Memory is the highest sum over a command's processes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
import psycopg
from tests.rig.installation import installation
from tests.rig.loopback import free_port
from tests.rig.postgres import Garage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.rig.postgres import Server

CREATE_AIM, RESTORE_AIM = 0.35, 0.65
FILL = """
CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, device int NOT NULL,
                     value double precision, note text);
INSERT INTO {name} (at, device, value, note)
SELECT '2026-01-01'::timestamptz + i * interval '3 seconds', i % 232, random() * 1000, md5(i::text)
  FROM generate_series(1, {rows}) i;
ALTER TABLE {name} ADD PRIMARY KEY (id);
CREATE INDEX ON {name} (device, at)"""


@dataclass(frozen=True, slots=True)
class Took:
    """What a command cost."""

    seconds: float
    memory: int
    """Bytes, of all its processes together, at the worst moment."""


def run(command: Sequence[object] | str, environment: Mapping[str, str]) -> Took:
    """Run a command to its end, watched."""
    began, peak = time.monotonic(), 0
    words = command if isinstance(command, str) else [str(each) for each in command]
    process = psutil.Popen(
        words,
        shell=isinstance(command, str),
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
    reader.start()
    while process.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(0.1)
    reader.join()
    assert process.returncode == 0, said[0][-2000:].decode(errors="replace")
    return Took(time.monotonic() - began, peak)


def memory(process: psutil.Process) -> int:
    """Bytes of a process and its children."""
    try:
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)) if each.is_running())
    except psutil.Error:
        return 0


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """rclone's S3 server: the environment that leads to it."""
    port = free_port()
    (folder / "bucket").mkdir(parents=True)
    rclone = Path(sys.executable).with_name("rclone")
    command = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "KEY,SECRET", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        time.sleep(2)
        try:
            yield {
                "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_REGION": "local",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "RCLONE_CONFIG_S_TYPE": "s3", "RCLONE_CONFIG_S_PROVIDER": "Rclone",
                "RCLONE_CONFIG_S_ACCESS_KEY_ID": "KEY", "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": "SECRET",
                "RCLONE_CONFIG_S_ENDPOINT": f"http://127.0.0.1:{port}",
            }  # fmt: skip
        finally:
            server.terminate()


def fill(dsn: str, megabytes: int) -> None:
    """Four tables of different sizes, together about that large with their indexes left out."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name, share in (("readings", 0.6), ("events", 0.25), ("orders", 0.1), ("users", 0.05)):
            conn.execute(FILL.format(name=name, rows=int(megabytes * share * 1e6 / 100)).encode())
        conn.execute("VACUUM ANALYZE")


def rounds(server: Server, folder: Path, environment: dict[str, str], count: int) -> dict[str, list[Took]]:
    """Each way there and back, in turns."""
    tools = Path(server.installation.program("pg_dump")).parent
    environment = {**environment, "TIDELOCK_PG_BIN": str(tools)}
    dsn, back = server.database("big"), server.database("back")
    ours = [sys.executable, "-m", "tidelock"]
    store = ["--store", "s3://bucket/tidelock", "--database", dsn]
    rclone = Path(sys.executable).with_name("rclone")
    file = folder / "dump.sql.gz"
    took: dict[str, list[Took]] = {"pipeline create": [], "create": [], "pipeline restore": [], "restore": []}
    for number in range(count):
        say(f"round {number + 1} of {count}")
        dump = f"{tools}/pg_dump -F p -b -d '{dsn}' | gzip > {file} && {rclone} copyto {file} s:bucket/dump.sql.gz"
        took["pipeline create"].append(run(dump, environment))
        took["create"].append(run([*ours, "backup", "create", *store], environment))
        remake(server, "back")
        psql = f"{rclone} copyto s:bucket/dump.sql.gz {file} && gunzip -c {file} | {tools}/psql -q -d '{back}'"
        took["pipeline restore"].append(run(psql, environment))
        remake(server, "restored", make=False)
        took["restore"].append(run([*ours, "restore", "--into", "restored", *store], environment))
    return took


def remake(server: Server, name: str, *, make: bool = True) -> None:
    """An empty database of that name, or none."""
    with psycopg.connect(server.database("postgres"), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        if make:
            conn.execute(f"CREATE DATABASE {name}".encode())


def stored(folder: Path) -> tuple[int, int]:
    """Bytes in the store: the pipeline's, and ours of one backup."""
    backups = sorted((folder / "bucket" / "tidelock" / "big").iterdir())
    ours = sum(each.stat().st_size for each in backups[-1].iterdir())
    return (folder / "bucket" / "dump.sql.gz").stat().st_size, ours


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def table(took: Mapping[str, list[Took]], sizes: tuple[int, int], scratch: int) -> Iterator[str]:
    """The result."""
    yield "| | pipeline | Tidelock | ratio | aim | |"
    yield "|---|---|---|---|---|---|"
    for what, aim in (("create", CREATE_AIM), ("restore", RESTORE_AIM)):
        theirs = median(each.seconds for each in took[f"pipeline {what}"])
        mine = median(each.seconds for each in took[what])
        verdict = "reached" if mine / theirs <= aim else "**not reached**"
        yield f"| {what}, s | {theirs:.1f} | {mine:.1f} | {mine / theirs:.2f} | {aim} | {verdict} |"
    for what in ("create", "restore"):
        peaks = [max(each.memory for each in took[name]) / (1 << 20) for name in (f"pipeline {what}", what)]
        yield f"| {what}, peak MiB | {peaks[0]:.0f} | {peaks[1]:.0f} | | 300 | |"
    yield f"| stored, MB | {sizes[0] / 1e6:.0f} | {sizes[1] / 1e6:.0f} | {sizes[1] / sizes[0]:.2f} | 1 | |"
    yield f"| scratch disk, MB | {scratch / 1e6:.0f} | 0 | | 0 | |"


def main() -> None:
    """Measure and print; the page goes to --write as well."""
    parser = argparse.ArgumentParser(prog="python -m bench.backups", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tidelock-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        programs = installation("debian", folder)
        assert programs is not None, "Debian's PostgreSQL is not there"
        load = os.getloadavg()[0]
        garage = Garage(folder)
        with garage.server(programs, settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as server:
            remake(server, "big")
            say(f"filling {arguments.megabytes} MB …")
            fill(server.database("big"), arguments.megabytes)
            with psycopg.connect(server.database("big")) as conn:
                [size, version] = conn.execute(
                    "SELECT pg_database_size('big'), current_setting('server_version')"
                ).fetchone() or (0, "")
            with s3(folder / "s3") as environment:
                took = rounds(server, folder, environment, arguments.rounds)
            scratch = (folder / "dump.sql.gz").stat().st_size
            when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC; load before {load:.2f}"
            about = f"medians of {arguments.rounds} rounds; {when}. Made by `python -m bench.backups`."
            lines = [
                "# Backups beside the seeds' pipeline",
                "",
                f"{size / 1e6:.0f} MB on PostgreSQL {version}; {os.cpu_count()} cores; {about}",
                "",
                *table(took, stored(folder / "s3"), scratch),
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(lines))
    if arguments.write:
        arguments.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
