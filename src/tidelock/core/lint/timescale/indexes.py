"""Indexes and keys of hypertables: how they are built without a wait, and what they have to contain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.known import argument, key, target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.sight import (
    PER_CHUNK,
    hypertable,
    in_block,
    is_ours,
    per_chunk,
    per_chunk_edit,
)
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Constraint
    from tidelock.core.lint.known import Table
    from tidelock.core.lint.look import Look


@rule(
    "TS001",
    "CONCURRENTLY on a hypertable",
    Severity.ERROR,
    why="TimescaleDB refuses CREATE INDEX CONCURRENTLY on hypertables and continuous aggregates (0A000), whatever "
    "other linters advise. Its own way is to build the index chunk by chunk, each in a transaction: only one chunk "
    "at a time waits. Cut off, it leaves an invalid index, which Tidelock finds and builds again.",
    fix="write WITH (timescaledb.transaction_per_chunk) instead of CONCURRENTLY",
    on=("create index",),
    refused=("0A000",),
)
def concurrently(look: Look) -> Iterator[Remark]:
    """CREATE INDEX CONCURRENTLY where it never works."""
    for each in look.actions("create index"):
        if "concurrently" not in each.flags or not is_ours(look.known, each.table):
            continue
        kind = "hypertable" if look.known.is_hypertable(each.table) else "continuous aggregate"
        message = f"{each.table} is a {kind}, and TimescaleDB refuses to build an index on it CONCURRENTLY"
        if "unique" in each.flags:
            hint = (
                "build it without CONCURRENTLY, when little is written: a unique index cannot be built chunk by chunk"
            )
            yield Remark(message=message, hint=hint)
        elif in_block(look):
            yield Remark(message=message)
        else:
            yield Remark(message=message, rewrite=per_chunk(look.text), edit=per_chunk_edit(look.text))


@rule(
    "TS002",
    "an index build blocks writes to every chunk",
    Severity.WARNING,
    why="A plain CREATE INDEX holds a Share lock on the hypertable and all of its chunks until the last one is built: "
    "18.6 s on 20 million rows, during which no row comes in.",
    fix="build it WITH (timescaledb.transaction_per_chunk), in a file of its own",
    on=("create index",),
)
def blocks_every_chunk(look: Look) -> Iterator[Remark]:
    """A plain CREATE INDEX on a hypertable that others may be using."""
    for each in look.actions("create index"):
        if not look.known.is_hypertable(each.table) or look.is_new(each.table):
            continue
        if "concurrently" in each.flags or PER_CHUNK in each.options or "only" in each.flags:
            continue
        message = f"writes to every chunk of {each.table} wait until the index is built"
        if "unique" in each.flags:
            hint = "apply it when little is written: a unique index cannot be built chunk by chunk"
            yield Remark(message=message, hint=hint)
        else:
            yield Remark(message=message, rewrite="" if in_block(look) else per_chunk(look.text))


@rule(
    "TS003",
    "a unique index cannot be built chunk by chunk",
    Severity.ERROR,
    why="`timescaledb.transaction_per_chunk` with UNIQUE is refused (0A000): between two chunks nobody would watch "
    "over the key.",
    fix="build it without the option, when little is written",
    on=("create index",),
    refused=("0A000",),
)
def unique_per_chunk(look: Look) -> Iterator[Remark]:
    """UNIQUE with transaction_per_chunk."""
    for each in look.actions("create index"):
        if PER_CHUNK in each.options and "unique" in each.flags:
            edit = replace_first(look.text, r"\s*WITH\s*\(\s*timescaledb\.transaction_per_chunk[^,()]*\)", "")
            yield Remark(
                message=f"TimescaleDB refuses to build the unique index {each.name or 'on ' + each.table} chunk by "
                "chunk",
                rewrite=rewritten(look.text, edit) if edit else "",
            )


@rule(
    "TS004",
    "an index built chunk by chunk in a DO block",
    Severity.ERROR,
    why="The build commits after every chunk, which a DO block cannot hold. TimescaleDB 2.28.3 does not refuse it: the "
    "server process crashed when this was measured, and took every other session with it.",
    fix="write the CREATE INDEX as a statement of its own",
    on=("create index",),
)
def per_chunk_in_block(look: Look) -> Iterator[str]:
    """transaction_per_chunk in DO."""
    for each in look.actions("create index"):
        if PER_CHUNK in each.options and in_block(look):
            yield (
                f"the index on {each.table} commits after each chunk, which no DO block can hold: the server may crash"
            )


@rule(
    "TS005",
    "DROP INDEX CONCURRENTLY on a hypertable",
    Severity.ERROR,
    why="An index of a hypertable is one index for each chunk besides its own, and DROP INDEX CONCURRENTLY drops "
    "only a single one: 0A000.",
    fix="write DROP INDEX; it waits for open transactions on all chunks, so keep lock_timeout short",
    on=("drop index",),
    refused=("0A000",),
)
def drop_concurrently(look: Look) -> Iterator[Remark]:
    """DROP INDEX CONCURRENTLY of an index that a file made on a hypertable."""
    for each in look.actions("drop index"):
        index = look.known.indexes.get(key(each.table))
        if "concurrently" in each.flags and index and is_ours(look.known, index.table):
            edit = None if in_block(look) else replace_first(look.text, r"\bCONCURRENTLY\s+", "")
            yield Remark(
                message=f"{each.table} has an index on each chunk of {index.table}, and CONCURRENTLY drops only one",
                rewrite=rewritten(look.text, edit) if edit else "",
            )


@rule(
    "TS006",
    "REINDEX that a hypertable refuses",
    Severity.ERROR,
    why="REINDEX INDEX on an index of a hypertable, and REINDEX TABLE CONCURRENTLY on a hypertable, are refused "
    "(0A000). REINDEX TABLE works and rebuilds all indexes of all chunks, under a lock that keeps writers out.",
    fix="write REINDEX TABLE, or build a second index chunk by chunk and drop the first",
    on=("reindex",),
    refused=("0A000",),
)
def reindex(look: Look) -> Iterator[Remark]:
    """REINDEX INDEX, REINDEX … CONCURRENTLY."""
    for each in look.actions("reindex"):
        if each.name == "index":
            index = look.known.indexes.get(key(each.table))
            if index and is_ours(look.known, index.table):
                yield Remark(
                    message=f"{each.table} belongs to the hypertable {index.table}, and a single index is not "
                    "rebuilt there",
                    rewrite=f"REINDEX TABLE {quoted(index.table)};",
                )
        elif "concurrently" in each.flags and is_ours(look.known, each.table):
            yield Remark(
                message=f"{each.table} is a hypertable, and its indexes are not rebuilt CONCURRENTLY",
                rewrite=f"REINDEX TABLE {quoted(each.table)};",
            )


# --- keys ------------------------------------------------------------------------------------------------------------


@rule(
    "TS007",
    "a key without the time column",
    Severity.ERROR,
    why="A hypertable keeps a key within each chunk, so PRIMARY KEY, UNIQUE and EXCLUDE have to contain every "
    "column it is partitioned by: TS103 `cannot create a unique index without the column`. create_hypertable "
    "refuses a table that has such a key already.",
    fix="put the time column into the key, or drop the key before create_hypertable",
    on=("create table", "create index", "add constraint", "add column", "call"),
    refused=("TS103",),
)
def key_without_time(look: Look) -> Iterator[Remark]:
    """PRIMARY KEY, UNIQUE, EXCLUDE and unique indexes, before and after create_hypertable."""
    yield from _new_keys(look)
    yield from _keys_that_stand(look)
    for each in look.actions("create table"):
        time = next((each.options.get(f"{space}partition_column", "") for space in SPACES if _made(each, space)), "")
        for found in each.constraints if time else ():
            yield from _missing(each.table, [time], found.kind, found.columns)


SPACES = ("timescaledb.", "tsdb.")
UNIQUE = ("primary key", "unique", "exclude")


def _made(action: Action, space: str) -> bool:
    return f"{space}hypertable" in action.options


def _new_keys(look: Look) -> Iterator[Remark]:
    for each in look.actions("create index", "add constraint", "add column"):
        table = hypertable(look.known, each.table)
        if table is None:
            continue
        if each.what == "create index" and "unique" in each.flags:
            yield from _missing(each.table, dimensions_of(table), "unique index", each.names)
        for found in constraints_of(each):
            columns = found.columns
            if found.using_index and (index := look.known.indexes.get(key(found.using_index))):
                columns = index.columns
            yield from _missing(each.table, dimensions_of(table), found.kind, columns)


def constraints_of(action: Action) -> tuple[Constraint, ...]:
    """The constraints that an action adds."""
    return (action.constraint,) if action.constraint else action.column.constraints if action.column else ()


def dimensions_of(table: Table) -> list[str]:
    """The columns that a hypertable is partitioned by."""
    return [each for each in (table.time, *table.dimensions) if each]


def _keys_that_stand(look: Look) -> Iterator[Remark]:
    """create_hypertable and add_dimension on a table that has keys."""
    for each in look.calls("create_hypertable", "add_dimension"):
        table = look.known.table(target(each))
        names = ("time_column_name", "dimension", "column_name")
        time = str(argument(each, 1, *names) or "").partition(",")[0]
        if table is None or not time or (table.hypertable and each.name.endswith("create_hypertable")):
            continue
        for found in table.constraints:
            yield from _missing(table.name, [time], found.kind, found.columns)
        for index in look.known.indexes.values():
            if index.table == table.name and index.unique:
                yield from _missing(table.name, [time], f"unique index {index.name}", index.columns)


def _missing(table: str, dimensions: list[str], kind: str, columns: tuple[str, ...]) -> Iterator[Remark]:
    if not kind.startswith(UNIQUE) or not columns:
        return
    if missing := [each for each in dimensions if each not in columns]:
        name = kind.upper() if kind in UNIQUE else kind
        columns = tuple(each or "…" for each in columns)
        yield Remark(
            message=f"{name} ({', '.join(columns)}) of the hypertable {table} lacks {', '.join(missing)}, by which it "
            f"is partitioned",
            hint=f"write ({', '.join([*columns, *missing])}); if {', '.join(columns)} must be unique by itself, "
            "keep it in a plain table beside",
        )
