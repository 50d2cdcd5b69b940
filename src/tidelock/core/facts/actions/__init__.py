"""A statement's node → Actions: what it does, in the detail that the checks need. Expressions are only classified.

    flags       what is said beside the names: options that are on, CASCADE
    columns     columns and constraints, types and defaults
    tables      CREATE TABLE, each part of ALTER TABLE
    views       queries that are kept: CREATE TABLE AS, views, materialized views, continuous aggregates
    indexes     CREATE INDEX, REINDEX
    rows        INSERT, UPDATE, DELETE, COPY, TRUNCATE
    routines    functions and procedures, triggers, rules
    datatypes   enums, composite and range types, domains
    rights      roles, rights, policies; SET and RESET
    objects     whatever the object is: RENAME, SET SCHEMA, OWNER TO, DROP; a CREATE of which only the name counts
    upkeep      VACUUM, ANALYZE, CLUSTER, LOCK
    calls       calls of functions and procedures

READERS in those that read a statement: the kind of a node → its reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.actions import datatypes, indexes, objects, rights, routines, rows, tables, upkeep, views
from tidelock.core.facts.actions.calls import called
from tidelock.core.facts.actions.rows import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidelock.core.action import Action
    from tidelock.core.parser import Node

__all__ = ["READERS", "called", "changed"]

READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    **tables.READERS,
    **views.READERS,
    **indexes.READERS,
    **rows.READERS,
    **routines.READERS,
    **datatypes.READERS,
    **rights.READERS,
    **objects.READERS,
    **upkeep.READERS,
}
"""No check asks about the kinds that are missing."""
