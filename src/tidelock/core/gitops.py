"""What a deployment counts on, as findings: committed, rendered, numbered after the main branch. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.lint.hygiene import DATE_DIGITS
from tidelock.core.model import Place
from tidelock.core.report import Finding, Severity
from tidelock.core.source import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One directory of migrations, its manifests, and what git says of both. Names are those of files in it."""

    directory: str
    """As people see it."""
    names: Sequence[str]
    """The migrations that are there."""
    main: Sequence[str] | None = None
    """Those at the tip of the main branch; None where there is none."""
    main_name: str = "main"
    branches: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Another branch that is not merged → migrations that it adds."""
    uncommitted: Sequence[str] = ()
    """Migrations that differ from HEAD, or that git does not track."""
    untidy: Sequence[str] = ()
    """Other paths that go into a deployment (tidelock.toml, fallbacks, manifests), the same."""
    included: Sequence[str] = ()
    """Files that changed since the main branch, and that migrations which it has include."""
    git: bool = True
    """There is a repository."""


def findings(project: Project) -> list[Finding]:
    """Everything that keeps what is in git from being what is deployed."""
    if not project.git:
        return [error(code="G001", message=f"{project.directory} is in no git repository", hint="commit it")]
    return [*committed(project), *compared(project), *numbered(project), *claimed(project)]


def error(*, code: str, message: str, hint: str, path: str = "") -> Finding:
    """A finding that fails the check."""
    place = Place(path, 1) if path else None
    return Finding(code=code, severity=Severity.ERROR, message=message, hint=hint, place=place)


def committed(project: Project) -> Iterator[Finding]:
    """Files that only exist here."""
    for name in project.uncommitted:
        yield error(
            code="G001",
            message=f"{name} is not committed as it is here",
            hint="commit it before it is deployed: what git does not have, nobody can review or bring back",
            path=f"{project.directory}/{name}",
        )
    for path in project.untidy:
        yield error(code="G002", message=f"{path} is not committed as it is here", hint="commit it", path=path)


def current(stale: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Manifests that are of other files than those that are here: (path, what is wrong) of each."""
    for path, what in stale:
        yield error(code="G003", message=f"{path} is {what}", hint="run `tidelock kube render`, and commit", path=path)


def compared(project: Project) -> Iterator[Finding]:
    """Nothing to compare with, and files beside that are not as the main branch has them."""
    if project.main is None:
        yield error(
            code="G006",
            message=f"{project.directory} is not compared with the main branch, which is not known here",
            hint="fetch it (in CI: `fetch-depth: 0`), or name what to compare with (--main REF)",
        )
    for name in project.included:
        yield error(
            code="G007",
            message=f"{name} changed, and migrations that {project.main_name} has include it",
            hint="restore it, and include a new file in a new migration: a database that has applied it refuses (L002)",
            path=f"{project.directory}/{name}",
        )


def numbered(project: Project) -> Iterator[Finding]:
    """New numbers that do not follow the main branch's last one. Dates and times only have to be later."""
    if project.main is None:
        return
    last = max(map(version, project.main), default=0)
    new = sorted(
        {each for each in project.names if each not in set(project.main) and version(each) > last}, key=version
    )
    for name in new:
        number = version(name)
        if len(str(number)) < DATE_DIGITS and number > last + 1:
            yield error(
                code="G004",
                message=f"{name} skips {skipped(last, number)}: {project.main_name} and the files before are at {last}",
                hint=f"number it {last + 1} (`git mv`), as long as no database has it",
                path=f"{project.directory}/{name}",
            )
        last = max(last, number)


def skipped(last: int, number: int) -> str:
    """The numbers in between."""
    return str(last + 1) if number == last + 2 else f"{last + 1} to {number - 1}"


def claimed(project: Project) -> Iterator[Finding]:
    """Numbers that a file elsewhere has as well: on the main branch since, or on another open branch."""
    elsewhere = {project.main_name: project.main or (), **project.branches}
    main = set(project.main or ())
    for name in project.names:
        if name in main:
            continue
        for branch, names in elsewhere.items():
            for other in names:
                if version(other) == version(name) and other != name and other not in project.names:
                    yield error(
                        code="G005",
                        message=f"{name} and {other} of {branch} have the same number",
                        hint="agree who goes first, and give the other the next number",
                        path=f"{project.directory}/{name}",
                    )


def version(name: str) -> int:
    """The number of a file's name; -1 for one without."""
    return int(number_of(name) or -1)
