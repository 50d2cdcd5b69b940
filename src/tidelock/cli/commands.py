"""One function per verb: parse, call, and hand back an exit code. The help text is the docstring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidelock import __version__
from tidelock.cli.kube import kube
from tidelock.cli.operator import operator
from tidelock.cli.options import JSON, WHERE, filled, targeted

if TYPE_CHECKING:
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked


@click.group(context_settings={"help_option_names": ["--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tidelock", message="%(prog)s %(version)s")
def app() -> None:
    """GitOps migrations for PostgreSQL and TimescaleDB.

    Numbered SQL files become a database that has each of them exactly once.
    """


@app.command()
@targeted("direct", "wait", "variables", "role", "create_database", "allow_ahead", "allow_missing", "plan_id", "bundle")
@click.option(
    "--on-fallback",
    type=click.Choice(["fail", "start"]),
    default="fail",
    show_default=True,
    help="start: exit 0 once every critical table is there, be it on its fallback, so that what waits may start.",
)
def apply(asked: Asked, output: Output, on_fallback: str) -> int:
    """Bring the database to where the files are.

    Each pending migration runs once, and its record commits with its effect.
    """
    from tidelock.cli import verbs

    return verbs.apply(asked, output, start_on_fallback=on_fallback == "start")


@app.command()
@targeted("direct", "wait", "variables", "allow_ahead", "allow_missing", "bundle")
@click.option("--exit-code", is_flag=True, help="Exit 1 when something is pending.")
def plan(asked: Asked, output: Output, exit_code: bool) -> int:
    """Show what `apply` would do, and change nothing.

    Steps, transactions, locks, and the id to pass to `apply --plan`.
    """
    from tidelock.cli import verbs

    return verbs.plan(asked, output, exit_code=exit_code)


@app.command()
@targeted("wait", "variables")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "gitlab", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="For people, or for what reads it: GitHub annotations, GitLab code quality, SARIF 2.1.0, JUnit.",
)
@click.option(
    "--severity",
    type=click.Choice(["error", "warning", "note"]),
    help="Exit 1 when there is a finding of this severity or worse. Default: warning.",
)
@click.option("--select", multiple=True, metavar="CODE|FAMILY", help="Ask only these rules; repeat it, or list them.")
@click.option("--extend", multiple=True, metavar="CODE|FAMILY", help="Ask these optional rules too.")
@click.option("--ignore", multiple=True, metavar="CODE|FAMILY", help="Do not ask these rules.")
@click.option(
    "--changed-since",
    metavar="REF",
    help="Speak only of files that differ from where HEAD left this branch or commit; all are read.",
)
@click.option("--fix", is_flag=True, help="Write the changes that cannot hurt into the files.")
def lint(asked: Asked, output: Output, **wanted: Any) -> int:
    """Check the files for what fails, blocks, repeats badly or loses data; no database is needed.

    With --database the live schema counts as well, and only files that are pending there are spoken of.

    Exits 1 when there are findings. A page for each rule: `tidelock explain CODE`.
    """
    from tidelock.cli.linting import Wanted
    from tidelock.cli.linting import lint as run

    return run(asked, output, Wanted(**wanted))


@app.command()
@targeted("wait", "variables", "bundle")
@click.option("--history", is_flag=True, help="The journal: who ran what, when, for how long, and how it failed.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Lines of --history.")
@click.option("--exit-code", is_flag=True, help="Exit 1 when something is pending.")
def status(asked: Asked, output: Output, history: bool, limit: int, exit_code: bool) -> int:
    """Show what is applied, pending, edited, missing or unfinished."""
    from tidelock.cli import verbs

    return verbs.status(asked, output, history=limit if history else None, exit_code=exit_code)


@app.command()
@targeted("direct", "wait", "variables")
@click.option("--mark-done", is_flag=True, help="The statement ran: record it, and go on after it.")
@click.option("--retry", is_flag=True, help="The statement did not run, or may run again: `apply` runs it.")
def recover(asked: Asked, output: Output, mark_done: bool, retry: bool) -> int:
    """Show a statement that was cut off, and record what a person decides about it."""
    from tidelock.cli import verbs

    return verbs.recover(asked, output, mark_done=mark_done, retry=retry)


@app.command()
@targeted("direct", "wait", "variables")
@click.option(
    "--from",
    "tool",
    metavar="[TOOL]",
    is_flag=False,
    flag_value="auto",
    help="Take over the history of another tool; without its name, of the one that is there. With --write, --dir is "
    "that tool's project.",
)
@click.option("--observe", is_flag=True, help="No history: ask the catalog how much of each file is there.")
@click.option("--up-to", type=int, metavar="VERSION", help="No history: your word on the last version that is there.")
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Turn the tool's migrations into Tidelock's files there (git moves where that can be).",
)
@click.option("--repeatable", is_flag=True, help="Take Flyway's R__ files too, as numbered ones.")
@click.option(
    "--settle",
    "answers",
    multiple=True,
    metavar="VERSION=applied|pending",
    help="Your word on a migration that is dirty, failed, edited or partly there; repeat it for several.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(
    asked: Asked, output: Output, tool: str | None, observe: bool, up_to: int | None, yes: bool, **more: Any
) -> int:
    """Take a live database in as it is: record files as applied without running them.

    Shows what it found and what it would record, and asks.
    """
    from tidelock.cli import verbs
    from tidelock.cli.adopting import Wanted

    wanted = Wanted(tool=tool or "auto", yes=yes, **more)
    return verbs.adopt(asked, output, wanted, tool=tool is not None, observe=observe, up_to=up_to)


@app.command()
@targeted("wait", "variables", "allow_ahead", "allow_missing", "bundle")
def verify(asked: Asked, output: Output) -> int:
    """Check the live database, and change nothing: exit 0 when all is well, 8 otherwise.

    Critical tables, ledger against files, invalid indexes, unvalidated constraints, disabled triggers, sequences near
    their end, lost primary keys, interrupted runs; each with what mends it. On TimescaleDB also refresh policies that
    erase history, failed and forgotten jobs, defaults over compressed chunks, overwritten views of aggregates.
    """
    from tidelock.cli import verbs

    return verbs.verify(asked, output)


@app.command()
@targeted("variables")
@click.option("--shadow", metavar="URL", help="The server for shadow databases; without it, the embedded PostgreSQL.")
@click.option(
    "--from",
    "source",
    metavar="URL|FILE@VERSION",
    help="A live database, or a snapshot with the last version in it: what is pending is proved on its schema.",
)
@click.option(
    "--only",
    metavar="PROOF,…",
    help="Some of fresh, rerun, interrupted, upgrade, fallback, locks, previous. Default: all.",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Proofs at the same time. Default: one a core.")
@click.option("--no-cache", is_flag=True, help="Prove again what was proved before.")
@click.option("--strict", is_flag=True, help="Exit 1 also when something could not be proved here.")
def prove(asked: Asked, output: Output, no_cache: bool, **given: Any) -> int:
    """Run the migrations for real in throw-away databases, and show that they hold; 1 when one does not.

    Each on an empty database, a second time, and cut off anywhere; what they lock; and each fallback.
    """
    from tidelock.cli import proving

    return proving.prove(asked, output, proving.Options(cache=not no_cache, **given))


@app.command()
@targeted("wait", "variables", "role")
@click.option("--shadow", metavar="URL", help="The server for shadow databases; without it, the embedded PostgreSQL.")
def drift(asked: Asked, output: Output, shadow: str | None) -> int:
    """Compare the live database with what its applied migrations produce, and change nothing; 1 when it differs.

    For each difference what, where, and the SQL that takes it back.
    """
    from tidelock.cli import drifting

    return drifting.drift(asked, output, shadow)


@app.command()
@targeted("wait", "variables", "role")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the files are not what they should be.")
@click.option("--live", is_flag=True, help="Of the live database, not of what the migration files produce.")
@click.option("--shadow", metavar="URL", help="The server for shadow databases; without it, the embedded PostgreSQL.")
def snapshot(asked: Asked, output: Output, check: bool, live: bool, shadow: str | None) -> int:
    """Write the schema into the repository for review: as sorted JSON, and as readable SQL.

    It is what the migration files make of an empty database, so that no live one is needed.
    """
    from tidelock.cli import drifting

    return drifting.snapshot(asked, output, shadow, check=check, live=live)


STORE = click.option(
    "--store",
    "url",
    callback=filled,
    metavar="URL|DIR",
    help="Where backups are: s3://…, gs://…, az://…, a directory. Else [backup] url.",
)


@app.group()
def backup() -> None:
    """Make, list, prove and prune backups in an object store or a directory."""


@backup.command("create")
@targeted("direct", "wait")
@STORE
@click.option("--label", default="", help="A word about it, for the list.")
def backup_create(asked: Asked, output: Output, url: str | None, label: str) -> int:
    """Make a backup: one snapshot, dumped in parallel, compressed and stored while it is read."""
    from tidelock.cli import backups

    return backups.create(asked, output, url, label)


@backup.command("list")
@targeted("wait")
@STORE
def backup_list(asked: Asked, output: Output, url: str | None) -> int:
    """Show what is there, newest first. The server is only asked which one it is, and may be down."""
    from tidelock.cli import backups

    return backups.listing(asked, output, url)


@backup.command("show")
@click.argument("wanted", metavar="[ID]", default="latest", callback=filled)
@targeted("wait")
@STORE
@click.option("--roles", is_flag=True, help="Print the SQL that makes the cluster's roles (without passwords).")
def backup_show(asked: Asked, output: Output, url: str | None, wanted: str, roles: bool) -> int:
    """Show one backup: ID or its beginning, or the latest."""
    from tidelock.cli import backups

    return backups.show(asked, output, url, wanted, roles=roles)


@backup.command("verify")
@click.argument("wanted", metavar="[ID]", default="latest", callback=filled)
@targeted("direct", "wait")
@STORE
@click.option("--restore", "restoring", is_flag=True, help="Restore it into a database of its own, and compare.")
def backup_verify(asked: Asked, output: Output, url: str | None, wanted: str, restoring: bool) -> int:
    """Download a backup and check every digest; with --restore, prove it."""
    from tidelock.cli import backups

    return backups.verify(asked, output, url, wanted, restoring=restoring)


@backup.command("prune")
@targeted("wait")
@STORE
@click.option("--keep-daily", "daily", type=int, default=7, show_default=True)
@click.option("--keep-weekly", "weekly", type=int, default=4, show_default=True)
@click.option("--keep-monthly", "monthly", type=int, default=12, show_default=True)
@click.option("--min-keep", "least", type=int, default=3, show_default=True, help="So many in any case.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would go.")
def backup_prune(asked: Asked, output: Output, url: str | None, dry: bool, **keep: int) -> int:
    """Take old backups away; never the last verified one, nor those of the last 10 destructive runs."""
    from tidelock.cli import backups
    from tidelock.core.backups import Keep

    return backups.prune(asked, output, url, Keep(**keep), dry=dry)


@app.command()
@click.argument("wanted", metavar="[ID]", required=False, callback=filled)
@targeted("direct", "wait")
@STORE
@click.option("--latest", is_flag=True, help="The newest backup (the default).")
@click.option("--before", type=int, metavar="VERSION", help="The newest one in which this version was not applied.")
@click.option("--into", callback=filled, metavar="NAME", help="Leave the live database alone: make this one.")
@click.option("--drop-old", is_flag=True, help="Drop the replaced database instead of keeping it under a dated name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(asked: Asked, output: Output, url: str | None, latest: bool, **how: Any) -> int:
    """Restore a backup: into a new database, looked over there, and then put in the live one's place."""
    from tidelock.cli import backups

    del latest  # it says what is done without it
    return backups.restore(asked, output, url, backups.Restoring(**how))


