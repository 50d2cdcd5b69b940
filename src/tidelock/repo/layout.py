"""What a repository looks like from outside: where its migrations are, and whose they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.adoption.tool import TOOLS
from tidelock.core.source import NAME, is_migration_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEEP = 6
SKIPPED = {"node_modules", "__pycache__", "target", "vendor", "dist", "build"}
MARKS: tuple[tuple[str, str], ...] = (
    ("sqitch", r"(^|/)sqitch\.plan$"),
    ("alembic", r"(^|/)alembic\.ini$"),
    ("django", r"(^|/)manage\.py$"),
    ("diesel", r"(^|/)diesel\.toml$"),
    ("atlas", r"(^|/)atlas\.sum$"),
    ("flyway", r"(^|/)(flyway\.(conf|toml)|V\d[\d._]*__[^/]*\.sql)$"),
    ("golang-migrate", r"(^|/)\d+_[^/]*\.up\.sql$"),
    ("rails", r"(^|/)db/migrate/\d+_[^/]*\.rb$"),
)
WORDS: tuple[tuple[str, str], ...] = (
    ("dbmate", r"^-- migrate:up"),
    ("goose", r"^\s*--\s*\+goose\s+Up"),
    ("tern", r"^---- create above / drop below ----"),
    ("liquibase", r"^\s*--\s*liquibase\s+formatted\s+sql"),
    ("yoyo", r"^--\s*depends:"),
)
GITOPS: tuple[tuple[str, str], ...] = (
    ("Flux", r"^apiVersion:\s*(kustomize|source|helm)\.toolkit\.fluxcd\.io/"),
    ("Argo CD", r"^apiVersion:\s*argoproj\.io/"),
    ("Helm", r"^apiVersion:\s*v2\s*$"),
    ("Kustomize", r"^apiVersion:\s*kustomize\.config\.k8s\.io/"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What was found, paths relative to where it was looked for."""

    directory: str
    """Where the SQL files are; empty when there are none."""
    files: int
    tool: str
    """Of TOOLS; empty when the names are Tidelock's own, or nobody's."""
    clean: bool
    """Every SQL file there has a number of its own."""
    gitops: tuple[str, ...]
    timescale: bool
    """An SQL file speaks of hypertables or continuous aggregates."""
    others: tuple[tuple[str, int], ...] = ()
    """Further folders with numbered SQL files, and how many files: another database's, or none of ours."""


def look(root: Path) -> Layout:
    """Look at a repository, at most DEEP folders down. Reads the beginning of SQL and YAML files."""
    paths = list(walk(root, 0))
    names = [each.relative_to(root).as_posix() for each in paths]
    sql = [each for each in paths if is_migration_name(each.name)]
    heads = {each: head(each) for each in sql}
    folder = busiest(sql)
    return Layout(
        directory=folder.relative_to(root).as_posix() if folder else "",
        files=sum(each.parent == folder for each in sql),
        tool=tool_of(names, heads.values(), sqlx=uses_sqlx(root, paths)),
        clean=numbered([each.name for each in sql if each.parent == folder]),
        gitops=tuple(gitops_of(paths)),
        timescale=any(re.search(r"timescaledb|create_hypertable|time_bucket", text) for text in heads.values()),
        others=tuple((each.relative_to(root).as_posix(), len(found)) for each, found in numbered_in(sql, folder)),
    )


def numbered_in(sql: list[Path], apart: Path | None) -> Iterator[tuple[Path, list[Path]]]:
    """The folders that have numbered files, but one, and those files."""
    files = [each for each in sql if NAME.fullmatch(each.name) and each.parent != apart]
    for folder in sorted({each.parent for each in files}):
        yield folder, [each for each in files if each.parent == folder]


def walk(folder: Path, depth: int) -> Iterator[Path]:
    """Files, without what others have put there."""
    for each in sorted(folder.iterdir()):
        if each.is_dir():
            if depth < DEEP and each.name not in SKIPPED and not each.name.startswith("."):
                yield from walk(each, depth + 1)
        elif each.is_file():
            yield each


def head(path: Path) -> str:
    """The first part of a file."""
    with path.open("rb") as file:
        return file.read(4000).decode(errors="replace")


def busiest(sql: list[Path]) -> Path | None:
    """The folder with the most SQL files that begin with a number, or with the most at all."""
    counts: dict[Path, int] = {}
    for each in sql:
        counts[each.parent] = counts.get(each.parent, 0) + (100 if NAME.fullmatch(each.name) else 1)
    return max(counts, key=lambda each: counts[each]) if counts else None


def numbered(names: list[str]) -> bool:
    """Each has a number, and no two have the same."""
    numbers = [int(found["number"]) if (found := NAME.fullmatch(name)) else None for name in names]
    return None not in numbers and len(numbers) == len(set(numbers))


def tool_of(names: list[str], heads: Iterable[str], *, sqlx: bool) -> str:
    """The tool whose marks are there: in names first, then in what files say.

    sqlx has no mark of its own: its pairs look like golang-migrate's, its single files like ours with a time.
    """
    for tool, pattern in MARKS:
        if any(re.search(pattern, name) for name in names):
            return "sqlx" if sqlx and tool == "golang-migrate" else tool
    texts = list(heads)
    found = next((tool for tool, words in WORDS if any(re.search(words, text, re.MULTILINE) for text in texts)), "")
    timed = any(TIMED.search(name) for name in names)
    return "sqlx" if sqlx and timed and not found else found


TIMED = re.compile(r"(^|/)\d{14}_[^/]*\.sql$")
"""A number as `sqlx migrate add` gives it."""
SQLX = re.compile(r"^\s*sqlx(\.workspace)?\s*=|^\[.*dependencies\.sqlx\]", re.MULTILINE)


def uses_sqlx(root: Path, paths: list[Path]) -> bool:
    """A Cargo.toml asks for it, or its prepared queries lie there beside files with a time."""
    if any(SQLX.search(head(each)) for each in paths if each.name == "Cargo.toml"):
        return True
    return (root / ".sqlx").is_dir() and any(TIMED.search(each.as_posix()) for each in paths)


def gitops_of(paths: list[Path]) -> Iterator[str]:
    """The GitOps tools whose manifests are there."""
    texts = [head(each) for each in paths if each.suffix in (".yaml", ".yml")]
    for name, pattern in GITOPS:
        if any(re.search(pattern, text, re.MULTILINE) for text in texts):
            yield name


def title(tool: str) -> str:
    """The tool's name as people write it."""
    return TOOLS[tool].title
