"""`tidelock kube check`: the rules of GitOps as an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.cli import manifests
from tidelock.cli.delivering import deliveries, included, manifest_files, out_directory, settings_file
from tidelock.cli.rendering import project
from tidelock.cli.wiring import shown, targets
from tidelock.core.gitops import Project, current, findings
from tidelock.core.source import is_migration_name, migrations, name_of
from tidelock.errors import TidelockError
from tidelock.repo import directory, git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.report import Finding
    from tidelock.kube.delivery import Delivery

OF_LINT = ("HY026", "HY027", "HY028")
"""Rules of `lint` that are asked as well: what the main branch has is applied somewhere, and stays as it is."""


def check(asked: Asked, out: Output, main: str) -> int:
    """Look at each database's directory, and say what is wrong."""
    try:
        start = project(asked)
        pairs = list(zip(targets(asked), deliveries(asked), strict=True))
        projects = [looked_at(target, delivery, start, main) for target, delivery in pairs]
        found = [one for each in projects for one in findings(each)]
        found += current(
            stale([delivery for target, delivery in pairs if git.present(target.directory)], settings_file(asked))
        )
        found += [one for target, _ in pairs for one in of_lint(target, main)]
    except TidelockError as error:
        return out.fail(error, "kube check")
    return show(found, projects, out)


def of_lint(target: Target, main: str) -> Sequence[Finding]:
    """What the rules of `lint` find that compare with the main branch."""
    from tidelock.cli.linting import Wanted, linted

    since = git.left(target.directory, git.tip(target.directory, main))
    return linted(target, Wanted(select=OF_LINT, main=since), None).findings


def looked_at(target: Target, delivery: Delivery, start: Path, main: str) -> Project:
    """What git and the disk say."""
    folder = target.directory
    where = directory.shown_path(folder)
    if not git.present(folder):
        return Project(directory=where, names=(), git=False)
    names = [shown_name.rpartition("/")[2] for _, shown_name in directory.paths(folder)]
    tip = git.tip(folder, main)
    differing = git.differing(folder)
    others = [start, *([out_directory(delivery.workload, start)] if delivery.workload.out else [])]
    wanted = deployed(target, delivery, start)
    untidy = {path for each in others for path in git.differing(each, whole=True) if path in wanted}
    kept = git.tracked(folder).union(*map(git.tracked, others))
    untidy |= {path for path in wanted if path.is_file() and path not in kept}
    bundled = {each: folder.resolve() / each for each in delivery.bundle.names}
    return Project(
        directory=where,
        names=names,
        main=None if tip is None else git.names(folder, tip),
        main_name=main or "the main branch",
        branches={} if tip is None else git.open_branches(folder, tip),
        uncommitted=sorted(
            {path.name for path in differing if path.parent == folder.resolve() and is_migration_name(path.name)}
            | {name for name, path in bundled.items() if path in differing or path not in kept}
        ),
        included=() if tip is None else changed_beside(target, tip),
        untidy=sorted(shown(str(each)) for each in untidy),
    )


def changed_beside(target: Target, tip: str) -> list[str]:
    """Files that differ from where the main branch was left, and that migrations which it has include."""
    folder = target.directory
    since = git.left(folder, tip)
    theirs = set(git.names(folder, since))
    files = [each for each in migrations(directory.files(folder)) if name_of(each.path) in theirs]
    changed = git.changed_since(folder, since)
    return sorted(name for name in included(target, files) if folder.resolve() / name in changed)


def stale(found: Sequence[Delivery], path: Path) -> list[tuple[str, str]]:
    """(path, what is wrong) of manifests that are not what would be rendered; none where they are not kept."""
    kept = [each for each in found if each.workload.out]
    return [(shown(str(each.path)), each.what) for each in manifests.changes(kept, path)]


def deployed(target: Target, delivery: Delivery, start: Path) -> set[Path]:
    """What goes into a deployment beside the migrations."""
    found = {start / "tidelock.toml", *(Path(each.fallback) for each in target.critical if each.fallback)}
    if delivery.workload.out:
        where = out_directory(delivery.workload, start)
        found |= {where / name for name in manifest_files(delivery)}
    if delivery.workload.script:
        found.add(start / delivery.workload.script)
    return {each.resolve() for each in found}


def show(found: Sequence[Finding], projects: Sequence[Project], out: Output) -> int:
    """The findings, and what could not be compared."""
    from tidelock.render.json import SCHEMA, finding

    alone = [each.directory for each in projects if each.git and each.main is None]
    lines = [f"{each.place or ''}  {each.code} {each.message}\n  {each.hint}".strip() for each in found]
    count = len(projects)
    end = f"{len(found)} finding{'' if len(found) == 1 else 's'} in {count} director{'y' if count == 1 else 'ies'}."
    data = {
        "schema": SCHEMA,
        "command": "kube check",
        "directories": [each.directory for each in projects],
        "not_compared": alone,
        "findings": [finding(each) for each in found],
    }
    out.show("\n".join([*lines, end]), data)
    return 1 if found else 0
