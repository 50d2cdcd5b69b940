"""When the catalog's entries of objects were last written: what the server knows with `track_commit_timestamp = on`."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString, cast

from psycopg import errors

from tidelock.postgres.snapshot import PLAINLY, Reading, one

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    import psycopg

    from tidelock.core.snapshot import Key

    Connection = psycopg.Connection[tuple[object, ...]]
    Address = tuple[int, int, int]

KEPT: LiteralString = "SELECT current_setting('track_commit_timestamp')"

# An object's attributes stand in more than one table of the catalog. (oid, number of the column, xmin)
OF_RELATIONS: LiteralString = """
SELECT oid, 0, xmin FROM pg_class UNION ALL SELECT indexrelid, 0, xmin FROM pg_index
 UNION ALL SELECT seqrelid, 0, xmin FROM pg_sequence
 UNION ALL SELECT ev_class, 0, xmin FROM pg_rewrite WHERE rulename = '_RETURN'"""
OF_COLUMNS: LiteralString = """
SELECT attrelid, attnum::int, xmin FROM pg_attribute UNION ALL SELECT adrelid, adnum::int, xmin FROM pg_attrdef"""
OF_TYPES: LiteralString = """
SELECT oid, 0, xmin FROM pg_type UNION ALL SELECT enumtypid, 0, xmin FROM pg_enum
 UNION ALL SELECT contypid, 0, xmin FROM pg_constraint WHERE contypid <> 0
 UNION ALL SELECT t.oid, 0, a.xmin FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
            WHERE t.typtype = 'c'"""
OF_COMMENTS: LiteralString = "SELECT objoid, objsubid, xmin FROM pg_description WHERE classoid = {class}"
OF_OTHERS: LiteralString = "SELECT oid, 0, xmin FROM {catalog}"
LAST: LiteralString = """
SELECT w.oid, w.number, max(pg_xact_commit_timestamp(w.xmin)) FROM ({rows}) w (oid, number, xmin)
 WHERE w.oid = ANY (%s) GROUP BY 1, 2"""


def written(conn: Connection, owner: str | None, keys: Collection[Key]) -> Mapping[Key, datetime] | None:
    """Object of the snapshot → when its entry was last written, where the server still knows; None where it keeps none.

    Whatever is in the entry has been so since then at the latest. What is gone has no entry, and of TimescaleDB's own
    objects (policies, hypertables) no address is known.
    """
    if one(conn, KEPT) != "on":
        return None
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(PLAINLY)
            reading = Reading(conn, owner or str(one(conn, "SELECT current_user")))
            reading.look()
            return Look(conn, reading).of(keys)
    except errors.ObjectNotInPrerequisiteState:  # a standby is set to it, and its primary is not
        return None


class Look:
    """Asks for the entries of objects at addresses that a reading has found."""

    def __init__(self, conn: Connection, reading: Reading) -> None:
        self.conn, self.classes = conn, reading.classes
        self.addresses: dict[Key, Address] = {key: address for address, key in reading.names.items()}
        self.named = {f"{kind} {name}": address for (kind, name), address in self.addresses.items()}

    def of(self, keys: Collection[Key]) -> dict[Key, datetime]:
        """The moments that are known."""
        asked: dict[tuple[int, bool, bool], dict[tuple[int, int], list[Key]]] = {}
        for key in keys:
            if (address := self.address(key)) is not None:
                which = (address[0], address[2] > 0, key[0] == "comment")
                asked.setdefault(which, {}).setdefault(address[1:], []).append(key)
        found: dict[Key, datetime] = {}
        for (class_, columns, comments), places in asked.items():
            rows = self.rows(class_, columns=columns, comments=comments)
            answer = self.conn.execute(LAST.replace("{rows}", rows).encode(), ([oid for oid, _ in places],))
            for oid, number, at in cast("list[tuple[int, int, datetime | None]]", answer.fetchall()):
                found |= {key: at for key in places.get((oid, number), ()) if at is not None}
        return found

    def address(self, key: Key) -> Address | None:
        """Of the object itself, or of what a comment or a grant is on."""
        kind, name = key
        if kind == "comment":
            return self.named.get(name)
        if kind == "grant":
            return self.named.get(name.rpartition(" to ")[0])
        return self.addresses.get(key)

    def rows(self, class_: int, *, columns: bool, comments: bool) -> str:
        """The query for the entries of one class."""
        if comments:
            return OF_COMMENTS.replace("{class}", str(class_))
        if columns:
            return OF_COLUMNS
        if class_ in (self.classes["pg_class"], self.classes["pg_type"]):
            return OF_RELATIONS if class_ == self.classes["pg_class"] else OF_TYPES
        return OF_OTHERS.replace("{catalog}", str(one(self.conn, f"SELECT {class_}::regclass")))
