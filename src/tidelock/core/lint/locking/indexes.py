"""Building and dropping indexes, and the constraints that build one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import lines, listed, named, quoted
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.guards import in_do, no_constraint
from tidelock.core.lint.known import key
from tidelock.core.lint.locking.use import (
    changes,
    constraints,
    fresh,
    is_not_null,
    is_partitioned,
    is_timescale,
    single,
)
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Constraint
    from tidelock.core.lint.look import Look


def concurrently(look: Look, word: str, guard: str = "") -> str:
    """The statement with CONCURRENTLY behind a word, and with its guard: `apply` drops an invalid index first."""
    there = re.search(rf"\b{word}\s+IF\b", look.text, re.IGNORECASE)
    edit = replace_first(look.text, rf"\b{word}\b", f"{word} CONCURRENTLY{'' if there else guard}")
    return rewritten(look.text, edit) if edit and single(look) else ""


@rule(
    "LK001",
    "an index build blocks writes",
    Severity.ERROR,
    why="CREATE INDEX holds a Share lock on the table until it is built: readers go on, every write waits.",
    fix="build it CONCURRENTLY",
    on=("create index",),
)
def index_blocks_writes(look: Look) -> Iterator[Remark]:
    """CREATE INDEX on a table that others may be using."""
    for each in changes(look, "create index"):
        if (
            "concurrently" in each.flags
            or is_timescale(look, each.table)  # TS: CONCURRENTLY is refused there
            or is_partitioned(look, each.table)  # LK002
            or key(each.table) in look.known.views  # a materialized view: nobody writes to it
        ):
            continue
        name = "" if each.name else f" {quoted(named(each.table, each.names, 'idx'))}"
        yield Remark(
            message=f"writes to {each.table} wait until the index is built",
            rewrite=concurrently(look, "INDEX", f" IF NOT EXISTS{name}"),
        )


@rule(
    "LK002",
    "an index build blocks writes to every partition",
    Severity.ERROR,
    why="CREATE INDEX on a partitioned table builds on one partition after the other and holds a Share lock on all of "
    "them until the last is done. CONCURRENTLY is refused there.",
    fix="create it ON ONLY the parent, build it CONCURRENTLY on each partition, and ATTACH those to it",
    on=("create index",),
)
def index_of_partitions(look: Look) -> Iterator[Remark]:
    """CREATE INDEX on a partitioned table."""
    for each in changes(look, "create index"):
        if is_partitioned(look, each.table) and "only" not in each.flags:
            only = replace_first(look.text, r"\bON\s+", "ON ONLY ") if single(look) and each.name else None
            yield Remark(
                message=f"writes to {each.table} and all its partitions wait until all the indexes are built",
                rewrite=lines(
                    re.sub(r"\bINDEX\s+(?!IF\b)", "INDEX IF NOT EXISTS ", rewritten(look.text, only), count=1),
                    "-- for each partition, in files of their own: CREATE INDEX CONCURRENTLY …, and then:",
                    f"-- ALTER INDEX {quoted(each.name)} ATTACH PARTITION …",
                )
                if only
                else "",
            )


@rule(
    "LK003",
    "dropping an index blocks reads and writes",
    Severity.WARNING,
    why="DROP INDEX takes an AccessExclusive lock on the table. It is quick once it has it; but while it waits behind "
    "a long query, everyone who comes later waits behind it.",
    fix="drop it CONCURRENTLY",
    on=("drop index",),
)
def drop_index(look: Look) -> Iterator[Remark]:
    """DROP INDEX of a table that others may be using."""
    for each in look.actions("drop index"):
        index = look.known.indexes.get(key(each.table))
        if "concurrently" in each.flags or "cascade" in each.flags:
            continue
        if index and (fresh(look, index.table) or is_timescale(look, index.table) or is_partitioned(look, index.table)):
            continue
        table = index.table if index else f"the table of {each.table}"
        yield Remark(
            message=f"{table} is locked against reads and writes", rewrite=concurrently(look, "INDEX", " IF EXISTS")
        )


@rule(
    "LK004",
    "REINDEX blocks writes, and reads that use the index",
    Severity.ERROR,
    why="REINDEX holds a Share lock on the table, and an AccessExclusive lock on the index, until it is built again. "
    "A query that is being planned looks at every index of its table, so in practice it waits too.",
    fix="use REINDEX … CONCURRENTLY",
    on=("reindex",),
)
def reindex(look: Look) -> Iterator[Remark]:
    """REINDEX without CONCURRENTLY."""
    for each in look.actions("reindex"):
        index = look.known.indexes.get(key(each.table))
        table = index.table if index else each.table
        if "concurrently" in each.flags or each.name == "system":
            continue
        if each.table and (fresh(look, table) or is_timescale(look, table)):
            continue
        what = each.table or f"every table of the {each.name}"
        yield Remark(
            message=f"writes, and most reads, wait until {what} is indexed again",
            rewrite=concurrently(look, each.name.upper()) if each.name else "",
        )


# --- constraints that build an index ---------------------------------------------------------------------------------


def through_an_index(look: Look, action: Action, constraint: Constraint, words: str, ending: str) -> str:
    """The index built first, then made the constraint's."""
    if not single(look) or is_partitioned(look, action.table):
        return ""
    column = action.column
    if column and (column.default or column.generated or column.serial or len(column.constraints) > 1):
        return ""
    table, parts = quoted(action.table), constraint.columns if ending != "pkey" else ()
    bare = constraint.name or named(action.table, parts, ending)
    name = quoted(bare)
    added = f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column.type}" if column else ""
    return lines(
        *filter(None, (added,)),
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({listed(constraint.columns)})",
        in_do(
            no_constraint(action.table, bare),
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {words} USING INDEX {name}",
        ),
    )


