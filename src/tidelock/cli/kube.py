"""`tidelock kube …`: the options of each verb; what they do stands in modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tidelock.cli.kubing import COMMANDS
from tidelock.cli.options import JSON, WHERE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLAVOURS = ("kubectl", "kustomize", "helm", "argocd", "flux", "operator")


@click.group()
def kube() -> None:
    """Kubernetes: manifests from migrations, and what became of them."""


def of_files(command: Callable[..., int]) -> Callable[..., int]:
    """The options of a command that reads tidelock.toml and the migrations, and asks no database."""
    for option in (JSON, WHERE["config"], WHERE["directory"], WHERE["database"]):
        command = option(command)
    return command


@kube.command()
@of_files
@click.option("--for", "flavour", type=click.Choice(FLAVOURS), help="What applies the manifests. Else [kube] for.")
@click.option("--out", metavar="DIR", help="Where they go. Else [kube] out; without either they are printed.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when what is there is not what would be written.")
@click.option("--force", is_flag=True, help="Also write over files that it did not write itself.")
@click.option("--immutable", is_flag=True, help="ConfigMaps that never change, named by their digest.")
@click.option("--commit", metavar="SHA", default="", help="The commit, for the ConfigMaps and the ledger.")
@click.option("-n", "--namespace", metavar="NAME", help="The namespace. Else [kube] namespace.")
@click.option(
    "--init-container", is_flag=True, help="Print the container that an application waits in, and nothing else."
)
def render(directory: Path | None, config: Path | None, database: tuple[str, ...], json: bool, **given: Any) -> int:
    """Write the manifests that bring the migrations into a cluster: ConfigMaps, Job, CronJobs, rights.

    The same files and settings give the same bytes. No cluster is asked.
    """
    from tidelock.cli.output import Output
    from tidelock.cli.rendering import Wanted
    from tidelock.cli.rendering import render as run
    from tidelock.cli.wiring import Asked

    return run(Asked(directory=directory, config=config, database=database), Output(json=json), Wanted(**given))


@kube.command()
@of_files
@click.option("--main", metavar="REF", default="", help="The main branch. Default: origin/HEAD, main or master.")
def check(directory: Path | None, config: Path | None, database: tuple[str, ...], json: bool, main: str) -> int:
    """Check in CI what a deployment counts on: committed, rendered, numbered after the main branch; 1 when it is not.

    Also against other open branches, as far as they are fetched.
    """
    from tidelock.cli.checking import check as run
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked

    return run(Asked(directory=directory, config=config, database=database), Output(json=json), main)


for each in COMMANDS:
    kube.add_command(each)
