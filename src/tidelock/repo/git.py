"""What git knows, asked through the git program; without it, or outside of a checkout, nothing is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.source import is_migration_name, name_of
from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.model import LedgerEntry, Migration


def commit(directory: Path) -> str | None:
    """The commit that is checked out, with `-dirty` when the directory differs from it; None when nobody knows.

    In an image without git, TIDELOCK_COMMIT tells.
    """
    if told := os.environ.get("TIDELOCK_COMMIT"):
        return told
    if not any((parent / ".git").exists() for parent in (directory.resolve(), *directory.resolve().parents)):
        return None
    head = run(directory, "rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}-dirty" if run(directory, "status", "--porcelain", "--", ".") else head


def root(directory: Path) -> Path:
    """The root of the repository; without git the directory itself."""
    top = run(directory, "rev-parse", "--show-toplevel")
    return Path(top) if top else directory


def move(old: Path, new: Path) -> bool:
    """`git mv`; False where git does not track the file, or cannot."""
    return run(old.parent, "mv", "--", str(old.resolve()), str(new.resolve())) is not None


MOST_COMMITS = 50
"""How far back a version of a file is looked for."""


def restoring(directory: Path, file: Migration, entry: LedgerEntry) -> str | None:
    """The command that brings a file back as the ledger has it: from the commit that has just these bytes.

    Empty when no commit has them: the file was recorded before it was committed, or never was. None when git cannot
    tell here: it is not there, or does not have the commit that the ledger names (an image, a shallow clone).
    """
    if run(directory, "rev-parse", "--git-dir") is None:
        return None
    recorded = (entry.commit or "").removesuffix("-dirty")
    if recorded and run(directory, "cat-file", "-e", f"{recorded}^{{commit}}") is None:
        return None
    name = name_of(file.path)
    listed = run(directory, "log", f"-{MOST_COMMITS}", "--format=%H", "--", name) or ""
    for each in [recorded] * bool(recorded) + listed.split():
        if committed(directory, each, name) == entry.checksum:
            return f"git checkout {each[:10]} -- {file.path}"
    return ""


def committed(directory: Path, sha: str, name: str) -> str | None:
    """The SHA-256 of a file's content in a commit, unpacked; None when that commit does not have it."""
    import hashlib
    import subprocess

    from tidelock.repo.directory import unpacked

    try:
        done = subprocess.run(
            ["git", "-C", str(directory), "cat-file", "blob", f"{sha}:./{name}"],
            capture_output=True, timeout=10, check=True,
        )  # fmt: skip
        return hashlib.sha256(unpacked(name, done.stdout)).hexdigest()
    except (OSError, subprocess.SubprocessError):
        return None


def stage(path: Path) -> None:
    """`git add`, where there is a repository."""
    run(path.parent, "add", "--", str(path.resolve()))


def run(directory: Path, *arguments: str) -> str | None:
    """What git answers, or None when it cannot."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None


MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""What the main branch may be called, best first."""


class NoSuchCommit(UsageFault):
    """--changed-since names nothing that git knows, or there is no git."""

    code = "U023"

    def __init__(self, reference: str, directory: Path) -> None:
        super().__init__(
            f"git knows no “{reference}” in {directory}",
            hint="name a branch, tag or commit that is fetched (in CI: `fetch-depth: 0`, or `git fetch origin main`)",
        )


def base(directory: Path, reference: str) -> str:
    """The commit at which HEAD left a branch. Raises NoSuchCommit."""
    found = run(directory, "merge-base", reference, "HEAD")
    if found is None:
        raise NoSuchCommit(reference, directory)
    return found


def changed_since(directory: Path, commit: str) -> frozenset[Path]:
    """Files below the directory that differ from a commit, in the working tree, and those that git does not track."""
    top = run(directory, "rev-parse", "--show-toplevel") or "."
    listed = [
        run(directory, "diff", "--name-only", "-z", "--diff-filter=d", commit, "--", ".") or "",
        run(directory, "ls-files", "--full-name", "-z", "--others", "--exclude-standard", "--", ".") or "",
    ]
    return frozenset(Path(top, name) for text in listed for name in text.split("\0") if name)


