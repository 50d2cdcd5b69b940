"""Work shared out among processes, one for each core: reading is computation, and Python's threads share one core.

Each process takes a part of a row of items, and what it tells reaches all processes behind it: what rules say of a
file depends on the files before it.
"""

from __future__ import annotations

import io
import os
import pickle
import threading
from contextlib import suppress
from dataclasses import field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Ways = Mapping[type[Any], Callable[[Any], Any]]
    """Type → how its values travel, as copyreg has it."""

Result = TypeVar("Result")

MOST = 8
"""Processes; more of them only wait for one another."""
LEAST = 60_000
"""Size of a part that is worth a process: starting one and hearing from it takes as long as reading so many bytes."""
AHEAD = 1.08
"""How much larger the first part is than the others: those take in what it tells before they go on, and if it is too
large they wait for it first."""


def parts(sizes: Sequence[int]) -> list[slice]:
    """A row of items in parts of about one size, as many as there are cores to work on them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = max(1, min(cores, MOST, sum(sizes) // LEAST)) if hasattr(os, "fork") else 1
    share = sum(sizes) / (AHEAD + count - 1)
    ends: list[int] = []
    upto = 0
    for number, size in enumerate(sizes):
        if upto >= share * (AHEAD + len(ends)) and len(ends) < count - 1:
            ends.append(number)
        upto += size
    return [slice(first, end) for first, end in zip([0, *ends], [*ends, len(sizes)], strict=True)]


@record(frozen=False, slots=True)
class Link:
    """A process's place in the row."""

    ways: Ways
    before: BinaryIO | None = None
    """Where it hears from the processes before it; None for the first."""
    behind: BinaryIO | None = None
    """Where it tells those behind it; None for the last."""
    own: list[bytes] = field(default_factory=list, init=False)
    """What it has to tell once it has heard those before it."""
    telling: threading.Thread | None = field(default=None, init=False)
    keeps: Any = field(default=None, init=False)
    """What need not be taken apart before a result is told."""

    def tell(self, value: Any) -> None:
        """Give a value to all processes behind, after those that the processes before give."""
        if self.behind:
            give = self.own.append if self.before else self._write
            give(packed(value, self.ways))

    def heard(self) -> Iterator[Any]:
        """The values of the processes before, in order. To be heard to the end, once, when all of one's own is told."""
        while self.before and (data := pickle.load(self.before)):  # noqa: S301 - our own process's
            self._write(data)
            yield pickle.loads(data)  # noqa: S301 - likewise
        for each in (*self.own, END):
            self._write(each)

    def _write(self, data: bytes) -> None:
        """In a thread: those behind may still be busy."""
        if self.behind:
            self.telling = threading.Thread(target=written, args=(data, self.behind, self.telling), daemon=True)
            self.telling.start()

    def close(self) -> None:
        """Wait until those behind have heard all."""
        if self.telling:
            self.telling.join()
        for each in filter(None, (self.before, self.behind)):
            with suppress(BrokenPipeError):
                each.close()


END = b""


def written(data: bytes, pipe: BinaryIO, after: threading.Thread | None) -> None:
    """Write to a pipe, behind what a thread still writes. That nobody reads it is another process's fault to tell."""
    if after:
        after.join()
    with suppress(BrokenPipeError):
        pickle.dump(data, pipe)
        pipe.flush()


def in_a_row(work: Callable[[slice, Link], Result], row: Sequence[slice], ways: Ways) -> list[Result] | None:
    """`work` of each part, in order: of the first here, of the others in processes of their own.

    None when a process raised or died: the caller does all of it again, and hears why.
    """
    links = [os.pipe() for _ in row[1:]]
    others = [started(work, number, row, links, ways) for number in range(1, len(row))]
    first = Link(ways, *kept(links, 0))
    results: list[Result] | None = [work(row[0], first)]
    for pid, pipe in others:
        with os.fdopen(pipe, "rb") as file:
            answer = file.read()
        if os.waitpid(pid, 0)[1] != 0:
            results = None
        elif results is not None:
            results.append(pickle.loads(answer))  # noqa: S301 - our own child's
    first.close()
    return results


def kept(links: Sequence[tuple[int, int]], number: int) -> tuple[BinaryIO | None, BinaryIO | None]:
    """The ends that a process in the row has to do with; it closes all others, so that each end has one holder."""
    for place, (reading, writing) in enumerate(links):
        for end, mine in ((reading, place == number - 1), (writing, place == number)):
            if not mine:
                os.close(end)
    before = os.fdopen(links[number - 1][0], "rb") if number else None
    return before, os.fdopen(links[number][1], "wb") if number < len(links) else None


def started(
    work: Callable[[slice, Link], Result],
    number: int,
    row: Sequence[slice],
    links: Sequence[tuple[int, int]],
    ways: Ways,
) -> tuple[int, int]:
    """A child at work: its process id, and the pipe that its result comes through."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        link = Link(ways, *kept(links, number))
        with os.fdopen(writing, "wb") as file:
            file.write(packed(work(row[number], link), ways))
        link.close()
        code = 0
    finally:
        os._exit(code)


def packed(value: Any, ways: Ways) -> bytes:
    """A value as bytes."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = ways
    pickler.dump(value)
    return file.getvalue()


def by_fields(cls: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Values of a frozen dataclass travel as their fields: twice as fast as their own way."""
    names = tuple(each.name for each in fields(cls))
    values = attrgetter(*names)
    return lambda value: (rebuilt, (cls, names, values(value)))


def rebuilt(cls: type[Any], names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """The value again; it was checked when it was made."""
    made = object.__new__(cls)
    for name, value in zip(names, values):  # noqa: B905 - of one dataclass
        setattr(made, name, value)
    return made
