"""Findings as JUnit XML: a test case for each file. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.report import Finding

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def text(findings: Sequence[Finding], paths: Sequence[str]) -> str:
    """A suite; a file with errors or warnings fails, and its notes are its output."""
    cases = [case(path, [each for each in findings if each.place and each.place.path == path]) for path in paths]
    failures = sum("<failure" in each for each in cases)
    head = f'<testsuite name="tidelock lint" tests="{len(cases)}" failures="{failures}" errors="0">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"])


def case(path: str, findings: Sequence[Finding]) -> str:
    """One file."""
    wrong = [each for each in findings if each.severity is not Severity.NOTE]
    notes = [each for each in findings if each.severity is Severity.NOTE]
    inside = []
    if wrong:
        first = f"{wrong[0].code} {wrong[0].title or wrong[0].message}"
        inside.append(
            f"<failure message={attribute(first)} type={attribute(wrong[0].severity.value)}>{content(wrong)}</failure>"
        )
    if notes:
        inside.append(f"<system-out>{content(notes)}</system-out>")
    return f'<testcase classname="migrations" name={attribute(path)}>{"".join(inside)}</testcase>'


def content(findings: Sequence[Finding]) -> str:
    """Findings as lines."""
    return escape(FORBIDDEN.sub("?", "\n".join(f"{each.place}: {each.code} {each.message}" for each in findings)))


def attribute(value: str) -> str:
    """A value in quotes; a line break would become a blank."""
    inside = escape(FORBIDDEN.sub("?", value)).replace("\n", "&#10;")
    return f'"{inside}"'
