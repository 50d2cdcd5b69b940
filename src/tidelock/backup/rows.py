"""The rows of one table by COPY: how psql writes them, and how they are loaded.

As text they are pg_dump's own words for the same rows. They are loaded frozen: the pages that hold them are written
once, and neither the index builds nor the first readers write them again.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from tidelock.backup.clients import ClientFailed
from tidelock.backup.giving_way import LIMIT
from tidelock.backup.leftovers import APPLICATION
from tidelock.backup.seal import CHUNK, packed_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidelock.app.ports import Server
    from tidelock.backup.source import Stream, Table
    from tidelock.core.backups import Piece

# As pg_dump sets them: rows that a policy hides are an error, and values are written exactly and without a path.
READING = """
SET row_security = off; SET search_path = ''; SET datestyle = iso; SET intervalstyle = postgres;
SET extra_float_digits = 3; SET synchronize_seqscans = off; SET enable_seqscan = off;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"""
LOADING = """
SET row_security = off; SET search_path = ''; SET xmloption = content; SET client_min_messages = warning;
SET synchronous_commit = off"""


HARDLY_LARGER = 1.2
"""Then it is smaller than gzip makes the text (docs/performance.md)."""
SAMPLE = "COPY (SELECT {} FROM ONLY {} LIMIT 2000) TO STDOUT WITH (FORMAT {})"


def within(snapshot: str) -> Iterator[str]:
    """The commands that begin to read."""
    yield READING
    yield LIMIT
    yield "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    yield f"SET TRANSACTION SNAPSHOT '{snapshot}'"


def packs_well(conn: psycopg.Connection[Any], stream: Stream, snapshot: str) -> bool:
    """Whether a table's first rows in binary, which takes half the time to load, pack hardly larger than as text."""
    for each in (*within(snapshot), "SET LOCAL enable_seqscan = on"):  # as they lie there, not as an index has them
        conn.execute(each.encode())
    text = sample(conn, stream.tables[0], "text")
    if len(text) > CHUNK:
        return False  # of wide rows little time is lost
    return packed_bytes(sample(conn, stream.tables[0], "binary")) <= packed_bytes(text) * HARDLY_LARGER


def sample(conn: psycopg.Connection[Any], table: Table, kind: LiteralString) -> bytes:
    """A table's first rows; when they are wide, so many that they are more than a chunk."""
    content = bytearray()
    command = sql.SQL(SAMPLE).format(sql.SQL(", ".join(table.columns)), sql.SQL(table.pattern), sql.SQL(kind))
    with conn.cursor().copy(command) as copy:
        for each in copy:
            content += each
            if len(content) > CHUNK:
                break
    return bytes(content)


def reading(stream: Stream, snapshot: str, encoding: str, *, binary: bool) -> Iterator[str]:
    """The commands by which psql writes a stream's rows to its output."""
    [table] = stream.tables
    columns, source = sql.SQL(", ".join(table.columns)), sql.SQL(table.pattern)
    yield from within(snapshot)
    if stream.where:
        rows = sql.SQL("(SELECT {} FROM ONLY {} WHERE {})").format(columns, source, sql.SQL(stream.where))
    else:
        rows = sql.SQL("{} ({})").format(source, columns)
    yield sql.SQL("COPY {} TO STDOUT WITH ({})").format(rows, form(encoding, binary=binary)).as_string(None)


def form(encoding: str, *, binary: bool) -> sql.Composable:
    """COPY's option that says it: text is in the database's encoding, binary in the client's, UTF-8 as it is there."""
    return sql.SQL("FORMAT binary") if binary else sql.SQL("ENCODING {}").format(encoding)


def load(server: Server, database: str, piece: Piece, write: Callable[[Any], None], *, whole: bool) -> None:
    """Load what `write` writes to the stream that it is given, all of it or nothing. Raises ClientFailed.

    `whole`: it is all that the table will have; it is emptied in the same transaction, which lets COPY freeze.
    """
    [table] = piece.tables
    into, columns = sql.SQL(table), sql.SQL(", ".join(piece.columns))
    try:
        with server.connect(APPLICATION, database) as conn:
            conn.execute(LOADING)
            encoding = conn.info.parameter_status("server_encoding") or ""
            options = sql.SQL("{}, FREEZE" if whole else "{}").format(form(encoding, binary=piece.binary))
            with conn.transaction():
                if whole:
                    conn.execute(sql.SQL("TRUNCATE ONLY {}").format(into))
                command = sql.SQL("COPY {} ({}) FROM STDIN WITH ({})").format(into, columns, options)
                with conn.cursor().copy(command) as copy:
                    write(Paced(conn, copy))
    except psycopg.Error as error:
        raise ClientFailed("COPY", table, error.sqlstate or "no answer", str(error)) from None


class Paced:
    """A COPY that takes rows as fast as the server does: libpq would keep all that it cannot send yet in memory."""

    def __init__(self, conn: Any, copy: Any) -> None:
        self._conn, self._copy = conn, copy

    def write(self, content: bytes) -> int:
        """Send it."""
        self._copy.write(content)
        while self._conn.pgconn.flush():
            said, _, _ = select.select([self._conn], [self._conn], [])
            if said:  # a server that nobody listens to does not listen either
                self._conn.pgconn.consume_input()
        return len(content)
