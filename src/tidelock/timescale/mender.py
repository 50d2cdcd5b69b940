"""An index that a build chunk by chunk has left invalid is not hidden by a later CREATE INDEX IF NOT EXISTS.

What no transaction may hold looks after itself (`postgres/alone.py`). This is for the build inside of a transaction:
the invalid index is dropped in the same one, just before, so that others see the old index or the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.app.ports import StepHooks
from tidelock.core.report import Happening
from tidelock.core.step import Mode
from tidelock.timescale.background import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.app.ports import Scene
    from tidelock.core.statement import Object, Statement
    from tidelock.core.step import Step

# Not those of partitioned tables: they are invalid until the last partition has its index.
ANY = """
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i')"""
# One that somebody is building now is left to them.
INVALID = """
SELECT format('%%I.%%I', n.nspname, c.relname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class t ON t.oid = to_regclass(%(table)s) AND t.relnamespace = c.relnamespace
 WHERE c.relname = %(name)s AND NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                    WHERE p.index_relid = i.indexrelid
                       OR p.relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = i.indrelid))"""


class Mender(StepHooks):
    """Drops an invalid index before a statement that would take it for one."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        row = scene.conn.execute(ANY).fetchone()
        self.any: bool = bool(row and row[0])
        """There were some when the run began. Files of the run leave none: one that fails ends it."""

    def attends(self, step: Step) -> bool:
        """Only while there are some, and where one may be hidden."""
        return self.any and step.mode is not Mode.ALONE and any(any(hiding(each)) for each in step.statements)

    def before(self, step: Step, statement: Statement) -> None:
        """Drop what is in the way, in the step's own transaction."""
        del step
        for each in hiding(statement):
            conn: Any = self.scene.conn
            found = conn.execute(INVALID, {"table": quoted(each.parent), "name": each.name}).fetchone()
            if found:
                self.scene.tell(
                    Happening.RECOVERED,
                    f"index {each.name} is invalid, which IF NOT EXISTS would hide; dropping it and building it again",
                    statement.place,
                )
                self.scene.query([sql.SQL("DROP INDEX {}").format(sql.SQL(found[0])).as_string()])


def hiding(statement: Statement) -> Iterator[Object]:
    """Indexes that it makes unless one of their name is there."""
    if statement.facts.guarded:
        yield from (each for each in statement.facts.creates if each.kind == "index" and each.name)
