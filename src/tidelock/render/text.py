"""Values to plain text: the same facts in a pipe as on a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.report import Happening, exit_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidelock.core.report import AppliedMigration, Event, Report
    from tidelock.errors import TidelockError


COMMANDS = ("kubectl ", "pip ", "tidelock ")
LAST = 3
"""Of what was applied before a failure, those that are named."""


def span(seconds: float) -> str:
    """`38 ms`, `4.2 s`, `3 min 12 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def size(count: float) -> str:
    """`482 MB`, `9.6 GB`: of 1,000 bytes each, as stores and disks count."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def applied_line(applied: AppliedMigration) -> str:
    """One migration that is done."""
    count = f"{applied.statements} statement" + ("" if applied.statements == 1 else "s")
    how = [
        f"{applied.steps} steps" if applied.steps > 1 else "alone" if applied.alone else "1 transaction",
        count,
    ]
    if applied.locks:
        how.append("locks " + ", ".join(applied.locks[:3]) + (" …" if len(applied.locks) > 3 else ""))
    return f" ✓ {applied.label:<32} {' · '.join(how):<48} {span(applied.duration_s):>8}"


def event_line(event: Event) -> str:
    """One event, as a line (or more) for stderr."""
    place = f"{event.place}: " if event.place else ""
    match event.what:
        case Happening.NOTICE:
            return f"   {place}{event.severity}: {event.text}"
        case Happening.ROWS:
            return "\n".join(f"   {line}" for line in (f"{place}rows", *event.text.splitlines()))
        case Happening.RECOVERED:
            return f" ? {place}{event.text}"
        case Happening.WAITING:
            return f" … {event.text}"
        case Happening.NOTE:
            return f"   {event.severity or 'note'}: {event.text}"
        case Happening.MIGRATION:
            return f" → {event.label:<32} {event.text}"
        case Happening.PROGRESS:
            return f"   {event.label} {event.text}" + (f" {event.fraction:.0%}" if event.fraction is not None else "")
    return f"   {place}{event.text}"


def summary(report: Report) -> str:
    """The last line of a run."""
    if report.failure is not None:
        return with_critical(failure(report.failure, applied=report.applied, ends=not report.fallen), report)
    if not report.applied:
        shown = f"{report.target}  {report.applied_before} applied, 0 pending. Nothing to do."
        return with_critical(f"{shown}   {span(report.duration_s)}", report)
    longest = max(each.lock_wait_s for each in report.applied)
    shown = f"Applied {len(report.applied)} in {span(report.duration_s)}. Longest wait for a lock: {span(longest)}."
    return with_critical(shown, report)


def with_critical(shown: str, report: Report) -> str:
    """The same with a word on the tables that the application cannot start without."""
    if not report.critical:
        return shown
    from tidelock.render import critical

    if not report.fallen:
        return shown if report.failure or not report.applied else f"{shown}{critical.summary(report.critical)}"
    return f"{shown}\n\n{critical.text(report.critical)}\n  exit {exit_code(report)}"


def failure(error: TidelockError, *, applied: Sequence[AppliedMigration] = (), ends: bool = True) -> str:
    """What happened, where, with which values, and what to do now. `ends`: the command ends with its exit code."""
    lines = [f"✗ {error.code} {error.message}{staying(applied)}"]
    if error.detail:
        lines += ["", *(f"  {line}" for line in error.detail.splitlines()), ""]
    if error.hint:
        lines.append(f"  {sentence(error.hint)}")
    lines.append(
        f"  exit {error.exit_code} · tidelock explain {error.code}" if ends else f"  tidelock explain {error.code}"
    )
    return "\n".join(lines)


def staying(applied: Sequence[AppliedMigration]) -> str:
    """` (003 b was applied before, and stays)`; of many the last, and how many."""
    if not applied:
        return ""
    *others, last = (each.label for each in applied[-LAST:])
    if len(applied) > LAST:
        return f" ({len(applied)} were applied before, the last of them {', '.join(others)} and {last}, and stay)"
    named = f"{', '.join(others)} and {last}" if others else last
    return f" ({named} {'were' if others else 'was'} applied before, and {'stay' if others else 'stays'})"


def sentence(hint: str) -> str:
    """A hint as a sentence; a command at its beginning stays as it is typed."""
    first = hint if hint.startswith(COMMANDS) else f"{hint[0].upper()}{hint[1:]}"
    return first if first[-1] in ".?!" else f"{first}."


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need to be."""
    rows = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
