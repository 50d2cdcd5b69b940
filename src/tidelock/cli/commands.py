"""One function per verb: parse, call, render, exit. The help text is the docstring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidelock.cli import options as o
from tidelock.cli.wiring import Asked

if TYPE_CHECKING:
    from tidelock.cli.output import Output

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help"]},
    help="GitOps migrations for PostgreSQL and TimescaleDB: numbered SQL files become a database that has each of them exactly once.",
)


def version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from tidelock import __version__

        typer.echo(f"tidelock {__version__}")
        raise typer.Exit


@app.callback()
def common(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Holds what stands before the verb."""


def output(json: bool, logs: o.LogFormat) -> Output:
    """Where results and progress go."""
    from tidelock.cli.output import Output

    return Output(json=json, json_logs=logs is o.LogFormat.JSON)


@app.command()
def apply(
    database: o.Database = None,
    dir: o.Directory = None,
    host: o.Host = None,
    port: o.Port = None,
    username: o.User = None,
    direct: o.Direct = None,
    config: o.Config = None,
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="ID",
            show_default=False,
            help="Run this plan (`tidelock plan` shows its id) or nothing.",
        ),
    ] = None,
    wait: o.Wait = None,
    role: o.Role = None,
    set: o.Set = None,
    create_database: o.CreateDatabase = False,
    allow_ahead: o.AllowAhead = False,
    allow_missing: o.AllowMissing = False,
    json: o.Json = False,
    log_format: o.Logs = o.LogFormat.TEXT,
) -> None:
    """Bring the database to where the files are: each pending migration once, recorded with its effect."""
    from tidelock.cli import verbs

    asked = Asked(
        database=database or (),
        directory=dir,
        host=host,
        port=port,
        user=username,
        direct=direct,
        config=config,
        plan_id=plan,
        wait=wait,
        role=role,
        variables=set or (),
        create_database=create_database,
        allow_ahead=allow_ahead,
        allow_missing=allow_missing,
    )
    sys.exit(verbs.apply(asked, output(json, log_format)))


@app.command()
def plan(
    database: o.Database = None,
    dir: o.Directory = None,
    host: o.Host = None,
    port: o.Port = None,
    username: o.User = None,
    direct: o.Direct = None,
    config: o.Config = None,
    wait: o.Wait = None,
    set: o.Set = None,
    allow_ahead: o.AllowAhead = False,
    allow_missing: o.AllowMissing = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when something is pending.")] = False,
    json: o.Json = False,
    log_format: o.Logs = o.LogFormat.TEXT,
) -> None:
    """Show what `apply` would do: steps, transactions, locks, and the plan's id. Changes nothing."""
    from tidelock.cli import verbs

    asked = Asked(
        database=database or (),
        directory=dir,
        host=host,
        port=port,
        user=username,
        direct=direct,
        config=config,
        wait=wait,
        variables=set or (),
        allow_ahead=allow_ahead,
        allow_missing=allow_missing,
    )
    sys.exit(verbs.plan(asked, output(json, log_format), exit_code=exit_code))


@app.command()
def status(
    database: o.Database = None,
    dir: o.Directory = None,
    host: o.Host = None,
    port: o.Port = None,
    username: o.User = None,
    config: o.Config = None,
    wait: o.Wait = None,
    set: o.Set = None,  # noqa: A002
    history: Annotated[
        bool,
        typer.Option("--history", help="Show the journal: who ran what, when, for how long, and how it failed."),
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="With --history: how many lines.")] = 50,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when something is pending.")] = False,
    json: o.Json = False,
    log_format: o.Logs = o.LogFormat.TEXT,
) -> None:
    """Show what is applied, pending, edited, missing or unfinished. Changes nothing."""
    from tidelock.cli import verbs

    asked = Asked(
        database=database or (),
        directory=dir,
        host=host,
        port=port,
        user=username,
        config=config,
        wait=wait,
        variables=set or (),
    )
    sys.exit(verbs.status(asked, output(json, log_format), history=limit if history else None, exit_code=exit_code))


