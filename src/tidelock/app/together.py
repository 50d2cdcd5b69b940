"""Lint's files read and asked about on all cores."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidelock.app import sharing
from tidelock.core import action, report
from tidelock.core.lint.edit import Edit
from tidelock.core.model import Place
from tidelock.core.statement import Facts, Guard, Kind, Script, Statement, Variable
from tidelock.core.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tidelock.app.sharing import Link, Ways
    from tidelock.core.lint.engine import Engine
    from tidelock.core.model import Migration
    from tidelock.core.report import Finding

    Only = Callable[[Migration], bool]


def run(make: Callable[[], Engine], migrations: Sequence[Migration], only: Only) -> list[Finding]:
    """What one engine finds in all files."""
    row = sharing.parts([len(each.text) for each in migrations])
    if len(row) > 1:
        results = sharing.in_a_row(lambda part, link: of_part(make(), migrations, part, only, link), row, WAYS)
        if results is not None:
            return [one for each in results for one in each]
    return make().run(migrations, only)


def of_part(engine: Engine, migrations: Sequence[Migration], part: slice, only: Only, link: Link) -> list[Finding]:
    """What is found in some of the files; those before them are read, and asked about, by other processes."""
    mine = migrations[part]
    scripts: dict[str, Script | None] = {}
    for some in pieces(mine):
        read_now = {each.path: tried(engine.read, each) for each in some}
        link.tell(([*read_now.values()], left_by([*read_now.values()])))
        scripts |= read_now
    read, engine.read = engine.read, lambda each: scripts[each.path] or read(each)
    link.keeps = engine
    upto = 0
    for earlier, surroundings in link.heard():
        engine.learn(zip(migrations[upto : upto + len(earlier)], earlier, strict=True), surroundings)
        upto += len(earlier)
    return engine.run(mine, only, last=part.stop == len(migrations))


def pieces(files: Sequence[Migration]) -> Iterator[Sequence[Migration]]:
    """Files in a few pieces, each told when it is read: those behind take it in while the next is being read."""
    size = len(files) // PIECES + 1
    return (files[start : start + size] for start in range(0, len(files), size))


PIECES = 8


def tried(read: Callable[[Migration], Script], migration: Migration) -> Script | None:
    """A file's script; None where there is none, and the engine, which asks again, hears why."""
    try:
        return read(migration)
    except Exception:
        return None


def left_by(scripts: Sequence[Script | None]) -> Surroundings:
    """What files leave to the cutting of those after them."""
    surroundings = Surroundings()
    for script in scripts:
        surroundings = surroundings.after(script) if script else surroundings
    return surroundings


# How what is found, and what is known of files that other processes have read, travels.


def script_way(script: Script) -> tuple[Any, ...]:
    """A script with as much of its statements as others need."""
    return past_script, ([given(each) for each in script.statements],)


def given(statement: Statement) -> tuple[Any, ...]:
    """What a statement does and where; its text where that cannot be known."""
    facts, place = statement.facts, statement.place
    text = statement.text if statement.runtime or facts.kind in (Kind.UNKNOWN, Kind.CODE) else ""
    body = None
    if facts.body is not None and not any("trigger" in each.flags for each in facts.actions):
        body = (facts.body.calls, facts.body.actions)
    acts = facts.actions
    return text, place.path, place.line, place.column, statement.guards, facts.kind, facts.literals, acts, body


def past_script(statements: Iterable[tuple[Any, ...]]) -> Script:
    """The script again."""
    past = [
        Statement(
            text=text,
            place=Place(path, line, column),
            guards=guards,
            facts=Facts(
                kind=kind,
                literals=literals,
                actions=actions,
                body=Facts(calls=body[0], actions=body[1]) if body else None,
            ),
        )
        for text, path, line, column, guards, kind, literals, actions, body in statements
    ]
    return Script(tuple(past), MappingProxyType({}), "")


WAYS: Ways = {
    Script: script_way,
    Place: lambda place: (Place, (place.path, place.line, place.column)),
    MappingProxyType: lambda proxy: (dict, (dict(proxy),)),
    **{
        each: sharing.by_fields(each)
        for each in (action.Action, action.Column, action.Constraint, Guard, Variable, report.Finding, Edit)
    },
}
