"""What `prove` found, as text and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.proof import Outcome, Proof
from tidelock.core.report import Severity
from tidelock.render import json
from tidelock.render.text import sentence, span, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.proof import Proven, Result
    from tidelock.core.report import Finding

MARKS = {Outcome.PROVED: "✓", Outcome.REFUTED: "✗", Outcome.OPEN: "–"}
COLUMNS = (Proof.FRESH, Proof.RERUN, Proof.INTERRUPTED, Proof.LOCKS, Proof.PREVIOUS)
SHOWN = 30
"""Findings of one kind that are listed."""


def text(proven: Proven) -> str:
    """The server, a table of files and proofs, a line for each proof, and what is wrong."""
    parts = [headline(proven), files(proven), summary(proven), problems(proven), last_line(proven)]
    return "\n\n".join(part for part in parts if part)


def headline(proven: Proven) -> str:
    """`shadow: PostgreSQL 18.6 (proved on 18, target 16: …)`."""
    on = proven.server.split()[1].partition(".")[0]
    words = f"shadow: {proven.server}"
    if proven.target and proven.target != on:
        words += f" (proved on {on}, target {proven.target}: --shadow takes a server of that version)"
    return words


def files(proven: Proven) -> str:
    """A row for each file."""
    found = {(each.version, each.proof): each for each in proven.results if each.version is not None}
    asked = [proof for proof in COLUMNS if any(each.proof is proof and each.version for each in proven.results)]
    if not asked:
        return ""
    rows = [("file", *(proof.value for proof in asked))]
    for version, label in proven.files:
        rows.append((label, *(mark(found.get((version, proof))) for proof in asked)))
    return table(rows)


def mark(result: Result | None) -> str:
    """✓, with a dot when it was proved before; ✗; –; nothing where there is nothing to prove."""
    if result is None:
        return ""
    warned = any(each.severity is Severity.WARNING for each in result.findings)
    return MARKS[result.outcome] + ("!" if warned and result.outcome is Outcome.PROVED else "") + (
        "·" if result.cached else ""
    )  # fmt: skip


def summary(proven: Proven) -> str:
    """A line for each proof."""
    found = ((proof, [each for each in proven.results if each.proof is proof]) for proof in Proof)
    return "\n".join(line(proof, results) for proof, results in found if results)


def line(proof: Proof, found: Sequence[Result]) -> str:
    """How one proof came out over all files."""
    proved = [each for each in found if each.outcome is Outcome.PROVED]
    outcome = Outcome.OPEN
    if any(each.outcome is Outcome.REFUTED for each in found):
        outcome = Outcome.REFUTED
    elif proved:
        outcome = Outcome.PROVED
    cached = sum(each.cached for each in found)
    took = sum(each.duration_s for each in found)
    more = f" ({cached} proved before)" if cached else ""
    return f" {MARKS[outcome]} {proof.value:<12} {words(proof, found, proved)}{more}   {span(took)}"


def words(proof: Proof, found: Sequence[Result], proved: Sequence[Result]) -> str:
    """What was shown, with its numbers."""
    of = f"{len(proved)} of {len(found)}"
    tried = sum(each.count for each in found)
    match proof:
        case Proof.FRESH:
            return f"{of} apply to an empty database"
        case Proof.RERUN:
            return f"{of} change nothing when run again"
        case Proof.INTERRUPTED:
            return f"{of} end the same after being cut off; {tried} cut points"
        case Proof.LOCKS:
            return f"{of} lock what is claimed; {tried} statements measured"
        case Proof.UPGRADE:
            return f"{found[0].evidence or found[0].label}"
        case Proof.FALLBACK:
            return f"{of} fallback scripts: fallback, then all: same end"
        case Proof.PREVIOUS:
            return "; ".join(each.evidence for each in found)


def problems(proven: Proven) -> str:
    """Errors and warnings, then what could not be proved."""
    shown = [finding(each) for each in proven.findings if each.severity is not Severity.NOTE]
    if len(shown) > SHOWN:
        shown = [*shown[:SHOWN], f"… {len(shown) - SHOWN} more; `--json` has them all"]
    return "\n\n".join([*shown, *notes(proven), *open_ones(proven)])


def finding(found: Finding) -> str:
    """Code, place, what, excerpt, what to do."""
    sign = "✗" if found.severity is Severity.ERROR else "!"
    where = f"{found.place}: " if found.place else ""
    lines = [f"{sign} {found.code} {where}{found.message}"]
    lines += [f"  {each}" for each in found.detail.splitlines()]
    if found.hint:
        lines.append(f"  {sentence(found.hint)}")
    return "\n".join(lines)


def notes(proven: Proven) -> list[str]:
    """What files allow."""
    found = [each for each in proven.findings if each.severity is Severity.NOTE]
    if not found:
        return []
    return ["\n".join(f"  {each.code} {each.place or ''} {each.hint}" for each in found)]


def open_ones(proven: Proven) -> list[str]:
    """Not proved, by name, with the reason: once for each file, not for each proof."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in proven.results:
        if each.outcome is Outcome.OPEN:
            reasons.setdefault((each.label, each.evidence), []).append(each.proof.value)
    if not reasons:
        return []
    lines = [f"  {label}: {why} ({', '.join(proofs)})" for (label, why), proofs in reasons.items()]
    return ["Not proved:\n" + "\n".join(lines)]


def last_line(proven: Proven) -> str:
    """The end."""
    errors = sum(each.severity is Severity.ERROR for each in proven.findings)
    warnings = sum(each.severity is Severity.WARNING for each in proven.findings)
    cached = sum(each.cached for each in proven.results)
    said = [f"{errors} refuted" if errors else "Nothing refuted"]
    said += [f"{warnings} warning" + ("s" if warnings > 1 else "")] if warnings else []
    said += [f"{proven.open} of {len(proven.results)} not proved"] if proven.open else []
    said += [f"{cached} of {len(proven.results)} proved before"] if cached else []
    shown = f"{', '.join(said)}.   {span(proven.duration_s)}"
    if proven.open:
        counts = "and counts, as it is strict" if proven.strict else "and does not count: `--strict` makes it exit 1"
        shown += f"\n  What is not proved is listed above, {counts}."
    code = next((each.code for each in proven.findings if each.severity is Severity.ERROR), "")
    ending = f"\n  exit {proven.exit_code}" if proven.exit_code else ""
    return shown + ending + (f" · tidelock explain {code}" if code else "")


def data(proven: Proven) -> dict[str, Any]:
    """In the shape of docs/schema/prove.schema.json."""
    return {
        "schema": json.SCHEMA,
        "command": "prove",
        "server": proven.server,
        "target": proven.target or None,
        "exit_code": proven.exit_code,
        "files": [{"version": version, "name": label} for version, label in proven.files],
        "results": [result(each) for each in proven.results],
        "duration_s": round(proven.duration_s, 3),
    }


def result(value: Result) -> dict[str, Any]:
    """One proof of one file, or of all."""
    return {
        "proof": value.proof.value,
        "outcome": value.outcome.value,
        "version": value.version,
        "name": value.label,
        "evidence": value.evidence,
        "count": value.count,
        "cached": value.cached,
        "findings": [{**json.finding(each), "detail": each.detail} for each in value.findings],
        "duration_s": round(value.duration_s, 3),
    }
