"""What became of a deployment, as text and as data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.render.json import SCHEMA
from tidelock.render.text import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.rollout import Attempt, Rollout

FEW = 5


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
