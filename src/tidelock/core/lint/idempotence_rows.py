"""Idempotence (ID) of rows and of calls: what a second run adds, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import add_argument, rewritten
from tidelock.core.lint.guards import checked, is_fresh, is_temporary
from tidelock.core.lint.known import key, target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look


@rule(
    "ID019",
    "INSERT or COPY that adds its rows again",
    Severity.WARNING,
    why="A second run adds the same rows once more, or stops with 23505 where a key refuses them.",
    fix="write ON CONFLICT (key) DO NOTHING, or SELECT … WHERE NOT EXISTS; COPY into a temporary table first",
    on=("insert", "copy from"),
)
def insert(look: Look) -> Iterator[Remark]:
    """Rows that nothing keeps from being added twice."""
    for each in look.actions("insert", "copy from"):
        kept = "absent" in each.flags or ("on conflict" in each.flags and not _meets_none(look, each))
        if kept or checked(look) or look.facts.ledger_versions is not None:
            continue
        if is_temporary(look, each.table) or is_fresh(look, each.table) or _emptied(look, each.table):
            continue
        changed = look.actions("insert", "update", "delete")
        fed = len(changed) > 1 and "select" in each.flags
        keys = (
            []
            if fed
            else [columns for columns in _keys(look, each.table) if not each.names or set(columns) <= set(each.names)]
        )
        message = f"a second run adds its rows to {each.table} again"
        if keys:
            message = (
                f"a second run stops at the key ({', '.join(keys[0])}) of {each.table}, which has the rows already"
            )
        rewrite = ""
        if "on conflict" in each.flags:
            message += ": each gets a new number, so that ON CONFLICT never meets one"
        if each.what == "insert" and keys and len(changed) == 1 and "RETURNING" not in look.text.upper():
            columns = ", ".join(map(quoted, keys[0]))
            rewrite = f"{look.text.rstrip()}\nON CONFLICT ({columns}) DO NOTHING;"
        yield Remark(message=message, rewrite=rewrite)


def _meets_none(look: Look, insert: Action) -> bool:
    """Whether no row can meet a conflict: the files know the table, and each key of it has a number from a sequence."""
    table = look.known.table(insert.table)
    if table is None or not table.whole or table.place is None or not insert.names:
        return False
    made = {
        name
        for name, column in table.columns.items()
        if name not in insert.names
        and (column.serial or column.generated == "identity" or column.default == "volatile")
    }
    unique = [each.columns for each in look.known.indexes.values() if each.unique and each.table == table.name]
    if any(each.kind == "exclude" for each in table.constraints):
        return False
    return all(made & {*columns} for columns in (*table.keys, *unique))


def _keys(look: Look, table: str) -> list[tuple[str, ...]]:
    known = look.known.table(table)
    return known.keys if known else []


def _emptied(look: Look, table: str) -> bool:
    """The file has emptied the table before, so that its rows are the only ones."""
    return any(key(each.table) == key(table) for each in look.done_before("truncate", "delete"))


@rule(
    "ID020",
    "an assignment that adds up",
    Severity.WARNING,
    why="x = x + 1 gives another value each time it is run: after a crash nobody can tell how often it was.",
    fix="compute the value from columns that the statement does not change, or mark the rows that are done",
    on=("update", "insert"),
)
def adds_up(look: Look) -> Iterator[Remark]:
    """UPDATE … SET x = x + 1, also behind ON CONFLICT."""
    for each in look.actions("update", "insert"):
        columns = [name for name in each.options.get("adds up", "").split(",") if name and _sums(look, each, name)]
        if columns and not checked(look) and not is_temporary(look, each.table):
            names = ", ".join(f"{each.table}.{name}" for name in columns)
            yield Remark(message=f"a second run changes {names} once more, as the new value is made from the old one")


def _sums(look: Look, action: Action, name: str) -> bool:
    """Documents are put together by the same sign, and twice is once there."""
    column = look.known.column(action.table, name)
    return column is None or column.type not in ("jsonb", "hstore")


GUARDS = {
    "create_hypertable": "if_not_exists",
    "add_dimension": "if_not_exists",
    "add_retention_policy": "if_not_exists",
    "add_compression_policy": "if_not_exists",
    "add_columnstore_policy": "if_not_exists",
    "add_continuous_aggregate_policy": "if_not_exists",
    "add_reorder_policy": "if_not_exists",
    "add_process_hypertable_invalidations_policy": "if_not_exists",
    "enable_chunk_skipping": "if_not_exists",
    "attach_tablespace": "if_not_attached",
    "set_integer_now_func": "replace_if_exists",
}
POSITIONAL = {"add_continuous_aggregate_policy": 4}
"""How many arguments may stand without a name before one of them could be the guard; else 2."""


@rule(
    "ID021",
    "a call without if_not_exists",
    Severity.WARNING,
    why="A second run is refused: the hypertable, dimension or policy is there. With if_not_exists it is a NOTICE.",
    fix="add if_not_exists => TRUE",
    on=("call",),
)
def call_without_guard(look: Look) -> Iterator[Remark]:
    """create_hypertable, add_dimension, add_…_policy."""
    yield from _calls(look, GUARDS, "is refused, as it is done already")


REMOVALS = {
    **{
        f"remove_{kind}_policy": "if_exists"
        for kind in (
            "retention",
            "compression",
            "columnstore",
            "reorder",
            "continuous_aggregate",
            "process_hypertable_invalidations",
        )
    },
    "detach_tablespace": "if_attached",
    "disable_chunk_skipping": "if_not_exists",
}


@rule(
    "ID022",
    "a removal without if_exists",
    Severity.WARNING,
    why="A second run is refused: the policy is gone. With if_exists it is a NOTICE.",
    fix="add if_exists => TRUE",
    on=("call",),
)
def removal_without_guard(look: Look) -> Iterator[Remark]:
    """remove_…_policy, detach_tablespace."""
    yield from _calls(look, REMOVALS, "is refused, as it is gone already")


def _calls(look: Look, guards: dict[str, str], what: str) -> Iterator[Remark]:
    """Calls that lack their guard."""
    if checked(look):
        return
    for each in look.calls(*guards):
        name = each.name.rpartition(".")[2]
        guard = guards[name]
        if "if_not_exists" in each.arguments and name == "remove_continuous_aggregate_policy":
            continue  # its old name
        positional = [value for place, value in each.arguments.items() if place.isdecimal()]
        if each.arguments.get(guard) is True or True in positional[2:]:
            continue
        of = f" for {target(each)}" if target(each) else ""
        edit = None
        if guard not in each.arguments and len(positional) <= POSITIONAL.get(name, 2):
            edit = add_argument(look.text, name, f"{guard} => TRUE")
        yield Remark(
            message=f"a second run of {name}{of} {what}",
            hint=f"add {guard} => TRUE",
            rewrite=rewritten(look.text, edit) if edit else "",
            edit=edit,
        )


@rule(
    "ID023",
    "a second run makes a second job",
    Severity.WARNING,
    why="add_job knows no if_not_exists: each run makes another job, and all of them do the work.",
    fix="put it into a DO block that looks in timescaledb_information.jobs first",
    on=("call",),
)
def add_job(look: Look) -> Iterator[Remark]:
    """add_job."""
    for each in look.calls("add_job"):
        if not checked(look) and "proc_name" not in look.text:
            yield Remark(message=f"a second run adds another job that runs {each.arguments.get('0') or 'it'}")
