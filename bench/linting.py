"""`python -m bench.linting`: lint beside squawk, on files as of a farm platform and on a thousand of them.

Tidelock keeps nothing of a run for the next one: every run is a first run. Warm is what the operating system keeps:
files in memory, and byte code, which pip compiles at the install; both tools are run once before the rounds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.peers import python_tool

CHECKOUT = Path(__file__).parents[1]
STOPWATCH = Path(__file__).with_name("stopwatch.py")
AREA = """-- {name}: what a parcel of land grows, season by season
CREATE TABLE IF NOT EXISTS {name} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    parcel_code text NOT NULL CHECK (parcel_code <> ''),
    area_ha numeric(12, 4) NOT NULL DEFAULT 0 CHECK (area_ha >= 0),
    status text NOT NULL DEFAULT 'active',
    metadata jsonb NOT NULL DEFAULT '{{}}'::jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, parcel_code)
);
CREATE INDEX IF NOT EXISTS {name}_status ON {name} (tenant_id, status) WHERE status <> 'archived';
COMMENT ON TABLE {name} IS 'One row for each parcel and season; written by the planning service, read by reports';
ALTER TABLE {name} ADD COLUMN IF NOT EXISTS harvested_at timestamptz;
CREATE OR REPLACE FUNCTION {name}_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- the application does not set it
    NEW.updated_at := now();
    IF NEW.status = 'archived' AND OLD.status <> 'archived' THEN
        INSERT INTO audit_log (table_name, row_id, what, at) VALUES (TG_TABLE_NAME, NEW.id, 'archived', now());
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER IF EXISTS {name}_touch ON {name};
CREATE TRIGGER {name}_touch BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_touch();
ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS {name}_tenant ON {name};
CREATE POLICY {name}_tenant ON {name} USING (tenant_id = current_setting('app.tenant_id')::uuid);
INSERT INTO crop_catalogue (code, name_es, name_en, days_to_harvest) VALUES
    ('{name}-1', 'Trigo', 'Wheat', 120), ('{name}-2', 'Cebada', 'Barley', 90), ('{name}-3', 'Olivo', 'Olive', 210)
    ON CONFLICT (code) DO UPDATE SET name_es = EXCLUDED.name_es, name_en = EXCLUDED.name_en;

"""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files, and how often squawk's time ours may be."""

    files: int
    blocks: int
    """In each file."""
    template: str
    aim: float

    def write(self, folder: Path) -> int:
        """Write them: how many bytes."""
        folder.mkdir()
        size = 0
        for file in range(1, self.files + 1):
            text = "".join(self.template.format(name=f"t_{file}_{block}") for block in range(self.blocks))
            size += (folder / f"{file:04d}_plans.sql").write_text(text)
        return size


CORPORA = {"74 files": Corpus(74, 3, AREA, 6.0), "1,000 files": Corpus(1000, 1, AREA, 3.0)}


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds by the wall, and of all processes' CPU."""
    stopwatch = [sys.executable, "-IS", str(STOPWATCH), str(folder / "log"), *command]
    found = json.loads(subprocess.run(stopwatch, capture_output=True, text=True, check=True, cwd=folder).stdout)
    assert found["code"] in (0, 1), (folder / "log").read_text()[-500:]
    return float(found["seconds"]), float(found["cpu_seconds"])


def row(name: str, corpus: Corpus, folder: Path, rounds: int) -> str:
    """One corpus, measured in turns."""
    size = corpus.write(folder / "migrations")
    files = [str(each) for each in sorted((folder / "migrations").iterdir())]
    squawk = [str(python_tool("squawk", ["squawk-cli"])), *files]
    ours = [str(python_tool("tidelock", [str(CHECKOUT)])), "lint"]
    times: dict[str, list[tuple[float, float]]] = {"squawk": [], "tidelock": []}
    for command in (squawk, ours):
        measure(command, folder)  # files and byte code are in memory from here on
    for _ in range(rounds):
        times["squawk"].append(measure(squawk, folder))
        times["tidelock"].append(measure(ours, folder))
    theirs, mine = (median(wall for wall, _ in times[tool]) for tool in ("squawk", "tidelock"))
    cpu = " and ".join(f"{median(cpu for _, cpu in times[tool]):.3f}" for tool in ("squawk", "tidelock"))
    verdict = "reached" if mine / theirs <= corpus.aim else "**not reached**"
    numbers = f"{theirs:.3f} | {mine:.3f} | {mine / theirs:.1f} | {corpus.aim:.0f}"
    return f"| {name}, {size / 1000:.0f} kB | {numbers} | {verdict} | {cpu} |"


def main() -> None:
    """Measure and print; the page goes to --write as well."""
    parser = argparse.ArgumentParser(prog="python -m bench.linting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    python_tool("tidelock", [str(CHECKOUT)], anew=True)  # compiled, as users have it
    load = os.getloadavg()[0]
    version = subprocess.run(
        [python_tool("squawk", ["squawk-cli"]), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    about = f"{version}, a Rust binary; Python {platform.python_version()}; {os.cpu_count()} cores"
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC; load before {load:.2f}"
    lines = [
        "# Lint beside squawk",
        "",
        f"{about}; {when}. Medians of {arguments.rounds} runs in turns.",
        "",
        "Neither tool keeps anything of a run: each is a first one. Files and byte code are in memory.",
        "",
        "| files | squawk, s | tidelock lint, s | ratio | aim | | CPU of both, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, corpus in CORPORA.items():
        with tempfile.TemporaryDirectory(prefix="tidelock-bench-") as folder:
            lines.append(row(name, corpus, Path(folder), arguments.rounds))
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
