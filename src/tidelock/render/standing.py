"""Status, history and interrupted steps as text and data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.critical import Footing
from tidelock.core.secrets import masked
from tidelock.render import json
from tidelock.render.text import failure, span, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.status import Standing
    from tidelock.core.model import PlannedMigration, StepRecord


def headline(found: Standing) -> str:
    """Target and counts."""
    observed = found.observed
    words = f"{found.target}  {len(observed.applied)} applied, {len(found.pending)} pending"
    if found.orphans:
        words += f", {len(found.orphans)} without a file"
    return words if observed.clean else f"{words}, a run is at work or died: {found.holder}"


def text(found: Standing, journal: Sequence[dict[str, Any]] | None) -> str:
    """A line for the target, a table of versions, and what `apply` would stumble over."""
    shown = rows(found)
    lines = [headline(found), "", table(shown)] if shown else [headline(found)]
    lines += critical_tables(found)
    if journal is not None:
        lines += ["", history(journal)]
    for error in found.trouble:
        lines += ["", failure(error, ends=False)]
    return "\n".join(lines)


def rows(found: Standing) -> list[tuple[str, str, str, str]]:
    """Version, name, state, when and by whom."""
    edited = {error.message.split(" ")[0] for error in found.trouble if error.code == "L002"}
    shown: list[tuple[int, tuple[str, str, str, str]]] = []
    for file in found.files:
        entry = found.observed.applied.get(file.version)
        number, _, name = file.label.partition(" ")
        if entry is None:
            state = unfinished(found.observed.unfinished.get(file.version, ()))
            shown.append((file.version, (number, name, state, "")))
        else:
            state = "EDITED" if file.path in edited else "applied*" if file.path in found.cosmetic else "applied"
            when = f"{entry.applied_at:%Y-%m-%d %H:%M}" if entry.applied_at else ""
            shown.append((file.version, (number, name, state, f"{when} {entry.applied_by or ''}".strip())))
    shown += [
        (
            each.version,
            (
                str(each.version),
                each.description,
                "NO FILE",
                f"{each.applied_at:%Y-%m-%d %H:%M}" if each.applied_at else "",
            ),
        )
        for each in found.orphans
    ]
    return [row for _, row in sorted(shown)]


def critical_tables(found: Standing) -> list[str]:
    """A line for each critical table that does not stand on its migration. One whose turn is yet to come is pending."""
    pending = {file.version for file in found.pending}
    lines = [
        f"{MARKS[each.footing]} {each.told}"
        for each in found.critical
        if each.told and not (each.footing is Footing.MISSING and each.critical.migration in pending)
    ]
    return ["", *lines, "  mend what failed and run `tidelock apply`; `tidelock verify` checks more"] if lines else []


MARKS = {Footing.FALLBACK: "!", Footing.MISSING: "✗"}


def unfinished(records: Sequence[StepRecord]) -> str:
    """What is to be said of a version that is not in the ledger, by the last word on its steps."""
    if not records:
        return "pending"
    return "failed" if records[-1].outcome == "failed" else "interrupted"


def data(found: Standing, journal: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """The same as data."""
    observed = found.observed
    shown: dict[str, Any] = {
        "schema": json.SCHEMA,
        "command": "status",
        "target": found.target,
        "server_version": observed.server_version,
        "applied": [
            {
                "version": each.version,
                "description": each.description,
                "applied_at": each.applied_at,
                "applied_by": each.applied_by,
                "commit": each.commit,
                "backup": each.backup,
                "sha256": each.checksum,
            }
            for _, each in sorted(observed.applied.items())
        ],
        "pending": [{"version": each.version, "name": each.label, "path": each.path} for each in found.pending],
        "without_file": [each.version for each in found.orphans],
        "cosmetic": list(found.cosmetic),
        "unfinished": sorted(observed.unfinished),
        "clean": observed.clean,
        "holder": found.holder or None,
        "trouble": [json.failure(error) for error in found.trouble],
        **({"critical": json.critical(found.critical)} if found.critical else {}),
    }
    if journal is not None:
        shown["history"] = list(journal)
    return shown


def history(journal: Sequence[dict[str, Any]]) -> str:
    """The journal's lines, newest first."""
    if not journal:
        return "The journal is empty."
    shown = [("at", "run", "event", "version", "step", "took", "waited", "what")]
    for entry in journal:
        detail = entry["detail"] or {}
        what = detail.get("message") or detail.get("why") or entry["statement"] or detail.get("who") or ""
        if entry["event"] == "run" and detail.get("commit"):
            what = f"{what} from commit {detail['commit'][:10]}"
        shown.append(
            (
                f"{entry['at']:%Y-%m-%d %H:%M:%S}",
                entry["run_id"],
                entry["event"],
                str(entry["version"] or ""),
                str(entry["step"] or ""),
                span(entry["duration_ms"] / 1000) if entry["duration_ms"] is not None else "",
                span(entry["lock_wait_ms"] / 1000) if entry["lock_wait_ms"] else "",
                " ".join(str(what).split())[:80],
            )
        )
    return table(shown)


def interrupted_text(
    found: PlannedMigration | None,
    target: str,
    decision: str,
    *,
    goes_on: bool = False,
    why: str = "",
    runs: bool = False,
) -> str:
    """The statement that was cut off, what is known, and what can be decided. `runs`: `why` says who executes it."""
    if found is None or found.interrupted is None:
        return f"{target}  nothing was interrupted."
    record, step = found.interrupted, found.steps[found.done]
    lines = [
        (
            f"{target}  {found.migration.label}, step {record.step} of {len(found.steps)}: {record.outcome.value} "
            f"at {record.at:%Y-%m-%d %H:%M:%S %Z} by run {record.run_id}"
        ),
        f"  {step.statements[0].place}" if step.statements else "",
        *(f"    {line}" for line in masked(record.statement).splitlines()),
    ]
    known = record.evidence.get("objects")
    if isinstance(known, list) and known:
        lines.append(
            "  before it ran: "
            + ", ".join(
                f"{each['kind']} {each['name'] or '(unnamed)'} {each['state'] or 'not asked'}" for each in known
            )
        )
    if decision:
        lines.append(f"  {decision[0].upper()}{decision[1:]}.")
    elif runs:
        lines.append(
            f"  It runs now: {why}.\n  Nothing is to be decided yet: wait for its end, "
            "or end it with pg_terminate_backend(pid), and look again."
        )
    elif goes_on:
        lines.append(f"  What is known: {why}. `tidelock apply` goes on by itself.")
    else:
        lines.append(
            f"  What is known: {why}. Look at the database, then\n"
            "  `tidelock recover --mark-done` when it ran, `tidelock recover --retry` when it did not."
        )
    return "\n".join(line for line in lines if line)


def interrupted_data(
    found: PlannedMigration | None, decision: str, *, goes_on: bool = False, why: str = ""
) -> dict[str, Any]:
    """The same as data."""
    shown: dict[str, Any] = {
        "schema": json.SCHEMA,
        "command": "recover",
        "interrupted": None,
        "decision": decision or None,
    }
    if found is not None and found.interrupted is not None:
        record = found.interrupted
        shown["interrupted"] = {
            "version": record.version,
            "step": record.step,
            "outcome": record.outcome.value,
            "at": record.at,
            "run_id": record.run_id,
            "statement": masked(record.statement),
            "evidence": dict(record.evidence),
            "apply_goes_on": goes_on,
            "why": why,
        }
    return shown
