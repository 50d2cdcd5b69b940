"""`tidelock operator …`: the options of each verb."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def operator() -> None:
    """The operator: what changes in a ConfigMap is applied, with nobody there."""


@operator.command()
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Else KUBECONFIG, ~/.kube/config, or the cluster that this runs in.",
)
@click.option("--context", metavar="NAME", help="A context of the kubeconfig. Else the current one.")
@click.option("-n", "--namespace", metavar="NAME", help="The namespace. Else POD_NAMESPACE, or the context's.")
@click.option("--all-namespaces", is_flag=True, help="Look after every namespace; the lease stays in its own.")
@click.option("--listen", default=":8080", show_default=True, metavar="HOST:PORT", help="/healthz, /readyz, /metrics.")
@click.option("--lease", default="15s", show_default=True, metavar="DURATION", help="How long a lost leader is missed.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Lines on stderr.")
def run(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    all_namespaces: bool,
    listen: str,
    lease: str,
    log_format: str,
) -> int:
    """Watch MigrationTargets and the ConfigMaps of their bundles, and start a Job for what changed.

    The newest bundle counts, one Job a database at a time. It opens no database connection.
    """
    from tidelock.cli.deploying import Where
    from tidelock.cli.operating import Wanted
    from tidelock.cli.operating import run as operate
    from tidelock.cli.output import Output

    return operate(
        Where(kubeconfig=kubeconfig, context=context, namespace=namespace),
        Output(json_logs=log_format == "json"),
        Wanted(all_namespaces=all_namespaces, listen=listen, lease=lease),
    )
