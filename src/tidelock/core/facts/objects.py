"""Every other CREATE, ALTER and DROP; GRANT, COMMENT, SECURITY LABEL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.tree import (
    KINDS,
    is_temporary_schema,
    name_parts,
    named,
    on,
    options,
    relation,
    strings,
)
from tidelock.core.statement import Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

# DROP

_RELATIONS = frozenset({"table", "view", "materialized view", "index", "sequence"})
_OWNED = frozenset({"trigger", "policy", "rule", "constraint"})


def drop(draft: Draft, node: Node) -> None:
    """DROP of anything: AccessExclusive on relations, and on the table of a trigger, policy or rule."""
    kind = KINDS.get(node["removeType"], "other")
    noun = node["removeType"].removeprefix("OBJECT_").replace("_", " ")
    concurrent = bool(node.get("concurrent"))
    draft.command = f"DROP {_NOUNS.get(noun, noun)}" + " CONCURRENTLY" * concurrent
    draft.drops.extend(named(kind, name_parts(each)) for each in node.get("objects", ()))
    draft.guarded = draft.rerunnable = bool(node.get("missing_ok"))
    draft.cascade = node.get("behavior") == "DROP_CASCADE"
    draft.session = any(is_temporary_schema(each.schema) for each in draft.drops)
    draft.session_only = all(is_temporary_schema(each.schema) for each in draft.drops)
    if concurrent:
        draft.alone = "DROP INDEX CONCURRENTLY works in several transactions of its own"
    for each in draft.drops:
        if kind in _RELATIONS:
            draft.lock(each.qualified, "ShareUpdateExclusive" if concurrent else "AccessExclusive")
        elif kind in _OWNED:
            draft.lock(each.parent, "AccessExclusive")


_NOUNS = {
    "MATVIEW": "MATERIALIZED VIEW",
    "FDW": "FOREIGN DATA WRAPPER",
    "TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "STATISTIC EXT": "STATISTICS",
    "OPCLASS": "OPERATOR CLASS",
    "OPFAMILY": "OPERATOR FAMILY",
}


def drop_owned(draft: Draft, node: Node) -> None:
    """DROP OWNED: what it drops is not named."""
    draft.command = "DROP OWNED"
    draft.cascade = node.get("behavior") == "DROP_CASCADE"
    draft.alters.extend(Object("role", each["RoleSpec"].get("rolename", "")) for each in node.get("roles", ()))
    draft.harms.update(("drops what is owned by", each.name) for each in draft.alters)


# COMMENT, GRANT, OWNER, SCHEMA


def comment(draft: Draft, node: Node) -> None:
    """COMMENT ON: ShareUpdateExclusive on a relation, or on the table of a column, trigger, policy, rule."""
    _annotate(draft, node, "COMMENT")


def security_label(draft: Draft, node: Node) -> None:
    """SECURITY LABEL."""
    _annotate(draft, node, "SECURITY LABEL")


def _annotate(draft: Draft, node: Node, command: str) -> None:
    kind = KINDS.get(node["objtype"], "other")
    draft.command, draft.rerunnable = command, True
    if node["objtype"] == "OBJECT_LARGEOBJECT":
        return
    found = named(kind, name_parts(node["object"]))
    draft.alters.append(found)
    if kind in _RELATIONS:
        draft.lock(found.qualified, "ShareUpdateExclusive")
    elif found.parent:
        draft.lock(found.parent, "ShareUpdateExclusive" if kind == "column" else "AccessShare")


def grant(draft: Draft, node: Node) -> None:
    """GRANT and REVOKE: again is the same. The lock is PostgreSQL 18's; 15 takes none."""
    draft.command = "GRANT" if node.get("is_grant") else "REVOKE"
    draft.rerunnable = True
    kind = KINDS.get(node.get("objtype", ""), "other")
    if node.get("targtype") == "ACL_TARGET_OBJECT":
        draft.alters.extend(named(kind, name_parts(each)) for each in node.get("objects", ()))
        for each in draft.alters if kind in _RELATIONS else ():
            draft.lock(each.qualified, "AccessShare")


def grant_role(draft: Draft, node: Node) -> None:
    """GRANT role TO role."""
    draft.command = "GRANT" if node.get("is_grant") else "REVOKE"
    draft.rerunnable = True
    draft.alters.extend(
        Object("role", each["AccessPriv"].get("priv_name", "")) for each in node.get("granted_roles", ())
    )


