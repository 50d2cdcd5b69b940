"""Composes what goes to Kubernetes: tidelock.toml, migrations, what they include, and fallbacks → deliveries."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelock import config
from tidelock.cli import wiring
from tidelock.core.bundle import Bundle, SettingsTooLarge, mountable, parts
from tidelock.core.planner import NoMigrations
from tidelock.core.source import migrations, name_of
from tidelock.core.workload import refuse_shared
from tidelock.kube import settings
from tidelock.kube.delivery import Delivery
from tidelock.repo import critical, directory, git

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.model import Migration
    from tidelock.core.workload import Workload


def deliveries(asked: Asked, *, commit: str = "", **said: Any) -> list[Delivery]:
    """One for each database that is meant. `said`: what the command line says over `[kube]`, as fields of Workload.

    Raises TidelockError for files and settings that are wrong.
    """
    path = asked.config or config.nearest(Path.cwd())
    data = config.read(path) if path else {}
    shown = path or Path(config.FILE)
    targets = wiring.targets(asked)
    changes = {name: value for name, value in said.items() if value not in (None, False, "")}
    found = []
    for target in targets:
        workload = replace(config.workload(data, shown, target.name), **changes)
        beside = ""
        if target.name and len(data.get("databases", {})) > 1 and workload.out and not own_out(data, target.name):
            beside, workload = workload.out, replace(workload, out=f"{workload.out}/{target.name}")
        made = delivery(target, workload, data, shown, commit or os.environ.get("TIDELOCK_COMMIT", ""))
        found.append(replace(made, beside=beside))
    refuse_shared(
        (each.database, each.workload if each.stores else replace(each.workload, backup="")) for each in found
    )
    return found


def own_out(data: Mapping[str, Any], name: str) -> bool:
    """The database has an output directory of its own."""
    return "out" in data.get("databases", {}).get(name, {}).get("kube", {})


def delivery(target: Target, workload: Workload, data: Mapping[str, Any], path: Path, commit: str) -> Delivery:
    """One database's bundle, settings and workload."""
    files = migrations(directory.files(target.directory))
    if not files:
        raise NoMigrations(str(target.directory))
    critical.refuse_scripts(target.critical)
    critical.refuse_migrations(target.critical, [each.version for each in files])
    fallbacks = scripts(data, path.parent)
    kept = settings.reduced(data, target.name, fallbacks)
    workload.check(addressed=any(each.get("url") for each in addresses(kept)))
    settings.refuse_passwords(kept)
    settings.refuse_unset(kept, workload)
    wanted = sorted(each["fallback"] for each in kept.get("critical", []) if each.get("fallback"))
    written = {"tidelock.toml": settings.toml(kept).encode()} if kept else {}
    kept_files = Bundle({**written, **{name: (path.parent / name).read_bytes() for name in wanted}})
    if len(parts(kept_files)) > 1:
        raise SettingsTooLarge(kept_files.size_bytes)
    return Delivery(
        workload=workload,
        bundle=bundle(target, files),
        settings=kept_files,
        commit=commit,
        tables=bool(wanted),
        stores=bool(target.backup_url),
        token=bool(target.backup_provider),
        backup_namespace=target.backup_namespace,
        where=os.path.relpath(out_directory(workload, path.parent).resolve(), git.root(path.parent).resolve()),
        database=target.name,
    )


def addresses(kept: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables in which a connection may stand."""
    return [kept.get("database", {}), *kept.get("databases", {}).values()]


def scripts(data: Mapping[str, Any], project: Path) -> dict[str, str]:
    """What `[[critical]]` calls a fallback → the same from the directory of tidelock.toml, with / and without `..`."""
    named = {each["fallback"] for each in data.get("critical", []) if each.get("fallback")}
    return {each: Path(os.path.relpath(project / each, project)).as_posix() for each in named}


def bundle(target: Target, files: Sequence[Migration]) -> Bundle:
    """The migrations as they lie there, and the files that they include or copy from."""
    beside = included(target, files)
    top = {name_of(shown): Path(path).read_bytes() for path, shown in directory.paths(target.directory)}
    return mountable({**top, **beside}, fixed=beside.keys())


def included(target: Target, files: Sequence[Migration]) -> dict[str, bytes]:
    """Path below the directory → content, of what scripts name by \\i, \\ir and \\copy."""
    from tidelock.app.reading import INCLUDES, Reader

    found: dict[str, bytes] = {}
    start = f"{directory.shown_path(target.directory)}/"

    def load(path: str) -> str:
        text = directory.load_beside(target.directory, path)
        found[path.removeprefix(start)] = Path(path).read_bytes()
        return text

    reader = Reader(files, load=load, variables=target.variables, digests=False)
    for each in files:
        if INCLUDES.search(each.text):
            reader.script(each)
    return found


def out_directory(workload: Workload, project: Path) -> Path:
    """Where the manifests go, from where one stands: `out` counts from tidelock.toml."""
    return project / workload.out


def manifest_files(delivery: Delivery) -> dict[str, str]:
    """Path below the output directory → content, for the tool that `[kube] for` names."""
    if delivery.workload.flavour == "operator":
        from tidelock.operator import flavour

        return flavour.files(delivery)
    from tidelock.kube import render

    return render.files(delivery)


def settings_file(asked: Asked) -> Path:
    """The tidelock.toml that is meant, or where one would stand."""
    return asked.config or config.nearest(Path.cwd()) or Path.cwd() / config.FILE
