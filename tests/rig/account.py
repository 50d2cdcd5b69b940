"""The operating-system user that a server runs as: PostgreSQL and PgBouncer refuse to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CANDIDATES = ("postgres", "embedded_postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as. `uid` is None when that is whoever runs the tests."""

    uid: int | None
    gid: int | None

    def own(self, path: Path) -> None:
        """Give `path` and everything below it to this account."""
        if self.uid is None or self.gid is None:
            return
        os.chown(path, self.uid, self.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(f"{folder}/{name}", self.uid, self.gid, follow_symlinks=False)


@cache
def account() -> Account:
    """The account for servers: ourselves, or under root the first of `CANDIDATES` that exists."""
    if os.geteuid() != 0:
        return Account(None, None)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError(f"root cannot run PostgreSQL, and none of the users {', '.join(CANDIDATES)} exists")


def can_install() -> bool:
    """Whether a missing Debian package could have been installed: root and apt are there."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None
