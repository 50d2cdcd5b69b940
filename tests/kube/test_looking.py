"""`tidelock kube status` and `kube doctor`: what is wrong, and the one command that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.docs.test_json import check
from tests.kube.site import JOB, MAP, SECRET, Site
from tests.rig.kube.access import until

if TYPE_CHECKING:
    from tests.rig.kube.cluster import Cluster
    from tests.rig.postgres import Server


def doctor(site: Site, *arguments: str) -> dict[str, dict[str, Any]]:
    """Its checks by name; each flaw as text."""
    found = site.report("kube", "doctor", *arguments)
    return {
        each["name"]: {**each, "text": " ".join(f"{flaw['what']} → {flaw['mend']}" for flaw in each["flaws"])}
        for each in found["checks"]
    }


def test_status_of_nothing_of_what_is_deployed_and_of_what_has_changed_since(site: Site):
    said = site.tidelock("kube", "status", "--exit-code")
    assert said.returncode == 1
    assert f"not there: {MAP}; 1 here" in said.stdout
    site.deploy()
    said = site.tidelock("kube", "status", "--exit-code")
    assert said.returncode == 0, said.stdout
    assert "1 file, digest" in said.stdout
    assert "complete, 1 attempt" in said.stdout
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    found = site.report("kube", "status")
    assert (found["settled"], found["bundle"]["differing"], found["job"]["outcome"] in ("Complete", None)) == (
        False,
        ["002_area.sql"],
        True,
    )


def test_status_and_logs_find_a_job_whose_name_bears_a_digest(site: Site):
    site.configure(**{"for": '"kustomize"', "out": '"out"'})
    site.tidelock("kube", "render")
    site.namespace.kubectl("apply", "--server-side", "-k", str(site.folder / "out"))
    (job,) = (each["metadata"]["name"] for each in site.namespace.get("jobs")["items"])
    site.namespace.finished(job)
    said = site.tidelock("kube", "status", "--exit-code")
    assert said.returncode == 0, said.stdout
    assert f"{site.namespace.name}/{job}" in said.stdout
    assert "✓ 001" in site.tidelock("kube", "logs").stdout


def test_status_of_a_failed_job_says_why(site: Site):
    site.write("002_broken.sql", "SELECT * FROM nowhere;\n")
    site.deploy(exit_code=5)
    said = site.tidelock("kube", "status").stdout
    assert "exit 5" in said
    assert "D010 002 broken" in said
    assert "mend what it says" in said
    assert site.tidelock("kube", "logs", "-f").returncode == 5, "as if it had been followed to its end"
    lines = site.tidelock("kube", "logs", "--json").stdout.splitlines()
    assert any("D010" in check("kube-logs", each)["line"] for each in lines)
    done = site.tidelock("kube", "logs", "-f", "--json")
    assert check("kube-deploy", done.stdout)["exit_code"] == done.returncode == 5
    assert "D010" in done.stderr


def test_a_doctor_finds_nothing_where_all_is_well_and_looks_into_the_database(site: Site):
    site.deploy()
    said = site.tidelock("kube", "doctor")
    assert said.returncode == 0, said.stdout
    assert "✓ ledger                             1 applied" in said.stdout
    assert said.stdout.endswith("All well.\n")
    assert not site.namespace.there("job", f"{JOB}-doctor"), "it leaves nothing behind"


def test_a_doctor_finds_a_key_that_is_not_in_the_secret(site: Site):
    site.namespace.kubectl("delete", "secret", SECRET)
    site.namespace.secret(SECRET, {"POSTGRES_PASSWORD": "geheim", "POSTGRES_USER": "ada"})
    site.deploy(exit_code=7)
    found = doctor(site)
    assert (
        'has no key "password"; keys: POSTGRES_PASSWORD, POSTGRES_USER → name one of these'
        in found["Secrets and keys"]["text"]
    )
    assert "CreateContainerConfigError" in found[f"Job {JOB}"]["text"]
    assert found["database, ledger, critical tables"]["ok"] is None


def test_a_doctor_finds_changed_config_maps_pending_files_and_an_edited_one(site: Site):
    site.deploy()
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    assert (
        "different: 002_area.sql → tidelock kube deploy"
        in doctor(site, "--no-database")["ConfigMap holds what is here"]["text"]
    )
    site.namespace.kubectl(
        "patch", "configmap", MAP, "--type=merge", "-p", '{"data":{"001_parcels.sql":"CREATE TABLE other ();"}}'
    )
    assert "L002" in doctor(site)["ledger"]["text"]


def test_a_doctor_finds_a_database_that_is_not_reached(site: Site, server: Server):
    site.deploy()
    site.dsn = server.dsn
    server.stop()
    site.configure()
    assert "T001" in doctor(site)["database"]["text"]


def test_a_doctor_says_what_admission_and_quota_refuse(site: Site):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"limits.memory": "100Mi"}},
    }
    site.namespace.apply(quota)
    said = site.deploy(exit_code=7)
    assert "exceeded quota: small" in said
    assert "exceeded quota: small" in doctor(site, "--no-database")["the namespace takes its pod"]["text"]


def test_a_doctor_of_someone_without_rights_names_those_that_are_lacking(rig: Cluster, site: Site):
    site.deploy()
    done = site.tidelock("kube", "doctor", kubeconfig=rig.user("mallory"))
    assert done.returncode == 7
    assert "may not create configmaps, delete configmaps" in done.stdout
    assert " - ConfigMaps, Job, database " in done.stdout


def test_a_doctor_names_a_namespace_that_is_not_there(site: Site):
    done = site.tidelock("kube", "doctor", "--namespace", "nowhere")
    assert done.returncode == 7
    assert "mend: kubectl create namespace nowhere" in done.stdout


def test_who_may_only_deploy_can_deploy_and_is_told_what_was_left_otherwise(rig: Cluster, site: Site):
    site.tidelock("kube", "render", "--out", "out")
    for name in ("rights.yaml", "network-policy.yaml"):
        site.namespace.kubectl("apply", "--server-side", "-f", str(site.folder / "out" / name))
    user = rig.account(site.namespace.name, f"{JOB}-deploy")
    said = site.deploy(kubeconfig=user)
    assert site.versions() == [1]
    assert "for want of rights" not in said, "all of it is as it should be"
    site.configure(database_labels='{app = "farm"}')
    said = site.deploy(kubeconfig=user)
    assert f"left as they are, for want of rights: networkpolicy/{JOB}" in said
    done = site.tidelock("kube", "doctor", kubeconfig=user)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_doctor_says_who_holds_the_lock(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    running = site.start("kube", "deploy")
    until(site.holding)
    assert "@" in doctor(site)["lock"]["about"]
    site.release()
    assert running.wait(120) == 0
    running.communicate()
