"""How a live database differs from what its applied migrations produce."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tidelock.core.comparison import difference
from tidelock.core.ddl.mending import mend
from tidelock.core.snapshot import Snapshot, reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tidelock.core.comparison import Difference

MISSING_ROLE = re.compile(r'role "(?P<name>[^"]+)" does not exist')


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The last applied migration that makes or changes an object."""

    version: int
    description: str
    at: datetime | None
    """When it was applied; None where the ledger does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One difference, and the SQL that takes it back."""

    difference: Difference
    mend: str
    made: Made | None = None
    written: datetime | None = None
    """When the catalog's entry was last written: it has been so since then at the latest. None where the server does
    not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The schema of a database when it was adopted, and what was applied since."""

    snapshot: Snapshot
    at: datetime | None
    since: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What `tidelock drift` found."""

    target: str
    shadow: str
    """`PostgreSQL 18.6`: where the migrations were run."""
    applied: int
    adopted_at: datetime | None = None
    """When the schema was taken that the migrations since then were added to."""
    items: tuple[Item, ...] = ()
    ignored: int = 0
    notes: tuple[str, ...] = field(default=())


def compared(wanted: Snapshot, found: Snapshot, ignore: Sequence[str]) -> tuple[tuple[Item, ...], int]:
    """The items, and how many were ignored by `kind:name` patterns."""
    told = difference(wanted, found)
    kept = [each for each in told if not any(fnmatchcase(reference(each.key), pattern) for pattern in ignore)]
    return tuple(Item(difference=each, mend=mend(wanted, found, each)) for each in kept), len(told) - len(kept)


def without_versions(snapshot: Snapshot) -> Snapshot:
    """Extensions without their versions: another major version of PostgreSQL brings other ones."""
    return Snapshot(
        {
            key: {name: each for name, each in value.items() if name != "version"} if key[0] == "extension" else value
            for key, value in snapshot.objects.items()
        },
        snapshot.format,
    )
