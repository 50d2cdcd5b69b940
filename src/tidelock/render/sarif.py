"""Findings as SARIF 2.1.0, which code scanning services read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tidelock import __version__
from tidelock.core.lint.rule import RULES
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.report import Finding

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def data(findings: Sequence[Finding]) -> dict[str, Any]:
    """A log with one run. Rules that are not lint's (a file that cannot be read) have their code alone."""
    codes = sorted({each.code for each in findings})
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Tidelock",
                        "version": __version__,
                        "rules": [descriptor(each) for each in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [result(each, codes.index(each.code)) for each in findings],
            }
        ],
    }


def descriptor(code: str) -> dict[str, Any]:
    """What a rule is."""
    rule = RULES.get(code)
    if rule is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def result(finding: Finding, rule_index: int) -> dict[str, Any]:
    """One finding with its place."""
    text = f"{finding.message}. {finding.hint}".rstrip(". ") + "."
    found: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": LEVELS[finding.severity],
        "message": {"text": text},
    }
    if place := finding.place:
        region = {"startLine": place.line, "startColumn": place.column}
        if finding.end_line > place.line:
            region["endLine"] = finding.end_line
        found["locations"] = [
            {"physicalLocation": {"artifactLocation": {"uri": quote(place.path, errors="replace")}, "region": region}}
        ]
    return found