def set_owner(draft: Draft, node: Node) -> None:
    """ALTER … OWNER TO, for what is not a relation."""
    draft.command, draft.rerunnable = f"ALTER {_word(node)} … OWNER TO", True
    draft.alters.append(named(KINDS.get(node["objectType"], "other"), name_parts(node["object"])))


def set_schema(draft: Draft, node: Node) -> None:
    """ALTER … SET SCHEMA: a second run does not find it where it was."""
    kind = KINDS.get(node["objectType"], "other")
    draft.command = f"ALTER {_word(node)} … SET SCHEMA"
    draft.guarded = bool(node.get("missing_ok"))
    if table := node.get("relation"):
        draft.alters.append(named(kind, name_parts({"RangeVar": table})))
        draft.lock(relation(table), "AccessExclusive")
        draft.rerunnable = draft.guarded and bool(table.get("schemaname"))
    else:
        draft.alters.append(named(kind, name_parts(node["object"])))
    draft.rename(draft.alters[0], schema=node.get("newschema", ""))


def _word(node: Node) -> str:
    kind = str(node["objectType"])
    return KINDS.get(kind, kind.removeprefix("OBJECT_").lower()).upper()


# CREATE and ALTER that differ only in their names


def _creates(command: str, kind: str, name: str, *, guard: str = "if_not_exists") -> Callable[[Draft, Node], None]:
    """A CREATE that takes no table lock; `name` is the field with the name (a text, or a list of parts)."""

    def handle(draft: Draft, node: Node) -> None:
        draft.command = command
        draft.creates.append(named(kind, _field(node, name)))
        draft.guarded = draft.rerunnable = bool(node.get(guard))

    return handle


def _alters(command: str, kind: str, name: str, *, repeatable: bool) -> Callable[[Draft, Node], None]:
    """An ALTER that takes no table lock."""

    def handle(draft: Draft, node: Node) -> None:
        draft.command, draft.rerunnable = command, repeatable
        draft.alters.append(named(kind, _field(node, name)))
        draft.guarded = bool(node.get("missing_ok"))

    return handle


def _drops(command: str, kind: str, name: str) -> Callable[[Draft, Node], None]:
    """A DROP with a statement of its own."""

    def handle(draft: Draft, node: Node) -> None:
        draft.command = command
        draft.drops.append(named(kind, _field(node, name)))
        draft.guarded = draft.rerunnable = bool(node.get("missing_ok"))
        draft.cascade = node.get("behavior") == "DROP_CASCADE"

    return handle


def _field(node: Node, name: str) -> list[str]:
    value = node.get(name)
    if isinstance(value, list):
        return strings(value)
    if isinstance(value, dict):
        return _nested(value)
    return [value or ""]


def _nested(value: Node) -> list[str]:
    if "relname" in value:
        return name_parts({"RangeVar": value})
    if "rolename" in value or "roletype" in value:
        return [value.get("rolename", "")]
    if "objname" in value:
        return strings(value["objname"])
    return name_parts(value) if value else []


# Those that need more


def create_schema(draft: Draft, node: Node) -> None:
    """CREATE SCHEMA, with the elements in it: they are created in that schema."""
    role = node.get("authrole", {}).get("rolename", "")
    draft.command = "CREATE SCHEMA"
    draft.creates.append(Object("schema", node.get("schemaname") or role))
    draft.guarded = bool(node.get("if_not_exists"))
    draft.rerunnable = draft.guarded and "schemaElts" not in node


def create_extension(draft: Draft, node: Node) -> None:
    """CREATE EXTENSION. TimescaleDB's may stand anywhere, in a transaction and after other statements too (measured);
    only after a DROP EXTENSION in the same session is the library of another version in its way."""
    name = node.get("extname", "")
    draft.command = "CREATE EXTENSION"
    draft.creates.append(Object("extension", name))
    draft.guarded = draft.rerunnable = bool(node.get("if_not_exists"))


def alter_extension(draft: Draft, node: Node) -> None:
    """ALTER EXTENSION … UPDATE: to the version it has already, a NOTICE."""
    name = node.get("extname", "")
    draft.command, draft.rerunnable = "ALTER EXTENSION … UPDATE", True
    draft.alters.append(Object("extension", name))
    if name == "timescaledb":
        draft.first_in_session = True
        draft.alone = "ALTER EXTENSION timescaledb UPDATE must be the first command of a session"


