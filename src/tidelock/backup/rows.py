"""The rows of one table as COPY's text: how psql writes them, and how they are loaded.

They are pg_dump's own words for the same rows, but loaded frozen: the pages that hold them are written once, and
neither the index builds nor the first readers write them again.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.backup.clients import ClientFailed
from tidelock.backup.leftovers import APPLICATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidelock.app.ports import Server
    from tidelock.backup.source import Stream
    from tidelock.core.backups import Piece

# As pg_dump sets them: rows that a policy hides are an error, and values are written exactly and without a path.
READING = """
SET row_security = off; SET search_path = ''; SET datestyle = iso; SET intervalstyle = postgres;
SET extra_float_digits = 3; SET synchronize_seqscans = off; SET enable_seqscan = off;
SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"""
LOADING = """
SET row_security = off; SET search_path = ''; SET xmloption = content; SET client_min_messages = warning;
SET synchronous_commit = off"""


def reading(stream: Stream, snapshot: str, encoding: str) -> Iterator[str]:
    """The commands by which psql writes a stream's rows to its output."""
    [table] = stream.tables
    columns, source = sql.SQL(", ".join(table.columns)), sql.SQL(table.pattern)
    yield READING
    yield "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    yield f"SET TRANSACTION SNAPSHOT '{snapshot}'"
    if stream.where:
        rows = sql.SQL("(SELECT {} FROM ONLY {} WHERE {})").format(columns, source, sql.SQL(stream.where))
    else:
        rows = sql.SQL("{} ({})").format(source, columns)
    yield sql.SQL("COPY {} TO STDOUT WITH (ENCODING {})").format(rows, encoding).as_string(None)


def load(server: Server, database: str, piece: Piece, write: Callable[[Any], None], *, whole: bool) -> None:
    """Load what `write` writes to the stream that it is given, all of it or nothing. Raises ClientFailed.

    `whole`: it is all that the table will have; it is emptied in the same transaction, which lets COPY freeze.
    """
    [table] = piece.tables
    into, columns = sql.SQL(table), sql.SQL(", ".join(piece.columns))
    try:
        with server.connect(APPLICATION, database) as conn:
            conn.execute(LOADING)
            encoding = conn.info.parameter_status("server_encoding")
            options = sql.SQL("ENCODING {}, FREEZE" if whole else "ENCODING {}").format(encoding)
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
