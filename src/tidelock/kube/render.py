"""A delivery → the files that a tool applies; and whether those that are there are these."""

from __future__ import annotations

import re
from importlib import import_module
from shlex import quote
from typing import TYPE_CHECKING

from tidelock.kube.flavours.kubectl import head

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

ORIGIN = re.compile(r"# From (.*?)(?: \[databases\.(.*)\])?")
"""The second line of a manifest that is kept: the way to tidelock.toml, and the database."""
SCRIPT_HEAD = """\
#!/usr/bin/env bash
# Updates the ConfigMaps, replaces the migration Job, waits for it and shows what it did; exits as the Job did.
"""
SCRIPT = (
    SCRIPT_HEAD
    + """\
# Further arguments go on: --context, --namespace, --dry-run=server, …
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"/{up}
exec tidelock kube deploy {database}"$@"
"""
)


def files(delivery: Delivery) -> dict[str, str]:
    """Path below the output directory → content, for the tool that `[kube] for` names."""
    module = import_module(f"tidelock.kube.flavours.{delivery.workload.flavour}")
    found: dict[str, str] = module.files(delivery)
    return found


def with_origin(text: str, way: str, database: str) -> str:
    """A manifest that says what it was made from. `way`: to tidelock.toml, from the folder that it goes to."""
    part = f" [databases.{database}]" if database else ""
    return text.replace(head(), f"{head()}# From {way}{part}\n", 1)


def origin(text: str) -> tuple[str, str] | None:
    """(the way to tidelock.toml, database), as `with_origin` has put it; None where it has not."""
    found = ORIGIN.fullmatch(text.removeprefix(head()).partition("\n")[0])
    return (found[1], found[2] or "") if found else None


def script(delivery: Delivery, up: str) -> str:
    """The thin deployment script; `up`: the way from its directory to that of tidelock.toml."""
    database = f"--database {quote(delivery.database)} " if delivery.database else ""
    return SCRIPT.format(up=quote(up), database=database)


__all__ = ["SCRIPT_HEAD", "files", "head", "origin", "script", "with_origin"]