def main_branch(directory: Path) -> str | None:
    """The commit at which HEAD left the main branch; None without git, or where no such branch is."""
    if not any((parent / ".git").exists() for parent in (directory.resolve(), *directory.resolve().parents)):
        return None
    for name in mains(directory):
        if found := run(directory, "merge-base", name, "HEAD"):
            return found
    return None


def present(directory: Path) -> bool:
    """The directory lies in a repository, and git is there."""
    return run(directory, "rev-parse", "--git-dir") is not None


def tip(directory: Path, reference: str = "") -> str | None:
    """The commit that the main branch, or the one that is named, is at. Raises NoSuchCommit for one that is named."""
    if reference:
        found = run(directory, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        if found is None:
            raise NoSuchCommit(reference, directory)
        return found
    found = next(
        (sha for name in mains(directory) if (sha := run(directory, "rev-parse", "--verify", "-q", name))), None
    )
    if found is None or found != run(directory, "rev-parse", "HEAD"):
        return found
    # on the main branch itself: what it was before the last commit
    before = run(directory, "rev-parse", "--verify", "--quiet", "HEAD^")
    return before or (None if run(directory, "rev-parse", "--is-shallow-repository") == "true" else found)


def mains(directory: Path) -> tuple[str, ...]:
    """What the main branch may be called here. A clone of one branch calls that one origin/HEAD, whichever it is."""
    fetched = run(directory, "config", "--get-all", "remote.origin.fetch") or ""
    return MAIN[1:] if fetched and "*" not in fetched else MAIN


def left(directory: Path, commit: str | None) -> str:
    """The commit at which HEAD left another one; empty where there is none."""
    return (run(directory, "merge-base", commit, "HEAD") if commit else None) or commit or ""


def differing(directory: Path, *, whole: bool = False) -> frozenset[Path]:
    """Files below the directory (or in the whole repository) that are not as HEAD has them, tracked or not."""
    top = run(directory, "rev-parse", "--show-toplevel")
    listed = run(directory, "status", "--porcelain", "-z", "--untracked-files=all", *(() if whole else ("--", ".")))
    if top is None or not listed:
        return frozenset()
    found, former = set(), False
    for entry in listed.split("\0"):
        if entry and not former:
            found.add(Path(top).resolve() / entry[3:])
        former = not former and entry[:1] == "R"  # the next one is the name that it had
    return frozenset(found)


def tracked(directory: Path) -> frozenset[Path]:
    """Every file of the repository that git tracks."""
    top = run(directory, "rev-parse", "--show-toplevel")
    listed = run(directory, "ls-files", "-z", "--full-name", ":/") or ""
    return frozenset(Path(top).resolve() / name for name in listed.split("\0") if name) if top else frozenset()


def names(directory: Path, commit: str) -> list[str]:
    """The migrations that a commit has directly in the directory."""
    listed = (run(directory, "ls-tree", "-z", "--name-only", commit) or "").split("\0")
    return [each for each in listed if is_migration_name(each)]


MOST_BRANCHES = 300
"""Branches that are looked at, the newest first."""


def open_branches(directory: Path, main: str) -> dict[str, list[str]]:
    """Branch that the main branch does not have → the migrations that it adds to it, where it adds one."""
    form = "--format=%(refname:short)"
    listed = run(
        directory, "for-each-ref", form, "--sort=-committerdate", f"--count={MOST_BRANCHES}", "--no-merged", main,
        "refs/heads", "refs/remotes",
    )  # fmt: skip
    own = run(directory, "rev-parse", "--abbrev-ref", "HEAD")
    found = {}
    for branch in (listed or "").split():
        if branch == own or branch.endswith(f"/{own}"):
            continue
        added = run(
            directory, "diff", "--name-only", "-z", "--diff-filter=A", "--relative", f"{main}...{branch}", "--", "."
        )
        names = [each for each in (added or "").split("\0") if "/" not in each and is_migration_name(each)]
        if names:
            found[branch] = names
    return found


def digests(directory: Path, commit: str, now: Mapping[str, str]) -> dict[str, str]:
    """Name → SHA-256 (hex) of its content in a commit, of the migrations that it has directly in the directory.

    `now`: name → digest of those that are there now.
    """
    there = names(directory, commit)
    changed = {path.name for path in changed_since(directory, commit) if path.parent == directory.resolve()}
    same = {name: now[name] for name in there if name in now and name not in changed}
    return {name: same.get(name) or committed(directory, commit, name) or now.get(name, "") for name in there}
