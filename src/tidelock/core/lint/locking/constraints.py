"""CHECK, foreign key, NOT NULL, domains: what reads all rows before it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.compose import NEXT_FILE, lines, listed, named, quoted, with_ending
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.guards import in_do, no_constraint
from tidelock.core.lint.known import key
from tidelock.core.lint.locking.use import (
    STRONG,
    changes,
    constraints,
    has_columnstore,
    is_not_null,
    is_partitioned,
    single,
)
from tidelock.core.lint.rule import Remark, directory_rule, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Constraint
    from tidelock.core.lint.known import Known, Table
    from tidelock.core.lint.look import Directory, Look
    from tidelock.core.model import Place


def in_two_steps(look: Look, action: Action, constraint: Constraint, ending: str) -> str:
    """The constraint NOT VALID, and VALIDATE in the next file."""
    if not single(look) or action.column:
        return ""
    name, text = constraint.name, look.text.strip()
    if not name:
        name = named(action.table, constraint.columns, ending)
        edit = replace_first(text, r"\bADD\s+(?=CHECK\b|FOREIGN\b|NOT\b)", f"ADD CONSTRAINT {quoted(name)} ")
        if edit is None:
            return ""
        text = rewritten(text, edit)
    return lines(
        in_do(no_constraint(action.table, name), with_ending(text, "NOT VALID")),
        NEXT_FILE,
        f"ALTER TABLE {quoted(action.table)} VALIDATE CONSTRAINT {quoted(name)}",
    )


@rule(
    "LK010",
    "CHECK reads all rows under a lock against reads and writes",
    Severity.ERROR,
    why="ADD … CHECK holds an AccessExclusive lock on the table while every row is tested. With NOT VALID new rows are "
    "tested from now on and the lock is brief; VALIDATE CONSTRAINT tests the old ones while others read and write.",
    fix="add it NOT VALID, and VALIDATE CONSTRAINT in the next file",
    on=("add constraint", "add column"),
)
def check(look: Look) -> Iterator[Remark]:
    """A CHECK that is tested at once."""
    for action, each in constraints(look, "check"):
        if each.not_valid or has_columnstore(look, action.table):
            continue
        yield Remark(
            message=f"nobody reads or writes {action.table} while {each.name or 'the CHECK'} is tested on every row",
            rewrite=in_two_steps(look, action, each, "check"),
        )


@rule(
    "LK011",
    "a foreign key blocks writes to both tables while all rows are looked up",
    Severity.ERROR,
    why="ADD FOREIGN KEY holds a ShareRowExclusive lock on the table and on the one it points to, while each row is "
    "looked up. With NOT VALID both locks are brief.",
    fix="add it NOT VALID, and VALIDATE CONSTRAINT in the next file",
    on=("add constraint", "add column"),
)
def foreign_key(look: Look) -> Iterator[Remark]:
    """A foreign key that is tested at once. Beside ADD COLUMN it is so only when the column has a default."""
    for action, each in constraints(look, "foreign key"):
        if each.not_valid or (action.column and not action.column.default) or has_columnstore(look, action.table):
            continue
        partitioned = is_partitioned(look, action.table)
        yield Remark(
            message=f"writes to {action.table} and {each.references} wait while each row is looked up",
            hint="add it to each partition NOT VALID and VALIDATE it there, then to the parent (from PostgreSQL 18 on "
            "NOT VALID works on the parent too)"
            if partitioned
            else "",
            rewrite="" if partitioned else in_two_steps(look, action, each, "fkey"),
        )


@rule(
    "LK012",
    "VALIDATE CONSTRAINT in the transaction that locked the table",
    Severity.ERROR,
    why="VALIDATE itself lets others read and write. A lock that an earlier statement took is held until the "
    "transaction ends, though, and a file is one transaction: NOT VALID has won nothing.",
    fix="put VALIDATE CONSTRAINT into the next file",
    on=("validate constraint",),
)
def validated_too_soon(look: Look) -> Iterator[Remark]:
    """VALIDATE while a strong lock on the table is held."""
    for each in changes(look, "validate constraint"):
        same = [one for one in look.facts.actions if one is not each and key(one.table) == key(each.table)]
        for before in look.together:
            held = [one for one in before.facts.locks if key(one.table) == key(each.table) and one.mode in STRONG]
            if held:
                yield Remark(
                    message=f"{each.table} is locked ({held[0].mode}) since line {before.place.line}, so "
                    f"{'nobody uses it' if held[0].mode == 'AccessExclusive' else 'writes wait'} while {each.name} "
                    "is tested on every row"
                )
                break
        else:
            if same:
                yield Remark(message=f"{each.table} is locked by the rest of this statement while all rows are tested")


@rule(
    "LK013",
    "SET NOT NULL reads all rows under a lock against reads and writes",
    Severity.ERROR,
    why="SET NOT NULL holds an AccessExclusive lock on the table while it looks for NULLs, unless a valid CHECK "
    "(column IS NOT NULL) proves that there are none.",
    fix="prove it first: CHECK (column IS NOT NULL) NOT VALID, then VALIDATE CONSTRAINT, then SET NOT NULL",
    on=("set not null", "add constraint"),
)
def set_not_null(look: Look) -> Iterator[Remark]:
    """SET NOT NULL, and its form as a constraint (PostgreSQL 18), of a column that may have NULLs."""
    found = [(each, each.name) for each in changes(look, "set not null")]
    found += [
        (action, each.columns[0])
        for action, each in constraints(look, "not null")
        if action.constraint and each.columns and not each.not_valid
    ]
    for action, column in found:
        if is_not_null(look, action.table, column) or has_columnstore(look, action.table):
            continue
        bare = named(action.table, (column,), "not_null")
        table, name, absent = quoted(action.table), quoted(bare), no_constraint(action.table, bare)
        added = f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({quoted(column)} IS NOT NULL) NOT VALID"
        validated = f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
        yield Remark(
            message=f"nobody reads or writes {action.table} while all rows are searched for NULLs in {column}",
            rewrite=lines(
                in_do(absent, added),
                NEXT_FILE,
                in_do(absent.removeprefix("NOT "), validated),
                f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} SET NOT NULL",
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}",
            )
            if single(look)
            else "",
        )


@rule(
    "LK014",
    "a new column that is NOT NULL and has no default",
    Severity.ERROR,
    why="The rows that are there have no value for it: ADD COLUMN fails with 23502 unless the table is empty, as it is "
    "in a test.",
    fix="give it a constant default; or add it without NOT NULL, fill it, and make it NOT NULL in a later file (LK013)",
    on=("add column",),
)
def required_column(look: Look) -> Iterator[Remark]:
    """ADD COLUMN … NOT NULL with nothing to put into the old rows."""
    for each in changes(look, "add column"):
        column = each.column
        if column is None or not column.not_null or column.default or column.generated or column.serial:
            continue
        if has_columnstore(look, each.table):
            continue
        yield Remark(message=f"rows of {each.table} that are there have no {column.name}: it fails unless it is empty")


# --- foreign keys without an index -----------------------------------------------------------------------------------


@directory_rule(
    "LK015",
    "a foreign key without an index behind it",
    Severity.WARNING,
    why="Whenever a row of the table that it points to is deleted, or its key changes, all rows of this table are read "
    "to find those that point there, with the other row locked.",
    fix="create an index whose first columns are those of the foreign key",
)
def foreign_key_without_index(directory: Directory) -> Iterator[Remark]:
    """A foreign key that no index of the files serves, once all files have run."""
    known = directory.known
    for file in directory.files:
        for statement in file.statements:
            for action in statement.facts.actions:
                for each in _foreign_keys(action):
                    table = known.table(action.table)
                    if table is not None and _stands(table, each) and _all_known(table, action):
                        yield from _unserved(known, table, each, statement.place)


def _foreign_keys(action: Action) -> Iterator[Constraint]:
    """The foreign keys that an action makes."""
    beside = action.column.constraints if action.what == "add column" and action.column else ()
    found = (action.constraint,) if action.constraint else (*action.constraints, *beside)
    if action.what in ("create table", "add constraint", "add column") and "temporary" not in action.flags:
        yield from (each for each in found if each.kind == "foreign key")


def _stands(table: Table, constraint: Constraint) -> bool:
    """Whether no later file has dropped it, or its columns."""
    kept = not constraint.name or any(each.name == constraint.name for each in table.constraints)
    return kept and all(name in table.columns for name in constraint.columns)


def _all_known(table: Table, action: Action) -> bool:
    """Whether all indexes of these columns are in the files: they made the table, or the column."""
    return table.whole or action.what == "add column"


def _unserved(known: Known, table: Table, constraint: Constraint, place: Place) -> Iterator[Remark]:
    wanted, count = set(constraint.columns), len(constraint.columns)
    indexes = [
        each.columns
        for each in known.indexes.values()
        if key(each.table) == table.name and not each.where and each.method in ("btree", "hash")
    ]
    if any(set(each[:count]) == wanted for each in (*indexes, *table.keys)):
        return
    name, columns = quoted(named(table.name, constraint.columns, "idx")), listed(constraint.columns)
    ending = " WITH (timescaledb.transaction_per_chunk)" if table.hypertable else ""
    online = "" if table.hypertable or table.partitioned else " CONCURRENTLY"
    yield Remark(
        message=f"to delete a row of {constraint.references}, all of {table.name} is read for {columns}",
        rewrite=lines(f"CREATE INDEX{online} IF NOT EXISTS {name} ON {quoted(table.name)} ({columns}){ending}"),
        place=place,
    )


# --- domains ---------------------------------------------------------------------------------------------------------


@rule(
    "LK016",
    "a domain's constraint is tested in all tables that use it",
    Severity.ERROR,
    why="ALTER DOMAIN … ADD CONSTRAINT and SET NOT NULL hold a Share lock on each table with a column of that type "
    "while all its rows are tested: every write to any of them waits. VALIDATE CONSTRAINT of a domain does so too, "
    "unlike that of a table.",
    fix="put a CHECK on the tables instead, NOT VALID and then VALIDATE; or leave the domain's constraint NOT VALID: "
    "new values are tested",
    on=("add domain constraint", "set domain not null", "validate domain constraint"),
)
def domain_constraint(look: Look) -> Iterator[Remark]:
    """ALTER DOMAIN with something to test."""
    for each in look.actions("add domain constraint", "set domain not null", "validate domain constraint"):
        if look.known.domains.get(key(each.name)) == look.path or (each.constraint and each.constraint.not_valid):
            continue
        checks = each.constraint is not None and each.constraint.kind == "check"
        yield Remark(
            message=f"writes to every table with a column of type {each.name} wait while their rows are tested",
            rewrite=lines(with_ending(look.text, "NOT VALID")) if checks and single(look) else "",
        )


@rule(
    "LK017",
    "a domain with a constraint",
    Severity.NOTE,
    why="What a domain demands can be changed only with all tables that use it (LK016). A CHECK of a table can be "
    "added and changed one table at a time.",
    fix="use the plain type, and a CHECK in each table",
    optional=True,
    on=("create domain",),
)
def domain_with_constraint(look: Look) -> Iterator[str]:
    """CREATE DOMAIN … CHECK or NOT NULL."""
    for each in look.actions("create domain"):
        if "constraint" in each.flags:
            yield f"changing what {each.name} demands will touch every table that uses it"
