"""The next migration file: its number, and SQL that can run twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.lint import compose
from tidelock.core.source import migrations, number_of
from tidelock.errors import UsageFault
from tidelock.repo.directory import files, shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class CannotCreate(UsageFault):
    """The operating system does not let the file be made."""

    code = "U049"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be made: {why}",
            hint="make room or give yourself the right to write there, or name another place with --dir",
        )


class BadTemplate(UsageFault):
    """A template's argument that cannot be read."""

    code = "U009"

    def __init__(self, option: str, text: str, wanted: str) -> None:
        super().__init__(f"--{option} “{text}” cannot be read", hint=f"write it as {wanted}")


WIDTH = 3
PART = r'(?:[^\W\d][\w$]*|"(?:[^"\n]|"")+")'
NAME = rf"{PART}(?:\.{PART})?"
MOST_OF_A_NAME = 150
"""Characters of a description in a file's name; a file system takes 255 bytes at most, some fewer."""


def create(directory: Path, description: str, templates: Mapping[str, str], *, timestamp: bool = False) -> str:
    """Write the file and return its path as people see it. Raises rather than overwrite."""
    words = " ".join("".join(each if each.isprintable() else " " for each in description).split())
    slug = re.sub(r"[^a-z0-9]+", "_", words.lower())[:MOST_OF_A_NAME].strip("_") or "change"
    body = "\n".join(TEMPLATES[name](text) for name, text in templates.items()) or EMPTY
    try:
        directory.mkdir(parents=True, exist_ok=True)
        number = f"{datetime.now(UTC):%Y%m%d%H%M%S}" if timestamp else next_number(directory)
        path = directory / f"{number}_{slug}.sql"
        write(path, f"-- {words or slug}\n{body}")
    except OSError as error:
        raise CannotCreate(Path(error.filename or path), error.strerror or str(error)) from None
    return f"{shown_path(directory)}/{path.name}"


def write(path: Path, text: str) -> None:
    """A new file with this text, or none. Raises OSError."""
    with path.open("xb") as file:
        try:
            file.write(text.encode())
            file.flush()
        except OSError:
            path.unlink()
            raise


def next_number(directory: Path) -> str:
    """One more than the highest number there, as wide as that one is written."""
    existing = migrations(files(directory))
    if not existing:
        return "1".zfill(WIDTH)
    return str(existing[-1].version + 1).zfill(max(len(number_of(existing[-1].path)), 1))


def written(name: str) -> str:
    """`t`, `s.t` or `s."Odd Name"` as SQL takes it: words that are reserved in quotes."""
    return ".".join(compose.quoted(each) if "." not in each else f'"{each}"' for each in plain(name))


def plain(name: str) -> list[str]:
    """The parts of a name as the server keeps them: small letters, where no quotes say otherwise."""
    return [
        each[1:-1].replace('""', '"') if each[0] == '"' else re.sub(r"[A-Z]+", lambda found: found[0].lower(), each)
        for each in re.findall(PART, name)
    ]


def literal(text: str) -> str:
    """What stands between single quotes."""
    return text.replace("'", "''")


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
        rf"(?P<table>{NAME})\.(?P<column>{PART}):(?P<type>.+)",
        "table.column:type, such as sensors.humidity:double precision",
    )
    return ADD_COLUMN.format(table=written(found["table"]), column=written(found["column"]), type=found["type"])


CREATE_TABLE = """\
CREATE TABLE IF NOT EXISTS {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""


def create_table(text: str) -> str:
    """A table, if it is not there."""
    found = parts("create-table", text, rf"(?P<table>{NAME})", "a table's name")
    return CREATE_TABLE.format(table=written(found["table"]))


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
    keys = [
        written(each) if re.fullmatch(PART, each) else each for each in re.split(r"\s*,\s*", found["columns"].strip())
    ]
    name = index_name(found["table"], columns)
    return INDEX.format(table=written(found["table"]), columns=", ".join(keys), name=name)


def index_name(table: str, columns: str) -> str:
    """`table_columns_idx`; where that is too long its end makes way for a digest, so that each index has its own."""
    name = re.sub(r"\W+", "_", f"{plain(table)[-1]}_{columns}_idx")
    if len(name.encode()) <= compose.NAME_BYTES:
        return compose.quoted(name)
    ending = f"_{sha256(name.encode()).hexdigest()[:8]}_idx"
    return compose.quoted(name.encode()[: compose.NAME_BYTES - len(ending)].decode(errors="ignore") + ending)


HYPERTABLE = """\
-- tidelock: requires timescaledb
CREATE TABLE IF NOT EXISTS {table} (
    {time} timestamptz NOT NULL,
    device_id bigint NOT NULL,
    value double precision
);
SELECT create_hypertable('{relation}', '{dimension}', if_not_exists => TRUE);
CREATE INDEX IF NOT EXISTS {name} ON {table} (device_id, {time} DESC);
"""


def hypertable(text: str) -> str:
    """A TimescaleDB hypertable."""
    found = parts("hypertable", text, rf"(?P<table>{NAME})(?::(?P<time>{PART}))?", "table or table:time_column")
    table, time = written(found["table"]), written(found["time"] or "time")
    name = index_name(found["table"], f"device_{plain(time)[-1]}")
    return HYPERTABLE.format(
        table=table, time=time, name=name, relation=literal(table), dimension=literal(plain(time)[-1])
    )


AGGREGATE = """\
-- tidelock: requires timescaledb
CREATE MATERIALIZED VIEW IF NOT EXISTS {name}
WITH (timescaledb.continuous) AS
SELECT time_bucket('{bucket}', time) AS bucket, device_id, avg(value) AS average, count(*) AS readings
FROM {table}
GROUP BY 1, 2
WITH NO DATA;

-- Keep start_offset shorter than the retention of {table}: a refresh of a range without raw rows erases it.
SELECT add_continuous_aggregate_policy('{relation}', start_offset => INTERVAL '3 days',
    end_offset => INTERVAL '{bucket}', schedule_interval => INTERVAL '{bucket}', if_not_exists => TRUE);
"""


def aggregate(text: str) -> str:
    """A continuous aggregate, empty at first, with its refresh policy."""
    found = parts(
        "aggregate",
        text,
        rf"(?P<name>{NAME}):(?P<table>{NAME})(?::(?P<bucket>[\w ]+))?",
        "name:hypertable or name:hypertable:1 hour",
    )
    name, table = written(found["name"]), written(found["table"])
    return AGGREGATE.format(name=name, relation=literal(name), table=table, bucket=found["bucket"] or "1 hour")


ENUM_VALUE = """\
-- A new value can be used only after its commit, so use it in a later file.
ALTER TYPE {type} ADD VALUE IF NOT EXISTS '{literal}';
"""


def enum_value(text: str) -> str:
    """A value of an enum, if it is not there."""
    found = parts("enum-value", text, rf"(?P<type>{NAME}):(?P<value>.+)", "type:value, such as status:archived")
    return ENUM_VALUE.format(type=written(found["type"]), literal=literal(found["value"]))


TEMPLATES: dict[str, Callable[[str], str]] = {
    "add-column": add_column,
    "create-table": create_table,
    "index": index,
    "hypertable": hypertable,
    "aggregate": aggregate,
    "enum-value": enum_value,
}
EMPTY = "-- Write SQL that can run twice: IF NOT EXISTS, IF EXISTS, OR REPLACE, ON CONFLICT.\n"
