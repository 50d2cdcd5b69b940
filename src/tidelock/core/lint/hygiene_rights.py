"""Hygiene (HY) of rights: roles that nobody makes, search_path, functions with their owner's rights."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.guards import checked, in_do, sql_text
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, directory_rule, rule
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.statement import Kind
from tidelock.core.step import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Directory, Look
    from tidelock.core.statement import Statement

THERE = frozenset(
    """
    postgres public current_user session_user current_role rds_superuser rds_replication rds_iam cloudsqlsuperuser
    azure_pg_admin tsdbadmin tsdbexplorer neon_superuser anon authenticated service_role supabase_admin
    """.split()  # noqa: SIM905
)
"""Roles that a server, or a provider's, has from the beginning; pg_… as well."""
CREATES = regex(r"\bCREATE\s+(?:ROLE|USER|GROUP)\s+(?:IF\s+NOT\s+EXISTS\s+)?(%?\w+|\"[^\"]+\")", re.IGNORECASE)

MAY_CREATE = regex(r"create\s+(?:role|user|group)")
"""What a text in lower case must hold for that; found much faster."""


@directory_rule(
    "HY008",
    "a role that no migration creates",
    Severity.WARNING,
    why="In a new database, in a test or after a disaster, the role is not there and the file stops with 42704. Roles "
    "belong to the cluster, so no dump of a database brings them along.",
    fix="create it before, in a DO block that asks pg_roles, or skip the statement where it is not there",
)
def unknown_role(directory: Directory) -> Iterator[Remark]:
    """GRANT, REVOKE, OWNER TO and POLICY with a role that only the author's server has; once for each role."""
    made = set(_created(directory))
    for file in directory.files:
        for statement in file.statements:
            for action in statement.facts.actions:
                for role in _named(action):
                    if role in made or role in THERE or role.startswith("pg_") or _asks(statement, role):
                        continue
                    made.add(role)
                    create = f"CREATE ROLE {quoted(role)}"
                    condition = f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {sql_text(role)})"
                    yield Remark(
                        message=f"no file creates the role {role}",
                        rewrite=in_do(condition, create),
                        place=statement.place,
                    )


def _created(directory: Directory) -> Iterator[str]:
    """Roles that any file creates, in whatever way: also by EXECUTE, format() and \\gexec."""
    yield from directory.known.roles
    for file in directory.files:
        text = file.migration.text
        for found in CREATES.finditer(text) if MAY_CREATE.search(text.lower()) else ():
            name = found[1]
            if name.startswith("%"):
                for statement in file.statements:
                    yield from statement.facts.literals
            yield name.strip('"') if name.startswith('"') else name.lower()


def _named(action: Action) -> tuple[str, ...]:
    """The roles that an action takes for granted."""
    match action.what:
        case "grant" | "revoke" | "create policy":
            return tuple(filter(None, action.names))
        case "grant role" | "revoke role":
            return (*action.names, *action.name.split(", "))
        case "owner to":
            return (action.new_name,) if action.new_name else ()
    return ()


def _asks(statement: Statement, role: str) -> bool:
    """The statement itself looks whether the role is there."""
    return bool(statement.guards) or (statement.facts.kind is Kind.CODE and role in statement.facts.literals)


@rule(
    "HY009",
    "search_path changes for what follows",
    Severity.WARNING,
    why="What is created without its schema goes elsewhere, and what is named without one is another thing, or not "
    "found, until the session ends; under psql also in the files that come after this one.",
    fix="write the schema before the name, or SET LOCAL search_path behind BEGIN",
)
def search_path(look: Look) -> Iterator[Remark]:
    """SET search_path without LOCAL, and set_config(…, false)."""
    for each in look.actions("set"):
        if each.name == "search_path" and "local" not in each.flags and not _is_reset(look):
            own = look.step is not None and look.step.mode is Mode.OWN
            edit = replace_first(look.text, r"\A\s*SET\s+(?:SESSION\s+)?", "SET LOCAL ") if own else None
            names = ", ".join(each.names)
            yield Remark(message=f"it is {names} from here on", rewrite=rewritten(look.text, edit) if edit else "")
    if "search_path" not in look.facts.literals or not look.facts.session:
        return
    if any(each.rpartition(".")[2] == "set_config" for each in look.facts.calls):
        empty = "" in look.facts.literals
        yield Remark(message="it is empty from here on, as in a dump" if empty else "it is another one from here on")


def _is_reset(look: Look) -> bool:
    return any(each.name == "search_path" for each in look.done_after("reset"))


SAFE_PATH = "SET search_path = pg_catalog, public, pg_temp"


@rule(
    "HY010",
    "SECURITY DEFINER without search_path",
    Severity.ERROR,
    why="The function runs with the rights of its owner and finds its tables and functions through the search_path of "
    "the caller: who may create anything in a schema of it, pg_temp among them, does with it what the owner may.",
    fix="fix it in the definition: SET search_path = pg_catalog, the schemas it needs, and pg_temp last",
    on=("create function", "create procedure", "alter function"),
)
def security_definer(look: Look) -> Iterator[Remark]:
    """A function with its owner's rights and the caller's search_path."""
    for each in look.actions("create function", "create procedure"):
        if "security definer" in each.flags and "search path" not in each.flags and not _fixed_later(look, each):
            edit = replace_first(look.text, r"\bSECURITY\s+DEFINER\b", f"SECURITY DEFINER {SAFE_PATH}")
            yield Remark(
                message=f"{each.name} has the rights of its owner and the search_path of whoever calls it",
                rewrite=rewritten(look.text, edit) if edit else "",
            )
    for each in look.actions("alter function"):
        fixed = "search path" in each.flags or key(each.name) in look.known.pinned or _fixed_later(look, each)
        if "security definer" in each.flags and not fixed:
            edit = replace_first(look.text, r"\bSECURITY\s+DEFINER\b", f"SECURITY DEFINER {SAFE_PATH}")
            yield Remark(
                message=f"{each.name} gets the rights of its owner, and keeps the search_path of whoever calls it",
                rewrite=rewritten(look.text, edit) if edit else "",
            )


def _fixed_later(look: Look, function: Action) -> bool:
    later = look.done_after("alter function")
    return any("search path" in each.flags and key(each.name) == key(function.name) for each in later)


@rule(
    "HY011",
    "a function without search_path",
    Severity.NOTE,
    why="It finds its tables through the search_path of whoever calls it: in a trigger, an index or a restore that is "
    "another one than the author's.",
    fix="add SET search_path = … to the definition",
    optional=True,
    on=("create function", "create procedure"),
)
def function_path(look: Look) -> Iterator[str]:
    """A function that is no SECURITY DEFINER, and relies on the caller."""
    for each in look.actions("create function", "create procedure"):
        if not each.flags & {"security definer", "search path"} and not _fixed_later(look, each):
            yield f"{each.name} uses the search_path of whoever calls it"


@rule(
    "HY025",
    "standard_conforming_strings is switched off",
    Severity.WARNING,
    why="A backslash in '…' is an escape from there on: the same text means another thing than everywhere else, and "
    "tools that read the file without running it, such as this one, may read it wrongly.",
    fix="write E'…' where escapes are meant",
    on=("set",),
)
def conforming_strings(look: Look) -> Iterator[str]:
    """SET standard_conforming_strings = off."""
    for each in look.actions("set"):
        off = {name.lower() for name in each.names} & {"off", "false", "0", "no"}
        if each.name == "standard_conforming_strings" and off and not checked(look):
            yield "backslashes in '…' are escapes from here on"
