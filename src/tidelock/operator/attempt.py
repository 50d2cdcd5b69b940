"""A Job and a decision, one from the other: what is wanted → the Job; the Job and its pods → how it went."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import Bundle
from tidelock.core.reconciling import Outcome, Run, State
from tidelock.core.rollout import COMPLETE, FAILED
from tidelock.kube import job as jobs
from tidelock.kube.attempts import rollout
from tidelock.kube.delivery import BUNDLE_DIGEST, DIGEST, Delivery
from tidelock.operator import resource
from tidelock.operator.view import TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.rollout import Rollout
    from tidelock.operator.view import Content, Map

    Object = dict[str, Any]

SERIAL = "tidelock.dev/serial"
MARK = "tidelock.dev/mark"
FAILURES = "tidelock.dev/failures"
OUTCOME = "tidelock.dev/outcome"
"""How the Job ended, as JSON: pods may be gone by the time that somebody asks."""
FINISHED = (COMPLETE, FAILED)
TOO_LATE = "DeadlineExceeded"
SAYS_NOTHING = ("", "Error", "Completed")


def delivery(target: Object, content: Content, settings: Map | None) -> Delivery:
    """What the Jobs of a target run, from what is in the cluster."""
    workload = resource.workload(target)
    return Delivery(
        workload=workload,
        bundle=content.bundle,
        settings=Bundle({}, settings.hashes if settings else {}),
        sources=content.sources,
        database=target["spec"].get("settings", ""),
        settings_name=settings.name if settings else "",
        token=bool(target["spec"].get("token")),
    )


def mark(target: Object, found: Delivery) -> str:
    """Changes with anything that makes it another run: bundle, settings, specification, and a person's word."""
    again = (target["metadata"].get("annotations") or {}).get(resource.RETRY, "")
    return jobs.fingerprint({"spec": jobs.job(found)["spec"], "again": again})


def job(target: Object, found: Delivery, serial: int, failures: int, its_mark: str) -> Object:
    """The Job of one attempt. Its name is that of the number: two operators that decide alike make one Job."""
    made = jobs.job(found)
    metadata = target["metadata"]
    made["metadata"] = {
        **made["metadata"],
        "name": f"{metadata['name']}-{serial}",
        "namespace": metadata["namespace"],
        "labels": {**made["metadata"]["labels"], TARGET: metadata["name"], DIGEST: found.bundle.short},
        "annotations": {
            BUNDLE_DIGEST: found.bundle.digest,
            SERIAL: str(serial),
            MARK: its_mark,
            FAILURES: str(failures),
        },
        "ownerReferences": [owner(target)],
    }
    made["spec"]["template"]["metadata"]["labels"][TARGET] = metadata["name"]
    return made


def owner(target: Object) -> Object:
    """The target as the owner of its Jobs: they go with it."""
    return {
        "apiVersion": resource.API,
        "kind": resource.KIND,
        "name": target["metadata"]["name"],
        "uid": target["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def run(found: Object) -> Run:
    """A Job as the decision sees it."""
    metadata, status = found["metadata"], found["status"]
    annotations = metadata.get("annotations") or {}
    met = {each["type"]: each for each in status.get("conditions") or [] if each["status"] == "True"}
    ended = met.get(COMPLETE) or met.get(FAILED)
    state = State.RUNNING if ended is None else State.SUCCEEDED if COMPLETE in met else State.FAILED
    leaving = "deletionTimestamp" in metadata
    return Run(
        serial=int(annotations.get(SERIAL, 0)),
        mark=annotations.get(MARK, ""),
        state=State.RUNNING if leaving else state,
        failures=int(annotations.get(FAILURES, 0)),
        outcome=outcome(json.loads(annotations[OUTCOME])) if OUTCOME in annotations else None,
        ended_at=epoch(ended["lastTransitionTime"]) if ended else 0.0,
        created_at=epoch(metadata["creationTimestamp"]),
        begun=bool(status.get("ready") or status.get("succeeded") or status.get("failed")),
        leaving=leaving,
    )


def epoch(moment: Any) -> float:
    """A time of the API as seconds since the epoch."""
    return (moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))).timestamp()


def outcome(noted: Object) -> Outcome:
    """From the annotation."""
    return Outcome(
        exit_code=noted.get("exit_code"),
        reason=noted.get("reason", ""),
        code=noted.get("code", ""),
        message=noted.get("message", ""),
    )


def standing(found: Object, pods: Sequence[Object]) -> Rollout:
    """A Job with its pods, of which our container is the one that counts, not a proxy beside it."""
    template = {"spec": {"containers": [{"name": jobs.CONTAINER}]}}
    return rollout({**found, "spec": {"template": template}}, pods)


def look(found: Object, pods: Sequence[Object]) -> Object:
    """How a Job ended, for the annotation: its last container's exit code and words, or Kubernetes' reason."""
    seen = standing(found, pods)
    last = seen.last
    summary = (last.summary if last else None) or {}
    failure = summary.get("failure") or {}
    noted = {
        "exit_code": 0 if seen.outcome == COMPLETE else last.exit_code if last else None,
        "reason": telling(last.reason if last else "", seen.reason),
        "code": failure.get("code", ""),
        "message": str(failure.get("message") or ("" if summary or not last else last.words))[:800],
        "version": summary.get("version"),
        "pending": summary.get("pending"),
        "duration_s": summary.get("duration_s"),
    }
    return {name: value for name, value in noted.items() if value not in (None, "")} | (
        {"exit_code": noted["exit_code"]} if noted["exit_code"] is not None else {}
    )


def telling(of_pod: str, of_job: str) -> str:
    """The word of Kubernetes that says most: the deadline, or what befell the pod."""
    if of_job == TOO_LATE:
        return of_job
    return "" if of_pod in SAYS_NOTHING else of_pod
