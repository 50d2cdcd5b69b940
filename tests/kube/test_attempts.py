"""Jobs and pods as the API has them → how a migration stands. What only a kubelet can cause stands here as it writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidelock.kube.attempts import JOB_UID, how, mend, obstacle, over, rollout

SPEC = {
    "podFailurePolicy": {
        "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2, 3, 4, 5, 6, 7, 8, 70]}}]
    },
    "template": {"spec": {"containers": [{"name": "migrate"}]}},
}


def job(*conditions: tuple[str, str], **spec: Any) -> dict[str, Any]:
    met = [
        {"type": kind, "status": "True", "reason": reason, "message": f"because of {reason}"}
        for kind, reason in conditions
    ]
    meta = {
        "name": "db-migration",
        "namespace": "farm",
        "uid": "j",
        "annotations": {"tidelock.dev/bundle-digest": "sha256:ab"},
    }
    return {"metadata": meta, "spec": {**SPEC, **spec}, "status": {"conditions": met}}


def pod(number: int = 1, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    meta = {
        "name": f"db-migration-{number}", "uid": f"p{number}", "labels": {JOB_UID: "j"}, "creationTimestamp": f"2026-11-30T16:0{number}:00Z",
    }  # fmt: skip
    containers = {"containerStatuses": [{"name": "migrate", "state": state}]} if state is not None else {}
    return {"metadata": meta, "spec": {"nodeName": "node-1"}, "status": {**containers, **status}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": "2026-11-30T16:01:00Z"}}


def test_pods_of_other_jobs_do_not_count_and_attempts_are_in_order():
    other = pod(1, ended(5))
    other["metadata"]["labels"] = {JOB_UID: "another"}
    found = rollout(job(), [pod(3, ended(0)), other, pod(2, ended(75))])
    assert [each.exit_code for each in found.attempts] == [75, 0]
    assert (found.job, found.digest, found.exit_code) == ("farm/db-migration", "sha256:ab", 0)


@pytest.mark.parametrize(
    ("given", "code", "is_over"),
    [
        ((job(), []), None, False),
        ((job(), [pod(1, {"running": {"startedAt": "x"}})]), None, False),
        ((job(), [pod(1, ended(75))]), 75, False),
        ((job(), [pod(1, ended(5))]), 5, True),
        ((job(), [pod(1, ended(0))]), 0, True),
        ((job(("Complete", "CompletionsReached")), []), 0, True),
        ((job(("Failed", "BackoffLimitExceeded")), [pod(1, ended(75)), pod(2, ended(137, "OOMKilled"))]), 137, True),
        ((job(("Failed", "DeadlineExceeded")), []), 7, True),
        ((job(("FailureTarget", "PodFailurePolicy")), [pod(1, ended(4))]), 4, True),
    ],
)
def test_when_a_job_is_over_and_with_which_code(given: tuple[Any, Any], code: int | None, is_over: bool):
    found = rollout(*given)
    assert (found.exit_code, over(found)) == (code, is_over)


def test_memory_eviction_and_preemption_are_the_reason():
    killed = rollout(job(), [pod(1, ended(137, "OOMKilled"), phase="Failed")]).attempts[0]
    assert how(killed) == "ended with exit 137 (OOMKilled)"
    evicted = rollout(
        job(), [pod(1, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")]
    )
    assert how(evicted.attempts[0]) == "ended without an exit code (Evicted)"
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "preempted",
    }
    assert rollout(job(), [pod(1, ended(143), conditions=[condition])]).attempts[0].reason == "PreemptionByScheduler"


def test_last_words_are_the_summary_or_lines_of_the_log():
    summary = {"exit_code": 5, "failure": {"code": "D010", "message": "002 failed"}}
    assert (
        how(rollout(job(), [pod(1, ended(5, message=json.dumps(summary)))]).attempts[0])
        == "ended with exit 5: D010 002 failed"
    )
    log = rollout(job(), [pod(1, ended(1, message="Traceback …"))]).attempts[0]
    assert (log.summary, log.words) == (None, "Traceback …")


@pytest.mark.parametrize(
    ("given", "events", "reason", "mending"),
    [
        ([pod(1, {"waiting": {"reason": "ErrImagePull", "message": "not found"}})], [], "ErrImagePull", "pull_secrets"),
        ([pod(1, {"waiting": {"reason": "CreateContainerConfigError", "message": "no key"}})], [], "CreateContainerConfigError", "Secret or key"),
        ([pod(1, conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}])], [], "Unschedulable", "cpu and memory"),
        ([pod(1, {"waiting": {"reason": "ContainerCreating"}})], [("p1", "FailedMount", 'configmap "x" not found')], "FailedMount", "ConfigMap or Secret"),
        ([], [("j", "FailedCreate", "exceeded quota: small")], "FailedCreate", "larger quota"),
        ([], [("j", "FailedCreate", 'serviceaccount "db-migration" not found')], "FailedCreate", "rights.yaml"),
    ],
)  # fmt: skip
def test_what_keeps_a_job_from_starting(given: Any, events: Any, reason: str, mending: str):
    told = [{"involvedObject": {"uid": uid}, "reason": kind, "message": text} for uid, kind, text in events]
    found = obstacle(rollout(job(), given), told)
    assert found is not None
    assert found[0] == reason
    assert mending in mend(*found)


def test_a_pod_that_is_being_made_or_runs_has_no_obstacle():
    assert obstacle(rollout(job(), [pod(1, {"waiting": {"reason": "ContainerCreating"}})]), []) is None
    assert obstacle(rollout(job(), [pod(1, {"running": {"startedAt": "x"}})]), []) is None
    assert obstacle(rollout(job(), []), []) is None


def test_without_a_policy_a_code_is_not_final_until_the_job_says_so():
    assert not over(rollout(job(podFailurePolicy=None), [pod(1, ended(5))]))


def test_a_proxy_beside_the_container_does_not_count():
    found = pod(1, ended(5))
    found["status"]["containerStatuses"].insert(0, {"name": "istio-proxy", "state": {"running": {}}})
    assert rollout(job(), [found]).exit_code == 5
