"""Job and pods, as the API has them → how a migration stands, and what keeps it from starting. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.core.rollout import COMPLETE, FAILED, Attempt, Rollout
from tidelock.kube.delivery import BUNDLE_DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Object = dict[str, Any]

JOB_UID = "batch.kubernetes.io/controller-uid"
"""Label of a Job's pods."""
STUCK = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
"""Why a container waits that no time mends."""
UNSCHEDULABLE = "Unschedulable"
MENDS = (
    ("Image", "check that the registry has that tag, or name another in [kube] (image, pull_secrets) and deploy again"),
    ("CreateContainer", "make the Secret or key that it names, or name the right one in [kube] and deploy again"),
    ("FailedMount", "make the ConfigMap or Secret that it names, or name the right one in [kube] and deploy again"),
    ("exceeded quota", "ask for a larger quota, or lower cpu and memory in [kube]"),
    (
        "serviceaccount",
        "`tidelock kube deploy` by somebody who may make it, or apply the rights.yaml of `tidelock kube render`",
    ),
    ("PodSecurity", "see which field it names; what Tidelock renders passes `restricted`"),
    (UNSCHEDULABLE, "see `kubectl describe nodes`, or lower cpu and memory in [kube]"),
)


def rollout(job: Object, pods: Iterable[Object]) -> Rollout:
    """The Job with its own pods among these."""
    meta, spec, status = job["metadata"], job["spec"], job.get("status", {})
    met = {each["type"]: each for each in status.get("conditions") or [] if each["status"] == "True"}
    condition = met.get(COMPLETE) or met.get(FAILED) or {}
    containers = spec["template"]["spec"]["containers"] if "template" in spec else []
    container = containers[0]["name"] if containers else ""
    own = [each for each in pods if (each["metadata"].get("labels") or {}).get(JOB_UID) == meta.get("uid")]
    return Rollout(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        uid=meta.get("uid", ""),
        digest=(meta.get("annotations") or {}).get(BUNDLE_DIGEST, ""),
        created=str(meta.get("creationTimestamp", "")),
        outcome=condition.get("type", ""),
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
        suspended=bool(spec.get("suspend")),
        container=container,
        final=final_codes(spec),
        attempts=tuple(attempt(each, container) for each in sorted(own, key=_age)),
    )


def final_codes(spec: Object) -> frozenset[int]:
    """Exit codes that fail the Job at once, by its podFailurePolicy."""
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or []
    codes = [each["onExitCodes"] for each in rules if each["action"] == "FailJob" and each.get("onExitCodes")]
    return frozenset(code for each in codes if each["operator"] == "In" for code in each["values"])


def _age(pod: Object) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])


def attempt(pod: Object, container: str) -> Attempt:
    """One pod as an attempt, by the container that counts."""
    status = pod.get("status", {})
    state = container_state(status, container)
    ended = state.get("terminated") or {}
    # a node that came back without knowing the container says 137 and this reason: it saw no end
    words = str(ended.get("message", ""))
    reason, message = _reason(status, state)
    return Attempt(
        pod=pod["metadata"]["name"],
        uid=pod["metadata"].get("uid", ""),
        node=pod["spec"].get("nodeName", ""),
        phase=status.get("phase", ""),
        began=bool(state.get("running") or ended.get("startedAt")),
        exit_code=ended.get("exitCode"),
        reason=reason,
        message=message,
        words=words,
        summary=summary(words),
    )


def going(pod: Object, container: str) -> bool:
    """The container that counts runs, or may still begin."""
    return not attempt(pod, container).over


def container_state(status: Mapping[str, Any], container: str) -> Object:
    """The state of the container of that name, or of the first where no name is known; empty until there is one."""
    found = [each for each in status.get("containerStatuses") or [] if container in ("", each["name"])]
    return dict(found[0].get("state") or {}) if found else {}


def _reason(status: Mapping[str, Any], state: Mapping[str, Any]) -> tuple[str, str]:
    """What speaks most for how the pod stands."""
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    disrupted = conditions.get("DisruptionTarget", {})
    if disrupted.get("status") == "True":
        return disrupted.get("reason", "DisruptionTarget"), disrupted.get("message", "")
    if status.get("reason"):
        return status["reason"], status.get("message", "")
    if ended := state.get("terminated"):
        return ended.get("reason", ""), ""
    if waits := state.get("waiting"):
        return waits.get("reason", ""), waits.get("message", "")
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return scheduled.get("reason", ""), scheduled.get("message", "")
    return "", ""


def summary(words: str) -> Object | None:
    """Last words as the summary that Tidelock leaves; None when they are something else."""
    try:
        found = json.loads(words)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "exit_code" in found else None


def over(found: Rollout) -> bool:
    """Nothing more will come: the Job says so, or its container ended in a way that is final.

    The Job itself says it up to a second later.
    """
    code = found.last.exit_code if found.last else None
    return bool(found.outcome) or code == 0 or code in found.final


def how(each: Attempt) -> str:
    """How an attempt ended, in a few words."""
    failure = (each.summary or {}).get("failure") or {}
    said = f": {failure['code']} {failure['message']}" if failure else ""
    reason = f" ({each.reason})" if each.reason not in ("", "Error", "Completed") else ""
    ended = f"ended with exit {each.exit_code}" if each.exit_code is not None else "ended without an exit code"
    return f"{ended}{reason}{said}"


def obstacle(found: Rollout, events: Sequence[Object]) -> tuple[str, str] | None:
    """(reason, message) of what keeps the newest attempt, or the first, from starting; None when nothing is known."""
    last = found.last
    if last is not None and (last.began or last.over):
        return None
    if last is not None and (last.reason in STUCK or last.reason == UNSCHEDULABLE):
        return last.reason, last.message
    about = last.uid if last else found.uid
    wanted = "FailedMount" if last else "FailedCreate"
    told = [each for each in events if each["involvedObject"].get("uid") == about and each.get("reason") == wanted]
    return (wanted, str(told[-1].get("message", ""))) if told else None


def mend(reason: str, message: str) -> str:
    """What to do about it, in the imperative."""
    text = f"{reason}: {message}"
    return next(
        (hint for sign, hint in MENDS if sign in text), "see `kubectl describe pod`, and `tidelock kube doctor`"
    )
