"""Values to JSON, in the shapes of `docs/schema/`. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.core.report import exit_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.critical import Standing
    from tidelock.core.danger import Danger
    from tidelock.core.model import Place, Plan, PlannedMigration
    from tidelock.core.report import AppliedMigration, Event, Finding, Report
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.errors import TidelockError

SCHEMA = 1
"""Version of the shapes; grows when a field changes its meaning or goes."""


def dumps(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """One document, readable."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def line(value: Mapping[str, Any]) -> str:
    """One document on one line, for logs."""
    return json.dumps(value, ensure_ascii=False, default=str)


def report(value: Report) -> dict[str, Any]:
    """The end of a run."""
    return {
        "schema": SCHEMA,
        "command": value.command,
        "target": value.target,
        "exit_code": exit_code(value),
        "plan": value.plan.id if value.plan else None,
        "applied_before": value.applied_before,
        "applied": [applied(each) for each in value.applied],
        "version": value.version,
        "pending": value.pending,
        "findings": [finding(each) for each in value.findings],
        "failure": failure(value.failure) if value.failure else None,
        **({"critical": critical(value.critical)} if value.critical else {}),
        "duration_s": round(value.duration_s, 3),
    }


def critical(value: Sequence[Standing]) -> list[dict[str, Any]]:
    """How the critical tables stand."""
    from tidelock.render.critical import data

    return data(value)


def applied(value: AppliedMigration) -> dict[str, Any]:
    """One migration that is done."""
    return {
        "version": value.version,
        "name": value.label,
        "path": value.path,
        "steps": value.steps,
        "statements": value.statements,
        "alone": value.alone,
        "duration_s": round(value.duration_s, 3),
        "lock_wait_s": round(value.lock_wait_s, 3),
        "locks": list(value.locks),
    }


def finding(value: Finding) -> dict[str, Any]:
    """One remark."""
    return {
        "code": value.code,
        "severity": value.severity.value,
        "message": value.message,
        "place": place(value.place),
        "hint": value.hint,
    }


def failure(value: TidelockError) -> dict[str, Any]:
    """A fault, with all that its text says."""
    return {
        "code": value.code,
        "message": value.message,
        "hint": value.hint,
        "detail": value.detail,
        "exit_code": value.exit_code,
    }


def place(value: Place | None) -> dict[str, Any] | None:
    """A position in a file, counted from 1."""
    return {"path": value.path, "line": value.line, "column": value.column} if value else None


def event(value: Event) -> dict[str, Any]:
    """Something that happened, for the log."""
    found = {
        "event": value.what.value,
        "text": value.text,
        "version": value.version,
        "migration": value.label or None,
        "place": str(value.place) if value.place else None,
        "fraction": value.fraction,
        "severity": value.severity or None,
    }
    known = {name: item for name, item in found.items() if item is not None}
    if value.applied:
        done = applied(value.applied)
        known |= {name: done[name] for name in ("steps", "statements", "alone", "duration_s", "lock_wait_s", "locks")}
    return known


def plan(
    value: Plan,
    target: str,
    findings: Sequence[Finding] = (),
    refusal: TidelockError | None = None,
    dangers: Sequence[Danger] | None = None,
) -> dict[str, Any]:
    """What would run, what should be known of it, and why it must not."""
    return {
        "schema": SCHEMA,
        "command": "plan",
        "target": target,
        "plan": value.id,
        "applied": value.applied,
        "cosmetic": list(value.cosmetic),
        "ahead": list(value.ahead),
        "missing": list(value.missing),
        "pending": [planned(each) for each in value.pending],
        **({"findings": [finding(each) for each in findings]} if findings else {}),
        **({"failure": failure(refusal)} if refusal else {}),
        **({} if dangers is None else {"backup": [danger(each) for each in dangers]}),
    }


def danger(value: Danger) -> dict[str, Any]:
    """Why a backup comes first."""
    return {"place": str(value.place), "why": value.why, "tables": list(value.tables)}


def planned(value: PlannedMigration) -> dict[str, Any]:
    """One pending migration."""
    return {
        "version": value.migration.version,
        "name": value.migration.label,
        "path": value.migration.path,
        "sha256": value.migration.checksum,
        "tokens": value.script.tokens,
        "done": value.done,
        "steps": [step(each) for each in value.steps],
        "interrupted": value.interrupted.step if value.interrupted else None,
    }


def step(value: Step) -> dict[str, Any]:
    """One step."""
    return {
        "number": value.number,
        "mode": value.mode.value,
        "reason": value.reason,
        "statements": [statement(each) for each in value.statements],
    }


def statement(value: Statement) -> dict[str, Any]:
    """One statement; a secret in it as stars."""
    from tidelock.core.lint.syntax import unreadable
    from tidelock.core.secrets import masked

    slip = unreadable(value)
    return {
        "place": place(value.place),
        "text": masked(value.shown),
        "command": value.facts.command,
        "kind": value.facts.kind.value,
        "runtime": value.runtime,
        "locks": [{"table": lock.table, "mode": lock.mode, "rewrite": lock.rewrite} for lock in value.facts.locks],
        "unreadable": {"message": slip.message, "hint": slip.hint, "place": place(slip.place)} if slip else None,
    }
