"""Files that make continuous aggregates anew: what is kept, and what has to be filled afterwards. Pure.

`CREATE MATERIALIZED VIEW … WITH DATA` of an aggregate that is rebuilt becomes WITH NO DATA, so that it shares a
transaction with its DROP; and an aggregate that a file creates empty, or gives a column, is refreshed as its last step.
The digests of the script stay: the file is what it was.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tidelock.core.facts.tree import identifier
from tidelock.core.statement import Statement
from tidelock.core.step import Mode
from tidelock.core.steps import steps_of
from tidelock.core.tokens import digest
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.model import Directive, Migration
    from tidelock.core.statement import Facts, Item, Object, Script
    from tidelock.core.step import Step
    from tidelock.core.surroundings import Surroundings


class Wanted(Protocol):
    """What the settings say."""

    @property
    def on_recreate(self) -> str:
        """refuse or preserve."""


class NothingToRebuild(SourceFault):
    """`-- tidelock: rebuild X` in a file that does not drop and create X."""

    code = "S044"

    def __init__(self, asked: Directive) -> None:
        super().__init__(
            f"{asked.place}: `rebuild {asked.value}`, and the file does not drop and then create a continuous "
            f"aggregate of that name",
            hint="write the name as the file's CREATE MATERIALIZED VIEW has it, or delete the line",
        )


class NotInOneTransaction(SourceFault):
    """DROP and CREATE of an aggregate that is to be rebuilt are cut apart."""

    code = "S045"

    def __init__(self, asked: Directive, create: Statement, why: str) -> None:
        super().__init__(
            f"{create.place}: {asked.value} cannot be rebuilt: its DROP and CREATE do not share a transaction ({why})",
            hint="put nothing between the two that runs by itself, no COMMIT and no `no-transaction`; other "
            "aggregates that stand between them: WITH NO DATA, or `rebuild` them as well",
        )


def matches(one: Object, other: tuple[str, str]) -> bool:
    """The same name; a schema counts only where both have one."""
    schema, name = other
    return one.name == name and (not one.schema or not schema or one.schema == schema)


def rebuilt(migration: Migration, script: Script, target: Wanted) -> frozenset[tuple[str, str]]:
    """(schema, name) of aggregates, as the file writes them, that it drops and creates again with their history kept.

    One that is created after a rebuilt one went with CASCADE may have gone with it, and is kept too.
    """
    asked = {identifier(each.value) for each in migration.directives if each.name == "rebuild"}
    gone: list[tuple[str, str]] = []
    found: set[tuple[str, str]] = set()
    cascaded = False
    for facts in (each.facts for each in script.statements):
        for made in facts.creates:
            if made.kind != "aggregate":
                continue
            named = target.on_recreate == "preserve" or any(matches(made, each) for each in asked)
            if cascaded or (named and any(matches(made, each) for each in gone)):
                found.add((made.schema, made.name))
        for each in facts.drops:
            gone.append((each.schema, each.name))
            if facts.cascade and (target.on_recreate == "preserve" or any(matches(each, one) for one in asked)):
                cascaded = True
    return frozenset(found)


def concerned(text: str) -> bool:
    """Whether a file can have to do with it at all: a cheap look, for files of plain PostgreSQL."""
    lower = text.lower()
    return ".continuous" in lower or "rebuild" in lower or ("generated" in lower and "materialized" in lower)


def prepared(migration: Migration, script: Script, target: Wanted, refresh: str, *, detailed: bool = False) -> Script:
    """The script as it runs. Raises a SourceFault for a `rebuild` that cannot be."""
    names = rebuilt(migration, script, target)
    items = tuple(emptied(each, names, detailed=detailed) for each in script.items)
    changed = replace(script, items=items)
    check(migration, changed)
    if refresh == "after":
        changed = replace(changed, items=(*items, *refreshes(changed, names, detailed=detailed)))
    return changed


def steps_as_run(migration: Migration, script: Script, target: Wanted, surroundings: Surroundings) -> tuple[Step, ...]:
    """The steps as `apply` cuts them, of the script's own statements. Raises a SourceFault like `prepared`."""
    names = rebuilt(migration, script, target)
    items = tuple(emptied(each, names, detailed=False) for each in script.items)
    changed = replace(script, items=items)
    check(migration, changed)
    own = {id(each): before for each, before in zip(items, script.items, strict=True)}
    steps = steps_of(migration, changed, surroundings)
    return tuple(replace(each, items=tuple(own[id(item)] for item in each.items)) for each in steps)


# --- WITH NO DATA ----------------------------------------------------------------------------------------------------

FILLER = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)"
WITH_DATA = re.compile(rf"\bWITH{FILLER}+DATA({FILLER}*)\Z", re.IGNORECASE | re.DOTALL)


def emptied(item: Item, names: frozenset[tuple[str, str]], *, detailed: bool) -> Item:
    """CREATE of a rebuilt aggregate WITH NO DATA; everything else as it is."""
    if not isinstance(item, Statement) or not item.facts.alone:
        return item
    if not any(each.kind == "aggregate" and (each.schema, each.name) in names for each in item.facts.creates):
        return item
    facts = facts_of(without_data(item.text), detailed)
    if facts.alone:
        return item
    pieces = item.pieces
    if pieces:
        last = pieces[-1]
        pieces = (*pieces[:-1], without_data(last)) if isinstance(last, str) else (*pieces, "\nWITH NO DATA")
    return replace(item, text=without_data(item.text), pieces=pieces, facts=facts)


