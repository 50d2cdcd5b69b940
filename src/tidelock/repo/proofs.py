"""What was proved before, as small files in the cache, by the digest of everything that it depends on."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tidelock.core.proof import Outcome, Proof, Result
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from pathlib import Path

KEPT_S = 60 * 86400.0
"""Proofs that nobody has asked for in so long are removed."""


class Proofs:
    """The port `Cache` in a folder. `folder` None keeps and finds nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Result | None:
        """A result, as it was put; None when there is none that can be read."""
        if self.folder is None:
            return None
        path = self.path(key)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            result = Result(
                proof=Proof(found["proof"]),
                outcome=Outcome(found["outcome"]),
                label=found["label"],
                version=found["version"],
                evidence=found["evidence"],
                count=found["count"],
                findings=tuple(finding(each) for each in found["findings"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with suppress(OSError):
            os.utime(path)
        return result

    def put(self, key: str, result: Result) -> None:
        """Keep it; a full disk only costs the next run its time."""
        if self.folder is None:
            return
        data = {
            "proof": result.proof,
            "outcome": result.outcome,
            "label": result.label,
            "version": result.version,
            "evidence": result.evidence,
            "count": result.count,
            "findings": [
                {"code": each.code, "severity": each.severity, "message": each.message, "hint": each.hint}
                for each in result.findings
            ],
        }
        path = self.path(key)
        part = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            part.write_text(json.dumps(data), encoding="utf-8")
            part.replace(path)

    def path(self, key: str) -> Path:
        """Where a result lies."""
        assert self.folder is not None
        proof, _, digest = key.partition(":")
        return self.folder / f"{digest[:32]}.{proof}"

    def sweep(self) -> None:
        """Remove what is old."""
        if self.folder is None:
            return
        oldest = time.time() - KEPT_S
        for path in self.folder.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def finding(found: dict[str, str]) -> Finding:
    """A remark that stopped nothing. Its place is not kept: the file says it, and lines may move."""
    return Finding(
        code=found["code"], severity=Severity(found["severity"]), message=found["message"], hint=found["hint"]
    )
