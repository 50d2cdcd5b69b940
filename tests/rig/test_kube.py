"""The Kubernetes of the tests behaves as one: its process node does what the tests rely on."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.rig.kube.access import until
from tests.rig.kube.namespace import job, outcome

if TYPE_CHECKING:
    from tests.rig.kube.cluster import Cluster
    from tests.rig.kube.namespace import Namespace

POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2, 3, 4, 5, 6, 7, 8, 70]}},
    ]
}


def shell(name: str, script: str, **pod: object) -> dict[str, object]:
    return job(name, "sh", "-c", script, **pod)


def test_a_job_runs_to_its_end_and_its_log_can_be_read(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(shell("hello", "echo first; echo second >&2; printf third"))
    assert outcome(namespace.finished("hello")) == "Complete"
    assert set(namespace.kubectl("logs", "job/hello").splitlines()) == {"first", "second", "third"}
    assert len(namespace.kubectl("logs", "job/hello", "--tail=1").splitlines()) == 1
    assert namespace.ended("hello")["exitCode"] == 0


@pytest.mark.parametrize("code", [5, 75, 137])
def test_an_exit_code_is_recorded_and_the_pod_failure_policy_decides(
    rig: Cluster, namespace: Namespace, code: int
) -> None:
    namespace.apply(shell("fails", f"exit {code}", podFailurePolicy=POLICY, backoffLimit=1))
    if code == 5:
        condition = namespace.finished("fails")["status"]["conditions"][-1]
        assert condition["reason"] == "PodFailurePolicy"
        assert len(namespace.pods("fails")) == 1
    else:
        until(lambda: namespace.pods("fails")[-1:] and namespace.get("job", "fails")["status"].get("failed"))
        assert not outcome(namespace.get("job", "fails")), "it is tried again after 10 s"
    assert namespace.ended("fails")["exitCode"] == code


def test_logs_are_followed_through_the_api_server(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(shell("counts", "for i in 1 2 3 4; do echo $i; sleep 0.3; done"))
    name = namespace.running("counts")["metadata"]["name"]
    began = time.monotonic()
    assert namespace.kubectl("logs", "-f", name).split() == ["1", "2", "3", "4"]
    assert time.monotonic() - began > 0.3


def test_what_a_container_sees_of_configmaps_secrets_and_itself(rig: Cluster, namespace: Namespace) -> None:
    namespace.config_map("files", {"001_a.sql": "SELECT 1;", "002_b.sql": "SELECT 2;"})
    namespace.secret("login", {"password": "geheim", "user": "ada"})
    namespace.apply(
        shell(
            "sees",
            'cat /migrations/*.sql; echo " $PASSWORD $PG_user $NAMESPACE"; ls /mixed; '
            "test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token; touch /migrations/x 2>/dev/null || echo ro",
            env=[
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
                {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ],
            envFrom=[{"prefix": "PG_", "secretRef": {"name": "login"}}],
            volumeMounts=[
                {"name": "files", "mountPath": "/migrations", "readOnly": True},
                {"name": "mixed", "mountPath": "/mixed"},
            ],
            volumes=[
                {"name": "files", "configMap": {"name": "files"}},
                {
                    "name": "mixed",
                    "projected": {"sources": [{"configMap": {"name": "files"}}, {"secret": {"name": "login"}}]},
                },
            ],
        )
    )
    namespace.finished("sees")
    log = namespace.kubectl("logs", "job/sees")
    assert f"SELECT 1;SELECT 2; geheim ada {namespace.name}\n" in log
    assert "001_a.sql\n002_b.sql\npassword\nuser\ntoken\n" in log
    assert log.endswith("ro\n")


def test_a_changed_configmap_reaches_a_running_pod_in_one_stroke(rig: Cluster, namespace: Namespace) -> None:
    namespace.config_map("files", {"a": "1", "b": "1"})
    namespace.apply(
        shell(
            "waits",
            "until [ -e /m/c ]; do cat /m/a /m/b; echo; sleep 0.01; done; cat /m/a /m/c; ls /m",
            volumeMounts=[{"name": "files", "mountPath": "/m"}],
            volumes=[{"name": "files", "configMap": {"name": "files"}}],
        )
    )
    namespace.running("waits")
    namespace.kubectl("delete", "configmap", "files")
    namespace.config_map("files", {"a": "2", "c": "2"})
    assert outcome(namespace.finished("waits")) == "Complete"
    lines = namespace.kubectl("logs", "job/waits").splitlines()
    assert "11" in lines
    assert lines[-2:] == ["22a", "c"]


def test_the_last_words_are_kept_up_to_4096_bytes(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(shell("talks", "head -c 5000 /dev/zero | tr '\\0' x >/dev/termination-log; echo out; exit 4"))
    namespace.apply(shell("silent", "echo the end; exit 4", terminationMessagePolicy="FallbackToLogsOnError"))
    namespace.finished("talks")
    namespace.finished("silent")
    assert namespace.ended("talks")["message"] == "x" * 4096
    assert namespace.ended("silent")["message"] == "the end\n"


def test_deleting_a_pod_sends_sigterm_and_leaves_it_its_grace_period(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(
        shell("stops", "trap 'echo got it; sleep 0.5; exit 75' TERM; echo up; while :; do sleep 0.05; done")
    )
    name = namespace.running("stops")["metadata"]["name"]
    until(lambda: "up" in namespace.kubectl("logs", name))
    follower: list[str] = []
    thread = threading.Thread(target=lambda: follower.append(namespace.kubectl("logs", "-f", name)))
    thread.start()
    began = time.monotonic()
    namespace.kubectl("delete", "pod", name, "--wait=true")
    thread.join()
    assert follower == ["up\ngot it\n"]
    assert 0.5 < time.monotonic() - began < 4


def test_a_container_that_ignores_sigterm_is_killed_with_137(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(
        shell("stays", "echo up; while :; do sleep 0.1; done", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    )
    assert namespace.finished("stays")["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"


def test_what_is_not_there_is_said_as_the_kubelet_says_it(rig: Cluster, namespace: Namespace) -> None:
    namespace.secret("login", {"POSTGRES_PASSWORD": "x"})
    wanted = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}
    namespace.apply(shell("key", "true", env=[wanted]))
    namespace.apply(job("image", "true", image="registry.invalid/tidelock:1"))
    volume = {"name": "files", "configMap": {"name": "nowhere"}}
    namespace.apply(shell("volume", "true", volumes=[volume], volumeMounts=[{"name": "files", "mountPath": "/m"}]))

    def waiting(name: str) -> dict[str, str]:
        found = namespace.pods(name)[0]["status"].get("containerStatuses") or [{"state": {}}]
        return dict(found[0]["state"].get("waiting", {}))

    until(lambda: waiting("key").get("reason") == "CreateContainerConfigError")
    assert waiting("key")["message"] == f"couldn't find key password in Secret {namespace.name}/login"
    until(lambda: waiting("image").get("reason") == "ImagePullBackOff")
    until(lambda: "FailedMount" in namespace.kubectl("get", "events"))
    assert 'configmap "nowhere" not found' in namespace.kubectl("get", "events")
    namespace.secret("login", {"password": "y"})
    assert outcome(namespace.finished("key")) == "Complete", "it is tried again, and now the key is there"


def test_nothing_that_a_container_writes_reaches_the_host(rig: Cluster, namespace: Namespace) -> None:
    from pathlib import Path

    namespace.apply(shell("writes", "echo x >/var/tmp/tidelock-rig; cat /var/tmp/tidelock-rig; echo $$$$"))
    namespace.finished("writes")
    assert namespace.kubectl("logs", "job/writes").split() == ["x", "1"]
    assert not Path("/var/tmp/tidelock-rig").exists()
    assert not Path("/dev/termination-log").exists()
    refused = {"readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532}
    namespace.apply(
        shell("reads", "(touch /etc/x || touch /tmp/x) 2>/dev/null || echo refused", securityContext=refused)
    )
    namespace.finished("reads")
    assert namespace.kubectl("logs", "job/reads").endswith("refused\n")


def test_an_image_of_tidelock_runs_the_source_tree(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(job("image", image="ghcr.io/x/tidelock:1.0", args=["--version"]))
    assert outcome(namespace.finished("image")) == "Complete"
    assert namespace.kubectl("logs", "job/image").startswith("tidelock ")


def test_a_killed_node_takes_its_containers_along_and_comes_back(rig: Cluster, namespace: Namespace) -> None:
    rig.add_node("node-2")
    pinned = {"nodeName": "node-2"}
    namespace.apply(shell("runs", f"sleep 1234.5678; : {namespace.name}", **pinned))
    namespace.running("runs")
    rig.nodes["node-2"].kill()
    assert "1234.5678" not in subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
    rig.add_node("node-2")
    namespace.finished("runs")
    assert namespace.ended("runs")["exitCode"] == 137
    rig.nodes["node-2"].stop()
    rig.kubectl("delete", "node", "node-2")


def test_the_api_server_is_restarted_and_a_job_goes_on(rig: Cluster, namespace: Namespace) -> None:
    namespace.apply(shell("runs", "sleep 2; echo done"))
    namespace.running("runs")
    rig.apiserver.kill()
    rig.start_apiserver()
    assert outcome(namespace.finished("runs")) == "Complete"
    assert namespace.kubectl("logs", "job/runs") == "done\n"


def test_a_user_may_do_what_rbac_says_and_the_audit_log_has_it(rig: Cluster, namespace: Namespace) -> None:
    kubeconfig = rig.user("ada")
    ask = ["--kubeconfig", str(kubeconfig), "-n", namespace.name, "get", "pods", "-o", "json"]
    assert "cannot list resource" in rig.run(*ask).stderr
    namespace.kubectl("create", "role", "looks", "--verb=list", "--resource=pods")
    namespace.kubectl("create", "rolebinding", "looks", "--role=looks", "--user=ada")
    assert json.loads(rig.kubectl(*ask))["items"] == []
    verbs = [(each["verb"], each["responseStatus"]["code"]) for each in rig.requests("ada") if "objectRef" in each]
    assert verbs[-2:] == [("list", 403), ("list", 200)]
