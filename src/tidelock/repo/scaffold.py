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


ADD_COLUMN = """\
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {type};
"""


def add_column(text: str) -> str:
    """A column, if it is not there."""
    found = parts(
        "add-column",
        text,
        rf"(?P<table>{NAME})\.(?P<column>[A-Za-z_]\w*):(?P<type>.+)",
        "table.column:type, such as sensors.humidity:double precision",
    )
    return ADD_COLUMN.format(**found)


CREATE_TABLE = """\
CREATE TABLE IF NOT EXISTS {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""


def create_table(text: str) -> str:
    """A table, if it is not there."""
    return CREATE_TABLE.format(**parts("create-table", text, rf"(?P<table>{NAME})", "a table's name"))


INDEX = """\
-- It runs outside of a transaction. If it is cut off, `tidelock apply` drops the invalid index and builds it again.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({columns});
"""


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
    return INDEX.format(**found, name=name)


HYPERTABLE = """\
-- tidelock: requires timescaledb
CREATE TABLE IF NOT EXISTS {table} (
    {time} timestamptz NOT NULL,
    device_id bigint NOT NULL,
    value double precision
);
SELECT create_hypertable('{table}', '{time}', if_not_exists => TRUE);
CREATE INDEX IF NOT EXISTS {bare}_device_{time}_idx ON {table} (device_id, {time} DESC);
"""


def hypertable(text: str) -> str:
    """A TimescaleDB hypertable."""
    found = parts("hypertable", text, rf"(?P<table>{NAME})(?::(?P<time>[A-Za-z_]\w*))?", "table or table:time_column")
    table = found["table"]
    return HYPERTABLE.format(table=table, bare=table.rpartition(".")[2], time=found["time"] or "time")


AGGREGATE = """\
-- tidelock: requires timescaledb
CREATE MATERIALIZED VIEW IF NOT EXISTS {name}
WITH (timescaledb.continuous) AS
SELECT time_bucket('{bucket}', time) AS bucket, device_id, avg(value) AS average, count(*) AS readings
FROM {table}
GROUP BY 1, 2
WITH NO DATA;

-- Keep start_offset shorter than the retention of {table}: a refresh of a range without raw rows erases it.
SELECT add_continuous_aggregate_policy('{name}', start_offset => INTERVAL '3 days', end_offset => INTERVAL '{bucket}',
    schedule_interval => INTERVAL '{bucket}', if_not_exists => TRUE);
"""


def aggregate(text: str) -> str:
    """A continuous aggregate, empty at first, with its refresh policy."""
    found = parts(
        "aggregate",
        text,
        rf"(?P<name>{NAME}):(?P<table>{NAME})(?::(?P<bucket>[\w ]+))?",
        "name:hypertable or name:hypertable:1 hour",
    )
    return AGGREGATE.format(name=found["name"], table=found["table"], bucket=found["bucket"] or "1 hour")


ENUM_VALUE = """\
-- A new value can be used only after its commit, so use it in a later file.
ALTER TYPE {type} ADD VALUE IF NOT EXISTS '{literal}';
"""


def enum_value(text: str) -> str:
    """A value of an enum, if it is not there."""
    found = parts("enum-value", text, rf"(?P<type>{NAME}):(?P<value>.+)", "type:value, such as status:archived")
    return ENUM_VALUE.format(type=found["type"], literal=found["value"].replace("'", "''"))


TEMPLATES: dict[str, Callable[[str], str]] = {
    "add-column": add_column,
    "create-table": create_table,
    "index": index,
    "hypertable": hypertable,
    "aggregate": aggregate,
    "enum-value": enum_value,
}
EMPTY = "-- Write SQL that can run twice: IF NOT EXISTS, IF EXISTS, OR REPLACE, ON CONFLICT.\n"
