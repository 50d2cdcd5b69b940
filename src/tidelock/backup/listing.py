"""What an archive lists (`pg_restore --list --verbose`), and what of it can be made as soon as a table has its rows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LINE = re.compile(r"(?P<number>\d+); \d+ \d+ (?P<what>.*)")
NEEDS = ";\tdepends on:"
OF_ONE_TABLE = re.compile(r"(?:INDEX (?!ATTACH )|CONSTRAINT |STATISTICS (?!DATA ))")
"""What needs the rows of its table and no other's. Statistics: so that ANALYZE fills them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list."""

    line: str
    number: int
    what: str
    """`INDEX public readings_at_idx owner`: names are not quoted there, and may hold blanks."""
    needs: frozenset[int]
    """Numbers of what must be there before it."""


def entries(listing: str) -> tuple[Entry, ...]:
    """All of them, in their order."""
    found: list[tuple[str, int, str, list[int]]] = []
    for line in listing.splitlines():
        if line.startswith(NEEDS) and found:
            found[-1][3].extend(map(int, line.removeprefix(NEEDS).split()))
        elif each := LINE.fullmatch(line):
            found.append((line, int(each["number"]), each["what"], []))
    return tuple(Entry(line, number, what, frozenset(needs)) for line, number, what, needs in found)


@dataclass(slots=True)
class Order:
    """When to make what follows the rows."""

    first: list[Entry] = field(default_factory=list)
    """Before the large tables: what belongs to tables that have their rows already, or have none."""
    after: dict[str, list[Entry]] = field(default_factory=dict)
    """Table → what can be made when it has its rows."""
    last: list[Entry] = field(default_factory=list)
    """When all is there: references, triggers, rules, policies, views that are filled."""

    def put(self, entry: Entry, table: str | None) -> None:
        """After a table's rows; first when it is empty, last when there is none."""
        if table is None:
            self.last.append(entry)
        else:
            (self.after.setdefault(table, []) if table else self.first).append(entry)


def ordered(everything: Sequence[Entry], following: Collection[int], tables: Mapping[str, str]) -> Order:
    """Divide what follows the rows (by number) by the large tables: names as SQL → `schema name`, as the list has them.

    Made last, as pg_restore would, is what is in doubt: when two tables' names begin alike, when an entry needs more
    than its table, say a function, which may read other tables.
    """
    owners = {
        each.number: {table for table, listed in tables.items() if each.what.startswith(f"TABLE {listed} ")}
        for each in everything
        if each.what.startswith("TABLE ")
    }
    met = Counter(table for found in owners.values() for table in found)
    order, place = Order(), dict[int, str]()
    for each in everything:
        if each.number not in following:
            continue
        where = {table for number in each.needs for table in owners.get(number, ())}
        where |= {place[number] for number in each.needs if place.get(number)}
        if (
            OF_ONE_TABLE.match(each.what)
            and len(where) <= 1
            and each.needs <= owners.keys() | place.keys()
            and all(met[table] == 1 for table in where)
        ):
            place[each.number] = next(iter(where), "")
        order.put(each, place.get(each.number))
    return order
