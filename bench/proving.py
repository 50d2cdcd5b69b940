"""`tidelock prove`: fifty migrations as real ones are, all proofs, the first time and after one file has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COUNT = 50
AIM_FIRST_S, AIM_CHANGED_S = 30.0, 5.0
SHAPES = (
    (
        "CREATE TABLE IF NOT EXISTS t_{n} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "    name text NOT NULL UNIQUE,\n    area numeric(10, 4) NOT NULL DEFAULT 0 CHECK (area >= 0),\n"
        "    made_at timestamptz NOT NULL DEFAULT now()\n);\nCOMMENT ON TABLE t_{n} IS 'Made by {n}';\n"
        "CREATE INDEX IF NOT EXISTS t_{n}_made ON t_{n} (made_at);\n"
    ),
    (
        "ALTER TABLE t_{p} ADD COLUMN IF NOT EXISTS note text;\n"
        "CREATE OR REPLACE VIEW v_{n} AS SELECT id, name, area FROM t_{p};\n"
    ),
    "INSERT INTO t_{p} (name) VALUES ('barley'), ('maize'), ('oat'), ('vine') ON CONFLICT (name) DO NOTHING;\n",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_{p}_area ON t_{p} (area);\n",
    (
        "CREATE OR REPLACE FUNCTION f_{n}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN NEW;\nEND\n$$;\n"
        "CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON t_{p} FOR EACH ROW EXECUTE FUNCTION f_{n}();\n"
    ),
)


def write(folder: Path, count: int = COUNT) -> None:
    """Five shapes that take turns: table, column and view, rows, an index built concurrently, function and trigger."""
    (folder / "migrations").mkdir()
    for number in range(1, count + 1):
        base = (number - 1) // len(SHAPES) * len(SHAPES) + 1
        text = SHAPES[(number - 1) % len(SHAPES)].format(n=number, p=base)
        (folder / "migrations" / f"{number:03}_change.sql").write_text(text)


def timed(folder: Path, cache: Path, *arguments: str) -> float:
    """Seconds that the command takes."""
    environment = {**os.environ, "TIDELOCK_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT / "src")}
    began = time.monotonic()
    command = [sys.executable, "-m", "tidelock", "prove", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"prove ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1500:]}")
    return took


def changed(folder: Path, number: int) -> None:
    """Somebody edits one file."""
    path = folder / "migrations" / f"{number:03}_change.sql"
    path.write_text(f"{path.read_text()}COMMENT ON SCHEMA public IS 'edited {time.time_ns()}';\n")


def measure() -> list[tuple[str, float, float | None]]:
    """(what, seconds, aim)."""
    with tempfile.TemporaryDirectory(prefix="tidelock-bench-") as made:
        folder, cache = Path(made) / "project", Path(made) / "cache"
        Path(made).chmod(0o755)
        folder.mkdir()
        write(folder)
        found: list[tuple[str, float, float | None]] = [
            ("50 migrations, all proofs, no server yet", timed(folder, cache), AIM_FIRST_S),
            ("the same again, nothing changed", timed(folder, cache), None),
            ("all proofs once more, nothing from the cache", timed(folder, cache, "--no-cache"), AIM_FIRST_S),
        ]
        for number, which in ((50, "the last file"), (41, "the tenth from the end"), (25, "the 25th file")):
            changed(folder, number)
            found.append((f"{which} changed", timed(folder, cache), AIM_CHANGED_S if number > 40 else None))
        found.append(("examples/farm", timed(ROOT / "examples" / "farm", cache, "--no-cache"), None))
        if dsn := os.environ.get("TIDELOCK_TEST_TIMESCALE_DSN"):
            took = timed(ROOT / "examples" / "telemetry", cache, "--no-cache", "--shadow", dsn)
            found.append(("examples/telemetry (TimescaleDB, fsync on)", took, None))
        return found


def page(found: list[tuple[str, float, float | None]], load: float) -> str:
    """A table for bench/results.md."""
    lines = [
        "## `tidelock prove`",
        "",
        "Wall time of the whole command: Python, an embedded PostgreSQL that is started and stopped, and every proof.",
        f"Two shadow databases at a time; load before: {load:.1f}.",
        "",
        "| | seconds | aim |",
        "|---|---:|---:|",
    ]
    lines += [f"| {what} | {took:.1f} | {f'< {aim:.0f}' if aim else ''} |" for what, took, aim in found]
    return "\n".join(lines) + "\n"


def section() -> str:
    """Measure, and write it down."""
    load = os.getloadavg()[0]
    return page(measure(), load)


if __name__ == "__main__":
    print(section())
