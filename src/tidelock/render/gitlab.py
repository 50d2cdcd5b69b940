"""Findings as GitLab's code quality report. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.core.report import Finding

LEVELS = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTE: "info"}


def data(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """A list of issues. The fingerprint leaves the line out, so that an issue stays the same when lines move."""
    seen: dict[str, int] = {}
    return [issue(each, seen) for each in findings if each.place]


def issue(finding: Finding, seen: dict[str, int]) -> dict[str, Any]:
    """One finding. `seen` counts equal ones."""
    assert finding.place is not None, "chosen so"
    same = f"{finding.code}\0{finding.place.path}\0{finding.message}"
    number = seen[same] = seen.get(same, -1) + 1
    return {
        "description": f"{finding.title}: {finding.message}" if finding.title else finding.message,
        "check_name": finding.code,
        "fingerprint": hashlib.sha256(f"{same}\0{number}".encode(errors="replace")).hexdigest(),
        "severity": LEVELS[finding.severity],
        "location": {
            "path": finding.place.path,
            "lines": {"begin": finding.place.line, "end": max(finding.end_line, finding.place.line)},
        },
    }
