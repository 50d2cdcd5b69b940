"""Findings as text and as data. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tidelock.core.report import Severity
from tidelock.core.secrets import masked
from tidelock.render.json import SCHEMA
from tidelock.render.text import sentence, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidelock.app.lint import Linted
    from tidelock.core.report import Finding

COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
MOST_LINES = 4
"""Of a statement in an excerpt."""
MOST_ALIKE = 20
"""Findings of one rule in one file that are all shown; of more, only the first few are."""
SHOWN_ALIKE = 5


def text(results: Sequence[Linted], took_s: float, *, coloured: bool = False) -> str:
    """Each finding with the lines it is about, and a count at the end."""
    lines: list[str] = []
    for each in results:
        texts = {path: masked(text) for path, text in each.texts.items()} if each.findings else {}
        for finding, more in folded(each.findings):
            lines += shown(finding, texts, coloured=coloured)
            if more and finding.place:
                lines.append(f"  … and {more} more of {finding.code} in {finding.place.path}; `--json` lists them all.")
            lines.append("")
    findings = [finding for each in results for finding in each.findings]
    files = sum(each.files for each in results)
    counts = [
        f"{number} {severity.value}{'' if number == 1 else 's'}"
        for severity in Severity
        if (number := sum(each.severity is severity for each in findings))
    ]
    total = f"{', '.join(counts) or 'Nothing found'} in {files} file{'' if files == 1 else 's'}."
    mendable = sum(each.edit is not None for each in findings)
    lines.append(f"{total}{f' `--fix` mends {mendable} of them.' if mendable else ''}   {span(took_s)}")
    return "\n".join(lines)


def folded(findings: Sequence[Finding]) -> Iterator[tuple[Finding, int]]:
    """Findings in their order; of very many of one rule in one file the first few, the last with how many more."""
    total = Counter(map(kind, findings))
    seen = Counter[tuple[str, str]]()
    for each in findings:
        seen[kind(each)] += 1
        number, count = seen[kind(each)], total[kind(each)]
        if count <= MOST_ALIKE or number <= SHOWN_ALIKE:
            yield each, count - number if count > MOST_ALIKE and number == SHOWN_ALIKE else 0


def kind(finding: Finding) -> tuple[str, str]:
    """Its file and rule."""
    return finding.place.path if finding.place else "", finding.code


def shown(finding: Finding, texts: Mapping[str, str], *, coloured: bool) -> list[str]:
    """One finding."""
    severity = finding.severity.value
    word = f"\x1b[{COLOURS[finding.severity]}m{severity}\x1b[0m" if coloured else severity
    lines = [f"{finding.place}: {word} {finding.code} {finding.title or finding.message}"]
    if finding.place:
        lines += excerpt(finding, texts.get(finding.place.path, ""))
    if finding.title:
        lines.append(f"  {finding.message}.")  # it may begin with a name, which keeps its letters
    if finding.hint:
        lines.append(f"  {sentence(finding.hint)}")
    if finding.rewrite:
        safe = "   (`--fix` writes this)" if finding.edit else ""
        rewrite = masked(finding.rewrite).splitlines()
        lines += [f"    {line}" for line in rewrite[:-1]]
        last = rewrite[-1] if rewrite[-1].endswith(";") or "--" in rewrite[-1] else f"{rewrite[-1]};"
        lines.append(f"    {last}{safe}")
    return lines


def excerpt(finding: Finding, source: str) -> list[str]:
    """The lines of the statement, the first few, with a caret under where it begins."""
    place = finding.place
    lines = source.split("\n")
    if place is None or not source or place.line > len(lines):
        return []
    end = min(max(finding.end_line, place.line), place.line + MOST_LINES - 1)
    width = len(str(end))
    found = [f"  {number:>{width}} │ {lines[number - 1].rstrip()}" for number in range(place.line, end + 1)]
    if finding.end_line > end:
        found.append(f"  {'…':>{width}} │")
    if end == place.line and finding.end_line <= end:
        line = lines[place.line - 1].rstrip()
        blank = "".join("\t" if char == "\t" else " " for char in line[: place.column - 1])
        marks = max(1, len(line) - place.column + 1) if finding.end_line == place.line else 1
        found.append(f"  {' ' * width} │ {blank}{'^' * marks}")
    return found


def data(results: Sequence[Linted], took_s: float) -> dict[str, Any]:
    """The same for machines."""
    findings = [finding for each in results for finding in each.findings]
    return {
        "schema": SCHEMA,
        "command": "lint",
        "files": sum(each.files for each in results),
        "duration_ms": round(took_s * 1000),
        "findings": [one(each) for each in findings],
    }


def one(finding: Finding) -> dict[str, Any]:
    """One finding as data."""
    place = finding.place
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "title": finding.title or None,
        "message": finding.message,
        "hint": finding.hint or None,
        "path": place.path if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "end_line": finding.end_line or (place.line if place else None),
        "rewrite": masked(finding.rewrite) or None,
        "fixable": finding.edit is not None,
    }