@app.command()
@targeted("direct", "wait")
@STORE
@click.option("--to", "before", type=int, metavar="VERSION", help="Back to before this version. Default: the last run.")
@click.option("--drop-old", is_flag=True, help="Drop the replaced database instead of keeping it under a dated name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(asked: Asked, output: Output, url: str | None, **how: Any) -> int:
    """Take the last run back: shows what failed, the backup before it and what would be lost, and restores on yes."""
    from tidelock.cli import backups

    return backups.rollback(asked, output, url, backups.Restoring(**how))


@app.command()
@targeted("wait")
@click.option("--version", "version", type=int, metavar="VERSION", help="Until this version is applied.")
@click.option("--critical", is_flag=True, help="Until the critical tables are there (the default).")
def wait(asked: Asked, output: Output, version: int | None, critical: bool) -> int:
    """Wait until an application can start; 75 when it cannot in time."""
    from tidelock.cli import verbs

    del critical  # it says what is done without it
    return verbs.wait(asked, output, version=version)


@app.command()
@targeted("wait")
@click.option(
    "--order",
    required=True,
    metavar="sort|version-sort|applied|FILE",
    help="The order that is right: of names, of names with numbers as numbers (sort -V), of the ledger, or of a list.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def renumber(asked: Asked, output: Output, order: str, yes: bool) -> int:
    """Make one clean sequence of the files: no duplicates, no gaps, one width, one separator.

    Renames (git mv), changes what names them, and notes in each file what it was.
    """
    from tidelock.cli import renumber as renumbering

    return renumbering.renumber(asked, output, order, yes=yes)


@app.command()
@targeted("wait")
def init(asked: Asked, output: Output) -> int:
    """Look at this directory and the database, write a commented tidelock.toml, and name the next two commands."""
    from tidelock.cli import initial

    return initial.init(asked, output)


@app.command()
@click.argument("description", required=False, default="")
@WHERE["directory"]
@WHERE["config"]
@WHERE["database"]
@click.option("--add-column", metavar="TABLE.COLUMN:TYPE", help="A column, if it is not there.")
@click.option("--create-table", metavar="TABLE", help="A table, if it is not there.")
@click.option("--index", metavar="TABLE(COLUMN,…)", help="An index, built concurrently, alone in its file.")
@click.option("--hypertable", metavar="TABLE[:TIME]", help="A TimescaleDB hypertable.")
@click.option("--aggregate", metavar="NAME:TABLE[:BUCKET]", help="A continuous aggregate with its refresh policy.")
@click.option("--enum-value", metavar="TYPE:VALUE", help="A value of an enum, if it is not there.")
@click.option(
    "--critical",
    metavar="TABLE",
    help="No migration, but a fallback script for a critical table, made from the migration that creates it.",
)
@click.option("--timestamp", is_flag=True, help="Number it by the time (UTC), as for many branches at once.")
@JSON
def new(
    description: str,
    directory: Path | None,
    config: Path | None,
    database: tuple[str, ...],
    critical: str | None,
    timestamp: bool,
    json: bool,
    **templates: Any,
) -> int:
    """Create the next migration: the next number, and SQL that can run twice.

    DESCRIPTION is what it does, in a few words: add_humidity.
    """
    from tidelock.cli import verbs
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked

    asked = Asked(directory=directory, config=config, database=database)
    if critical:
        return verbs.new_fallback(asked, Output(json=json), critical)
    chosen = {name.replace("_", "-"): text for name, text in templates.items() if text}
    return verbs.new(asked, Output(json=json), description, chosen, timestamp=timestamp)


@app.group()
def aggregates() -> None:
    """Continuous aggregates of TimescaleDB."""


@aggregates.command("list")
@targeted("wait")
def list_aggregates(asked: Asked, output: Output) -> int:
    """Show continuous aggregates and hypertables, what exists nowhere else, and what erases it. Changes nothing.

    What is materialized, what raw data is left, policies, jobs with their failures, sizes. Needs no ledger.
    """
    from tidelock.cli import aggregates as verb

    return verb.listed(asked, output)


@aggregates.command("refresh")
@targeted("direct", "wait", "role")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--from", "start", metavar="TIME", help="From this moment on; without it, from where raw data begins.")
@click.option("--to", "end", metavar="TIME", help="Up to this moment; without it, to the end of the raw data.")
@click.option("--parallel", type=click.IntRange(min=1), metavar="N", help="Windows at the same time. Default: 2.")
@click.option(
    "--max-lock-wait",
    metavar="DURATION",
    help="The longest that others wait for a lock because of it, and how long a window takes. Default: 1s.",
)
def refresh(asked: Asked, output: Output, **wanted: Any) -> int:
    """Fill continuous aggregates from raw data, newest first, without ever erasing what raw data no longer holds.

    In windows that are each durable: stop it when you like, and run it again to go on. An aggregate beneath goes first
    when it is stale. Deployments do not wait for it.
    """
    from tidelock.cli import refreshing

    return refreshing.refresh(asked, output, refreshing.Wanted(**wanted))


@app.command()
@click.argument("code")
@JSON
def explain(code: str, json: bool) -> int:
    """Explain the CODE of an error: what it means, why it is one, and what to do."""
    from tidelock.cli import verbs
    from tidelock.cli.output import Output

    return verbs.explain(code, Output(json=json))


@app.command()
@click.option("--keep", is_flag=True, help="Leave the server's directory for a look.")
@click.option("--examples", type=click.Path(path_type=Path, exists=True), help="Other migrations than the farm's.")
def demo(keep: bool, examples: Path | None) -> int:
    """Try it: an embedded PostgreSQL, a farm's migrations, and what happens when one is edited."""
    from tidelock.cli import demonstration

    return demonstration.run(keep=keep, examples=examples)


@app.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a SHELL: put `eval "$(tidelock completion bash)"` into ~/.bashrc."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(app, {}, "tidelock", "_TIDELOCK_COMPLETE").source())
    return 0


app.add_command(kube)
app.add_command(operator)