def create_database(draft: Draft, node: Node) -> None:
    """CREATE DATABASE. In the WAL, so a crash leaves it whole or absent; and no transaction block may hold it."""
    draft.command = "CREATE DATABASE"
    draft.creates.append(Object("database", node.get("dbname", "")))
    draft.alone = "CREATE DATABASE cannot run inside a transaction block"


def drop_database(draft: Draft, node: Node) -> None:
    """DROP DATABASE."""
    _drops("DROP DATABASE", "database", "dbname")(draft, node)
    draft.alone = "DROP DATABASE cannot run inside a transaction block"


def alter_database(draft: Draft, node: Node) -> None:
    """ALTER DATABASE: only SET TABLESPACE copies files, and needs to be alone."""
    draft.command, draft.rerunnable = "ALTER DATABASE", True
    draft.alters.append(Object("database", node.get("dbname", "")))
    if "tablespace" in options(node.get("options", ())):
        draft.command = "ALTER DATABASE … SET TABLESPACE"
        draft.alone = "ALTER DATABASE … SET TABLESPACE cannot run inside a transaction block"


def create_tablespace(draft: Draft, node: Node) -> None:
    """CREATE TABLESPACE makes a directory: no rollback removes it."""
    draft.command, draft.external = "CREATE TABLESPACE", True
    draft.creates.append(Object("tablespace", node.get("tablespacename", "")))
    draft.alone = "CREATE TABLESPACE cannot run inside a transaction block"


def drop_tablespace(draft: Draft, node: Node) -> None:
    """DROP TABLESPACE."""
    _drops("DROP TABLESPACE", "tablespace", "tablespacename")(draft, node)
    draft.external = True
    draft.alone = "DROP TABLESPACE cannot run inside a transaction block"


def create_subscription(draft: Draft, node: Node) -> None:
    """CREATE SUBSCRIPTION makes a slot on the publisher, unless told not to (create_slot, connect)."""
    settings = options(node.get("options", ()))
    draft.command = "CREATE SUBSCRIPTION"
    draft.creates.append(Object("subscription", node.get("subname", "")))
    if on(settings, "create_slot", default=on(settings, "connect", default=True)):
        draft.external = True
        draft.alone = "CREATE SUBSCRIPTION makes a replication slot on the publisher"


_REFRESHING = (
    "ALTER_SUBSCRIPTION_SET_PUBLICATION",
    "ALTER_SUBSCRIPTION_ADD_PUBLICATION",
    "ALTER_SUBSCRIPTION_DROP_PUBLICATION",
)


def alter_subscription(draft: Draft, node: Node) -> None:
    """ALTER SUBSCRIPTION: REFRESH, and SET/ADD/DROP PUBLICATION with refresh (the default), need to be alone."""
    draft.command = "ALTER SUBSCRIPTION"
    draft.alters.append(Object("subscription", node.get("subname", "")))
    kind, settings = node["kind"], options(node.get("options", ()))
    refreshes = kind == "ALTER_SUBSCRIPTION_REFRESH" or (kind in _REFRESHING and on(settings, "refresh", default=True))
    draft.rerunnable = kind not in _REFRESHING[1:]
    if refreshes:
        draft.alone = "ALTER SUBSCRIPTION with refresh cannot run inside a transaction block"
    elif settings.keys() & {"failover", "two_phase"}:
        draft.external = True
        draft.alone = "ALTER SUBSCRIPTION changes the replication slot on the publisher"


def drop_subscription(draft: Draft, node: Node) -> None:
    """DROP SUBSCRIPTION drops the slot on the publisher, when it has one; that is not known here."""
    _drops("DROP SUBSCRIPTION", "subscription", "subname")(draft, node)
    draft.external = True
    draft.alone = "DROP SUBSCRIPTION drops the replication slot on the publisher"


def create_publication(draft: Draft, node: Node) -> None:
    """CREATE PUBLICATION: ShareUpdateExclusive on each table of its list."""
    _creates("CREATE PUBLICATION", "publication", "pubname")(draft, node)
    _published(draft, node)


def alter_publication(draft: Draft, node: Node) -> None:
    """ALTER PUBLICATION."""
    _alters("ALTER PUBLICATION", "publication", "pubname", repeatable=False)(draft, node)
    _published(draft, node)


