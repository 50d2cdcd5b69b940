"""Why a run is refused on TimescaleDB: what it would take from aggregates and columnstores, with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.aggregates import History
    from tidelock.core.lint.eroding import Erosion
    from tidelock.core.model import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """History of one aggregate that one statement would erase."""

    place: Place
    statement: str
    """Its text, shortened."""
    aggregate: str
    history: History
    why: str = ""
    """What a person would not see at once: by a refresh, through a policy."""
    window: str = ""
    """A refresh that is safe."""
    remade: bool = False
    """The file creates it again: a rebuild can keep its history."""


def shown(name: str) -> str:
    """`energy_hourly` for `public.energy_hourly`."""
    return name.removeprefix("public.")


def counted(loss: Loss) -> str:
    """`energy_hourly: 3,538 buckets from 2026-05-27 to 2026-10-22 exist nowhere else`."""
    one = loss.history.buckets == 1
    return (
        f"{shown(loss.aggregate)}: {loss.history.buckets:,} bucket{'' if one else 's'} from {loss.history.span} "
        f"exist{'s' if one else ''} nowhere else"
    )


def listed(losses: Sequence[Loss]) -> str:
    """Each statement with what it would take."""
    lines: list[str] = []
    for each in losses:
        head = f"{each.place}\n  {each.statement}"
        if head not in lines:
            lines.append(head)
        lines.append(f"    {counted(each)}" + (f" ({each.why})" if each.why else ""))
    return "\n".join(lines)


def ways(losses: Sequence[Loss]) -> str:
    """What to do, for each aggregate once."""
    names = list(dict.fromkeys(shown(each.aggregate) for each in losses))
    told = []
    if remade := [name for name in names if any(each.remade and shown(each.aggregate) == name for each in losses)]:
        told.append("keep it: " + ", ".join(f"`-- tidelock: rebuild {name}`" for name in remade) + " at the top")
    told += [
        f"refresh only where raw data is: `{each}`" for each in dict.fromkeys(one.window for one in losses) if each
    ]
    told.append("lose it: " + ", ".join(f"`-- tidelock: accept-loss {name}: why`" for name in names))
    return "; ".join(told)


class HistoryLost(LedgerFault):
    """Statements would erase, or have erased, buckets that no raw data can give back."""

    code = "L042"

    def __init__(self, losses: Sequence[Loss], more: Sequence[LedgerFault] = (), *, done: bool = False) -> None:
        self.losses = tuple(losses)
        first = dict.fromkeys(counted(each) for each in losses)
        where = ", ".join(dict.fromkeys(f"{each.place.path}:{each.place.line}" for each in losses))
        what = "erased them, and was rolled back" if done else "would erase them"
        also = "".join(f"\n\n{each.code} {each.message}\n{each.detail}".rstrip() for each in more)
        super().__init__(f"{'; '.join(first)}; {where} {what}", hint=ways(losses), detail=listed(losses) + also)


class SourceTaken(LedgerFault):
    """An aggregate went, and in the same transaction rows that it was made of; or nobody may look at what it had."""

    code = "L054"

    def __init__(self, place: Place, aggregate: str, why: str) -> None:
        name = shown(aggregate)
        super().__init__(
            f"{place}: {name} is gone at the end of the transaction, and {why}: it would have been lost; rolled back",
            hint=f"keep it: `-- tidelock: rebuild {name}` in a file that drops and creates it; lose it: "
            f"`-- tidelock: accept-loss {name}: why`",
        )


class DefinitionPassedOver(LedgerFault):
    """CREATE … IF NOT EXISTS with another definition than that of the aggregate that is there."""

    code = "L043"

    def __init__(self, place: Place, aggregate: str, difference: str) -> None:
        name = shown(aggregate)
        super().__init__(
            f"{place}: {name} is there with another definition, and IF NOT EXISTS would pass over this one in silence",
            hint=f"drop and create it under `-- tidelock: rebuild {name}`, or give the new one another name; to leave "
            f"it as it is, `-- tidelock: allow L043: why`",
            detail=difference,
        )


class AggregateReplaced(LedgerFault):
    """CREATE OR REPLACE VIEW, or RULE "_RETURN", with the name of an aggregate."""

    code = "L044"

    def __init__(self, place: Place, aggregate: str, *, done: bool = False) -> None:
        what = "has been replaced, and was rolled back" if done else "would be replaced"
        super().__init__(
            f"{place}: what readers of {shown(aggregate)} see {what} by an ordinary view; its buckets stay, unseen",
            hint="give the view another name; `-- tidelock: allow L044: why` replaces it all the same",
        )


class PolicyErodes(LedgerFault):
    """Files bring a refresh policy and a retention that together erase history day by day."""

    code = "L051"

    def __init__(self, erosions: Sequence[Erosion]) -> None:
        first, *rest = erosions
        more = "".join(f"; and so is {each.aggregate} ({each.place.path}:{each.place.line})" for each in rest)
        back = f"{first.start} back" if first.start else "to the beginning"
        longer = f", or keep {first.source} for {first.start} or longer" if first.start else ""
        names = dict.fromkeys(shown(each.aggregate) for each in erosions)
        super().__init__(
            f"{first.place}: {first.aggregate} is refreshed {back} and {first.source} keeps {first.kept}: once rows "
            f"are older, each refresh erases buckets that exist nowhere else{more}",
            hint=f"let start_offset be {first.kept} at most{longer}; or, when they may go: "
            + ", ".join(f"`-- tidelock: accept-loss {name}: why`" for name in names),
        )


class PolicyTakes(LedgerFault):
    """A step has set a policy that takes what an aggregate alone has."""

    code = "L056"

    def __init__(self, place: Place, told: Sequence[str]) -> None:
        super().__init__(
            f"{place}: this sets a policy that erases what exists nowhere else, and was rolled back",
            hint="give it ages that spare what raw data no longer holds; or, when it may go: "
            "`-- tidelock: accept-loss NAME: why`",
            detail="\n".join(told),
        )


class Unseen(LedgerFault):
    """A statement that nobody can read, that no rollback undoes, while there is history to lose."""

    code = "L045"

    def __init__(self, places: Sequence[tuple[Place, str]], losses: Sequence[Loss]) -> None:
        where = ", ".join(f"{each.path}:{each.line}" for each, _ in places)
        kept = "; ".join(dict.fromkeys(map(counted, losses)))
        super().__init__(
            f"{where}: nobody can say what it does, and no transaction holds it, so it cannot be undone; {kept}",
            hint="write out what it does, or take out its COMMIT, so that it can be watched and rolled back; or "
            + ", ".join(dict.fromkeys(f"`-- tidelock: accept-loss {shown(each.aggregate)}: why`" for each in losses)),
            detail="\n".join(f"{place}\n  {text}" for place, text in places),
        )


class CursorHeld(LedgerFault):
    """A cursor whose query runs as the transaction commits, too late to be undone, while there is history to lose."""

    code = "L055"

    def __init__(self, place: Place, cursor: str, query: str, losses: Sequence[Loss]) -> None:
        kept = "; ".join(dict.fromkeys(map(counted, losses)))
        super().__init__(
            f"{place}: cursor {cursor} is WITH HOLD: what is left of its query runs as the transaction commits, when "
            f"nothing can be undone any more; it was rolled back; {kept}",
            hint="CLOSE it before the end of the transaction, or declare it WITHOUT HOLD; or "
            + ", ".join(dict.fromkeys(f"`-- tidelock: accept-loss {shown(each.aggregate)}: why`" for each in losses)),
            detail=f"  {query}",
        )


class DefaultsForgotten(LedgerFault):
    """Chunks would be written anew whose columnstore does not hold the values of a column."""

    code = "L046"

    def __init__(self, place: Place, text: str, columns: Sequence[tuple[str, str, int]]) -> None:
        told = "; ".join(
            f"{column} of {shown(table)} becomes NULL in {chunks:,} compressed chunk{'' if chunks == 1 else 's'}"
            for table, column, chunks in columns
        )
        super().__init__(
            f"{place}: {told}: no chunk holds the value, and this writes the chunks anew",
            hint="make it durable first: compress_chunk(decompress_chunk(chunk)) of each compressed chunk of "
            f"{shown(columns[0][0])}; or `-- tidelock: allow L046: why`",
            detail=f"  {text}",
        )
