"""Findings as GitHub's workflow commands: annotations at the lines of a pull request. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.report import Severity
from tidelock.core.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.core.report import Finding

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def text(findings: Iterable[Finding]) -> str:
    """A line for each finding."""
    return "\n".join(map(annotation, findings))


def annotation(finding: Finding) -> str:
    """`::error file=…,line=…,title=…::message`."""
    place = finding.place
    where = {
        "file": place.path if place else "",
        "line": str(place.line) if place else "",
        "endLine": str(finding.end_line or place.line) if place else "",
        "col": str(place.column) if place and finding.end_line <= place.line else "",
        "title": f"{finding.code} {finding.title}".strip(),
    }
    properties = ",".join(f"{name}={escaped(value, properties=True)}" for name, value in where.items() if value)
    message = "\n".join(filter(None, (finding.message, finding.hint, masked(finding.rewrite))))
    return f"::{LEVELS[finding.severity]} {properties}::{escaped(message)}"


def escaped(value: str, *, properties: bool = False) -> str:
    """As the runner reads it back."""
    value = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return value.replace(":", "%3A").replace(",", "%2C") if properties else value
