"""What git knows, asked through the git program; without it, or outside of a checkout, nothing is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.source import name_of

if TYPE_CHECKING:
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


def run(directory: Path, *arguments: str) -> str | None:
    """What git answers, or None when it cannot."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
