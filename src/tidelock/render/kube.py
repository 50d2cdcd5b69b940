"""What became of a deployment, as text and as data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.render.json import SCHEMA
from tidelock.render.json import line as one_line
from tidelock.render.text import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.check import Check
    from tidelock.core.rollout import Attempt, ClusterStanding, Held, Rollout

FEW = 5
TRIED_AGAIN = 75
"""The exit code of an attempt after which Kubernetes makes another."""


def rehearsed_text(namespace: str, names: Sequence[str]) -> str:
    """What the API server would accept."""
    return "\n".join([*(f"{namespace}/{each} would be accepted" for each in names), "Nothing was changed."])


def rehearsed_data(context: str, namespace: str, digest: str, names: Sequence[str]) -> dict[str, Any]:
    """The same as data."""
    return {
        "schema": SCHEMA,
        "command": "kube deploy",
        "dry_run": True,
        "context": context,
        "namespace": namespace,
        "digest": digest,
        "objects": list(names),
        "exit_code": 0,
    }


def logged(job: str, pod: str, line: str) -> str:
    """A line of a Job's log as data, on one line."""
    return one_line({"schema": SCHEMA, "command": "kube logs", "job": job, "pod": pod, "line": line})


def deployed_text(done: Rollout, duration_s: float) -> str:
    """The last line of a deployment that went well."""
    return f"Done in {span(duration_s)}: {achieved(done.summary)}."


def achieved(summary: Mapping[str, Any] | None) -> str:
    """`073, 074 applied, critical tables present`."""
    if summary is None:
        return "the Job ended well; it left no summary"
    versions = versions_of(summary)
    count = summary.get("applied_count", len(versions))
    shown = ", ".join(f"{each:03}" for each in versions[-FEW:])
    more = f" ({count} in all)" if count > len(versions[-FEW:]) else ""
    applied = f"{'… ' if more else ''}{shown}{more} applied" if count else "nothing to do"
    return applied + tables(summary.get("critical") or [])


def versions_of(summary: Mapping[str, Any]) -> list[int]:
    """What was applied, as far as the summary still says it."""
    return list(summary.get("applied_versions") or [each["version"] for each in summary.get("applied") or []])


def tables(critical: Sequence[Mapping[str, Any]]) -> str:
    """How the critical tables stand."""
    if not critical:
        return ""
    fallen = [f"{each['table']} ({each['footing']})" for each in critical if each["footing"] != "migration"]
    return f"; critical tables: {', '.join(fallen)}" if fallen else ", critical tables present"


def failed_text(done: Rollout, duration_s: float) -> str:
    """The last lines of a deployment whose Job failed; the Job's own log has said the rest."""
    count = len(done.attempts)
    tries = "" if count == 1 else f" after {count} attempts"
    last = done.last
    reason = f" ({last.reason})" if last and last.reason not in ("", "Error", "Completed") else ""
    lines = [f"✗ {done.job} failed{tries} in {span(duration_s)}{reason}"]
    failure = (done.summary or {}).get("failure")
    if failure:
        lines += [f"  {failure['code']} {failure['message']}", *([f"  {failure['hint']}"] if failure["hint"] else [])]
    lines.append(f"  exit {done.exit_code}" + (f" · tidelock explain {failure['code']}" if failure else ""))
    return "\n".join(lines)


def deployed_data(done: Rollout, duration_s: float, command: str) -> dict[str, Any]:
    """A deployment as data."""
    return {
        "schema": SCHEMA,
        "command": command,
        "namespace": done.namespace,
        "job": rollout(done),
        "exit_code": done.exit_code,
        "report": done.summary,
        "duration_s": round(duration_s, 3),
    }


def rollout(value: Rollout) -> dict[str, Any]:
    """A Job."""
    return {
        "name": value.name,
        "uid": value.uid,
        "digest": value.digest or None,
        "created": value.created or None,
        "outcome": value.outcome or None,
        "reason": value.reason or None,
        "message": value.message or None,
        "attempts": [attempt(each) for each in value.attempts],
    }


def attempt(value: Attempt) -> dict[str, Any]:
    """One pod of it."""
    return {
        "pod": value.pod,
        "node": value.node or None,
        "phase": value.phase or None,
        "exit_code": value.exit_code,
        "reason": value.reason or None,
        "message": value.message or None,
    }


