"""A snapshot as one readable script: run in an empty database it gives the same snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.ddl import creation, tables, timescale
from tidelock.core.ddl.order import RANKS, ordered
from tidelock.core.ddl.words import above
from tidelock.core.snapshot import wholes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.core.snapshot import Key, Snapshot

HEAD = """\
-- The schema of a database, written by `tidelock snapshot`: do not edit. For reading, and for an empty database.

SET search_path = '';
SET check_function_bodies = off;
SET standard_conforming_strings = on;
SET client_min_messages = warning;
"""
ATTACHED = ("hypertable", "comment", "grant")
"""These stand beside what they belong to."""
LAST = ("setting", "default privileges", "event trigger")


def text(snapshot: Snapshot) -> str:
    """The whole script."""
    blocks = [
        HEAD,
        *blocks_of(snapshot),
        *([] if ("schema", "public") in snapshot.objects else ["DROP SCHEMA public;\n"]),
    ]
    return "\n".join(blocks)


def blocks_of(snapshot: Snapshot) -> Iterator[str]:
    """One block for each object with its comments and rights; what needs everything else at the end."""
    keys = ordered(snapshot, snapshot.objects)
    attached: dict[Key, list[Key]] = {}
    for key in keys:
        if key[0] in ATTACHED:
            attached.setdefault(holder(snapshot, key), []).append(key)
    for key in keys:
        if key[0] not in (*ATTACHED, *LAST, "job"):
            yield from block(snapshot, [key, *attached.pop(key, ())])
    late = [
        [each for key in keys if key[0] == kind for each in (key, *attached.pop(key, ()))] for kind in ("job", *LAST)
    ]
    for rest in attached.values():
        yield from block(snapshot, rest)
    yield from afterwards(snapshot)
    for each in late:
        yield from block(snapshot, each)


def holder(snapshot: Snapshot, key: Key) -> Key:
    """The block in which a comment or a right stands: that of the table, for a column or a constraint inside of it."""
    wholes_ = wholes(snapshot.objects[key])
    if not wholes_:
        return key
    whole = wholes_[0]
    if whole[0] == "column" or (whole[0] == "constraint" and tables.is_inline(snapshot, whole)):
        return "table", above(whole[1])
    return whole


def block(snapshot: Snapshot, keys: Iterable[Key]) -> Iterator[str]:
    """The statements of some objects, one under the other."""
    lines = [made for made in (creation.create(snapshot, key) for key in keys) if made]
    if lines:
        yield "\n".join(lines) + "\n"


def afterwards(snapshot: Snapshot) -> Iterator[str]:
    """What names objects on both sides: owners of sequences, replica identities, clustering, integer clocks."""
    lines = [line for key in sorted(snapshot.objects, key=rank) for line in after(snapshot, key)]
    if lines:
        yield "\n".join(lines) + "\n"


def after(snapshot: Snapshot, key: Key) -> Iterator[str]:
    """What is said of one object after all of them were made."""
    kind, name = key
    attributes = snapshot.objects[key]
    if kind == "sequence" and "owned_by" in attributes:
        yield creation.owned(name, attributes)
    if kind == "table" and "replica_identity" in attributes:
        yield tables.replica_identity(name, attributes["replica_identity"])
    if kind == "table" and attributes.get("unenforced"):
        yield f"ALTER TABLE {name} DISABLE TRIGGER ALL; -- foreign keys are not enforced"
    if kind == "table":
        for trigger, enabled in sorted(attributes.get("trigger_states", {}).items()):
            yield creation.state(f"{name}.{trigger}", enabled, "TRIGGER")
    if kind == "hypertable":
        yield from timescale.integer_now(snapshot, name)
    if kind == "index":
        yield from creation.index_extras(snapshot, key)
    if kind == "constraint" and tables.is_inline(snapshot, key):
        yield from tables.constraint_extras(key, attributes)


def rank(key: Key) -> tuple[int, str]:
    """By kind, then by name."""
    return RANKS.get(key[0], len(RANKS)), key[1]
