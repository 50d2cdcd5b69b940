"""Proofs of all files at once: after a fallback, and from the state of a live database."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from tidelock.app.adopt import adopt
from tidelock.app.apply import Run
from tidelock.app.critical import fall_back
from tidelock.app.proving.context import WORD, place_of
from tidelock.app.proving.line import Line
from tidelock.app.sinks import Silent
from tidelock.core.model import Place
from tidelock.core.proof import Outcome, Proof, Result, changed_columns, row_changes, schema_changes
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.proving.context import Proving
    from tidelock.core.critical import Critical
    from tidelock.core.proof import State


def result(
    proof: Proof, label: str, evidence: str, findings: Sequence[Finding], began: float, count: int = 1
) -> Result:
    """One of them."""
    bad = any(each.severity is Severity.ERROR for each in findings)
    return Result(
        proof=proof,
        outcome=Outcome.REFUTED if bad else Outcome.PROVED,
        label=label,
        evidence=evidence,
        count=count,
        findings=tuple(findings),
        duration_s=time.monotonic() - began,
    )


# --- fallback --------------------------------------------------------------------------------------------------------


def fallbacks(proving: Proving) -> None:
    """Each fallback script on an empty database, and then all migrations."""
    paths = dict.fromkeys(each.fallback for each in proving.critical if each.fallback)
    for path in paths:
        if proving.stopped:
            return
        tables = [each for each in proving.critical if each.fallback == path]
        proving.tell(f"fallback {path}", len(proving.files))
        proving.add(fallback(proving, path, tables))


def fallback(proving: Proving, path: str, tables: Sequence[Critical]) -> Result:
    """One of them: on an empty database, or where it wants the tables of earlier files, on what those make."""
    began = time.monotonic()
    version = min((each.migration for each in tables if each.migration is not None), default=0)
    before = sum(file.version < version for file in proving.files)
    line = Line(proving)
    try:
        line.stand(0)
        where, why = "on an empty database", made(proving, line.name, path, tables)
        if why and before:
            line.lose()
            line.stand(before)
            where = f"where {proving.files[before].label} has failed"
            why = with_those_before(proving, line.name, path, version)
        if why:
            return result(Proof.FALLBACK, path, "", [unfit(path, f"it fails {where}", why)], began)
        report = proving.apply(proving.shadows.database(line.name), len(proving.files))
        if report.failure is not None:
            words = f"after it, {where}: {report.failure.code} {report.failure.message}"
            return result(Proof.FALLBACK, path, "", [unfit(path, words, report.failure.detail)], began)
        after = proving.shadows.state(line.name)
    finally:
        line.lose()
    findings = [unfit(path, f"{where}, the end is another: {change}") for change in changes(proving, after)]
    words = "" if findings else f"{where}, then all migrations: same end"
    return result(Proof.FALLBACK, path, words, findings, began)


def with_those_before(proving: Proving, name: str, path: str, version: int) -> str:
    """Run it as `apply` would after its migration has failed: with the scripts that stand before it and are due too."""
    due = [each for each in proving.critical if each.fallback and each.migration in (None, version)]
    for each in dict.fromkeys(one.fallback for one in due):
        why = made(proving, name, each, [one for one in due if one.fallback == each])
        if why or each == path:
            return why
    return ""


def made(proving: Proving, name: str, path: str, tables: Sequence[Critical]) -> str:
    """Run the script as `apply` would after a failure; empty when it went well."""
    database = proving.shadows.database(name)
    with closing(database):
        run = Run(database=database, reader=proving.reader.of(()), sink=Silent(), fallback=proving.fallback)
        database.observe()
        return next(iter(fall_back(run, path, tables).values()), "")


def changes(proving: Proving, after: State) -> list[str]:
    """What differs from the end without a fallback. Clocks and random numbers differ each time: a control run tells."""
    assert proving.last is not None
    found = schema_changes(proving.last, after)
    but = proving.noise | proving.last.drawn
    if rows := row_changes(proving.last, after, but):
        control = Line(proving)
        try:
            control.stand(len(proving.files))
            proving.noise |= changed_columns(proving.last, proving.shadows.state(control.name))
        finally:
            control.lose()
        rows = row_changes(proving.last, after, proving.noise | proving.last.drawn)
    return [*found, *rows]


def unfit(path: str, words: str, detail: str = "") -> Finding:
    """A fallback that does not do what it is for."""
    return Finding(
        code="P006",
        severity=Severity.ERROR,
        message=f"fallback {path}: {words}",
        place=Place(path, 1),
        hint="write into it what the migration makes, with IF NOT EXISTS in both: `tidelock new --critical TABLE`",
        detail=detail,
    )


# --- upgrade ---------------------------------------------------------------------------------------------------------


def beginning(proving: Proving) -> str:
    """A database as the live one is: copied, or made of a snapshot, whose versions are then recorded as applied."""
    wanted = proving.wanted
    if wanted.source:
        words = {word for file in proving.files for word in WORD.findall(file.text)}
        return proving.shadows.copy_of(wanted.source, words)
    name = proving.shadows.made_of(wanted.stored)
    database = proving.shadows.database(name)
    with closing(database):
        report, _ = adopt(Run(database=database, reader=proving.reader, sink=Silent()), wanted.stored_at)
    if report.failure is not None:
        raise report.failure
    return name


def upgrade(proving: Proving) -> None:
    """What is pending, on the schema of a live database."""
    began = time.monotonic()
    proving.tell("upgrade", len(proving.files))
    name = beginning(proving)
    try:
        report = proving.apply(proving.shadows.database(name), len(proving.files))
    finally:
        proving.shadows.drop(name)
        proving.note_roles()
        proving.shadows.drop_roles()
    pending = len(report.plan.pending) if report.plan else 0
    shown = f"{report.applied_before} applied there, {pending} pending"
    findings = []
    if report.failure is not None:
        failed = report.plan.pending[len(report.applied)].migration if report.plan and pending else None
        findings = [
            Finding(
                code="P005",
                severity=Severity.ERROR,
                message=f"does not apply to the live schema: {report.failure.code} {report.failure.message}",
                place=place_of(report.failure, failed) if failed else None,
                hint="the live schema differs from what the files make: mend the one that is wrong",
                detail=report.failure.detail,
            )
        ]
    proving.add(result(Proof.UPGRADE, "the pending files", shown, findings, began, count=pending))


def without(proof: Proof, label: str, why: str) -> Result:
    """One that cannot be made."""
    return Result(proof=proof, outcome=Outcome.OPEN, label=label, evidence=why, count=0)
