"""The next migration file: its number, and SQL that can run twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidelock.core.source import migrations, number_of
from tidelock.errors import UsageFault
from tidelock.repo.directory import files, shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class BadTemplate(UsageFault):
    """A template's argument that cannot be read."""

    code = "U009"

    def __init__(self, option: str, text: str, wanted: str) -> None:
        super().__init__(f"--{option} “{text}” cannot be read", hint=f"write it as {wanted}")


WIDTH = 3
NAME = r"[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)?"


def create(directory: Path, description: str, templates: Mapping[str, str], *, timestamp: bool = False) -> str:
    """Write the file and return its path as people see it. Raises rather than overwrite."""
    directory.mkdir(parents=True, exist_ok=True)
    number = f"{datetime.now(UTC):%Y%m%d%H%M%S}" if timestamp else next_number(directory)
    slug = re.sub(r"[^a-z0-9]+", "_", description.lower()).strip("_") or "change"
    path = directory / f"{number}_{slug}.sql"
    body = "\n".join(TEMPLATES[name](text) for name, text in templates.items()) or EMPTY
    with path.open("x", encoding="utf-8") as file:
        file.write(f"-- {description}\n{body}")
    return f"{shown_path(directory)}/{path.name}"


def next_number(directory: Path) -> str:
    """One more than the highest number there, as wide as that one is written."""
    existing = migrations(files(directory))
    if not existing:
        return "1".zfill(WIDTH)
    return str(existing[-1].version + 1).zfill(max(len(number_of(existing[-1].path)), 1))


def parts(option: str, text: str, pattern: str, wanted: str) -> dict[str, str]:
    """The named parts of a template's argument."""
    found = re.fullmatch(pattern, text.strip())
    if not found:
        raise BadTemplate(option, text, wanted)
    return {name: value or "" for name, value in found.groupdict().items()}


def add_column(text: str) -> str:
    """A column, if it is not there."""
    found = parts(
        "add-column",
        text,
        rf"(?P<table>{NAME})\.(?P<column>[A-Za-z_]\w*):(?P<type>.+)",
        "table.column:type, such as sensors.humidity:double precision",
    )
    return f"ALTER TABLE {found['table']} ADD COLUMN IF NOT EXISTS {found['column']} {found['type']};\n"


def create_table(text: str) -> str:
    """A table, if it is not there."""
    found = parts("create-table", text, rf"(?P<table>{NAME})", "a table's name")
    return (
        f"CREATE TABLE IF NOT EXISTS {found['table']} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "    created_at timestamptz NOT NULL DEFAULT now()\n);\n"
    )


def index(text: str) -> str:
    """An index that blocks no writer; alone, since no transaction may hold it."""
    found = parts(
        "index",
        text,
        rf"(?P<table>{NAME})\((?P<columns>[^)]+)\)",
        "table(column, …), such as sensors(site, time)",
    )
    columns = re.sub(r"\W+", "_", found["columns"]).strip("_")
    name = f"{found['table'].rpartition('.')[2]}_{columns}_idx"[:63]
    return (
        "-- It runs outside of a transaction. If it is cut off, `tidelock apply` drops the invalid index and builds it again.\n"
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {found['table']} ({found['columns']});\n"
    )


def hypertable(text: str) -> str:
    """A TimescaleDB hypertable."""
    found = parts("hypertable", text, rf"(?P<table>{NAME})(?::(?P<time>[A-Za-z_]\w*))?", "table or table:time_column")
    time = found["time"] or "time"
    return (
        f"-- tidelock: requires timescaledb\nCREATE TABLE IF NOT EXISTS {found['table']} (\n    {time} timestamptz NOT NULL,\n    device_id bigint NOT NULL,\n"
        f"    value double precision\n);\nSELECT create_hypertable('{found['table']}', '{time}', if_not_exists => TRUE);\n"
        f"CREATE INDEX IF NOT EXISTS {found['table'].rpartition('.')[2]}_device_{time}_idx ON {found['table']} (device_id, {time} DESC);\n"
    )


def aggregate(text: str) -> str:
    """A continuous aggregate, empty at first, with its refresh policy."""
    found = parts(
        "aggregate",
        text,
        rf"(?P<name>{NAME}):(?P<table>{NAME})(?::(?P<bucket>[\w ]+))?",
        "name:hypertable or name:hypertable:1 hour",
    )
    bucket = found["bucket"] or "1 hour"
    return (
        f"-- tidelock: requires timescaledb\nCREATE MATERIALIZED VIEW IF NOT EXISTS {found['name']}\nWITH (timescaledb.continuous) AS\n"
        f"SELECT time_bucket('{bucket}', time) AS bucket, device_id, avg(value) AS average, count(*) AS readings\nFROM {found['table']}\nGROUP BY 1, 2\nWITH NO DATA;\n\n"
        f"-- Keep start_offset shorter than the retention of {found['table']}: a refresh of a range without raw rows erases it.\n"
        f"SELECT add_continuous_aggregate_policy('{found['name']}', start_offset => INTERVAL '3 days', end_offset => INTERVAL '{bucket}',\n"
        f"    schedule_interval => INTERVAL '{bucket}', if_not_exists => TRUE);\n"
    )


def enum_value(text: str) -> str:
    """A value of an enum, if it is not there."""
    found = parts("enum-value", text, rf"(?P<type>{NAME}):(?P<value>.+)", "type:value, such as status:archived")
    literal = found["value"].replace("'", "''")
    return f"-- A new value can be used only after its commit, so use it in a later file.\nALTER TYPE {found['type']} ADD VALUE IF NOT EXISTS '{literal}';\n"


TEMPLATES: dict[str, Callable[[str], str]] = {
    "add-column": add_column,
    "create-table": create_table,
    "index": index,
    "hypertable": hypertable,
    "aggregate": aggregate,
    "enum-value": enum_value,
}
EMPTY = "-- Write SQL that can run twice: IF NOT EXISTS, IF EXISTS, OR REPLACE, ON CONFLICT.\n"
