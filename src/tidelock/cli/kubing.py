"""`tidelock kube …` that speaks with a cluster: the options of each verb; what they do stands in other modules."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidelock.cli.options import JSON, WHERE

if TYPE_CHECKING:
    from collections.abc import Callable

CLUSTER = (
    click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Else KUBECONFIG, ~/.kube/config, or the cluster that this runs in.",
    ),
    click.option("--context", metavar="NAME", help="A context of the kubeconfig. Else the current one."),
    click.option("-n", "--namespace", metavar="NAME", help="Else [kube] namespace, or the context's."),
)


def of_cluster(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options that say which files and which cluster; it gets them as Asked, Output and Where."""

    @functools.wraps(command)
    def wrapper(
        *,
        json: bool,
        config: Path | None,
        directory: Path | None,
        database: tuple[str, ...],
        kubeconfig: Path | None,
        context: str | None,
        namespace: str | None,
        **given: Any,
    ) -> int:
        from tidelock.cli.deploying import Where
        from tidelock.cli.output import Output
        from tidelock.cli.wiring import Asked

        asked = Asked(directory=directory, config=config, database=database)
        where = Where(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return command(asked, Output(json=json), where, **given)

    for option in reversed([WHERE["config"], WHERE["directory"], WHERE["database"], *CLUSTER, JSON]):
        wrapper = option(wrapper)
    return wrapper


@click.command()
@of_cluster
@click.option("--from-cronjob", metavar="NAME", help="Make the Job that this CronJob would make; touch nothing else.")
@click.option("--dry-run", type=click.Choice(["server"]), help="Ask the API server whether it would accept all of it.")
@click.option("--timeout", metavar="DURATION", help="Wait no longer, for another Job or for this one, which goes on.")
@click.option("--commit", metavar="SHA", default="", help="The commit, for the ConfigMaps and the ledger.")
def deploy(asked: Any, output: Any, where: Any, **given: Any) -> int:
    """Bring the migrations into the cluster, run them there, and show what they do.

    Updates the ConfigMaps, replaces the migration Job, follows it, and exits as it does. ctrl-C leaves it running.
    """
    from tidelock.cli.deploying import Wanted
    from tidelock.cli.deploying import deploy as run

    return run(asked, output, where, Wanted(**given))


@click.command()
@of_cluster
@click.option("-f", "--follow", is_flag=True, help="Until the Job is over; exits as it does.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Begin with so many lines from the end.")
def logs(asked: Any, output: Any, where: Any, follow: bool, tail: int | None) -> int:
    """Show what the migration Job has printed."""
    from tidelock.cli.deploying import logs as run

    return run(asked, output, where, follow=follow, tail=tail)


@click.command()
@of_cluster
@click.option("--exit-code", is_flag=True, help="Exit 1 unless the cluster has what is here, and has applied it.")
def status(asked: Any, output: Any, where: Any, exit_code: bool) -> int:
    """Show the bundle here beside the one in the cluster, and how the migration Job stands."""
    from tidelock.cli.inspecting import status as run

    return run(asked, output, where, exit_code=exit_code)


@click.command()
@of_cluster
@click.option("--no-database", is_flag=True, help="Start no Job that looks at the database.")
def doctor(asked: Any, output: Any, where: Any, no_database: bool) -> int:
    """Ask whatever can be wrong, one thing after the other, and say what mends it. Exits 7 when something is.

    A short Job looks at the database from inside the cluster.
    """
    from tidelock.cli.inspecting import doctor as run

    return run(asked, output, where, no_database=no_database)


COMMANDS = (deploy, doctor, logs, status)
