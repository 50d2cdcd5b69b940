"""The options that commands share, as people know them from psql and libpq."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidelock.cli.output import Output
from tidelock.cli.wiring import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., int]


def ports(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """One port, or as in psql one for each host: `1,25418`."""
    if value is not None and not re.fullmatch(r"[0-9]*(?:,[0-9]*)*", value):
        raise click.BadParameter(f"{value!r} is not a port, nor several with commas between.", param=option)
    return value


def filled(_context: click.Context, option: click.Parameter, value: str | None) -> str:
    """What was given must not be empty, as it is when a script's variable is not set."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty. Is a variable not set?", param=option)
    return value or ""


# name of the field of `Asked` → its option
WHERE: dict[str, Callable[[Any], Any]] = {
    "database": click.option(
        "-d",
        "--database",
        "--dbname",
        "database",
        multiple=True,
        metavar="NAME|URL|CONNINFO",
        help="A [databases.NAME] of tidelock.toml, a URL, a conninfo string or a database name; repeat it for "
        "several. Without it: tidelock.toml, DATABASE_URL, PG* variables, service file.",
    ),
    "host": click.option("-h", "--host", metavar="HOST", help="Server host or socket directory (PGHOST)."),
    "port": click.option(
        "-p", "--port", callback=ports, metavar="PORT", help="Server port (PGPORT); as many as hosts, or one."
    ),
    "user": click.option("-U", "--username", "user", metavar="ROLE", help="Role to connect as (PGUSER)."),
    "directory": click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The directory with the migrations. Without it: tidelock.toml, or ./migrations.",
    ),
    "config": click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="tidelock.toml; by default the nearest one upwards.",
    ),
}
HOW: dict[str, Callable[[Any], Any]] = {
    "direct": click.option(
        "--direct", metavar="URL|CONNINFO", help="The server itself, when --database leads to a pooler."
    ),
    "wait": click.option(
        "--wait",
        metavar="DURATION",
        help="How long to be patient in all: for the server, another runner, table locks. Default: 60s.",
    ),
    "variables": click.option(
        "-v", "--set", "variables", multiple=True, metavar="NAME=VALUE", help="A psql variable; repeat it for several."
    ),
    "role": click.option("--role", metavar="ROLE", help="SET ROLE for migrations: the owner of what they create."),
    "create_database": click.option("--create-database", is_flag=True, help="Create the database when it is missing."),
    "allow_ahead": click.option(
        "--allow-ahead",
        is_flag=True,
        help="Tolerate versions that the database has and the files do not (an older image).",
    ),
    "allow_missing": click.option(
        "--allow-missing", is_flag=True, help="Tolerate applied versions whose file is gone."
    ),
    "plan_id": click.option(
        "--plan", "plan_id", metavar="ID", help="Run this plan (`tidelock plan` shows its id), or nothing."
    ),
    "bundle": click.option(
        "--bundle",
        metavar="DIGEST",
        envvar="TIDELOCK_BUNDLE",
        help="The files must be these: wait while a mount is changing, and refuse others (TIDELOCK_BUNDLE).",
    ),
}
JSON = click.option("--json", "json", is_flag=True, help="The result as JSON on stdout (its schema: docs/schema/).")
OUTPUT = (
    JSON,
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Progress and logs on stderr as text or as JSON lines.",
    ),
)


def targeted(*names: str) -> Callable[[Command], Command]:
    """Give a command the options that say where, those of HOW that it names, and those for its output.

    The command gets them as one `Asked` and one `Output`, before its own options.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*, json: bool, log_format: str, **given: Any) -> int:
            asked = {name: given.pop(name) for name in list(given) if name in WHERE or name in HOW}
            return command(Asked(**asked), Output(json=json, json_logs=log_format == "json"), **given)

        for option in reversed([*WHERE.values(), *(HOW[name] for name in names), *OUTPUT]):
            wrapper = option(wrapper)
        return wrapper

    return decorate
