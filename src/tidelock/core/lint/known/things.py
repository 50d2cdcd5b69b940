"""What can be known of: tables, aggregates, indexes, policies, views; and the names they go by."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from tidelock.core.facts.tree import identifier
from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.action import Action, Column, Constraint
    from tidelock.core.model import Directive, Place


def key(name: str) -> str:
    """A name as it is known by: `public.t` and `t` are one."""
    return name.removeprefix("public.")


def meant(directive: Directive) -> str:
    """What a directive names, as it is known: `public."T"` and `"T"` are one."""
    schema, name = identifier(directive.value)
    return key(f"{schema}.{name}" if schema else name)


@record(frozen=False, slots=True)
class Table:
    """A table, hypertable or aggregate. `whole` when a file has created it, so that every column is known."""

    name: str
    place: Place | None = None
    """Where it was created."""
    whole: bool = False
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    row_security: bool = False
    partitioned: bool = False
    rows: int | None = None
    """How many rows a live database believes it to have; None when there is none, or it has not counted."""
    # TimescaleDB
    hypertable: bool = False
    time: str = ""
    """The time column of a hypertable; empty when a file does not say it as a constant."""
    dimensions: list[str] = field(default_factory=list)
    chunk_interval: str = ""
    columnstore: bool = False
    compressed: bool = False
    """It has a policy that compresses, or a chunk that was compressed by hand: there may be compressed chunks."""
    filled: Place | None = None
    """Where a file put rows into it."""
    emptied: Place | None = None
    """Where a file took chunks from it with drop_chunks."""
    packing: set[str] = field(default_factory=set)
    """The columns that the columnstore segments and orders by, as far as a file says."""
    fragile: dict[str, Place] = field(default_factory=dict)
    """Columns that were added with a default over compressed chunks and not recompressed: no chunk holds the value."""

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The columns of its primary key and unique constraints."""
        return [each.columns for each in self.constraints if each.kind in ("primary key", "unique")]


@record(frozen=False, slots=True)
class Aggregate:
    """A continuous aggregate."""

    name: str
    source: str
    """The hypertable, or the aggregate beneath."""
    bucket: str
    place: Place
    action: Action

    @property
    def columns(self) -> frozenset[str]:
        """Every column that its query names."""
        return frozenset(self.action.options.get("columns", "").split(",")) - {""}

    @property
    def definition(self) -> str:
        """A digest of its query."""
        return self.action.options.get("definition", "")


@record(frozen=False, slots=True)
class Index:
    """An index that a file has created."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool
    place: Place
    concurrently: bool = False
    method: str = "btree"
    where: bool = False
    """It holds some of the rows only."""


@record(frozen=False, slots=True)
class Policy:
    """A policy of TimescaleDB, with the arguments it was made with."""

    kind: str
    """The function that made it: add_retention_policy, …"""
    target: str
    arguments: dict[str, str | int | bool | None]
    place: Place
    nulls: tuple[str, ...] = ()
    """The arguments that are NULL, by name or place."""

    def given(self, place: int, *names: str) -> str | int | bool | None:
        """An argument by one of its names, else by place; None where it is not a constant, or not given."""
        return next((self.arguments[each] for each in (*names, str(place)) if each in self.arguments), None)

    def is_null(self, place: int, *names: str) -> bool:
        """Whether an argument is the constant NULL."""
        return any(each in self.nulls for each in (*names, str(place)))


@record(frozen=False, slots=True)
class View:
    """A view or materialized view, and what it reads."""

    name: str
    sources: tuple[str, ...]
    columns: frozenset[str]
    place: Place


REFRESHES = "add_continuous_aggregate_policy"


def made_by(function: str) -> str:
    """The function that a policy is known by: add_columnstore_policy makes what add_compression_policy makes."""
    return "add_compression_policy" if function == "add_columnstore_policy" else function


def offsets(policy: Policy) -> tuple[str | int | bool | None, str | int | bool | None]:
    """start_offset and end_offset of a refresh policy, as written."""
    return policy.given(1, "start_offset"), policy.given(2, "end_offset")
