"""What a statement does, one thing at a time and in the detail that the checks need: columns, types, arguments."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A constraint of a table or column."""

    kind: str
    """primary key, unique, foreign key, check, exclude, not null."""
    name: str = ""
    """Empty when the server is to name it."""
    columns: tuple[str, ...] = ()
    not_valid: bool = False
    using_index: str = ""
    """The index that becomes the constraint's."""
    references: str = ""
    """The table that a foreign key points to, as written."""
    cascades: bool = False
    """ON DELETE CASCADE."""
    expression: str = ""
    """A CHECK of one column that is not null: that column. Empty for all else."""
    deferred: bool = False
    """INITIALLY DEFERRED: it is checked at COMMIT."""


@record(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as CREATE TABLE, ADD COLUMN or ALTER TYPE writes it."""

    name: str
    type: str = ""
    """PostgreSQL's own short name with its modifiers: int4, varchar(20), timestamptz, numeric(10,2), text[]."""
    default: str = ""
    """How its default comes about: constant, stable (now()), volatile (random()), unknown (a user's function);
    empty without one."""
    generated: str = ""
    """identity, stored, virtual; empty for an ordinary column."""
    constraints: tuple[Constraint, ...] = ()

    @property
    def not_null(self) -> bool:
        """NOT NULL or PRIMARY KEY stands beside it."""
        return any(each.kind in ("not null", "primary key") for each in self.constraints)

    @property
    def serial(self) -> bool:
        """serial, bigserial or smallserial."""
        return self.type in SERIAL


SERIAL = ("serial", "bigserial", "smallserial", "serial2", "serial4", "serial8")


@record(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a statement does.

    Names are as the parser folds them; tables, views and indexes as `name` or `schema.name`. What is not said is empty.
    """

    what: str
    """In lower case, as people call it: create table, add column, alter type, add constraint, create index, call, …"""
    table: str = ""
    """The table, or what is like one: of a column, index, constraint, policy, trigger."""
    name: str = ""
    """Of the thing itself: column, index, constraint, function, role, setting, …"""
    new_name: str = ""
    """After a renaming; the value of ALTER TYPE … ADD VALUE; the target of SET SCHEMA and OWNER TO."""
    column: Column | None = None
    """Of ADD COLUMN and ALTER COLUMN TYPE."""
    columns: tuple[Column, ...] = ()
    """Of CREATE TABLE."""
    names: tuple[str, ...] = ()
    """Columns of an index, an INSERT, an UPDATE; roles of a GRANT; labels of an enum; sources of a view; the arguments
    of a call that are NULL."""
    constraint: Constraint | None = None
    constraints: tuple[Constraint, ...] = ()
    """Of CREATE TABLE, those of columns among them."""
    arguments: Mapping[str, str | int | bool | None] = field(default_factory=dict, hash=False)
    """Of a call, by name or place ("0", "1"): constants; None where it is not one."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """WITH (…), SET (…), function and role options; of a call the arguments that are `now() - interval`, with the
    interval; of a view the columns it reads and a digest of its definition."""
    flags: frozenset[str] = frozenset()
    """guarded (IF [NOT] EXISTS), replace, cascade, concurrently, unique, where, temporary, with data, …"""
