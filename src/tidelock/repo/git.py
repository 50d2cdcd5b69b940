"""What git knows, asked through the git program; without it, or outside of a checkout, nothing is known."""

from __future__ import annotations

import os
from pathlib import Path


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
