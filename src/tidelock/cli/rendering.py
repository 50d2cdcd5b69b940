"""`tidelock kube render`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidelock.cli import manifests as current
from tidelock.cli.delivering import deliveries, manifest_files, settings_file
from tidelock.cli.wiring import shown
from tidelock.errors import TidelockError, UsageFault
from tidelock.kube import render as manifests
from tidelock.repo import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.kube.delivery import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said of rendering itself."""

    flavour: str | None = None
    out: str | None = None
    check: bool = False
    immutable: bool = False
    commit: str = ""
    namespace: str | None = None
    init_container: bool = False
    force: bool = False


class NothingToCheck(UsageFault):
    """--check without a directory to compare with."""

    code = "U042"

    def __init__(self) -> None:
        super().__init__(
            "--check has nothing to compare with: nobody says where the manifests are",
            hint='write out = "DIRECTORY" into [kube] of tidelock.toml, or pass --out DIR',
        )


def render(asked: Asked, out: Output, wanted: Wanted) -> int:
    """Write, compare, or print."""
    try:
        found = deliveries(
            asked,
            commit=wanted.commit,
            flavour=wanted.flavour,
            out=os.path.relpath(wanted.out, project(asked)) if wanted.out else None,
            immutable=wanted.immutable,
            namespace=wanted.namespace,
        )
        if wanted.init_container:
            return show_init_container(found, out)
        if not found[0].workload.out:
            return show(found, out, check=wanted.check)
        return keep(found, settings_file(asked), out, check=wanted.check, force=wanted.force)
    except TidelockError as error:
        return out.fail(error, "kube render")


def project(asked: Asked) -> Path:
    """The directory of tidelock.toml, or where one stands."""
    return settings_file(asked).parent


def show(found: Sequence[Delivery], out: Output, *, check: bool) -> int:
    """Print all manifests in one row."""
    if check:
        raise NothingToCheck
    files = {name: text for each in found for name, text in manifest_files(each).items()}
    out.show("---\n".join(f"# {name}\n{text}" for name, text in files.items()), {**facts(found), "files": files})
    return 0


def show_init_container(found: Sequence[Delivery], out: Output) -> int:
    """Print what an application's pod waits in."""
    from tidelock.kube.waiting import pod_part
    from tidelock.kube.yaml import documents

    parts = [pod_part(each) for each in found]
    out.show(documents(parts), {**facts(found), "pods": parts})
    return 0


def keep(found: Sequence[Delivery], path: Path, out: Output, *, check: bool, force: bool) -> int:
    """Write what differs; or only say so, with exit 1. Raises NotOurs for what somebody wrote, unless with `force`."""
    changes, start = current.changes(found, path), path.parent
    for each in found:
        if each.workload.script:
            script = start / each.workload.script
            up = os.path.relpath(start, script.parent)
            text = {script.name: manifests.script(each, up)}
            changes += rendered.changes(script.parent, text, ours=of_us, executable=True)
    if not check:
        rendered.carry_out(changes, force=force)
    lines = [summary(each) for each in found]
    lines += [f"{change.what if check else change.done:<9} {shown(str(change.path))}" for change in changes]
    lines += ["nothing differs" if check else "nothing changed"] if not changes else []
    lines += ["run `tidelock kube render` and commit what it writes"] if check and changes else []
    out.show("\n".join(lines), {**facts(found), "changes": [change.data for change in changes]})
    return 1 if check and changes else 0


def of_us(script: Path) -> bool:
    """The deployment script is one that was rendered."""
    return rendered.begins(script, manifests.SCRIPT_HEAD)


def summary(delivery: Delivery) -> str:
    """`farm/postgresql-migrations  74 files in 1 ConfigMap, digest 5b0e…c1`."""
    from tidelock.kube.configmap import shares

    namespace = f"{delivery.workload.namespace}/" if delivery.workload.namespace else ""
    files, maps = len(delivery.bundle.files), len(shares(delivery.bundle))
    digest = delivery.bundle.digest.removeprefix("sha256:")
    counts = f"{files} file{'' if files == 1 else 's'} in {maps} ConfigMap{'' if maps == 1 else 's'}"
    return f"{namespace}{delivery.config_map}  {counts}, digest {digest[:4]}…{digest[-2:]}"


def facts(found: Sequence[Delivery]) -> Mapping[str, Any]:
    """The same as data."""
    from tidelock.kube.configmap import shares
    from tidelock.render.json import SCHEMA

    return {
        "schema": SCHEMA,
        "command": "kube render",
        "bundles": [
            {
                "name": each.config_map,
                "namespace": each.workload.namespace or None,
                "digest": each.bundle.digest,
                "files": len(each.bundle.files),
                "size_bytes": each.bundle.size_bytes,
                "config_maps": len(shares(each.bundle)),
                "for": each.workload.flavour,
            }
            for each in found
        ],
    }
