"""The options that commands share, as people know them from psql and libpq."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogFormat(StrEnum):
    """How progress and logs look on stderr."""

    TEXT = "text"
    JSON = "json"


WHERE = "Where"
HOW = "How"

Database = Annotated[
    list[str] | None,
    typer.Option(
        "--database",
        "-d",
        "--dbname",
        metavar="NAME|URL|CONNINFO",
        rich_help_panel=WHERE,
        show_default=False,
        help="A [databases.NAME] of tidelock.toml, a URL, a conninfo string or a database name. Repeat it for several. "
        "Default: tidelock.toml, DATABASE_URL, PG* variables.",
    ),
]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        rich_help_panel=WHERE,
        show_default=False,
        help="The directory with the migrations. Default: tidelock.toml, or ./migrations.",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        "-h",
        metavar="HOST",
        rich_help_panel=WHERE,
        show_default=False,
        help="Server host or socket directory (PGHOST).",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        "-p",
        metavar="PORT",
        rich_help_panel=WHERE,
        show_default=False,
        help="Server port (PGPORT).",
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--username",
        "-U",
        metavar="ROLE",
        rich_help_panel=WHERE,
        show_default=False,
        help="Role to connect as (PGUSER).",
    ),
]
Direct = Annotated[
    str | None,
    typer.Option(
        "--direct",
        metavar="URL",
        rich_help_panel=WHERE,
        show_default=False,
        help="The server itself, when --database leads to a pooler.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        rich_help_panel=WHERE,
        show_default=False,
        help="tidelock.toml; by default the nearest one upwards.",
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="DURATION",
        rich_help_panel=HOW,
        show_default=False,
        help="How long to be patient in all: for the server, another runner, table locks. Default 60s.",
    ),
]
Role = Annotated[
    str | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        rich_help_panel=HOW,
        show_default=False,
        help="SET ROLE for the migrations: the owner of what they create.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-v",
        metavar="NAME=VALUE",
        rich_help_panel=HOW,
        show_default=False,
        help="A psql variable for the files. Repeat it for several.",
    ),
]
CreateDatabase = Annotated[
    bool,
    typer.Option("--create-database", rich_help_panel=HOW, help="Create the database when it is missing."),
]
AllowAhead = Annotated[
    bool,
    typer.Option(
        "--allow-ahead",
        rich_help_panel=HOW,
        help="Tolerate versions that the database has and the files do not (an older image).",
    ),
]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", rich_help_panel=HOW, help="Tolerate applied versions whose file is gone."),
]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=HOW, help="The result as JSON on stdout (schema: docs/schema/)."),
]
Logs = Annotated[
    LogFormat,
    typer.Option("--log-format", rich_help_panel=HOW, help="Progress and logs on stderr as text or as JSON lines."),
]