def _published(draft: Draft, node: Node) -> None:
    for each in node.get("pubobjects", ()):
        if table := each["PublicationObjSpec"].get("pubtable", {}).get("relation"):
            draft.lock(relation(table), "ShareUpdateExclusive")


def add_enum_value(draft: Draft, node: Node) -> None:
    """ALTER TYPE … ADD VALUE: the value cannot be used in the transaction that adds it."""
    found = named("type", strings(node.get("typeName", ())))
    draft.alters.append(found)
    if "oldVal" in node:
        draft.command = "ALTER TYPE … RENAME VALUE"
        before = Object("enum value", node.get("oldVal", ""), found.schema, found.qualified)
        draft.rename(before, name=node.get("newVal", ""))
        return
    draft.command = "ALTER TYPE … ADD VALUE"
    draft.new_enum_values.append((found.qualified, node.get("newVal", "")))
    draft.guarded = draft.rerunnable = bool(node.get("skipIfNewValExists"))


_DOMAIN = {
    "T": "SET DEFAULT",
    "N": "DROP NOT NULL",
    "O": "SET NOT NULL",
    "C": "ADD CONSTRAINT",
    "X": "DROP CONSTRAINT",
    "V": "VALIDATE CONSTRAINT",
}


def alter_domain(draft: Draft, node: Node) -> None:
    """ALTER DOMAIN."""
    what = node.get("subtype", "")
    draft.command = f"ALTER DOMAIN … {_DOMAIN.get(what, '')}".removesuffix(" … ")
    draft.alters.append(named("domain", strings(node.get("typeName", ()))))
    draft.guarded = bool(node.get("missing_ok"))
    draft.rerunnable = what in ("T", "N", "O", "V") or (what == "X" and draft.guarded)


def define(draft: Draft, node: Node) -> None:
    """CREATE AGGREGATE, OPERATOR, TYPE, COLLATION, TEXT SEARCH …"""
    word = node["kind"].removeprefix("OBJECT_").lower()
    draft.command = f"CREATE {_NOUNS.get(word.upper(), word.upper())}"
    draft.creates.append(named(KINDS.get(node["kind"], "other"), strings(node.get("defnames", ()))))
    draft.guarded = draft.rerunnable = bool(node.get("if_not_exists") or node.get("replace"))


def repeatable(command: str) -> Callable[[Draft, Node], None]:
    """A statement that names nothing we keep, and that may be repeated."""

    def handle(draft: Draft, node: Node) -> None:
        del node
        draft.command, draft.rerunnable = command, True

    return handle


def unrepeatable(command: str) -> Callable[[Draft, Node], None]:
    """A statement that names nothing we keep, and that may not be repeated."""

    def handle(draft: Draft, node: Node) -> None:
        del node
        draft.command = command

    return handle


