"""Whether CREATE MATERIALIZED VIEW IF NOT EXISTS asks for what is there: both queries as the server writes them."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]

TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?P<open>\()|(?P<close>\))|(?P<word>\w+)|.",
    re.DOTALL,
)
HEAD = re.compile(
    r"\s*CREATE\s+MATERIALIZED\s+VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:\"(?:[^\"]|\"\")*\"|[\w$]+)"
    r"(?:\s*\.\s*(?:\"(?:[^\"]|\"\")*\"|[\w$]+))?\s*(?P<columns>\([^)]*\))?",
    re.IGNORECASE,
)
COMPARED = "tidelock_compared"
LIVE = "SELECT pg_get_viewdef(%s::regclass)"
NOT_THERE = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)


def difference(conn: Connection, aggregate: Aggregate, text: str) -> str:
    """The live definition and that of a statement as a diff; empty when they are the same, or when nobody can tell."""
    found = query_of(text)
    if found is None:
        return ""
    columns, query = found
    [live] = conn.execute(LIVE, (aggregate.direct,)).fetchone() or ("",)
    try:
        asked = canonical(conn, columns, query)
    except NOT_THERE:  # it reads what is not there yet: the live one does not
        asked = query.strip()
    except psycopg.Error:
        return ""
    if asked == live:
        return ""
    lines = difflib.unified_diff(live.splitlines(), asked.splitlines(), "in the database", "in the file", lineterm="")
    return "\n".join(lines)


def canonical(conn: Connection, columns: str, query: str) -> str:
    """A query as the server writes it: that of a temporary view, which is rolled back."""
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL lock_timeout = '2s'")
        view = sql.Identifier(COMPARED)
        conn.execute(sql.SQL("CREATE TEMPORARY VIEW {} ").format(view) + sql.SQL(f"{columns} AS {query}"))
        [text] = conn.execute(LIVE, (f"pg_temp.{COMPARED}",)).fetchone() or ("",)
        return str(text)


def query_of(text: str) -> tuple[str, str] | None:
    """(columns, query) of CREATE MATERIALIZED VIEW; None when the text is another one, such as a DO block."""
    head = HEAD.match(text)
    if head is None:
        return None
    depth, words = 0, []
    for token in TOKEN.finditer(text, head.end()):
        depth += bool(token["open"]) - bool(token["close"])
        if token["word"] and depth == 0:
            words.append(token)
    start = next((each.end() for each in words if each["word"].upper() == "AS"), None)
    if start is None:
        return None
    end = len(text)
    for count in (3, 2):
        last = [each["word"].upper() for each in words[-count:]]
        if last in (["WITH", "NO", "DATA"], ["WITH", "DATA"]):
            end = words[-count].start()
            break
    return head["columns"] or "", text[start:end]