def without_data(text: str) -> str:
    """CREATE MATERIALIZED VIEW … WITH NO DATA."""
    if found := WITH_DATA.search(text):
        return f"{text[: found.start()]}WITH NO DATA{found[1]}"
    return f"{text}\nWITH NO DATA"


def facts_of(text: str, detailed: bool) -> Facts:
    """The parser is there by now: the script has been read."""
    from tidelock.core.facts import facts_of as read

    return read(text, detailed=detailed)


# --- one transaction -------------------------------------------------------------------------------------------------


def check(migration: Migration, script: Script) -> None:
    """Each `rebuild` names what is dropped and then created, in one transaction."""
    asked = [each for each in migration.directives if each.name == "rebuild"]
    if not asked:
        return
    try:
        steps = steps_of(migration, script)
    except SourceFault:  # told when the file is planned
        return
    at = {id(item): step for step in steps for item in step.items}
    for each in asked:
        name = identifier(each.value)
        drop = first(script, name, "drops")
        create = first(script, name, "creates", after=drop)
        if create is None or (drop is None and not cascades(script, create)):
            raise NothingToRebuild(each)
        here, there = at.get(id(create)), at.get(id(drop or create))
        if here is None or here is not there or here.mode is Mode.ALONE:
            reason = here.reason if here is not None and here.reason else "the file commits between them"
            raise NotInOneTransaction(each, create, reason)


def first(script: Script, name: tuple[str, str], what: str, after: Statement | None = None) -> Statement | None:
    """The first statement that drops, or creates as an aggregate, what has this name."""
    waiting = after is not None
    for each in script.statements:
        waiting = waiting and each is not after
        if not waiting and any(
            matches(one, name) and (what == "drops" or one.kind == "aggregate") for one in getattr(each.facts, what)
        ):
            return each
    return None


def cascades(script: Script, create: Statement) -> bool:
    """Something before it drops with CASCADE."""
    for each in script.statements:
        if each is create:
            return False
        if each.facts.cascade and (each.facts.drops or each.facts.alters):
            return True
    return False


# --- refreshes -------------------------------------------------------------------------------------------------------


def refreshes(script: Script, names: frozenset[tuple[str, str]], *, detailed: bool) -> Iterator[Statement]:
    """A refresh for each aggregate that the file leaves empty, or with a column that is."""
    wanted: dict[Object, tuple[Statement, bool]] = {}
    for each in script.statements:
        for made in each.facts.creates:
            if made.kind == "aggregate" and not each.facts.alone:
                wanted[made] = (each, False)
        if (grown := widened(each)) is not None:
            wanted.setdefault(grown, (each, True))
        for before, after in each.facts.renames:
            for known in [known for known in wanted if matches(known, (before.schema, before.name))]:
                wanted[replace(known, name=after.name, schema=after.schema or known.schema)] = wanted.pop(known)
        for gone in each.facts.drops:
            for known in [known for known in wanted if matches(known, (gone.schema, gone.name))]:
                del wanted[known]
        for known in [known for known in wanted if fills(each, known, whole=(known.schema, known.name) in names)]:
            del wanted[known]
    for made, (statement, force) in wanted.items():
        yield refresh_of(made, statement, force=force, detailed=detailed)


def widened(statement: Statement) -> Object | None:
    """The aggregate that ALTER MATERIALIZED VIEW … ADD COLUMN … GENERATED gives a column."""
    lower = statement.text.lower()
    if "materialized" not in lower or "generated" not in lower or not statement.facts.alters:
        return None
    if not statement.facts.command.startswith("ALTER MATERIALIZED VIEW"):
        return None
    found = next((each for each in statement.facts.alters if each.kind == "materialized view"), None)
    return replace(found, kind="aggregate") if found else None


def fills(statement: Statement, known: Object, *, whole: bool) -> bool:
    """The file refreshes it itself; of one that is rebuilt only a refresh of everything counts."""
    if not any(
        each.kind == "aggregate" and matches(each, (known.schema, known.name)) for each in statement.facts.alters
    ):
        return False
    if not any(each.rpartition(".")[2] == "refresh_continuous_aggregate" for each in statement.facts.calls):
        return False
    if not whole:
        return True
    return any(len(each.names) >= 2 for each in facts_of(statement.text, True).actions if each.what == "call")


def refresh_of(made: Object, statement: Statement, *, force: bool, detailed: bool) -> Statement:
    """CALL refresh_continuous_aggregate for all of it, at the place of the statement that asks for it."""
    path = ".".join('"' + each.replace('"', '""') + '"' if not PLAIN.fullmatch(each) else each
                    for each in (made.schema, made.name) if each)  # fmt: skip
    literal = path.replace("'", "''")
    text = f"CALL refresh_continuous_aggregate('{literal}', NULL, NULL{', force => true' if force else ''})"
    return Statement(
        text=text,
        place=statement.place,
        end_line=statement.place.line,
        guards=statement.guards,
        tokens=digest(["tidelock", text]),
        facts=facts_of(text, detailed),
    )


def appended(statement: Statement) -> bool:
    """Whether it is such a refresh, and not the file's own."""
    return statement.tokens == digest(["tidelock", statement.text])


PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
