"""What functions and triggers of the database's own leave in the session of a statement that sets them off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.surroundings import bare
from tidelock.postgres.ledger import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

# SET and its like where a statement may begin, also in the text of an EXECUTE; set_config but for `…, true)`. What a
# function calls counts, by its name in the text. Of BEGIN ATOMIC the definition has the names.
CHANGING = r"""
WITH RECURSIVE body AS (
  SELECT oid, proname, lower(CASE prosrc WHEN '' THEN pg_catalog.pg_get_functiondef(oid) ELSE prosrc END) AS text
    FROM pg_catalog.pg_proc WHERE oid >= 16384 AND prokind IN ('f', 'p')),
called AS (
  SELECT * FROM body
   WHERE proname = ANY (%(calls)s)
      OR oid IN (SELECT tgfoid FROM pg_catalog.pg_trigger
                  WHERE tgrelid IN (SELECT pg_catalog.to_regclass(name)::oid FROM pg_catalog.unnest(%(writes)s::text[]) AS n (name)))
      OR oid IN (SELECT evtfoid FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D')
  UNION
  SELECT body.* FROM called JOIN body
      ON called.text ~ ('\m' || pg_catalog.regexp_replace(lower(body.proname), '\W', '.', 'g') || '\M'))
SELECT proname FROM called
 WHERE text ~ '(^|;|''|\$|\m(begin|then|else|loop))\s*(set|reset|discard|prepare|listen|declare)\s'
    OR text ~ '\mcreate\s+((local|global)\s+)?temp'
    OR pg_catalog.regexp_replace(text, 'set_config\s*\([^;]*?,\s*true\s*\)', '', 'g') ~ 'set_config'
 ORDER BY proname LIMIT 1"""  # noqa: E501 - rows of a SQL query read better whole


def path(name: str) -> str:
    """A name as written, quoted."""
    return ".".join(map(quoted, name.split(".")))


def may_change(statement: Statement) -> bool:
    """Whether it may set off such code at all."""
    return bool(statement.facts.strange or statement.facts.writes)


def changing(conn: psycopg.Connection[tuple[object, ...]], steps: Sequence[Step]) -> tuple[str, Statement] | None:
    """The first statement of some steps that sets off what changes a session, and what that may have set."""
    for statement in (each for step in steps if not step.rolled_back for each in step.statements if may_change(each)):
        facts = statement.facts
        asked = {"calls": sorted(map(bare, facts.strange)), "writes": sorted(map(path, facts.writes))}
        if row := conn.execute(CHANGING.encode(), asked).fetchone():
            return f"what {row[0]}() had set", statement
    return None
