"""CREATE TABLE, ALTER TABLE and ALTER of every other relation.

Lock levels as in AlterTableGetLockLevel() (src/backend/commands/tablecmds.c) and the documentation of ALTER TABLE;
each one is compared with pg_locks in tests/postgres/test_facts_on_server.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts import functions, timescale
from tidelock.core.facts.search import look
from tidelock.core.facts.tree import (
    KINDS,
    every,
    name_parts,
    named,
    options,
    related,
    relation,
    strings,
    temporary,
    within,
)
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

EXCLUSIVE = "AccessExclusive"
WRITES_WAIT = "ShareRowExclusive"
MAINTENANCE = "ShareUpdateExclusive"


# CREATE TABLE


def create(draft: Draft, node: Node) -> None:
    """CREATE TABLE: its own lock bothers nobody, as nobody sees the table yet; those on others do."""
    table = node["relation"]
    draft.command = "CREATE TABLE"
    draft.creates.append(related("table", table))
    draft.guarded = draft.rerunnable = bool(node.get("if_not_exists"))
    if temporary(table):
        draft.session = draft.session_only = True
    look(draft, node.get("tableElts", []), runs=False)
    look(draft, node.get("partbound", {}))
    parent_lock = EXCLUSIVE if "partbound" in node else MAINTENANCE
    for parent in node.get("inhRelations", ()):
        draft.lock(relation(parent["RangeVar"]), parent_lock)
        draft.parents.add((relation(parent["RangeVar"]), relation(table)))
        if "partbound" in node:
            draft.alters.append(related("table", parent["RangeVar"]))
    for element in node.get("tableElts", ()):
        _table_element(draft, element, table)
    if timescale.switched_on(options(node.get("options", ())), "hypertable"):
        draft.creates.append(related("hypertable", table))


def create_foreign(draft: Draft, node: Node) -> None:
    """CREATE FOREIGN TABLE."""
    create(draft, node["base"])
    draft.command = "CREATE FOREIGN TABLE"


def _table_element(draft: Draft, element: Node, table: Node) -> None:
    if like := element.get("TableLikeClause"):
        draft.lock(relation(like["relation"]), "AccessShare")
    elif column := element.get("ColumnDef"):
        constraints(draft, (each["Constraint"] for each in column.get("constraints", ())), table)
        _sequence_of(draft, column, table)
    elif constraint := element.get("Constraint"):
        constraints(draft, [constraint], table)


def constraints(draft: Draft, found: Iterable[Node], table: Node) -> None:
    """Foreign keys lock the table they point to; INITIALLY DEFERRED is noted, of both tables."""
    pointed_to = ""
    for each in found:
        if each.get("contype") == "CONSTR_FOREIGN" and "pktable" in each:
            pointed_to = relation(each["pktable"])
            draft.lock(pointed_to, WRITES_WAIT)
            draft.binds.add((pointed_to, relation(table)))
        if each.get("initdeferred") or each.get("contype") == "CONSTR_ATTR_DEFERRED":
            draft.deferred |= {relation(table), pointed_to} - {""}


# ALTER TABLE


def alter(draft: Draft, node: Node) -> None:
    """ALTER TABLE and its like: the strongest lock of all its parts, held from the first on."""
    table, kind = node["relation"], KINDS.get(node.get("objtype", ""), "other")
    parts = [each["AlterTableCmd"] for each in node.get("cmds", ())]
    draft.alters.append(related(kind, table))
    draft.guarded = bool(node.get("missing_ok"))
    draft.session = temporary(table)
    draft.rerunnable = bool(parts)
    verb = _VERBS.get(node.get("objtype", ""), "ALTER TABLE")
    changes = [_CHANGES.get(each["subtype"], _UNKNOWN_CHANGE) for each in parts]
    draft.command = f"{verb} … {changes[0].name}" if len({each.name for each in changes}) == 1 else verb
    for part, change in zip(parts, changes, strict=True):
        draft.rerunnable &= change.repeatable
        if part["subtype"] != "AT_ColumnDefault":
            look(draft, part.get("def", {}), runs=part["subtype"] in _EVALUATES)
        draft.lock(relation(table), change.lock)
        if change.apply is not None:
            change.apply(draft, part, table)
    draft.rerunnable &= not (
        {(each.kind, each.name) for each in draft.drops} & {(each.kind, each.name) for each in draft.creates}
    )
    _known_relations(draft, node, kind)


_VERBS = {
    "OBJECT_INDEX": "ALTER INDEX",
    "OBJECT_VIEW": "ALTER VIEW",
    "OBJECT_MATVIEW": "ALTER MATERIALIZED VIEW",
    "OBJECT_SEQUENCE": "ALTER SEQUENCE",
    "OBJECT_FOREIGN_TABLE": "ALTER FOREIGN TABLE",
    "OBJECT_TYPE": "ALTER TYPE",
}
_EVALUATES = frozenset(
    {"AT_AddColumn", "AT_AlterColumnType", "AT_AddConstraint", "AT_AttachPartition", "AT_SetExpression"}
)


def _known_relations(draft: Draft, node: Node, kind: str) -> None:
    """ALTER TYPE … ADD ATTRIBUTE has a type in the place of the table, and TimescaleDB keeps the options of a
    continuous aggregate in its own tables: no table lock."""
    aggregate = kind == "materialized view" and any(
        key == "defnamespace" and f"{value}." in timescale.NAMESPACES for key, value in every(node["cmds"])
    )
    if kind == "type" or aggregate:
        draft.locks.pop(relation(node["relation"]), None)


@record(frozen=True, slots=True)
class Change:
    """One part of ALTER TABLE."""

    name: str
    lock: str = EXCLUSIVE
    repeatable: bool = False
    apply: Callable[[Draft, Node, Node], None] | None = None


_UNKNOWN_CHANGE = Change("?")


def _add_column(draft: Draft, part: Node, table: Node) -> None:
    column = part["def"]["ColumnDef"]
    draft.creates.append(within("column", column.get("colname", ""), table))
    draft.guarded |= bool(part.get("missing_ok"))
    draft.rerunnable &= bool(part.get("missing_ok"))
    found = [each["Constraint"] for each in column.get("constraints", ())]
    constraints(draft, found, table)
    _sequence_of(draft, column, table)
    if _rewrites(column, found):
        draft.lock(relation(table), EXCLUSIVE, rewrite=True)


_SERIAL = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})


def _is_serial(column: Node) -> bool:
    return bool(_SERIAL.intersection(strings(column.get("typeName", {}).get("names", ()))[-1:]))


def _sequence_of(draft: Draft, column: Node, table: Node) -> None:
    found = {each["Constraint"]["contype"] for each in column.get("constraints", ())}
    if _is_serial(column) or "CONSTR_IDENTITY" in found:
        draft.sequences.add(f"{relation(table)}_{column.get('colname', '')}_seq")


def _rewrites(column: Node, found: list[Node]) -> bool:
    """A new column rewrites the table when each row gets its own value: a default that varies, identity, serial,
    GENERATED … STORED. (A default that is stable or constant is stored once, since PostgreSQL 11.)"""
    if _is_serial(column):
        return True
    for each in found:
        if each["contype"] == "CONSTR_IDENTITY":
            return True
        if each["contype"] == "CONSTR_GENERATED" and each.get("generated_kind") != "v":
            return True
        if each["contype"] == "CONSTR_DEFAULT" and _varies(each.get("raw_expr", {})):
            return True
    return False


def _varies(expression: Node) -> bool:
    calls = (strings(value.get("funcname", ())) for key, value in every(expression) if key == "FuncCall")
    return any(names and (names[-1] in functions.VARIES or names[-1] == "nextval") for names in calls)


def _drop_column(draft: Draft, part: Node, table: Node) -> None:
    draft.drops.append(within("column", part.get("name", ""), table))
    _guard(draft, part, table)


def _guard(draft: Draft, part: Node, table: Node) -> None:
    """IF EXISTS on a part of ALTER TABLE."""
    del table
    draft.guarded |= bool(part.get("missing_ok"))
    draft.rerunnable &= bool(part.get("missing_ok"))
    draft.cascade |= part.get("behavior") == "DROP_CASCADE"


def _column(draft: Draft, part: Node, table: Node) -> None:
    draft.alters.append(within("column", part.get("name", ""), table))


def _type(draft: Draft, part: Node, table: Node) -> None:
    """Repeating it changes nothing unless USING computes; it rewrites when it computes or the type is of fixed form."""
    _column(draft, part, table)
    column = part["def"]["ColumnDef"]
    using = column.get("raw_default")
    computes = using is not None and any(key in ("FuncCall", "A_Expr", "CaseExpr") for key, _ in every(using))
    draft.rerunnable &= not computes
    name = strings(column.get("typeName", {}).get("names", ()))[-1:]
    if computes or (name and name[0] in _ALWAYS_REWRITTEN):
        draft.lock(relation(table), EXCLUSIVE, rewrite=True)
    if not _keeps_values(column, part.get("name", "")):
        draft.harms.add(("changes the type in", relation(table)))


def _keeps_values(column: Node, name: str) -> bool:
    """Whether a new type holds each value of any old one: text without a limit, and USING that at most casts to it.

    The old type is not known here: bigint keeps an integer, and rounds a numeric.
    """
    using, declared = column.get("raw_default"), column.get("typeName", {})
    while (
        using is not None
        and "TypeCast" in using
        and using["TypeCast"].get("typeName", {}).get("names") == (declared.get("names"))
    ):
        if "typmods" in using["TypeCast"]["typeName"]:
            return False
        using = using["TypeCast"].get("arg")
    same = using is None or strings(using.get("ColumnRef", {}).get("fields", ())) == [name]
    return same and "typmods" not in declared and strings(declared.get("names", ()))[-1:] in (["text"], ["varchar"])


_ALWAYS_REWRITTEN = frozenset(
    {
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "bool",
        "date",
        "uuid",
        "json",
        "jsonb",
        "bpchar",
        "interval",
        "timetz",
        "point",
    }
)
"""Types that no other common type is stored as: a column that gets one of them is rewritten, unless it had it."""


def _add_constraint(draft: Draft, part: Node, table: Node) -> None:
    """A foreign key takes ShareRowExclusive on both tables, anything else AccessExclusive."""
    constraint = part["def"]["Constraint"]
    draft.creates.append(within("constraint", constraint.get("conname", ""), table))
    constraints(draft, [constraint], table)
    foreign = constraint.get("contype") == "CONSTR_FOREIGN"
    draft.lock(relation(table), WRITES_WAIT if foreign else EXCLUSIVE)


def _drop_constraint(draft: Draft, part: Node, table: Node) -> None:
    draft.drops.append(within("constraint", part.get("name", ""), table))
    _guard(draft, part, table)


def _alter_constraint(draft: Draft, part: Node, table: Node) -> None:
    constraint: Node = next(iter(part.get("def", {}).values()), {})
    name = constraint.get("conname") or part.get("name", "")
    draft.alters.append(within("constraint", name, table))
    if constraint.get("initdeferred"):
        draft.deferred.add(relation(table))


def _validate(draft: Draft, part: Node, table: Node) -> None:
    draft.alters.append(within("constraint", part.get("name", ""), table))


def _rewrite(draft: Draft, part: Node, table: Node) -> None:
    draft.lock(relation(table), EXCLUSIVE, rewrite=True)
    if part["subtype"] == "AT_SetUnLogged":
        draft.harms.add(("leaves to the next crash", relation(table)))


def _identity(draft: Draft, part: Node, table: Node) -> None:
    _column(draft, part, table)
    if "restart" in options(part.get("def", {}).get("List", {}).get("items", ())):
        draft.harms.add(("restarts", f"{relation(table)}_{part.get('name', '')}_seq"))


_LIGHT_OPTIONS = frozenset(
    {
        "fillfactor",
        "toast_tuple_target",
        "parallel_workers",
        "vacuum_truncate",
        "log_autovacuum_min_duration",
        "vacuum_index_cleanup",
        "n_distinct",
        "n_distinct_inherited",
        "gin_pending_list_limit",
        "fastupdate",
        "deduplicate_items",
        "pages_per_range",
        "autosummarize",
        "vacuum_max_eager_freeze_failure_rate",
    }
)


def _options(draft: Draft, part: Node, table: Node) -> None:
    """Most storage options take ShareUpdateExclusive (src/backend/access/common/reloptions.c), the rest all.

    TimescaleDB's are not repeatable for certain: on compressed chunks they are refused.
    """
    names = options(part.get("def", {}).get("List", {}).get("items", ()))
    light = all(
        each.removeprefix("toast.") in _LIGHT_OPTIONS or each.removeprefix("toast.").startswith("autovacuum_")
        for each in names
    )
    draft.lock(relation(table), MAINTENANCE if light else EXCLUSIVE)
    if any(each.startswith(timescale.NAMESPACES) for each in names):
        draft.rerunnable = False


def _inherit(draft: Draft, part: Node, table: Node) -> None:
    draft.lock(relation(part["def"]["RangeVar"]), MAINTENANCE)
    draft.binds.add((relation(part["def"]["RangeVar"]), relation(table)))
    draft.parents.add((relation(part["def"]["RangeVar"]), relation(table)))


def _no_inherit(draft: Draft, part: Node, table: Node) -> None:
    del table
    draft.lock(relation(part["def"]["RangeVar"]), "AccessShare")


def _attach(draft: Draft, part: Node, table: Node) -> None:
    """Readers and writers of the parent go on; the partition is locked whole while it is checked."""
    child = part["def"]["PartitionCmd"]["name"]
    draft.lock(relation(child), EXCLUSIVE)
    draft.alters.append(related("table", child))
    draft.binds.add((relation(table), relation(child)))
    draft.parents.add((relation(table), relation(child)))


def _detach(draft: Draft, part: Node, table: Node) -> None:
    command = part["def"]["PartitionCmd"]
    draft.alters.append(related("table", command["name"]))
    if command.get("concurrent"):
        draft.alone = "DETACH PARTITION CONCURRENTLY works in two transactions of its own"
        draft.command = "ALTER TABLE … DETACH PARTITION CONCURRENTLY"
        draft.lock(relation(table), MAINTENANCE)
    else:
        draft.lock(relation(table), EXCLUSIVE)
    draft.lock(relation(command["name"]), EXCLUSIVE)


def _finalize(draft: Draft, part: Node, table: Node) -> None:
    del table
    child = part["def"]["PartitionCmd"]["name"]
    draft.alters.append(related("table", child))
    draft.lock(relation(child), EXCLUSIVE)


_TRIGGERS = {
    name: Change(text, WRITES_WAIT, repeatable=True)
    for name, text in {
        "AT_EnableTrig": "ENABLE TRIGGER",
        "AT_EnableAlwaysTrig": "ENABLE ALWAYS TRIGGER",
        "AT_EnableReplicaTrig": "ENABLE REPLICA TRIGGER",
        "AT_DisableTrig": "DISABLE TRIGGER",
        "AT_EnableTrigAll": "ENABLE TRIGGER ALL",
        "AT_DisableTrigAll": "DISABLE TRIGGER ALL",
        "AT_EnableTrigUser": "ENABLE TRIGGER USER",
        "AT_DisableTrigUser": "DISABLE TRIGGER USER",
    }.items()
}
_PLAIN = {
    name: Change(text, EXCLUSIVE, repeatable=True)
    for name, text in {
        "AT_ChangeOwner": "OWNER TO",
        "AT_SetTableSpace": "SET TABLESPACE",
        "AT_ReplicaIdentity": "REPLICA IDENTITY",
        "AT_EnableRule": "ENABLE RULE",
        "AT_EnableAlwaysRule": "ENABLE ALWAYS RULE",
        "AT_EnableReplicaRule": "ENABLE REPLICA RULE",
        "AT_DisableRule": "DISABLE RULE",
        "AT_EnableRowSecurity": "ENABLE ROW LEVEL SECURITY",
        "AT_DisableRowSecurity": "DISABLE ROW LEVEL SECURITY",
        "AT_ForceRowSecurity": "FORCE ROW LEVEL SECURITY",
        "AT_NoForceRowSecurity": "NO FORCE ROW LEVEL SECURITY",
        "AT_DropOids": "SET WITHOUT OIDS",
    }.items()
}
_CHANGES: dict[str, Change] = {
    **_TRIGGERS,
    **_PLAIN,
    "AT_AddColumn": Change("ADD COLUMN", EXCLUSIVE, repeatable=True, apply=_add_column),
    "AT_DropColumn": Change("DROP COLUMN", EXCLUSIVE, repeatable=True, apply=_drop_column),
    "AT_ColumnDefault": Change("ALTER COLUMN SET DEFAULT", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_DropNotNull": Change("DROP NOT NULL", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_SetNotNull": Change("SET NOT NULL", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_SetExpression": Change("SET EXPRESSION", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_DropExpression": Change("DROP EXPRESSION", EXCLUSIVE, apply=_column),
    "AT_SetStatistics": Change("SET STATISTICS", MAINTENANCE, repeatable=True, apply=_column),
    "AT_SetOptions": Change("ALTER COLUMN SET", MAINTENANCE, repeatable=True, apply=_column),
    "AT_ResetOptions": Change("ALTER COLUMN RESET", MAINTENANCE, repeatable=True, apply=_column),
    "AT_SetStorage": Change("SET STORAGE", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_SetCompression": Change("SET COMPRESSION", EXCLUSIVE, repeatable=True, apply=_column),
    "AT_AlterColumnType": Change("ALTER COLUMN TYPE", EXCLUSIVE, repeatable=True, apply=_type),
    "AT_AlterColumnGenericOptions": Change("ALTER COLUMN OPTIONS", EXCLUSIVE, apply=_column),
    "AT_AddIdentity": Change("ADD GENERATED AS IDENTITY", EXCLUSIVE, apply=_column),
    "AT_SetIdentity": Change("SET GENERATED", EXCLUSIVE, apply=_identity),
    "AT_DropIdentity": Change("DROP IDENTITY", EXCLUSIVE, repeatable=True, apply=_guard),
    "AT_AddConstraint": Change("ADD CONSTRAINT", "AccessShare", apply=_add_constraint),
    "AT_DropConstraint": Change("DROP CONSTRAINT", EXCLUSIVE, repeatable=True, apply=_drop_constraint),
    "AT_AlterConstraint": Change("ALTER CONSTRAINT", EXCLUSIVE, repeatable=True, apply=_alter_constraint),
    "AT_ValidateConstraint": Change("VALIDATE CONSTRAINT", MAINTENANCE, repeatable=True, apply=_validate),
    "AT_ClusterOn": Change("CLUSTER ON", MAINTENANCE, repeatable=True),
    "AT_DropCluster": Change("SET WITHOUT CLUSTER", MAINTENANCE, repeatable=True),
    "AT_SetLogged": Change("SET LOGGED", EXCLUSIVE, repeatable=True, apply=_rewrite),
    "AT_SetUnLogged": Change("SET UNLOGGED", EXCLUSIVE, repeatable=True, apply=_rewrite),
    "AT_SetAccessMethod": Change("SET ACCESS METHOD", EXCLUSIVE, repeatable=True, apply=_rewrite),
    "AT_SetRelOptions": Change("SET", "AccessShare", repeatable=True, apply=_options),
    "AT_ResetRelOptions": Change("RESET", "AccessShare", repeatable=True, apply=_options),
    "AT_ReplaceRelOptions": Change("SET", "AccessShare", repeatable=True, apply=_options),
    "AT_GenericOptions": Change("OPTIONS"),
    "AT_AddInherit": Change("INHERIT", EXCLUSIVE, apply=_inherit),
    "AT_DropInherit": Change("NO INHERIT", EXCLUSIVE, apply=_no_inherit),
    "AT_AddOf": Change("OF"),
    "AT_DropOf": Change("NOT OF"),
    "AT_AttachPartition": Change("ATTACH PARTITION", MAINTENANCE, apply=_attach),
    "AT_DetachPartition": Change("DETACH PARTITION", "AccessShare", apply=_detach),
    "AT_DetachPartitionFinalize": Change("DETACH PARTITION FINALIZE", MAINTENANCE, apply=_finalize),
}


# Other changes of a relation


def rename(draft: Draft, node: Node) -> None:
    """RENAME: a second run finds the old name gone. Only with IF EXISTS on the object itself is that no error."""
    kind = KINDS.get(node["renameType"], "other")
    draft.guarded = bool(node.get("missing_ok"))
    table = node.get("relation")
    draft.command = f"ALTER {_noun(node)} … RENAME"
    if table is None:
        parts = name_parts(node["object"]) if "object" in node else [node.get("subname", "")]
        draft.alters.append(named(kind, parts))
        draft.rename(draft.alters[0], name=node.get("newname", ""))
        return
    if "subname" in node:
        draft.alters.append(within(kind if kind != "other" else "column", node["subname"], table))
        whole = KINDS.get(node.get("relationType", ""), "table")
        draft.alters.append(related(whole if whole in ("table", "view", "materialized view") else "table", table))
        draft.command += {"column": " COLUMN", "constraint": " CONSTRAINT"}.get(kind, "")
    else:
        draft.alters.append(related(kind, table))
        draft.rerunnable = draft.guarded
    draft.rename(draft.alters[0], name=node.get("newname", ""))
    draft.lock(relation(table), MAINTENANCE if kind == "index" else EXCLUSIVE)
    draft.session = temporary(table)


def _noun(node: Node) -> str:
    kind: str = node["renameType"]
    if kind in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"):
        kind = node.get("relationType", "OBJECT_TABLE") if kind == "OBJECT_COLUMN" else "OBJECT_TABLE"
    return KINDS.get(kind, kind.removeprefix("OBJECT_").lower()).upper()


def create_sequence(draft: Draft, node: Node) -> None:
    """CREATE SEQUENCE."""
    draft.command = "CREATE SEQUENCE"
    draft.creates.append(related("sequence", node["sequence"]))
    draft.guarded = draft.rerunnable = bool(node.get("if_not_exists"))
    if temporary(node["sequence"]):
        draft.session = draft.session_only = True
    _owner(draft, node)


def alter_sequence(draft: Draft, node: Node) -> None:
    """ALTER SEQUENCE: RESTART again would take back values that were handed out in between."""
    draft.command = "ALTER SEQUENCE"
    draft.alters.append(related("sequence", node["sequence"]))
    draft.guarded = bool(node.get("missing_ok"))
    draft.rerunnable = "restart" not in options(node.get("options", ()))
    draft.session = temporary(node["sequence"])
    draft.lock(relation(node["sequence"]), WRITES_WAIT)
    if "restart" in options(node.get("options", ())):
        draft.harms.add(("restarts", relation(node["sequence"])))
    _owner(draft, node)


def _owner(draft: Draft, node: Node) -> None:
    """OWNED BY t.c locks the table."""
    for each in node.get("options", ()):
        if each["DefElem"].get("defname") == "owned_by" and "List" in each["DefElem"].get("arg", {}):
            *table, _ = name_parts(each["DefElem"]["arg"])
            if table:
                draft.lock(".".join(table), "AccessShare")


def create_trigger(draft: Draft, node: Node) -> None:
    """CREATE TRIGGER: ShareRowExclusive, on the table of FROM (constraint triggers) as well."""
    table = node["relation"]
    draft.command = "CREATE TRIGGER"
    draft.creates.append(within("trigger", node.get("trigname", ""), table))
    draft.guarded = draft.rerunnable = bool(node.get("replace"))
    draft.lock(relation(table), WRITES_WAIT)
    if other := node.get("constrrel"):
        draft.lock(relation(other), "AccessShare")
    if node.get("initdeferred"):
        draft.deferred.add(relation(table))
    draft.calls.add(".".join(strings(node.get("funcname", ()))))
    draft.fires = frozenset(verb for verb, bit in _EVENTS.items() if node.get("events", 0) & bit)
    draft.session = temporary(table)


_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
"""TRIGGER_TYPE_INSERT and its like in src/include/catalog/pg_trigger.h."""


def create_policy(draft: Draft, node: Node) -> None:
    """CREATE POLICY has no guard: a second run is an error."""
    draft.command = "CREATE POLICY"
    look(draft, [node.get("qual", {}), node.get("with_check", {})], reads=True, runs=False)
    draft.creates.append(within("policy", node.get("policy_name", ""), node["table"]))
    draft.lock(relation(node["table"]), EXCLUSIVE)


def alter_policy(draft: Draft, node: Node) -> None:
    """ALTER POLICY replaces."""
    draft.command = "ALTER POLICY"
    look(draft, [node.get("qual", {}), node.get("with_check", {})], reads=True, runs=False)
    draft.alters.append(within("policy", node.get("policy_name", ""), node["table"]))
    draft.lock(relation(node["table"]), EXCLUSIVE)
    draft.rerunnable = True


def create_rule(draft: Draft, node: Node) -> None:
    """CREATE RULE."""
    draft.command = "CREATE RULE"
    look(draft, [node.get("actions", []), node.get("whereClause", {})], reads=True, runs=False)
    draft.creates.append(within("rule", node.get("rulename", ""), node["relation"]))
    draft.lock(relation(node["relation"]), EXCLUSIVE)
    draft.guarded = draft.rerunnable = bool(node.get("replace"))


def create_statistics(draft: Draft, node: Node) -> None:
    """CREATE STATISTICS."""
    draft.command = "CREATE STATISTICS"
    draft.creates.append(named("other", strings(node.get("defnames", ()))))
    draft.guarded = draft.rerunnable = bool(node.get("if_not_exists"))
    for each in node.get("relations", ()):
        if "RangeVar" in each:
            draft.lock(relation(each["RangeVar"]), MAINTENANCE)


HANDLERS = {
    "CreateStmt": create,
    "CreateForeignTableStmt": create_foreign,
    "AlterTableStmt": alter,
    "RenameStmt": rename,
    "CreateSeqStmt": create_sequence,
    "AlterSeqStmt": alter_sequence,
    "CreateTrigStmt": create_trigger,
    "CreatePolicyStmt": create_policy,
    "AlterPolicyStmt": alter_policy,
    "RuleStmt": create_rule,
    "CreateStatsStmt": create_statistics,
}