@app.command()
def recover(
    database: o.Database = None,
    dir: o.Directory = None,
    host: o.Host = None,
    port: o.Port = None,
    username: o.User = None,
    direct: o.Direct = None,
    config: o.Config = None,
    wait: o.Wait = None,
    set: o.Set = None,  # noqa: A002
    mark_done: Annotated[
        bool, typer.Option("--mark-done", help="The statement ran: record it and go on after it.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="The statement did not run, or may run again: `apply` runs it.")
    ] = False,
    json: o.Json = False,
    log_format: o.Logs = o.LogFormat.TEXT,
) -> None:
    """Show a statement that was cut off and that only a person can judge; record the decision."""
    from tidelock.cli import verbs

    asked = Asked(
        database=database or (),
        directory=dir,
        host=host,
        port=port,
        user=username,
        direct=direct,
        config=config,
        wait=wait,
        variables=set or (),
    )
    sys.exit(verbs.recover(asked, output(json, log_format), mark_done=mark_done, retry=retry))


@app.command()
def adopt(
    up_to: Annotated[
        int,
        typer.Option(
            "--up-to",
            metavar="VERSION",
            show_default=False,
            help="The last version that the database already has.",
        ),
    ],
    database: o.Database = None,
    dir: o.Directory = None,
    host: o.Host = None,
    port: o.Port = None,
    username: o.User = None,
    direct: o.Direct = None,
    config: o.Config = None,
    wait: o.Wait = None,
    set: o.Set = None,  # noqa: A002
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: o.Json = False,
    log_format: o.Logs = o.LogFormat.TEXT,
) -> None:
    """Take a live database in as it is: record files as applied without running them."""
    from tidelock.cli import verbs

    asked = Asked(
        database=database or (),
        directory=dir,
        host=host,
        port=port,
        user=username,
        direct=direct,
        config=config,
        wait=wait,
        variables=set or (),
    )
    sys.exit(verbs.adopt(asked, output(json, log_format), up_to=up_to, yes=yes))


@app.command()
def new(
    description: Annotated[str, typer.Argument(help="What it does, in a few words: add_humidity.")],
    dir: o.Directory = None,
    config: o.Config = None,
    add_column: Annotated[
        str | None,
        typer.Option("--add-column", metavar="TABLE.COLUMN:TYPE", help="A column, if it is not there."),
    ] = None,
    create_table: Annotated[
        str | None, typer.Option("--create-table", metavar="TABLE", help="A table, if it is not there.")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option("--index", metavar="TABLE(COLUMN,…)", help="An index, built concurrently, alone in its file."),
    ] = None,
    hypertable: Annotated[
        str | None, typer.Option("--hypertable", metavar="TABLE[:TIME]", help="A TimescaleDB hypertable.")
    ] = None,
    aggregate: Annotated[
        str | None,
        typer.Option(
            "--aggregate",
            metavar="NAME:TABLE[:BUCKET]",
            help="A continuous aggregate with its refresh policy.",
        ),
    ] = None,
    enum_value: Annotated[
        str | None,
        typer.Option("--enum-value", metavar="TYPE:VALUE", help="A value of an enum, if it is not there."),
    ] = None,
    timestamp: Annotated[
        bool, typer.Option("--timestamp", help="Number it by the time (UTC), as for many branches at once.")
    ] = False,
) -> None:
    """Create the next migration: the next number, and SQL that can run twice."""
    from tidelock.cli import verbs

    templates = {
        "add-column": add_column,
        "create-table": create_table,
        "index": index,
        "hypertable": hypertable,
        "aggregate": aggregate,
        "enum-value": enum_value,
    }
    sys.exit(
        verbs.new(
            Asked(directory=dir, config=config),
            description,
            {name: value for name, value in templates.items() if value},
            timestamp=timestamp,
        )
    )


@app.command()
def explain(code: Annotated[str, typer.Argument(help="A code as it stands in a message: L002.")]) -> None:
    """Explain an error's code: what it means, why it is one, and what to do."""
    from tidelock.cli import verbs

    sys.exit(verbs.explain(code))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server's directory for a look.")] = False,
    examples: Annotated[
        Path | None, typer.Option("--examples", help="The directory `examples/farm/migrations`.")
    ] = None,
) -> None:
    """Try it: an embedded PostgreSQL, eight migrations, and what happens when a file is edited."""
    from tidelock.cli import demonstration

    sys.exit(demonstration.run(keep=keep, examples=examples))
