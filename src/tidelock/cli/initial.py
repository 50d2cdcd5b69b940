"""`tidelock init`: look at a directory and a database, write tidelock.toml, name the next commands."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelock.cli import wiring
from tidelock.config import FILE
from tidelock.errors import TidelockError, UsageFault
from tidelock.render.json import SCHEMA
from tidelock.repo import layout

if TYPE_CHECKING:
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.adoption.match import History
    from tidelock.repo.layout import Layout


class ConfigThere(UsageFault):
    """tidelock.toml is there already."""

    code = "U014"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already", hint="edit it, or remove it and run `tidelock init` again")


WAIT_S = 2.0
"""A look does not wait for a server that is not there, unless it is told to."""
WRITTEN = "tidelock-migrations"
"""Where another tool's migrations are written to."""
WHOLE_PROJECT = ("alembic", "django", "sqitch", "liquibase", "flyway", "rails", "diesel")
"""Tools that are read from more than one folder."""
CONFIG = """\
# What Tidelock needs to know (docs/configuration.md). Every key may be left out.

[migrations]
dir = "{directory}"
# out_of_order = true         # allow numbers below the highest applied one (many branches at once)

[database]
# url = "postgresql://app@db/shop"   # without it: DATABASE_URL, PG* variables, service file. ${{NAME}} is expanded.
# direct = "postgresql://app@db:5432/shop"   # the server itself, when url leads to a pooler
# role = "owner"              # owner of what migrations create

[limits]
# wait = "60s"                # patience in all: server, other runner, table locks
# lock_timeout = "2s"         # one attempt

# Tables that the application cannot start without; `tidelock new --critical TABLE` writes a fallback.
# [[critical]]
# table = "orders"
# migration = 6
# fallback = "fallback/006_orders.sql"
"""
SEVERAL = """
# More than one directory has numbered SQL files. Where they are for several databases: take [migrations] dir and
# [database] url out above, and name each one's database here. Where they are no migrations: remove their block.
"""
DATABASE = """\
# [databases.{name}]
# dir = "{directory}"
# url = "postgresql://app@db/{name}"
"""


def init(asked: Asked, out: Output) -> int:
    """`tidelock init`."""
    try:
        path = Path(FILE)
        if path.exists():
            raise ConfigThere(path)
        found = layout.look(Path.cwd())
        [target] = wiring.targets(asked)
        histories, database = in_database(target if asked.wait else replace(target, wait_s=WAIT_S), asked, out)
        if histories:  # what the database says counts: files of two tools may look the same
            found = replace(found, tool=histories[0].tool.name)
        path.write_text(settings(found), encoding="utf-8")
    except TidelockError as error:
        return out.fail(error, "init")
    steps = next_steps(found)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "command": "init",
        "directory": found.directory or None,
        "files": found.files,
        "others": [{"directory": folder, "files": count} for folder, count in found.others],
        "tool": found.tool or None,
        "gitops": list(found.gitops),
        "timescaledb": found.timescale,
        "histories": [{"tool": each.tool.name, "table": each.table, "rows": len(each.entries)} for each in histories],
        "next": steps,
    }
    lines = [*files_told(found), *database_told(database, histories), f"written: {FILE}", "", "next:"]
    out.show("\n".join([*lines, *(f"  {step}" for step in steps)]), data)
    return 0


def settings(found: Layout) -> str:
    """The text of tidelock.toml."""
    text = CONFIG.format(directory=WRITTEN if found.tool else found.directory or "migrations")
    if not found.others:
        return text
    folders = [found.directory, *(folder for folder, _ in found.others)]
    blocks = (DATABASE.format(name=name, directory=folder) for name, folder in named(folders).items())
    return text + SEVERAL + "#\n".join(blocks)


def named(folders: list[str]) -> dict[str, str]:
    """A name for each folder, of those parts of its path that not all of them have: `a` for `a/migrations`."""
    parts = [folder.split("/") for folder in folders]
    common = set(parts[0]).intersection(*parts[1:])
    names = ("_".join(part for part in each if part not in common) or "_".join(each) for each in parts)
    return {
        re.sub(r"[^A-Za-z0-9_-]", "_", name): folder for name, folder in zip(names, folders, strict=True)
    }  # fmt: skip


def in_database(target: Target, asked: Asked, out: Output) -> tuple[list[History], str]:
    """The histories that are there, and one line on the database; why not, when it cannot be asked."""
    database = wiring.database_of(target, asked, out.sink())
    try:
        observed = database.observe()
        histories = database.histories()
    except TidelockError as error:
        return [], f"database: not asked ({error.message})"
    finally:
        database.close()
    version = f"PostgreSQL {observed.server_version // 10000}.{observed.server_version % 10000}"
    timescale = observed.extensions.get("timescaledb")
    words = [f"{database.target}, {version}" + (f", TimescaleDB {timescale}" if timescale else "")]
    if observed.pooled:
        words.append("through a pooler: name the server itself as `direct`")
    if observed.applied:
        words.append(f"{observed.ledger} with {len(observed.applied)} rows")
    return histories, "database: " + "; ".join(words)


def files_told(found: Layout) -> list[str]:
    """What was seen on the disk."""
    if not found.directory:
        return ["files: no SQL files here"]
    whose = f", of {layout.title(found.tool)}" if found.tool else ""
    state = "" if found.clean or found.tool else "; numbers are missing or doubled"
    lines = [f"files: {found.files} in {found.directory}{whose}{state}"]
    lines += [f"files: also {count} in {folder}" for folder, count in found.others]
    if found.others:
        lines.append(f"       a database has one directory: {FILE} has a block for each, choose there")
    if found.timescale:
        lines.append("files: they speak of TimescaleDB")
    if found.gitops:
        lines.append(f"GitOps: {', '.join(found.gitops)}")
    return lines


def database_told(database: str, histories: list[History]) -> list[str]:
    """What was seen in the database."""
    return [
        database,
        *(f"history: {each.tool.title} in {each.table}, {len(each.entries)} rows" for each in histories),
    ]


def next_steps(found: Layout) -> list[str]:
    """The two commands that come next."""
    if found.tool:
        directory = "." if found.tool in WHOLE_PROJECT else found.directory or "."
        return [f"tidelock adopt --from {found.tool} --dir {directory} --write {WRITTEN}", "tidelock plan"]
    if not found.directory:
        return ["tidelock new create_first_table --create-table first", "tidelock apply"]
    if not found.clean:
        return ["tidelock renumber --order version-sort", "tidelock adopt --observe"]
    return ["tidelock adopt --observe", "tidelock plan"]