def standing_text(found: ClusterStanding) -> str:
    """Two lines: the bundle, and the Job."""
    lines = [f"{found.namespace}/{found.bundle.name:<30} {bundle_text(found.bundle)}"]
    lines.append(f"{found.namespace}/{found.job:<30} {job_text(found)}")
    last = found.rollout.last if found.rollout else None
    failure = ((last.summary or {}).get("failure") if last else None) or {}
    if failure:
        lines.append(f"  {failure['code']} {failure['message']}")
    elif last and last.words and last.exit_code:
        lines += [f"  │ {line}" for line in last.words.splitlines()[-FEW:]]
    if not found.settled:
        lines.append(f"  {next_step(found)}")
    return "\n".join(lines)


def next_step(found: ClusterStanding) -> str:
    """What to do about what is not as it should be."""
    job = found.rollout
    if job is not None and found.bundle.same and job.digest == found.bundle.digest:
        if job.began and not job.outcome and job.exit_code in (None, TRIED_AGAIN):
            return "tidelock kube logs -f follows it"
        if job.exit_code:
            return "mend what it says, then `tidelock kube deploy`; `tidelock kube doctor` looks further"
    return "tidelock kube doctor says what is in the way, `tidelock kube deploy` brings what is here"


def bundle_text(held: Held) -> str:
    """`74 files, digest 5b0e…c1, as here`."""
    here = f"{held.files} here (digest {short(held.digest)})"
    if held.missing:
        return f"not there: {', '.join(held.missing)}; {here}"
    if held.same:
        return f"{held.keys} file{'' if held.keys == 1 else 's'}, digest {short(held.digest)}, as here"
    shown = ", ".join(held.differing[:FEW]) + (" …" if len(held.differing) > FEW else "")
    return f"{held.keys} file{'' if held.keys == 1 else 's'}, digest {short(held.found)}; {here}; different: {shown}"


def job_text(found: ClusterStanding) -> str:
    """`complete, 1 attempt, made 2026-…: 073, 074 applied`."""
    value = found.rollout
    if value is None:
        return "there is none"
    if found.obstacle:
        return f"has not started: {found.obstacle[0]}: {found.obstacle[1]}"
    state = value.outcome.lower() or (
        "complete" if value.exit_code == 0 else "suspended" if value.suspended else "at work"
    )
    count = len(value.attempts)
    words = [state, f"{count} attempt{'' if count == 1 else 's'}", f"made {value.created}"]
    if value.exit_code:
        words.insert(1, f"exit {value.exit_code}")
    if value.digest != found.bundle.digest:
        words.append(f"of another bundle ({short(value.digest)})")
    return ", ".join(words) + (f": {achieved(value.summary)}" if value.exit_code == 0 and value.summary else "")


def standing_data(found: ClusterStanding) -> dict[str, Any]:
    """The same as data."""
    held = found.bundle
    return {
        "schema": SCHEMA,
        "command": "kube status",
        "namespace": found.namespace,
        "settled": found.settled,
        "bundle": {
            "name": held.name,
            "files": held.files,
            "digest": held.digest,
            "found_digest": held.found or None,
            "found_files": held.keys,
            "missing": list(held.missing),
            "differing": list(held.differing),
            "same": held.same,
        },
        "job": rollout(found.rollout) if found.rollout else None,
        "obstacle": {"reason": found.obstacle[0], "message": found.obstacle[1]} if found.obstacle else None,
        "report": found.rollout.summary if found.rollout else None,
    }


def doctor_text(checks: Sequence[Check]) -> str:
    """A line for each check: ✓, ✗ with what mends it, or - for what could not be asked."""
    lines = []
    for each in checks:
        mark = "-" if not each.asked else "✓" if each.ok else "✗"
        lines.append(f" {mark} {each.name:<34} {each.about}")
        for flaw in each.flaws:
            lines.append(f"     {flaw.what}")
            lines += [f"       mend: {flaw.mend}"] if flaw.mend else []
    wrong = sum(len(each.flaws) for each in checks)
    return "\n".join([*lines, "", f"{wrong} to mend.   exit 7" if wrong else "All well."])


def doctor_data(namespace: str, checks: Sequence[Check]) -> dict[str, Any]:
    """The same as data."""
    return {
        "schema": SCHEMA,
        "command": "kube doctor",
        "namespace": namespace,
        "ok": all(each.ok for each in checks),
        "checks": [
            {
                "name": each.name,
                "about": each.about,
                "ok": each.ok if each.asked else None,
                "flaws": [{"what": flaw.what, "mend": flaw.mend or None} for flaw in each.flaws],
            }
            for each in checks
        ],
    }


def short(digest: str) -> str:
    """`5b0e…c1`."""
    plain = digest.removeprefix("sha256:")
    return f"{plain[:4]}…{plain[-2:]}" if plain else "unknown"
