"""A statement's node → Actions: what it does, in the detail that the checks need. Expressions are only classified."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.core.action import Action, Column, Constraint
from tidelock.core.facts import functions, timescale
from tidelock.core.facts.tree import (
    KINDS,
    constant,
    every,
    name_parts,
    on,
    options,
    relation,
    strings,
    temporary,
    unwrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def actions_of(kind: str, node: Node) -> tuple[Action, ...]:
    """What a statement does; nothing for kinds that no check asks about."""
    reader = READERS.get(kind)
    return tuple(reader(node)) if reader else ()


def flags(**given: object) -> frozenset[str]:
    """The names of those that are true; `_` in a name is a space."""
    return frozenset(name.replace("_", " ") for name, value in given.items() if value)


def cascade(node: Node) -> bool:
    """Whether CASCADE is said."""
    return node.get("behavior") == "DROP_CASCADE"


# --- columns and constraints -----------------------------------------------------------------------------------------

CONSTRAINTS = {
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_FOREIGN": "foreign key",
    "CONSTR_CHECK": "check",
    "CONSTR_EXCLUSION": "exclude",
    "CONSTR_NOTNULL": "not null",
}


def type_name(node: Node) -> str:
    """`int4`, `varchar(20)`, `public.mood`, `text[]`."""
    parts = strings(node.get("names", ()))
    name = ".".join(parts[1:] if parts[:1] == ["pg_catalog"] else parts)
    sizes = [constant(each) for each in node.get("typmods", ())]
    if sizes and name != "interval" and all(isinstance(each, int) for each in sizes):
        name += f"({','.join(map(str, sizes))})"
    return name + "[]" * len(node.get("arrayBounds", ()))


def default_kind(expression: Node) -> str:
    """constant, stable, volatile or unknown."""
    found = "constant"
    for key, value in every([expression]):
        if key == "SQLValueFunction" and found == "constant":
            found = "stable"
        if key != "FuncCall":
            continue
        name = strings(value.get("funcname", ()))[-1:]
        if not name or name[0] in functions.VARIES or name[0] in functions.ACTS:
            return "volatile" if name else "unknown"
        if name[0] in functions.READS:
            found = "stable" if found == "constant" and name[0] in STABLE else found
        else:
            found = "unknown"
    return found


STABLE = frozenset(("now", "transaction_timestamp", "statement_timestamp", "current_setting", "current_user"))


def column_of(node: Node) -> Column:
    """A ColumnDef."""
    found = [each["Constraint"] for each in node.get("constraints", ())]
    deferred = any(each["contype"] == "CONSTR_ATTR_DEFERRED" for each in found)
    default = next((each.get("raw_expr", {}) for each in found if each["contype"] == "CONSTR_DEFAULT"), None)
    name = node.get("colname", "")
    return Column(
        name=name,
        type=type_name(node.get("typeName", {})),
        default="" if default is None else default_kind(default),
        generated=next(filter(None, map(_generated, found)), ""),
        constraints=tuple(
            constraint_of({"initdeferred": deferred, **each}, name) for each in found if each["contype"] in CONSTRAINTS
        ),
    )


def _generated(node: Node) -> str:
    if node["contype"] == "CONSTR_IDENTITY":
        return "identity"
    if node["contype"] == "CONSTR_GENERATED":
        return "virtual" if node.get("generated_kind") == "v" else "stored"
    return ""


def constraint_of(node: Node, column: str = "") -> Constraint:
    """A Constraint, of a column when one is given."""
    columns = strings(node.get("fk_attrs" if node["contype"] == "CONSTR_FOREIGN" else "keys", ()))
    return Constraint(
        kind=CONSTRAINTS.get(node["contype"], "other"),
        name=node.get("conname", ""),
        columns=tuple(columns) or ((column,) if column else ()),
        not_valid=bool(node.get("skip_validation")) and not node.get("initially_valid", False),
        using_index=node.get("indexname", ""),
        references=relation(node["pktable"]) if "pktable" in node else "",
        cascades=node.get("fk_del_action") == "c",
        expression=_not_null_column(node.get("raw_expr", {})),
        deferred=bool(node.get("initdeferred")),
    )


def _not_null_column(expression: Node) -> str:
    test = expression.get("NullTest", {})
    if test.get("nulltesttype") != "IS_NOT_NULL":
        return ""
    return ".".join(strings(test.get("arg", {}).get("ColumnRef", {}).get("fields", ()))[-1:])


# --- tables ----------------------------------------------------------------------------------------------------------


def create_table(node: Node) -> Iterator[Action]:
    """CREATE TABLE."""
    table = node["relation"]
    columns = tuple(column_of(each["ColumnDef"]) for each in node.get("tableElts", ()) if "ColumnDef" in each)
    own = [constraint_of(each["Constraint"]) for each in node.get("tableElts", ()) if "Constraint" in each]
    yield Action(
        what="create table",
        table=relation(table),
        columns=columns,
        constraints=(*(found for each in columns for found in each.constraints), *own),
        names=tuple(relation(each["RangeVar"]) for each in node.get("inhRelations", ())),
        options=options(node.get("options", ())),
        flags=flags(
            guarded=node.get("if_not_exists"),
            temporary=temporary(table),
            partition="partbound" in node,
            partitioned="partspec" in node,
            inherits="inhRelations" in node and "partbound" not in node,
            like=any("TableLikeClause" in each for each in node.get("tableElts", ())),
        ),
    )


def create_table_as(node: Node) -> Iterator[Action]:
    """CREATE TABLE AS, CREATE MATERIALIZED VIEW, a continuous aggregate."""
    into, settings = node["into"], options(node["into"].get("options", ()))
    what = "create materialized view" if node.get("objtype") == "OBJECT_MATVIEW" else "create table as"
    if timescale.switched_on(settings, "continuous"):
        what = "create aggregate"
    query = node.get("query", {})
    read = {"columns": ",".join(used_columns(query)), "definition": definition(query)}
    bucket = next(_buckets(query), "")
    yield Action(
        what=what,
        table=relation(into["rel"]),
        names=sources(query),
        options={**settings, **read, "bucket": bucket} if bucket else {**settings, **read},
        flags=flags(
            guarded=node.get("if_not_exists"), with_data=not into.get("skipData"), temporary=temporary(into["rel"])
        ),
    )


def _buckets(query: Node) -> Iterator[str]:
    """The width that each time_bucket is called with."""
    for key, value in every([query]):
        if key == "FuncCall" and strings(value.get("funcname", ()))[-1:] == ["time_bucket"]:
            yield str(constant(timescale.argument(value, 0, "bucket_width")) or "")


def sources(query: Any) -> tuple[str, ...]:
    """Every relation that a query names, in the order of the text."""
    return tuple(dict.fromkeys(relation(value) for key, value in every([query]) if key == "RangeVar"))


def used_columns(query: Any) -> tuple[str, ...]:
    """Every column that a query names."""
    names = (strings(value.get("fields", ())) for key, value in every([query]) if key == "ColumnRef")
    return tuple(dict.fromkeys(each[-1] for each in names if each))


def definition(query: Any) -> str:
    """A digest of a query, the same for the same query in other lines and letters."""
    told = hashlib.sha256()
    for key, value in every([query]):
        if key not in PLACES:
            told.update(f"{key}={'' if type(value) in (dict, list) else value}\n".encode())
    return told.hexdigest()[:16]


PLACES = frozenset(("location", "stmt_location", "stmt_len", "name_location"))
"""Where in the text a node stands."""


def alter_table(node: Node) -> Iterator[Action]:
    """Each part of ALTER TABLE, VIEW, INDEX, …"""
    kind = KINDS.get(node.get("objtype", ""), "other")
    if kind == "type":
        return
    for each in node.get("cmds", ()):
        yield from _part(each["AlterTableCmd"], node["relation"], kind)


PARTS = {
    "AT_AddColumn": "add column",
    "AT_DropColumn": "drop column",
    "AT_ColumnDefault": "set default",
    "AT_DropNotNull": "drop not null",
    "AT_SetNotNull": "set not null",
    "AT_SetExpression": "set expression",
    "AT_DropExpression": "drop expression",
    "AT_AlterColumnType": "alter type",
    "AT_AddIdentity": "add identity",
    "AT_DropIdentity": "drop identity",
    "AT_AddConstraint": "add constraint",
    "AT_DropConstraint": "drop constraint",
    "AT_ValidateConstraint": "validate constraint",
    "AT_SetLogged": "set logged",
    "AT_SetUnLogged": "set unlogged",
    "AT_SetAccessMethod": "set access method",
    "AT_SetTableSpace": "set tablespace",
    "AT_SetRelOptions": "set options",
    "AT_ResetRelOptions": "reset options",
    "AT_AttachPartition": "attach partition",
    "AT_DetachPartition": "detach partition",
    "AT_EnableRowSecurity": "enable row security",
    "AT_DisableRowSecurity": "disable row security",
    "AT_ForceRowSecurity": "force row security",
    "AT_NoForceRowSecurity": "no force row security",
    "AT_DisableTrig": "disable trigger",
    "AT_DisableTrigAll": "disable trigger",
    "AT_DisableTrigUser": "disable trigger",
    "AT_EnableTrig": "enable trigger",
    "AT_EnableTrigAll": "enable trigger",
    "AT_EnableTrigUser": "enable trigger",
    "AT_AddInherit": "inherit",
    "AT_DropInherit": "no inherit",
    "AT_ChangeOwner": "owner to",
    "AT_ReplicaIdentity": "replica identity",
}


COMPUTES = frozenset(("FuncCall", "A_Expr", "CaseExpr", "CoalesceExpr", "SubLink"))
"""A USING with one of these gives each row a value that only it knows."""


def _part(part: Node, table: Node, kind: str) -> Iterator[Action]:
    what = PARTS.get(part["subtype"], "alter table")
    definition: Node = part.get("def", {})
    column = definition.get("ColumnDef")
    constraint = definition.get("Constraint")
    partition = definition.get("PartitionCmd", {})
    if what == "set default" and not definition:
        what = "drop default"
    found = column_of({"colname": part.get("name", ""), **column}) if column is not None else None
    yield Action(
        what=what,
        table=relation(table),
        name=_part_name(part, found),
        column=found,
        constraint=constraint_of(constraint) if constraint is not None and "contype" in constraint else None,
        options=options(definition["List"].get("items", ())) if "List" in definition else {},
        new_name=part.get("newowner", {}).get("rolename", ""),
        names=(default_kind(definition),) if what == "set default" else (),
        flags=flags(
            guarded=part.get("missing_ok"),
            cascade=cascade(part),
            concurrently=partition.get("concurrent"),
            using=column is not None and "raw_default" in column,
            computes=column is not None and any(key in COMPUTES for key, _ in every(column.get("raw_default", {}))),
            view=kind in ("view", "materialized view"),
            materialized=kind == "materialized view",
            index=kind == "index",
            only=not table.get("inh", False),
        ),
    )


def _part_name(part: Node, column: Column | None) -> str:
    if column is not None:
        return column.name
    partition = part.get("def", {}).get("PartitionCmd", {})
    return relation(partition["name"]) if "name" in partition else str(part.get("name", ""))


def rename(node: Node) -> Iterator[Action]:
    """RENAME of anything."""
    kind = KINDS.get(node["renameType"], node["renameType"].removeprefix("OBJECT_").lower())
    if kind == "tabconstraint":
        kind = "constraint"
    table = relation(node["relation"]) if "relation" in node else ""
    name = node.get("subname") or ".".join(name_parts(node["object"]) if "object" in node else [table])
    yield Action(
        what=f"rename {kind}",
        table=table,
        name=name,
        new_name=node.get("newname", ""),
        flags=flags(
            guarded=node.get("missing_ok"), view="OBJECT_VIEW" in (node["renameType"], node.get("relationType", ""))
        ),
    )


def set_schema(node: Node) -> Iterator[Action]:
    """SET SCHEMA."""
    name = relation(node["relation"]) if "relation" in node else ".".join(name_parts(node.get("object", {"x": {}})))
    kind = KINDS.get(node["objectType"], "other")
    yield Action(what="set schema", table=name, name=kind, new_name=node.get("newschema", ""))


# --- indexes ---------------------------------------------------------------------------------------------------------


def create_index(node: Node) -> Iterator[Action]:
    """CREATE INDEX."""
    yield Action(
        what="create index",
        table=relation(node["relation"]),
        name=node.get("idxname", ""),
        names=tuple(each["IndexElem"].get("name", "") for each in node.get("indexParams", ())),
        options={**options(node.get("options", ())), "method": node.get("accessMethod", "btree")},
        flags=flags(
            guarded=node.get("if_not_exists"),
            unique=node.get("unique"),
            concurrently=node.get("concurrent"),
            where="whereClause" in node,
            only=not node["relation"].get("inh", False),
        ),
    )


def reindex(node: Node) -> Iterator[Action]:
    """REINDEX."""
    yield Action(
        what="reindex",
        table=relation(node["relation"]) if "relation" in node else "",
        name=node["kind"].removeprefix("REINDEX_OBJECT_").lower(),
        flags=flags(concurrently=on(options(node.get("params", ())), "concurrently")),
    )


# --- everything that is dropped --------------------------------------------------------------------------------------


def drop(node: Node) -> Iterator[Action]:
    """DROP: one action for each object."""
    word = node["removeType"].removeprefix("OBJECT_").lower()
    kind = KINDS.get(node["removeType"], word.replace("_", " "))
    for each in node.get("objects", ()):
        parts = name_parts(each)
        owned = kind in ("trigger", "policy", "rule", "constraint") and len(parts) > 1
        yield Action(
            what=f"drop {kind}",
            table=".".join(parts[:-1] if owned else parts),
            name=parts[-1] if parts else "",
            flags=flags(guarded=node.get("missing_ok"), cascade=cascade(node), concurrently=node.get("concurrent")),
        )


def _dropped(kind: str, field: str) -> Callable[[Node], Iterator[Action]]:
    """A DROP with a node of its own."""

    def read(node: Node) -> Iterator[Action]:
        names = node.get(field, "")
        roles = [each["RoleSpec"].get("rolename", "") for each in names] if isinstance(names, list) else [names]
        for name in roles:
            yield Action(what=f"drop {kind}", name=name, flags=flags(guarded=node.get("missing_ok")))

    return read


def truncate(node: Node) -> Iterator[Action]:
    """TRUNCATE."""
    for each in node.get("relations", ()):
        only = not each["RangeVar"].get("inh", False)
        yield Action(what="truncate", table=relation(each["RangeVar"]), flags=flags(cascade=cascade(node), only=only))


# --- rows ------------------------------------------------------------------------------------------------------------


def insert(node: Node) -> Iterator[Action]:
    """INSERT."""
    select = node.get("selectStmt", {}).get("SelectStmt", {})
    conflict = node.get("onConflictClause", {})
    targets = [each["ResTarget"] for each in conflict.get("targetList", ())]
    yield Action(
        what="insert",
        table=relation(node["relation"]),
        names=tuple(each["ResTarget"].get("name", "") for each in node.get("cols", ())),
        options={"adds up": ",".join(adding(targets))},
        flags=flags(
            on_conflict="onConflictClause" in node,
            select="valuesLists" not in select and bool(select),
            where="whereClause" in select,
            absent=_absent(select),
            parts=any("indirection" in each["ResTarget"] for each in node.get("cols", ())),
        ),
    )


def _absent(select: Node) -> bool:
    """Whether a query leaves out what is there: WHERE NOT EXISTS, NOT IN, LEFT JOIN … IS NULL, EXCEPT."""
    if select.get("op") == "SETOP_EXCEPT":
        return True
    condition = select.get("whereClause", {})
    joins = any(key == "JoinExpr" for key, _ in every(select.get("fromClause", [])))
    return any(key == "SubLink" or (key == "NullTest" and joins) for key, _ in every(condition))


ADDING = ("+", "-", "*", "/", "||")


def adding(targets: Iterable[Node]) -> Iterator[str]:
    """The columns that an assignment makes from their own value, so that doing it twice gives another one."""
    for each in targets:
        name, value = each.get("name", ""), each.get("val", {})
        operation = value.get("A_Expr", {})
        sign = "".join(strings(operation.get("name", ())))
        if sign not in ADDING or (sign in ("-", "||") and _on_document(operation)):
            continue
        if any(key == "ColumnRef" and strings(found.get("fields", ()))[-1:] == [name] for key, found in every(value)):
            yield name


def _on_document(operation: Node) -> bool:
    """`document || '{…}'` and `document - 'key'` give the same when they are done again."""
    given = constant(operation.get("rexpr"))
    return isinstance(given, str) and ("-" in strings(operation.get("name", ())) or given.lstrip().startswith("{"))


def copy(node: Node) -> Iterator[Action]:
    """COPY … FROM."""
    if node.get("is_from") and "relation" in node:
        yield Action(what="copy from", table=relation(node["relation"]), names=tuple(strings(node.get("attlist", ()))))


def update(node: Node) -> Iterator[Action]:
    """UPDATE."""
    yield Action(
        what="update",
        table=relation(node["relation"]),
        names=tuple(each["ResTarget"].get("name", "") for each in node.get("targetList", ())),
        options={"adds up": ",".join(adding(each["ResTarget"] for each in node.get("targetList", ())))},
        flags=flags(
            where="whereClause" in node or "fromClause" in node,
            parts=any("indirection" in each["ResTarget"] for each in node.get("targetList", ())),
        ),
    )


def delete(node: Node) -> Iterator[Action]:
    """DELETE."""
    yield Action(
        what="delete",
        table=relation(node["relation"]),
        flags=flags(where="whereClause" in node or "usingClause" in node),
    )


def select(node: Node) -> Iterator[Action]:
    """SELECT … INTO makes a table; what a SELECT calls is noted elsewhere."""
    if into := node.get("intoClause"):
        yield Action(what="create table as", table=relation(into["rel"]), flags=flags(temporary=temporary(into["rel"])))


def refresh(node: Node) -> Iterator[Action]:
    """REFRESH MATERIALIZED VIEW."""
    yield Action(
        what="refresh materialized view",
        table=relation(node["relation"]),
        flags=flags(concurrently=node.get("concurrent"), with_data=not node.get("skipData")),
    )


# --- views, functions, triggers, policies, types ---------------------------------------------------------------------


def create_view(node: Node) -> Iterator[Action]:
    """CREATE VIEW."""
    settings = options(node.get("options", ()))
    query = node.get("query", {})
    yield Action(
        what="create view",
        table=relation(node["view"]),
        names=sources(query),
        options={**settings, "columns": ",".join(used_columns(query))},
        flags=flags(replace=node.get("replace"), temporary=temporary(node["view"])),
    )


def create_function(node: Node) -> Iterator[Action]:
    """CREATE FUNCTION or PROCEDURE."""
    given = [each["DefElem"] for each in node.get("options", ())]
    settings = [each["arg"]["VariableSetStmt"] for each in given if each.get("defname") == "set"]
    language = next((each["arg"]["String"].get("sval", "") for each in given if each.get("defname") == "language"), "")
    yield Action(
        what="create procedure" if node.get("is_procedure") else "create function",
        name=".".join(strings(node.get("funcname", ()))),
        options={"language": language.lower()},
        flags=flags(
            replace=node.get("replace"),
            security_definer=any(
                each.get("defname") == "security" and each["arg"].get("Boolean", {}).get("boolval") for each in given
            ),
            search_path=any(each.get("name") == "search_path" for each in settings),
        ),
    )


def alter_function(node: Node) -> Iterator[Action]:
    """ALTER FUNCTION, of which only its search_path counts."""
    given = [each["DefElem"] for each in node.get("actions", ())]
    yield Action(
        what="alter function",
        name=".".join(name_parts({"ObjectWithArgs": node.get("func", {})})),
        flags=flags(
            search_path=any(
                each.get("arg", {}).get("VariableSetStmt", {}).get("name") == "search_path" for each in given
            )
        ),
    )


def create_foreign_table(node: Node) -> Iterator[Action]:
    """CREATE FOREIGN TABLE."""
    for each in create_table(node["base"]):
        yield replace(each, flags=each.flags | {"foreign"})


def set_owner(node: Node) -> Iterator[Action]:
    """ALTER SCHEMA, FUNCTION, TYPE, … OWNER TO."""
    name = relation(node["relation"]) if "relation" in node else ".".join(name_parts(node.get("object", {"x": {}})))
    kind = KINDS.get(node["objectType"], "other")
    yield Action(what="owner to", table=name, name=kind, new_name=node.get("newowner", {}).get("rolename", ""))


def create_trigger(node: Node) -> Iterator[Action]:
    """CREATE TRIGGER."""
    yield Action(
        what="create trigger",
        table=relation(node["relation"]),
        name=node.get("trigname", ""),
        new_name=".".join(strings(node.get("funcname", ()))),
        flags=flags(
            replace=node.get("replace"),
            constraint=node.get("isconstraint"),
            row=node.get("row"),
            transitions="transitionRels" in node,
        ),
    )


def create_rule(node: Node) -> Iterator[Action]:
    """CREATE RULE."""
    yield Action(
        what="create rule",
        table=relation(node["relation"]),
        name=node.get("rulename", ""),
        flags=flags(replace=node.get("replace")),
    )


def create_policy(node: Node) -> Iterator[Action]:
    """CREATE POLICY."""
    yield Action(
        what="create policy",
        table=relation(node["table"]),
        name=node.get("policy_name", ""),
        names=tuple(each["RoleSpec"].get("rolename", "") for each in node.get("roles", ())),
    )


def create_enum(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS ENUM."""
    name = ".".join(strings(node.get("typeName", ())))
    yield Action(what="create type", name=name, names=tuple(strings(node.get("vals", ()))), flags=flags(enum=True))


