"""Destruction (DE) of what applications rely on: names, rights, row level security, triggers, roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.breaking import added_here, destructive, is_own, made_again, made_before
from tidelock.core.lint.compose import quoted
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look

INNER = ("index", "constraint", "trigger", "policy", "rule", "tablespace", "tabconstraint", "domconstraint")
"""Whose names no application says."""


@destructive(
    "DE015",
    "RENAME of what applications use",
    Severity.ERROR,
    why="From that moment on every statement with the old name fails: the release that is running while the migration "
    "runs, too. No order of deploying code and schema avoids that.",
    fix="let both names work for a release: a view under the old name of a table, a second column",
    on=("rename ",),
)
def rename(look: Look) -> Iterator[Remark]:
    """A new name for what the file has not made itself, and nothing under the old one."""
    for each in look.facts.actions:
        kind = each.what.partition(" ")[2]
        if not each.what.startswith("rename ") or kind in INNER:
            continue
        if is_own(look, each.table or each.name) or (kind == "column" and added_here(look, each.table, each.name)):
            continue
        if _name_is_taken_again(look, each, kind) or _made_here(look, each, kind):
            continue
        old = f"{each.table}.{each.name}" if kind in ("column", "value", "attribute") else each.name
        view = ""
        if kind == "table":
            schema = each.table.rpartition(".")[0]
            new = f"{schema}.{each.new_name}" if schema else each.new_name
            view = f"{look.text};\nCREATE VIEW {quoted(each.table)} AS SELECT * FROM {quoted(new)};"  # noqa: S608
        yield Remark(message=f"whatever says {old} fails, as it is {each.new_name} then", rewrite=view)


def _made_here(look: Look, action: Action, kind: str) -> bool:
    """A view, type, function or value of the file's own, or one that it has renamed before."""
    if kind == "value":
        added = look.done_before("add value")
        return any(each.name == action.table and each.new_name == action.name for each in added)
    mine = key(action.name)
    made = (one for before in look.earlier for one in before.facts.creates)
    return any(one.kind == kind and key(one.qualified) == mine for one in made)


def _name_is_taken_again(look: Look, action: Action, kind: str) -> bool:
    """Something else gets the old name in the same file: an exchange, or a view for those who still use it."""
    if kind in ("column", "value", "attribute"):
        later = (*look.done_after("rename column", "add column"), *look.actions("rename column"))
        return any(
            key(each.table) == key(action.table) and action.name in (each.new_name, each.name)
            for each in later
            if each is not action and (each.what == "add column" or each.new_name == action.name)
        )
    old = key(action.name)
    renamed = look.done_after("rename table", "rename view", "rename materialized view", "rename type")
    if any(each.new_name == old.rpartition(".")[2] for each in renamed):
        return True
    return any(
        key(made.qualified) == old
        for statement in look.file.statements[look.number :]
        for made in statement.facts.creates
    )


@destructive(
    "DE016",
    "SET SCHEMA of what applications use",
    Severity.ERROR,
    why="Whoever says it without its schema finds it only while search_path has the new one; whoever says it with the "
    "old schema fails.",
    fix="leave a view under the old name",
    on=("set schema",),
)
def set_schema(look: Look) -> Iterator[Remark]:
    """A move to another schema."""
    for each in look.actions("set schema"):
        if not is_own(look, each.table) and each.name not in ("extension", "index"):
            yield Remark(message=f"the {each.name} {each.table} is found in the schema {each.new_name} only")


@destructive(
    "DE017",
    "REVOKE from a role",
    Severity.WARNING,
    why="Whoever works as that role is refused from that moment on. (Taking from PUBLIC, and granting again in the "
    "same file, is not meant.)",
    fix="let the application use another role first",
    on=("revoke", "revoke role"),
)
def revoke(look: Look) -> Iterator[Remark]:
    """Rights taken from a named role and not given again."""
    for each in look.actions("revoke", "revoke role"):
        again = {
            role
            for one in look.done_after("grant", "grant role")
            if one.table == each.table and (each.what == "revoke" or one.name == each.name)
            for role in one.names
        }
        roles = [role for role in each.names if role not in again]
        if roles and not is_own(look, each.table):
            what = f"the role {each.name}" if each.what == "revoke role" else f"{each.name} {each.table}"
            yield Remark(message=f"{', '.join(roles)} may use {what} no more, or not as before")


@destructive(
    "DE018",
    "row level security gives way",
    Severity.ERROR,
    why="Without row level security every role that may read the table reads the rows of all tenants. Without its "
    "policy a table shows no rows, or, where the policy was a restrictive one, too many.",
    fix="create the new policy in the same file",
    on=("disable row security", "no force row security", "drop policy"),
)
def row_security(look: Look) -> Iterator[Remark]:
    """DISABLE, NO FORCE, DROP POLICY."""
    for each in look.actions("disable row security", "no force row security"):
        back = "enable row security" if each.what.startswith("disable") else "force row security"
        if is_own(look, each.table) or any(key(one.table) == key(each.table) for one in look.done_after(back)):
            continue
        who = "every role that may read it" if each.what.startswith("disable") else "its owner"
        yield Remark(message=f"{who} sees all rows of {each.table}")
    for each in look.actions("drop policy"):
        made = (*look.done_before("create policy"), *look.done_after("create policy"))
        if not is_own(look, each.table) and not any(key(one.table) == key(each.table) for one in made):
            yield Remark(message=f"{each.table} loses the policy {each.name}, and nothing in the file replaces it")


@destructive(
    "DE019",
    "a trigger is switched off",
    Severity.WARNING,
    why="What it keeps right is no longer kept right: rows that are written meanwhile have no history, no sums, no "
    "updated_at, and with ALL no foreign keys. Nothing says so later.",
    fix="switch it on again in the same file",
    on=("disable trigger", "drop trigger", "set"),
)
def trigger(look: Look) -> Iterator[Remark]:
    """DISABLE TRIGGER, DROP TRIGGER, session_replication_role."""
    for each in look.actions("disable trigger"):
        on = (one for one in look.done_after("enable trigger") if key(one.table) == key(each.table))
        if not is_own(look, each.table) and not any(one.name in (each.name, "") for one in on):
            yield Remark(message=f"{each.name or 'every trigger'} of {each.table} stays switched off")
    for each in look.actions("drop trigger"):
        if not (is_own(look, each.table) or made_again(look, each) or made_before(look, each)):
            yield Remark(message=f"{each.table} loses the trigger {each.name}")
    for each in look.actions("set"):
        if each.name == "session_replication_role" and "replica" in each.names and not _reset(look):
            yield Remark(message="no trigger and no foreign key works in the rest of the session")


def _reset(look: Look) -> bool:
    later = look.done_after("set", "reset")
    return any(each.name == "session_replication_role" and "replica" not in each.names for each in later)


@destructive(
    "DE020",
    "a role, or what it owns, is dropped",
    Severity.ERROR,
    why="Whoever logs in as that role is refused, in every database of the cluster. DROP OWNED takes its tables with "
    "their rows, and its rights.",
    fix="REASSIGN OWNED first; drop the role when nobody logs in as it",
    on=("drop role", "drop owned"),
)
def drop_role(look: Look) -> Iterator[Remark]:
    """DROP ROLE, DROP OWNED."""
    for each in look.actions("drop role", "drop owned"):
        if made_before(look, each):
            continue
        if each.what == "drop owned":
            yield Remark(message=f"every table of {each.name or 'the current role'} is gone with its rows")
        else:
            yield Remark(message=f"whoever logs in as {each.name} is refused")