@rule(
    "LK005",
    "UNIQUE builds its index under a lock against reads and writes",
    Severity.ERROR,
    why="ADD … UNIQUE holds an AccessExclusive lock on the table until the index behind it is built: nobody reads or "
    "writes in the meantime.",
    fix="build a unique index CONCURRENTLY, and make it the constraint's with USING INDEX",
    on=("add constraint", "add column"),
)
def unique(look: Look) -> Iterator[Remark]:
    """A unique constraint that comes with its index."""
    for action, each in constraints(look, "unique"):
        if each.using_index or is_timescale(look, action.table):  # there USING INDEX is refused
            continue
        yield Remark(
            message=f"nobody reads or writes {action.table} until the index on {', '.join(each.columns)} is built",
            rewrite=through_an_index(look, action, each, "UNIQUE", "key"),
        )


@rule(
    "LK006",
    "PRIMARY KEY builds its index under a lock against reads and writes",
    Severity.ERROR,
    why="ADD PRIMARY KEY holds an AccessExclusive lock on the table until the index behind it is built, and reads all "
    "rows for NULLs first where the columns are not NOT NULL.",
    fix="make the columns NOT NULL (LK013), build a unique index CONCURRENTLY, and make it the key with USING INDEX",
    on=("add constraint", "add column"),
)
def primary_key(look: Look) -> Iterator[Remark]:
    """A primary key that comes with its index."""
    for action, each in constraints(look, "primary key"):
        if each.using_index or is_timescale(look, action.table):
            continue
        ready = action.column is None and all(is_not_null(look, action.table, name) for name in each.columns)
        yield Remark(
            message=f"nobody reads or writes {action.table} until the key on {', '.join(each.columns)} is built",
            rewrite=through_an_index(look, action, each, "PRIMARY KEY", "pkey") if ready else "",
        )


@rule(
    "LK007",
    "EXCLUDE builds its index under a lock against reads and writes",
    Severity.ERROR,
    why="ADD … EXCLUDE holds an AccessExclusive lock on the table while its index is built and every row is compared. "
    "There is no USING INDEX and no NOT VALID for it.",
    fix="add it while the table is small, or in a new table that takes the place of this one; or use UNIQUE with USING "
    "INDEX where equality is all that is compared",
    on=("add constraint", "add column"),
)
def exclude(look: Look) -> Iterator[str]:
    """An exclusion constraint on a table that others use."""
    for action, _ in constraints(look, "exclude"):
        yield f"nobody reads or writes {action.table} until its index is built and all rows are compared"


@rule(
    "LK008",
    "PRIMARY KEY USING INDEX on columns that may be NULL",
    Severity.WARNING,
    why="A primary key makes its columns NOT NULL. Where they are not so yet, and no valid CHECK says it, all rows are "
    "read under an AccessExclusive lock: what USING INDEX was meant to avoid.",
    fix="make the columns NOT NULL first (LK013)",
    on=("add constraint",),
)
def key_of_nullable(look: Look) -> Iterator[Remark]:
    """PRIMARY KEY USING INDEX whose columns are not known to be NOT NULL."""
    for action, each in constraints(look, "primary key"):
        if not each.using_index:
            continue
        index = look.known.indexes.get(key(each.using_index))
        if index is None:
            yield Remark(
                message=f"no file says which columns {each.using_index} has; where they are not NOT NULL, all rows of "
                f"{action.table} are read while nobody can use it"
            )
            continue
        states = {name: is_not_null(look, action.table, name) for name in index.columns}
        if loose := [name for name, state in states.items() if not state]:
            sure = all(states[name] is False for name in loose)
            yield Remark(
                message=f"all rows of {action.table} are read for NULLs in {', '.join(loose)} while nobody can use it"
                + ("" if sure else ", unless the column is NOT NULL already (no file says)")
            )
