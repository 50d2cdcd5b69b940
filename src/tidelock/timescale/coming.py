"""Code that a statement sets off which no transaction holds: nobody compares what it leaves behind.

An index build calls the functions in its expressions, DDL calls event triggers. What these do, their bodies say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.statement import Kind
from tidelock.core.step import Mode
from tidelock.core.threats import How, Threat, foreign, threats

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from tidelock.core.statement import Statement

    Connection = psycopg.Connection[Any]

# Those that it names or that are event triggers, and those whose names stand in the bodies of these.
HARMFUL = r"""
WITH RECURSIVE own AS (
  SELECT p.oid, lower(p.proname::text) AS name, lower(pg_get_functiondef(p.oid)) AS body
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
   WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal')
     AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')),
called AS (
  SELECT own.* FROM own
   WHERE name = ANY(%s) OR oid IN (SELECT evtfoid FROM pg_event_trigger WHERE evtenabled <> 'D')
   UNION
  SELECT own.* FROM own JOIN called c ON strpos(c.body, own.name) > 0)
SELECT EXISTS (SELECT FROM called
                WHERE body ~ '\m(delete|drop|truncate|update|merge|execute|drop_chunks|refresh_\w+)\M')"""


def threats_of(conn: Connection, mode: Mode, statement: Statement) -> Sequence[Threat]:
    """What a statement may take, with what code that it sets off may."""
    found = threats(statement)
    facts = statement.facts
    if mode is not Mode.ALONE or facts.kind is not Kind.DDL or any(each.how is How.UNSEEN for each in found):
        return found
    names = [each.rpartition(".")[2].lower() for each in foreign(facts)]
    row = conn.execute(HARMFUL.encode(), (names,)).fetchone()
    return (*found, Threat(how=How.UNSEEN)) if row and row[0] else found