HANDLERS: dict[str, Callable[[Draft, Node], None]] = {
    "DropStmt": drop,
    "DropOwnedStmt": drop_owned,
    "ReassignOwnedStmt": repeatable("REASSIGN OWNED"),
    "CommentStmt": comment,
    "SecLabelStmt": security_label,
    "GrantStmt": grant,
    "GrantRoleStmt": grant_role,
    "AlterDefaultPrivilegesStmt": repeatable("ALTER DEFAULT PRIVILEGES"),
    "AlterOwnerStmt": set_owner,
    "AlterObjectSchemaStmt": set_schema,
    "AlterObjectDependsStmt": repeatable("ALTER … DEPENDS ON EXTENSION"),
    "CreateSchemaStmt": create_schema,
    "CreateExtensionStmt": create_extension,
    "AlterExtensionStmt": alter_extension,
    "AlterExtensionContentsStmt": _alters("ALTER EXTENSION", "extension", "extname", repeatable=False),
    "CreatedbStmt": create_database,
    "DropdbStmt": drop_database,
    "AlterDatabaseStmt": alter_database,
    "AlterDatabaseSetStmt": _alters("ALTER DATABASE … SET", "database", "dbname", repeatable=True),
    "AlterDatabaseRefreshCollStmt": _alters("ALTER DATABASE", "database", "dbname", repeatable=True),
    "CreateTableSpaceStmt": create_tablespace,
    "DropTableSpaceStmt": drop_tablespace,
    "AlterTableSpaceOptionsStmt": _alters("ALTER TABLESPACE", "tablespace", "tablespacename", repeatable=True),
    "AlterTableMoveAllStmt": unrepeatable("ALTER … ALL IN TABLESPACE"),
    "CreateSubscriptionStmt": create_subscription,
    "AlterSubscriptionStmt": alter_subscription,
    "DropSubscriptionStmt": drop_subscription,
    "CreatePublicationStmt": create_publication,
    "AlterPublicationStmt": alter_publication,
    "CreateRoleStmt": _creates("CREATE ROLE", "role", "role"),
    "AlterRoleStmt": _alters("ALTER ROLE", "role", "role", repeatable=True),
    "AlterRoleSetStmt": _alters("ALTER ROLE … SET", "role", "role", repeatable=True),
    "CreateEnumStmt": _creates("CREATE TYPE", "type", "typeName"),
    "CompositeTypeStmt": _creates("CREATE TYPE", "type", "typevar"),
    "CreateRangeStmt": _creates("CREATE TYPE", "type", "typeName"),
    "AlterEnumStmt": add_enum_value,
    "AlterTypeStmt": _alters("ALTER TYPE", "type", "typeName", repeatable=True),
    "CreateDomainStmt": _creates("CREATE DOMAIN", "domain", "domainname"),
    "AlterDomainStmt": alter_domain,
    "DefineStmt": define,
    "AlterFunctionStmt": _alters("ALTER FUNCTION", "function", "func", repeatable=True),
    "CreateCastStmt": unrepeatable("CREATE CAST"),
    "CreateTransformStmt": _creates("CREATE TRANSFORM", "other", "lang", guard="replace"),
    "CreateConversionStmt": _creates("CREATE CONVERSION", "other", "conversion_name"),
    "CreateOpClassStmt": _creates("CREATE OPERATOR CLASS", "other", "opclassname"),
    "CreateOpFamilyStmt": _creates("CREATE OPERATOR FAMILY", "other", "opfamilyname"),
    "AlterOpFamilyStmt": _alters("ALTER OPERATOR FAMILY", "other", "opfamilyname", repeatable=False),
    "AlterOperatorStmt": repeatable("ALTER OPERATOR"),
    "AlterCollationStmt": repeatable("ALTER COLLATION"),
    "AlterStatsStmt": _alters("ALTER STATISTICS", "other", "defnames", repeatable=True),
    "CreateAmStmt": _creates("CREATE ACCESS METHOD", "other", "amname"),
    "CreatePLangStmt": _creates("CREATE LANGUAGE", "other", "plname", guard="replace"),
    "CreateEventTrigStmt": _creates("CREATE EVENT TRIGGER", "other", "trigname"),
    "AlterEventTrigStmt": _alters("ALTER EVENT TRIGGER", "other", "trigname", repeatable=True),
    "CreateForeignServerStmt": _creates("CREATE SERVER", "other", "servername"),
    "AlterForeignServerStmt": _alters("ALTER SERVER", "other", "servername", repeatable=False),
    "CreateFdwStmt": _creates("CREATE FOREIGN DATA WRAPPER", "other", "fdwname"),
    "AlterFdwStmt": _alters("ALTER FOREIGN DATA WRAPPER", "other", "fdwname", repeatable=False),
    "CreateUserMappingStmt": _creates("CREATE USER MAPPING", "other", "servername"),
    "AlterUserMappingStmt": _alters("ALTER USER MAPPING", "other", "servername", repeatable=False),
    "DropUserMappingStmt": _drops("DROP USER MAPPING", "other", "servername"),
    "ImportForeignSchemaStmt": unrepeatable("IMPORT FOREIGN SCHEMA"),
    "AlterTSDictionaryStmt": repeatable("ALTER TEXT SEARCH DICTIONARY"),
    "AlterTSConfigurationStmt": unrepeatable("ALTER TEXT SEARCH CONFIGURATION"),
}


def drop_role(draft: Draft, node: Node) -> None:
    """DROP ROLE."""
    draft.command = "DROP ROLE"
    draft.drops.extend(Object("role", each["RoleSpec"].get("rolename", "")) for each in node.get("roles", ()))
    draft.guarded = draft.rerunnable = bool(node.get("missing_ok"))


HANDLERS["DropRoleStmt"] = drop_role
