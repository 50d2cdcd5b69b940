"""The rows of one table as COPY's text: what psql is asked for to read them, and to load them.

They are pg_dump's own words for the same rows, but loaded frozen: the pages that hold them are written once, and
neither the index builds nor the first readers write them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.backup.clients import Clients
    from tidelock.backup.source import Stream
    from tidelock.core.backups import Piece

# As pg_dump sets them: rows that a policy hides are an error, and values are written exactly and without a path.
READING = """
SET row_security = off; SET search_path = ''; SET datestyle = iso; SET intervalstyle = postgres;
SET extra_float_digits = 3; SET synchronize_seqscans = off; SET enable_seqscan = off;
SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"""
LOADING = "SET row_security = off; SET search_path = ''; SET xmloption = content"
ENCODING = {"PGCLIENTENCODING": "UTF8"}
"""Of the commands; COPY is told that of the rows."""


def psql(programs: Clients, commands: Iterator[str]) -> list[str]:
    """A psql that runs these, with rows at its output or input."""
    asked = [f"--command={each}" for each in commands]
    return programs.command("psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", *asked)


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


def loading(piece: Piece, encoding: str, *, whole: bool) -> Iterator[str]:
    """The commands by which psql loads a piece's rows from its input.

    `whole`: it is all that the table will have; it is emptied in the same transaction, which lets COPY freeze.
    """
    [table] = piece.tables
    into, columns = sql.SQL(table), sql.SQL(", ".join(piece.columns))
    options = sql.SQL("ENCODING {}, FREEZE" if whole else "ENCODING {}").format(encoding)
    yield LOADING
    yield "BEGIN"
    if whole:
        yield sql.SQL("TRUNCATE ONLY {}").format(into).as_string(None)
    yield sql.SQL("COPY {} ({}) FROM STDIN WITH ({})").format(into, columns, options).as_string(None)
    yield "COMMIT"
