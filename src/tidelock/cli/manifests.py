"""The manifests that are kept: what has to be written or removed so that they are current; others' stay untouched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock import config
from tidelock.cli.delivering import manifest_files, out_directory
from tidelock.kube import render
from tidelock.repo import rendered

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidelock.kube.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose manifests may be written over or removed: of these databases of a tidelock.toml."""

    path: Path
    """tidelock.toml."""
    databases: Collection[str]
    known: Collection[str]
    """Every database that it has now: one that is not among these has gone, and its manifests are nobody's."""

    def wrote(self, file: Path) -> bool:
        """It is said to be from here."""
        found = render.origin(file.read_text("utf-8")) if rendered.begins(file, render.head()) else None
        if found is None or (file.parent / found[0]).resolve() != self.path.resolve():
            return False
        return found[1] in self.databases or found[1] not in self.known

    def may_write(self, file: Path) -> bool:
        """It is from here, or of a version of Tidelock that did not say whose it was."""
        unsigned = rendered.begins(file, render.head()) and render.origin(file.read_text("utf-8")) is None
        return unsigned or self.wrote(file)


def changes(found: Sequence[Delivery], path: Path) -> list[rendered.Change]:
    """What differs from the manifests of these databases, and what is left over. `path`: tidelock.toml."""
    known = set(config.read(path).get("databases", {}) if path.is_file() else ()) or {""}
    differing: list[rendered.Change] = []
    keep: set[Path] = set()
    for each in found:
        files = signed(each, path)
        owner = Owner(path, {each.database}, known)
        where = out_directory(each.workload, path.parent)
        differing += rendered.changes(where, files, ours=owner.may_write)
        keep |= {where / name for name in files}
    folders = {path.parent / each for delivery in found for each in (delivery.workload.out, delivery.beside) if each}
    owner = Owner(path, {each.database for each in found}, known)
    return [*differing, *rendered.left_over(folders, keep, ours=owner.wrote)]


def signed(delivery: Delivery, path: Path) -> dict[str, str]:
    """Path below the output directory → content that says which tidelock.toml and database it is from."""
    where = out_directory(delivery.workload, path.parent)
    return {
        name: render.with_origin(text, way(path, (where / name).parent), delivery.database)
        for name, text in manifest_files(delivery).items()
    }


def way(path: Path, folder: Path) -> str:
    """The way to tidelock.toml from a folder, with /."""
    return Path(os.path.relpath(path, folder)).as_posix()
