"""`tidelock kube deploy` where a former deployment failed, where rights lack, and beside what others have made."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from tests.kube.site import JOB, MAP, Site
from tests.rig.kube.access import until
from tests.rig.loopback import free_port
from tidelock.kube.rights import RIGHTS, SEEN

if TYPE_CHECKING:
    from tests.rig.kube.cluster import Cluster

AT_ONCE = "import tidelock.kube.deploy as d; d.ABANDONED_S = 1.0; from tidelock.cli.main import main; main()"


def grant(site: Site, user: str, lacks: dict[str, str]) -> None:
    """Give a user what a deployment needs, without some verbs: resource → verb."""
    rules = [
        {"apiGroups": [group], "resources": [each], "verbs": [verb for verb in verbs if lacks.get(each) != verb]}
        for group, resources, verbs in (*RIGHTS, *SEEN)
        for each in resources
        if set(verbs) != {lacks.get(each)}
    ]
    group = "rbac.authorization.k8s.io"
    site.namespace.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": user}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": user},
            "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
            "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
        },
    )


def maps(site: Site, *labels: str) -> set[str]:
    found: list[dict[str, Any]] = site.namespace.get("configmaps", "-l", ",".join(labels))["items"]
    return {each["metadata"]["name"] for each in found}


def test_a_job_that_may_not_be_let_run_is_removed_again(rig: Cluster, site: Site):
    site.deploy()
    grant(site, "tom", {"jobs": "patch"})
    said = site.deploy(exit_code=7, kubeconfig=rig.user("tom"))
    assert "K021" in said
    assert f"kubectl apply --server-side -f DIR/rights.yaml -n {site.namespace.name}" in said
    assert not site.namespace.there("job", JOB)
    grant(site, "tom", {})
    site.deploy("--timeout", "30s", kubeconfig=rig.user("tom"))


def test_a_finished_job_stays_where_no_new_one_may_be_made(rig: Cluster, site: Site):
    site.deploy()
    before = site.namespace.get("job", JOB)["metadata"]["uid"]
    grant(site, "ann", {"jobs": "create"})
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    assert "K021" in site.deploy(exit_code=7, kubeconfig=rig.user("ann"))
    assert site.namespace.get("job", JOB)["metadata"]["uid"] == before


def test_a_job_that_a_dead_deployment_left_suspended_is_removed_by_its_age(site: Site):
    site.tidelock("kube", "render", "--out", "out")
    site.namespace.kubectl("apply", "--server-side", "-f", str(site.folder / "out"))
    site.namespace.finished(JOB)
    job = site.namespace.get("job", JOB)
    site.namespace.kubectl("delete", "job", JOB)
    template = job["spec"]["template"]
    template["metadata"] = {"labels": {"app.kubernetes.io/name": "tidelock"}}
    left = {**job["spec"], "template": template, "suspend": True}
    del left["selector"]
    site.namespace.apply(
        {**job, "metadata": {"name": JOB, "annotations": {"tidelock.dev/claim": "dead"}}, "spec": left}
    )
    said = site.deploy("--timeout", "1s", exit_code=75)
    assert "T041" in said
    assert "is suspended: another deployment makes it ready, or was cut short" in said
    assert "kube logs" not in said, "it runs nothing"
    site.command = lambda *arguments: [sys.executable, "-c", AT_ONCE, *arguments]  # type: ignore[method-assign]
    doctor = site.tidelock("kube", "doctor", "--no-database")
    assert "a deployment that is no more has left it" in doctor.stdout
    assert "was left suspended by a deployment that is no more" in site.deploy("--timeout", "30s")


def test_a_mended_setting_replaces_a_job_that_is_between_two_attempts(site: Site):
    right = site.settings.get("port", "")
    site.configure(port=str(free_port()), wait='"1s"')
    running = site.start("kube", "deploy")
    until(lambda: [each for each in site.namespace.pods(JOB) if each["status"].get("phase") == "Failed"])
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    del site.settings["port"]
    site.configure(**({"port": right} if right else {}))
    assert "001 applied" in site.deploy("--timeout", "45s")


def test_ctrl_c_before_the_job_runs_says_that_nothing_has_run(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    first = site.start("kube", "deploy")
    until(site.holding)
    site.configure(retries="1")
    second = site.start("kube", "deploy")
    assert second.stdout is not None
    assert "runs this bundle with other settings: waiting" in second.stdout.readline()
    second.send_signal(signal.SIGINT)
    complained = second.communicate(timeout=30)[1]
    assert (second.returncode, "T043" in complained) == (75, True), complained
    assert f"before {site.namespace.name}/{JOB} began" in complained
    site.release()
    assert first.wait(60) == 0
    first.communicate()


def test_config_maps_that_others_made_stay(site: Site):
    label = {"tidelock.dev/bundle": MAP}
    site.namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "handmade", "labels": label}, "data": {"a": "b"}}
    )
    site.deploy()
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    assert "handmade" not in site.deploy()
    assert site.namespace.there("configmap", "handmade")


def test_config_maps_that_an_application_scaled_to_0_mounts_stay(rig: Cluster, site: Site):
    site.configure(immutable="true")
    site.deploy()
    (first,) = maps(site, f"tidelock.dev/bundle={MAP}")
    spec = {
        "containers": [{"name": "app", "image": "host", "command": ["true"]}],
        "volumes": [{"name": "m", "configMap": {"name": first}}],
    }
    site.application(spec)
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    site.deploy()
    assert first in maps(site, f"tidelock.dev/bundle={MAP}")
    site.namespace.kubectl("delete", "deployment", "farm")
    site.write("003_area.sql", "SELECT 1;\n")
    grant(site, "bob", {"statefulsets": "list"})
    assert "left as they are, since nobody knows who mounts them" in site.deploy(kubeconfig=rig.user("bob"))
    assert first in maps(site, f"tidelock.dev/bundle={MAP}")


def test_a_backup_job_from_before_that_nothing_replaces_is_named(site: Site):
    pod = {"restartPolicy": "Never", "containers": [{"name": "b", "image": "host", "command": ["true"]}]}
    before = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "db-backup"},
        "spec": {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    site.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(before))
    said = site.deploy()
    assert f"kubectl delete cronjob db-backup -n {site.namespace.name}" in said