def create_composite(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS (…)."""
    yield Action(what="create type", name=relation(node["typevar"]))


def create_range(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS RANGE."""
    yield Action(what="create type", name=".".join(strings(node.get("typeName", ()))))


def enum_value(node: Node) -> Iterator[Action]:
    """ALTER TYPE … ADD VALUE, RENAME VALUE."""
    name = ".".join(strings(node.get("typeName", ())))
    if "oldVal" in node:
        yield Action(what="rename value", table=name, name=node["oldVal"], new_name=node.get("newVal", ""))
        return
    yield Action(
        what="add value",
        name=name,
        new_name=node.get("newVal", ""),
        flags=flags(guarded=node.get("skipIfNewValExists"), placed="newValNeighbor" in node),
    )


def create_domain(node: Node) -> Iterator[Action]:
    """CREATE DOMAIN."""
    yield Action(
        what="create domain",
        name=".".join(strings(node.get("domainname", ()))),
        flags=flags(constraint=any("Constraint" in each for each in node.get("constraints", ()))),
    )


def alter_domain(node: Node) -> Iterator[Action]:
    """ALTER DOMAIN … ADD CONSTRAINT, VALIDATE CONSTRAINT, SET NOT NULL."""
    kinds = {"C": "add domain constraint", "O": "set domain not null", "V": "validate domain constraint"}
    what = kinds.get(node.get("subtype", ""))
    if what:
        constraint = constraint_of(node["def"]["Constraint"]) if "Constraint" in node.get("def", {}) else None
        yield Action(what=what, name=".".join(strings(node.get("typeName", ()))), constraint=constraint)


# --- roles, rights, settings -----------------------------------------------------------------------------------------


def grant(node: Node) -> Iterator[Action]:
    """GRANT and REVOKE on objects."""
    kind = KINDS.get(node.get("objtype", ""), "other")
    yield Action(
        what="grant" if node.get("is_grant") else "revoke",
        table=", ".join(".".join(name_parts(each)) for each in node.get("objects", ())),
        name=kind,
        names=tuple(_roles(node.get("grantees", ()))),
        flags=flags(everything=node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA", all="privileges" not in node),
    )


def grant_role(node: Node) -> Iterator[Action]:
    """GRANT role TO role."""
    yield Action(
        what="grant role" if node.get("is_grant") else "revoke role",
        name=", ".join(each["AccessPriv"].get("priv_name", "") for each in node.get("granted_roles", ())),
        names=tuple(_roles(node.get("grantee_roles", ()))),
    )


def _roles(items: Iterable[Node]) -> Iterator[str]:
    """Role names; PUBLIC, CURRENT_USER and their like are left out."""
    for each in items:
        if name := each["RoleSpec"].get("rolename"):
            yield name


def create_role(node: Node) -> Iterator[Action]:
    """CREATE ROLE, USER, GROUP."""
    yield Action(what="create role", name=node.get("role", ""), options=options(node.get("options", ())))


def alter_role(node: Node) -> Iterator[Action]:
    """ALTER ROLE."""
    role = node.get("role", {}).get("rolename", "")
    yield Action(what="alter role", name=role, options=options(node.get("options", ())))


def set_variable(node: Node) -> Iterator[Action]:
    """SET and RESET."""
    values = [constant(each) for each in node.get("args", ())]
    yield Action(
        what="reset" if "RESET" in node["kind"] else "set",
        name=node.get("name", "").lower(),
        names=tuple("" if each is None else str(each) for each in values),
        flags=flags(local=node.get("is_local")),
    )


# --- the rest --------------------------------------------------------------------------------------------------------


def _created(kind: str, field: str) -> Callable[[Node], Iterator[Action]]:
    """A CREATE of which only the name and the guard count."""

    def read(node: Node) -> Iterator[Action]:
        value = node.get(field, "")
        name = relation(value) if isinstance(value, dict) else value
        yield Action(what=f"create {kind}", name=name, table=name, flags=flags(guarded=node.get("if_not_exists")))

    return read


def vacuum(node: Node) -> Iterator[Action]:
    """VACUUM, VACUUM FULL, ANALYZE."""
    full = on(options(node.get("options", ())), "full")
    what = "analyze" if not node.get("is_vacuumcmd") else "vacuum full" if full else "vacuum"
    tables = [each["VacuumRelation"].get("relation") for each in node.get("rels", ())]
    for table in tables or [None]:
        yield Action(what=what, table=relation(table) if table else "")


def cluster(node: Node) -> Iterator[Action]:
    """CLUSTER."""
    yield Action(what="cluster", table=relation(node["relation"]) if "relation" in node else "")


def lock_table(node: Node) -> Iterator[Action]:
    """LOCK TABLE."""
    for each in node.get("relations", ()):
        yield Action(what="lock table", table=relation(each["RangeVar"]))


def called(node: Node) -> Action:
    """A call of a function or procedure that is run now."""
    arguments: dict[str, str | int | bool | None] = {}
    nulls, ages = [], {}
    for place, each in enumerate(node.get("args", ())):
        key = each["NamedArgExpr"].get("name", "") if "NamedArgExpr" in each else str(place)
        arguments[key] = _argument(each)
        if _is_null(each):
            nulls.append(key)
        elif age := _age(each):
            ages[key] = age
    name = ".".join(strings(node.get("funcname", ())))
    return Action(what="call", name=name, arguments=arguments, names=tuple(nulls), options=ages)


def _is_null(node: Node) -> bool:
    """Whether an argument is the constant NULL, casts looked through."""
    kind, body = unwrap(node)
    if kind in ("NamedArgExpr", "TypeCast"):
        return _is_null(body["arg"])
    return kind == "A_Const" and bool(body.get("isnull"))


def _age(node: Node) -> str:
    """Of `now() - interval '30 days'`: the interval; empty for all else."""
    kind, body = unwrap(node)
    if kind in ("NamedArgExpr", "TypeCast"):
        return _age(body["arg"]) if "arg" in body else ""
    if kind != "A_Expr" or strings(body.get("name", ())) != ["-"] or "lexpr" not in body:
        return ""
    clock = body["lexpr"].get("FuncCall", {})
    by_name = strings(clock.get("funcname", ()))[-1:] == ["now"]
    by_word = body["lexpr"].get("SQLValueFunction", {}).get("op", "").startswith(("SVFOP_CURRENT", "SVFOP_LOCALTIME"))
    back = constant(body.get("rexpr"))
    return back if (by_name or by_word) and isinstance(back, str) else ""


def _argument(node: Node) -> str | int | bool | None:
    """A constant; of `by_range('time', INTERVAL '1 day')` the column and the interval after it."""
    kind, body = unwrap(node)
    if kind == "NamedArgExpr":
        return _argument(body["arg"])
    if kind == "FuncCall":
        inner = [constant(each) for each in body.get("args", ())]
        return ",".join(str(each) for each in inner if each is not None) or None
    return constant(node)


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreateStmt": create_table,
    "CreateTableAsStmt": create_table_as,
    "SelectStmt": select,
    "AlterTableStmt": alter_table,
    "RenameStmt": rename,
    "AlterObjectSchemaStmt": set_schema,
    "IndexStmt": create_index,
    "ReindexStmt": reindex,
    "DropStmt": drop,
    "DropdbStmt": _dropped("database", "dbname"),
    "DropRoleStmt": _dropped("role", "roles"),
    "DropTableSpaceStmt": _dropped("tablespace", "tablespacename"),
    "DropSubscriptionStmt": _dropped("subscription", "subname"),
    "DropOwnedStmt": _dropped("owned", "roles"),
    "TruncateStmt": truncate,
    "InsertStmt": insert,
    "CopyStmt": copy,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "RefreshMatViewStmt": refresh,
    "ViewStmt": create_view,
    "CreateFunctionStmt": create_function,
    "AlterFunctionStmt": alter_function,
    "AlterOwnerStmt": set_owner,
    "CreateForeignTableStmt": create_foreign_table,
    "CreateTrigStmt": create_trigger,
    "RuleStmt": create_rule,
    "CreatePolicyStmt": create_policy,
    "CreateEnumStmt": create_enum,
    "CompositeTypeStmt": create_composite,
    "CreateRangeStmt": create_range,
    "AlterEnumStmt": enum_value,
    "CreateDomainStmt": create_domain,
    "AlterDomainStmt": alter_domain,
    "GrantStmt": grant,
    "GrantRoleStmt": grant_role,
    "CreateRoleStmt": create_role,
    "AlterRoleStmt": alter_role,
    "VariableSetStmt": set_variable,
    "CreateSchemaStmt": _created("schema", "schemaname"),
    "CreateSeqStmt": _created("sequence", "sequence"),
    "CreateExtensionStmt": _created("extension", "extname"),
    "CreatedbStmt": _created("database", "dbname"),
    "VacuumStmt": vacuum,
    "ClusterStmt": cluster,
    "LockStmt": lock_table,
}
