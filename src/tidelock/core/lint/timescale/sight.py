"""What the rules of TimescaleDB ask of the files so far, and the statements they propose instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.breaking import rebuilt_here
from tidelock.core.lint.edit import Edit
from tidelock.core.lint.guards import removed_before
from tidelock.core.lint.known import Policy, key, made_by, meant, target
from tidelock.core.lint.timescale.interval import length, written
from tidelock.core.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Column, Constraint
    from tidelock.core.lint.known import Aggregate, Known, Table
    from tidelock.core.lint.look import Look

TIMES = ("timestamptz", "timestamp", "date")


def in_block(look: Look) -> bool:
    """Whether the statement is a DO block, so that its text is not that of the action."""
    return look.facts.command == "DO"


def is_ours(known: Known, name: str) -> bool:
    """Whether it is a hypertable or a continuous aggregate."""
    return known.is_hypertable(name) or known.is_aggregate(name)


def hypertable(known: Known, name: str) -> Table | None:
    """The hypertable of that name."""
    found = known.table(name)
    return found if found and found.hypertable else None


def columnstore(known: Known, name: str) -> Table | None:
    """The hypertable of that name, when it has columnstore enabled."""
    found = known.table(name)
    return found if found and found.columnstore else None


def compressed(known: Known, name: str) -> Table | None:
    """The hypertable of that name, when chunks of it may be compressed by now."""
    found = columnstore(known, name)
    return found if found and found.compressed else None


def has_times(table: Table | None) -> bool:
    """Whether its time column is known to be a timestamp or a date, not a number."""
    column = table.columns.get(table.time) if table else None
    return column is not None and column.type in TIMES


def accepts_loss(look: Look, name: str) -> bool:
    """`-- tidelock: accept-loss NAME: reason` stands in the file."""
    return any(each.name == "accept-loss" and meant(each) == key(name) for each in look.file.migration.directives)


def named_loss(look: Look, name: str) -> bool:
    """`-- tidelock: accept-loss NAME: reason`, or `rebuild NAME`, stands in the file."""
    return accepts_loss(look, name) or rebuilt_here(look, name)


def policy_of(action: Action, look: Look) -> Policy:
    """The policy that a call of add_…_policy asks for."""
    made = made_by(action.name.rpartition(".")[2])
    return Policy(made, target(action), dict(action.arguments), look.statement.place, action.names)


def policies_added(look: Look, *kinds: str) -> Iterator[tuple[Action, Policy]]:
    """The calls of add_…_policy in a statement, of these kinds (`retention`, …), or of all."""
    for each in look.actions("call"):
        name = each.name.rpartition(".")[2]
        if name.startswith("add_") and name.endswith("_policy"):
            found = policy_of(each, look)
            if not kinds or any(found.kind == made_by(f"add_{kind}_policy") for kind in kinds):
                yield each, found


def is_repetition(look: Look, asked: Policy, action: Action) -> bool:
    """Whether it asks, with if_not_exists, for a policy that is there already, so that it does nothing."""
    there = asked.arguments.get("if_not_exists") is True and (asked.kind, asked.target) in look.known.policies
    return there and not removed_before(look, action)


def drop_after(policy: Policy | None) -> float | None:
    """How long a retention policy keeps."""
    return length(policy.given(1, "drop_after")) if policy else None


def compress_after(policy: Policy | None) -> float | None:
    """The age at which a policy compresses."""
    return length(policy.given(1, "compress_after", "after")) if policy else None


def start_offset(policy: Policy) -> float | None:
    """How far a refresh policy looks back: infinity for NULL, None when the file does not say it as a constant."""
    return float("inf") if policy.is_null(1, "start_offset") else length(policy.given(1, "start_offset"))


def end_offset(policy: Policy) -> float | None:
    """How far from now a refresh policy stops: 0 for NULL."""
    return 0.0 if policy.is_null(2, "end_offset") else length(policy.given(2, "end_offset"))


def retention(known: Known, name: str, *, former: bool = False) -> Policy | None:
    """The retention policy of a table or aggregate; with `former` one that a file has removed counts as well."""
    found = known.policy("retention", name)
    return found or (known.former.get(("add_retention_policy", key(name))) if former else None)


def bucket(known: Known, name: str) -> float | None:
    """The width of an aggregate's buckets."""
    found = known.aggregates.get(key(name))
    return length(found.bucket) if found else None


def kept(value: float) -> str:
    """A length in words; NULL as such."""
    return "NULL (everything)" if value == float("inf") else written(value)


def columns_of(constraint: Constraint, column: Column | None = None) -> tuple[str, ...]:
    """The columns of a key."""
    return constraint.columns or ((column.name,) if column else ())


def lost(look: Look, aggregate: Aggregate) -> str:
    """What goes when an aggregate goes, as far as files say it; empty when raw data can give it back."""
    source = look.known.table(aggregate.source)
    policy = retention(look.known, aggregate.source, former=True)
    if policy:
        after = drop_after(policy)
        age = f"after {written(after)}" if after is not None else "by a policy"
        return (
            f"{aggregate.source} drops its rows {age} ({policy.place.path}), so every bucket of {aggregate.name} "
            f"before that exists nowhere else"
        )
    if source and source.emptied:
        return (
            f"{source.emptied.path} drops chunks of {aggregate.source}, so their buckets in {aggregate.name} exist "
            f"nowhere else"
        )
    return ""


# --- CREATE INDEX … WITH (timescaledb.transaction_per_chunk) ---------------------------------------------------------

PER_CHUNK = "timescaledb.transaction_per_chunk"
_TOKEN = regex(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?P<open>\()|(?P<close>\))|(?P<word>\w+)|.", re.DOTALL
)


def per_chunk(text: str) -> str:
    """A CREATE INDEX built chunk by chunk, without CONCURRENTLY; empty when the text cannot be read."""
    text = re.sub(r"\bCONCURRENTLY\s+", "", text, count=1, flags=re.IGNORECASE)
    text = re.sub(r"(\bINDEX)\s+(?!IF\b|ON\b)", r"\1 IF NOT EXISTS ", text, count=1, flags=re.IGNORECASE)
    groups = list(_groups(text))
    if not groups:
        return ""
    last = groups[0]
    for word, start, end in groups[1:]:
        if word == "WITH":
            return f"{text[: start + 1]}{PER_CHUNK}, {text[start + 1 :]}"
        if word == "INCLUDE":
            last = (word, start, end)
    return f"{text[: last[2]]} WITH ({PER_CHUNK}){text[last[2] :]}"


def per_chunk_edit(text: str) -> Edit | None:
    """The same as a change of the whole statement."""
    new = per_chunk(text)
    return Edit(0, len(text), new) if new else None


def _groups(text: str) -> Iterator[tuple[str, int, int]]:
    """Each outermost ( … ): the word before it, where it opens, where it ends."""
    depth, start, before = 0, 0, ""
    for token in _TOKEN.finditer(text):
        if token["open"]:
            if depth == 0:
                start = token.start()
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0:
                yield before, start, token.end()
        elif token["word"] and depth == 0:
            before = token["word"].upper()
