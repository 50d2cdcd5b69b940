"""The live view on a terminal: what runs now, for how long, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from tidelock.core.report import Happening
from tidelock.render import standing, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from rich.progress import TaskID

    from tidelock.app.status import Standing
    from tidelock.core.aggregates import Stock
    from tidelock.core.report import Event

STYLES = {
    Happening.WAITING: "yellow",
    Happening.RECOVERED: "yellow",
    Happening.NOTICE: "dim",
    Happening.ROWS: "dim",
    Happening.NOTE: "dim",
}


class Live:
    """One line that moves, and lines above it that stay."""

    def __init__(self) -> None:
        self.console = Console(stderr=False, highlight=False)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[phase]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            refresh_per_second=8,
        )
        self.task: TaskID | None = None

    def emit(self, event: Event) -> None:
        """Show it. rich's own lock makes this safe from the watching thread."""
        match event.what:
            case Happening.MIGRATION:
                self._begin(event)
            case Happening.PROGRESS if self.task is not None:
                total = 1.0 if event.fraction is not None else None
                self.progress.update(self.task, completed=event.fraction or 0, total=total, phase=event.text)
            case Happening.APPLIED if event.applied is not None:
                self._end()
                self.console.print(Text(text.applied_line(event.applied), style="green"), soft_wrap=True)
            case Happening.TARGET:
                self.console.print(Text(event.text, style="bold"), soft_wrap=True)
            case _:
                self.console.print(Text(text.event_line(event), style=STYLES.get(event.what, "")), soft_wrap=True)

    def _begin(self, event: Event) -> None:
        self._end()
        self.progress.start()
        self.task = self.progress.add_task(event.label, total=None, phase=event.text)

    def _end(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None

    def close(self) -> None:
        """Give the terminal back."""
        self._end()
        self.progress.stop()


STATES = {"applied": "green", "pending": "yellow", "interrupted": "yellow"}


def show_standing(found: Standing, journal: Sequence[dict[str, Any]] | None) -> None:
    """Status as a table: what is well is green, what waits is yellow, what is wrong is red."""
    versions = Table("version", "name", "state", "applied", box=None, header_style="dim", pad_edge=False)
    for number, name, state, when in standing.rows(found):
        versions.add_row(
            number, name, Text(state, style=STATES.get(state.rstrip("*"), "bold red")), Text(when, style="dim")
        )
    parts: list[Any] = [Text(standing.headline(found), style="bold"), versions]
    parts += [Text(line, style="yellow") for line in standing.critical_tables(found)]
    if journal is not None:
        parts += ["", Text(standing.history(journal))]
    parts += [Text(f"\n{text.failure(error, ends=False)}", style="red") for error in found.trouble]
    Console(highlight=False).print(Group(*parts))


def show_aggregates(target: str, stock: Stock) -> None:
    """Aggregates and hypertables as tables, and beneath them what is wrong."""
    from tidelock.render import aggregates

    parts: list[Any] = [Text(aggregates.headline(target, stock), style="bold")]
    titles = ("aggregate", "from", "bucket", "materialized", "raw data since", "only here", "refresh", "size")
    parts += table_of(titles, aggregates.rows(stock))
    parts += table_of(
        ("hypertable", "chunks", "compressed", "from … to", "policies", "size"), aggregates.hypertable_rows(stock)
    )
    console = Console(highlight=False)
    console.print(Group(*parts))
    for line in aggregates.wrong(stock):  # SQL to copy: not broken into lines
        console.print(Text(line, style="red" if "✗" in line else ""), soft_wrap=True)


def table_of(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[Any]:
    """A table with an empty line above; nothing without rows."""
    found = list(rows)
    if not found:
        return []
    shown = Table(*titles, box=None, header_style="dim", pad_edge=False)
    for row in found:
        shown.add_row(*map(Text, row))
    return ["", shown]


def show_page(markdown: str) -> None:
    """A page of the documentation."""
    Console().print(Markdown(markdown))
