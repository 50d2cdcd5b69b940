"""Whole tables: rewriting, partitions, triggers, explicit locks, materialized views; and the order of enums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.compose import lines, quoted, with_ending
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.known import key
from tidelock.core.lint.locking.use import STRONG, changes, fresh, is_timescale, single
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import Look


@rule(
    "LK030",
    "VACUUM FULL or CLUSTER copies the table under a lock against reads and writes",
    Severity.ERROR,
    why="Both write the table into a new file and hold an AccessExclusive lock on it until they are done; as much disk "
    "as the table has is needed beside it.",
    fix="use plain VACUUM, which lets others read and write; to give space back to the disk use pg_repack or "
    "pg_squeeze (REPACK CONCURRENTLY from PostgreSQL 19 on), outside of migrations",
    on=("vacuum full", "cluster"),
)
def vacuum_full(look: Look) -> Iterator[Remark]:
    """VACUUM FULL, CLUSTER."""
    for each in look.actions("vacuum full", "cluster"):
        if each.table and fresh(look, each.table):
            continue
        what = each.table or "each table in turn"
        plain = f"VACUUM {quoted(each.table)}" if each.table else "VACUUM"
        chunks = f", with all of its chunks{' one after the other' * (each.what == 'cluster')}"
        of_chunks = chunks if is_timescale(look, each.table) else ""
        yield Remark(
            message=f"nobody reads or writes {what} while it is copied{of_chunks}",
            rewrite=lines(plain) if each.what == "vacuum full" and single(look) else "",
        )


REWRITES = {
    "set logged": "SET LOGGED",
    "set unlogged": "SET UNLOGGED",
    "set access method": "SET ACCESS METHOD",
    "set tablespace": "SET TABLESPACE",
    "set expression": "SET EXPRESSION",
}


@rule(
    "LK031",
    "the table is copied under a lock against reads and writes",
    Severity.ERROR,
    why="SET LOGGED, UNLOGGED, ACCESS METHOD and TABLESPACE, and SET EXPRESSION of a stored column, write the whole "
    "table anew under an AccessExclusive lock.",
    fix="create a new table with what is wanted, copy in batches, and change names; or do it in a maintenance window",
    on=tuple(REWRITES),
)
def copied(look: Look) -> Iterator[str]:
    """What copies a table."""
    for each in changes(look, *REWRITES):
        if each.what == "set expression":
            column = look.known.column(each.table, each.name)
            if column and column.generated == "virtual":
                continue
        yield f"nobody reads or writes {each.table} while {REWRITES[each.what]} copies it"


# --- partitions ------------------------------------------------------------------------------------------------------


@rule(
    "LK032",
    "ATTACH PARTITION reads all rows of the partition",
    Severity.WARNING,
    why="The new partition is locked against reads and writes while each of its rows is compared with the bounds, and "
    "so is the default partition, if there is one. A valid CHECK that says the same as the bounds makes both needless.",
    fix="add a CHECK that says what the bounds say, NOT VALID, VALIDATE it in the next file, then ATTACH; afterwards "
    "the CHECK may go",
    on=("attach partition",),
)
def attach(look: Look) -> Iterator[str]:
    """ATTACH PARTITION of a table that was there, without a CHECK."""
    for each in look.actions("attach partition"):
        if fresh(look, each.name) or "index" in each.flags or each.name.rpartition(".")[2] == "":
            continue
        if key(each.name) in look.known.indexes:
            continue
        known = look.known.table(each.name)
        if known and any(one.kind == "check" and not one.not_valid for one in known.constraints):
            continue
        yield f"nobody reads or writes {each.name} while its rows are compared with the bounds"


@rule(
    "LK033",
    "DETACH PARTITION locks the parent against reads and writes",
    Severity.WARNING,
    why="It needs an AccessExclusive lock on the partitioned table. It is quick once it has it; but while it waits "
    "behind a long query, everyone who comes later waits behind it. CONCURRENTLY lets them by. (It is refused while "
    "there is a default partition.)",
    fix="use DETACH PARTITION … CONCURRENTLY",
    on=("detach partition",),
)
def detach(look: Look) -> Iterator[Remark]:
    """DETACH PARTITION without CONCURRENTLY."""
    for each in changes(look, "detach partition"):
        if "concurrently" not in each.flags:
            yield Remark(
                message=f"nobody reads or writes {each.table} from the moment this waits for its lock",
                rewrite=lines(with_ending(look.text, "CONCURRENTLY")) if single(look) else "",
            )


@rule(
    "LK034",
    "CREATE TABLE … PARTITION OF locks the parent against reads and writes",
    Severity.NOTE,
    why="It needs an AccessExclusive lock on the partitioned table, for a moment. ATTACH PARTITION of a table of its "
    "own needs one that lets others read and write.",
    fix="create the table LIKE its parent, and ATTACH it",
    on=("create table",),
)
def partition_of(look: Look) -> Iterator[Remark]:
    """A new partition of a table that others use."""
    for each in look.actions("create table"):
        if "partition" in each.flags:
            yield from (
                Remark(message=f"{parent} is locked against reads and writes while {each.table} is created")
                for parent in each.names
                if not fresh(look, parent)
            )


# --- triggers, explicit locks, materialized views --------------------------------------------------------------------


@rule(
    "LK035",
    "DISABLE TRIGGER switches it off for everyone",
    Severity.WARNING,
    why="It is not for this session alone: writes wait for its ShareRowExclusive lock, and between two files all "
    "sessions write without the trigger. ALL switches the foreign keys off as well, and nothing is checked afterwards.",
    fix="for one session: SET LOCAL session_replication_role = replica (a superuser's right), behind a BEGIN",
    on=("disable trigger",),
)
def disable_trigger(look: Look) -> Iterator[str]:
    """DISABLE TRIGGER."""
    for each in changes(look, "disable trigger"):
        yield f"writes to {each.table} wait, and then go past {each.name or 'its triggers'} in every session"


@rule(
    "LK036",
    "LOCK TABLE keeps others waiting until the transaction ends",
    Severity.WARNING,
    why="The lock is held until all of the file's transaction is done. Each statement takes the locks that it needs.",
    fix="leave it out; where rows must not change in between, lock those: SELECT … FOR UPDATE",
    on=("lock table",),
)
def lock_table(look: Look) -> Iterator[str]:
    """LOCK TABLE in a mode that keeps writers waiting."""
    modes = {key(each.table): each.mode for each in look.facts.locks}
    for each in look.actions("lock table"):
        mode = modes.get(key(each.table), "")
        if mode in STRONG and not fresh(look, each.table):
            who = "nobody reads or writes" if mode == "AccessExclusive" else "nobody writes"
            yield f"{who} {each.table} until the transaction ends ({mode})"


@rule(
    "LK037",
    "CREATE TRIGGER waits for writers, and writers wait for it",
    Severity.NOTE,
    why="It needs a ShareRowExclusive lock, for a moment: behind a long transaction that has written to the table, all "
    "later writes wait.",
    fix="put it into a file of its own, so that nothing else is held while it waits",
    on=("create trigger",),
)
def create_trigger(look: Look) -> Iterator[str]:
    """CREATE TRIGGER on a table that others use."""
    for each in look.actions("create trigger"):
        if not fresh(look, each.table) and key(each.table) not in look.known.views:
            yield f"writes to {each.table} wait while {each.name} is created"


@rule(
    "LK038",
    "REFRESH MATERIALIZED VIEW keeps readers waiting",
    Severity.WARNING,
    why="It holds an AccessExclusive lock on the view until its query is done. CONCURRENTLY lets readers go on; it "
    "needs a unique index of columns over all rows, and a view that was filled before.",
    fix="create a unique index on it, and use REFRESH MATERIALIZED VIEW CONCURRENTLY",
    on=("refresh materialized view",),
)
def refresh(look: Look) -> Iterator[Remark]:
    """REFRESH MATERIALIZED VIEW of a view that others read."""
    for each in look.actions("refresh materialized view"):
        if each.flags & {"concurrently"} or "with data" not in each.flags:
            continue
        if fresh(look, each.table) or is_timescale(look, each.table):
            continue
        edit = replace_first(look.text, r"\bVIEW\b", "VIEW CONCURRENTLY")
        unique = any(
            one.unique and one.table == key(each.table) and not one.where for one in look.known.indexes.values()
        )
        yield Remark(
            message=f"nobody reads {each.table} while its query runs",
            hint="use REFRESH MATERIALIZED VIEW CONCURRENTLY" if unique else "",
            rewrite=rewritten(look.text, edit) if edit and unique and single(look) else "",
        )


@rule(
    "LK039",
    "a new enum value without a place in the order",
    Severity.NOTE,
    why="ADD VALUE puts it behind all others, and ORDER BY, < and > follow that order. It cannot be moved afterwards.",
    fix="say BEFORE or AFTER which value it comes",
    optional=True,
    on=("add value",),
)
def enum_order(look: Look) -> Iterator[str]:
    """ALTER TYPE … ADD VALUE without BEFORE or AFTER."""
    for each in look.actions("add value"):
        if "placed" not in each.flags:
            labels = look.known.types.get(key(each.name))
            last = f"{labels[-1]}, the last of {each.name}" if labels else f"all of {each.name}"
            yield f"{each.new_name} sorts behind {last}"
