"""`tidelock kube deploy` on a real Kubernetes and a real PostgreSQL: what becomes of a commit."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kube.site import IMAGE, JOB, MAP, SECRET, Site
from tests.rig.kube.access import until
from tests.rig.kube.namespace import outcome
from tests.rig.loopback import free_port

if TYPE_CHECKING:
    from tests.rig.kube.cluster import Cluster
    from tests.rig.postgres import Server

FARM = Path(__file__).parents[2] / "examples" / "farm"


def test_a_first_deployment_makes_all_that_is_needed_and_shows_what_it_did(site: Site):
    said = site.deploy()
    assert f"{site.namespace.name}/{MAP}" in said
    assert "1 file in 1 ConfigMap, digest " in said
    assert "started on node-1" in said
    assert "│  ✓ 001" in said
    assert "001 applied" in said.splitlines()[-1]
    assert site.versions() == [1]
    assert outcome(site.namespace.finished(JOB)) == "Complete"


def test_a_changed_bundle_runs_and_an_unchanged_one_has_nothing_to_do(site: Site):
    site.deploy()
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    assert "(was " in (said := site.deploy())
    assert "002 applied" in said
    said = site.deploy()
    assert "(unchanged)" in said
    assert "nothing to do" in said.splitlines()[-1]
    assert site.versions() == [1, 2]


def test_nothing_stays_of_a_cron_job_that_had_the_name_before(site: Site):
    template = {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": "x", "command": ["false"]}]}
    }
    before = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": JOB, "labels": {"team": "farm"}},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}},
    }
    site.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(before))
    site.deploy()
    found = site.namespace.get("cronjob", JOB)
    (container,) = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert "command" not in container
    assert container["args"][0] == "apply"
    assert found["metadata"]["labels"]["team"] == "farm"
    site.namespace.kubectl("create", "job", f"--from=cronjob/{JOB}", "migration-manual")
    assert outcome(site.namespace.finished("migration-manual")) == "Complete"


def test_broken_sql_fails_the_job_at_once_and_the_next_good_commit_heals_it(site: Site):
    site.write("002_broken.sql", "CREATE TABLE sites (id int); SELECT * FROM nowhere;\n")
    said = site.deploy(exit_code=5)
    assert 'relation "nowhere" does not exist' in said
    assert site.versions() == [1]
    assert site.query("SELECT to_regclass('sites')") == [(None,)]
    conditions = {each["type"]: each["reason"] for each in site.namespace.finished(JOB)["status"]["conditions"]}
    assert conditions["Failed"] == "PodFailurePolicy"
    assert '"code": "D010"' in site.namespace.ended(JOB)["message"]
    site.write("002_broken.sql", "CREATE TABLE sites (id int);\n")
    site.deploy()
    assert site.versions() == [1, 2]


def test_a_server_that_is_down_is_waited_for_and_the_job_succeeds_when_it_comes(site: Site, server: Server):
    site.dsn = server.dsn
    site.configure(wait='"1s"')
    server.stop()
    running = site.start("kube", "deploy")
    until(lambda: [each for each in site.namespace.pods(JOB) if each["status"]["phase"] == "Failed"])
    server.start()
    said, complained = running.communicate(timeout=120)
    assert running.returncode == 0, said + complained
    assert "attempt 1 ended with exit 75: T001" in said
    assert "attempt 2 started on" in said
    assert site.versions() == [1]


def test_two_deployments_of_one_bundle_at_once_run_one_job(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    both = [site.start("kube", "deploy") for _ in range(2)]
    until(site.holding)
    time.sleep(2)  # the other one is there by now, and joins
    site.release()
    said = [each.communicate(timeout=120)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sum("joining it" in each for each in said) == 1
    assert len(site.namespace.pods(JOB)) == 1
    assert site.versions() == [1, 2]


def test_two_deployments_of_two_bundles_at_once_run_one_after_the_other(site: Site, tmp_path: Path):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    first = site.start("kube", "deploy")
    until(site.holding)
    site.write("003_next.sql", "CREATE TABLE next (id int);\n")
    second = site.start("kube", "deploy")
    assert second.stdout is not None
    assert "runs another bundle" in second.stdout.readline()
    site.release()
    said, complained = second.communicate(timeout=120)
    assert second.returncode == 0, said + complained
    assert "003 applied" in said
    assert first.wait(30) == 0, first.communicate()
    assert "002 applied" in first.communicate()[0]
    assert site.versions() == [1, 2, 3]


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    running = site.start("kube", "deploy")
    until(site.holding)
    running.send_signal(signal.SIGINT)
    said, complained = running.communicate(timeout=10)
    assert running.returncode == 75, said + complained
    assert "goes on in the cluster" in complained
    assert "tidelock kube logs -f" in complained
    site.release()
    back = site.tidelock("kube", "logs", "-f")
    assert back.returncode == 0, back.stderr
    assert "✓ 002" in back.stdout
    assert "✓ 002" in site.tidelock("kube", "logs").stdout
    assert site.versions() == [1, 2]


def test_sigterm_in_mid_migration_ends_the_attempt_and_the_next_one_goes_on(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    running = site.start("kube", "deploy")
    until(site.holding)
    site.namespace.kubectl("delete", "pod", site.namespace.running(JOB)["metadata"]["name"])
    site.release()
    said, complained = running.communicate(timeout=120)
    assert running.returncode == 0, said + complained
    assert "T030" in said, "it ended by itself, within its grace period"
    assert site.versions() == [1, 2]


def test_an_api_server_that_restarts_in_mid_deploy_is_waited_for(rig: Cluster, site: Site):
    lines = "\n".join(f"\\echo line {number}\nSELECT pg_sleep(0.2);" for number in range(20))
    site.write("002_slow.sql", f"{lines}\nCREATE TABLE slow (id int);\n")
    running = site.start("kube", "deploy")
    site.namespace.running(JOB)
    rig.apiserver.kill()
    time.sleep(1)
    rig.start_apiserver()
    said, complained = running.communicate(timeout=120)
    assert running.returncode == 0, said + complained
    assert "does not answer" in said
    assert [said.count(f"line {number}\n") for number in range(20)] == [1] * 20, "each line once"


def test_a_bundle_of_5_mib_is_carried_by_several_config_maps_and_shrinks_again(site: Site):
    for number in range(2, 9):
        site.write(f"{number:03}_seed.sql", f"CREATE TABLE seed{number} AS SELECT '{'x' * 750_000}'::text;\n")
    said = site.deploy()
    assert "8 files in 7 ConfigMaps" in said
    assert site.versions() == list(range(1, 9))
    for number in range(4, 9):
        (site.folder / "migrations" / f"{number:03}_seed.sql").unlink()
    said = site.deploy(exit_code=4)  # they are applied, and the files are gone: a person decides
    assert "3 files in 2 ConfigMaps" in said
    assert len(site.namespace.get("configmaps", "-l", f"tidelock.dev/bundle={MAP}")["items"]) == 7, "pruned on success"
    site.write("004_seed.sql", f"CREATE TABLE seed4 AS SELECT '{'x' * 750_000}'::text;\n")
    for number in range(5, 9):
        site.query(f"DELETE FROM schema_migrations WHERE version = {number}")
    site.deploy()
    assert len(site.namespace.get("configmaps", "-l", f"tidelock.dev/bundle={MAP}")["items"]) == 3


def test_a_bundle_with_one_byte_changed_does_not_run(site: Site):
    site.configure(retries="0")
    site.deploy()
    site.namespace.kubectl("patch", "configmap", MAP, "--type=merge", "-p", '{"data":{"002_b.sql":"SELECT 1;"}}')
    site.namespace.kubectl("delete", "job", JOB)
    site.namespace.kubectl("create", "job", "--from", f"cronjob/{JOB}", "migration-manual")
    site.namespace.finished("migration-manual")
    assert site.namespace.ended("migration-manual")["exitCode"] == 75, "5 s are too short to tell it from an old mount"
    assert "T033" in site.namespace.ended("migration-manual")["message"]
    assert "002" not in site.deploy().splitlines()[-1], "a deployment takes out what does not belong there"
    assert list(site.namespace.get("configmap", MAP)["data"]) == ["001_parcels.sql"]


def test_a_secret_without_the_key_is_named_and_mended(site: Site):
    site.namespace.kubectl("delete", "secret", SECRET)
    site.namespace.secret(SECRET, {"POSTGRES_PASSWORD": "geheim"})
    said = site.deploy(exit_code=7)
    assert "K025" in said
    assert f"couldn't find key password in Secret {site.namespace.name}/{SECRET}" in said
    site.configure(password_key='"POSTGRES_PASSWORD"')
    site.deploy()
    assert site.versions() == [1]


def test_rights_taken_away_are_named(rig: Cluster, site: Site):
    said = site.deploy(exit_code=7, kubeconfig=rig.user("eve"))
    assert "K021" in said
    assert 'User "eve" cannot list resource "jobs"' in said


def test_an_image_that_cannot_be_pulled_is_named(site: Site):
    site.configure(image='"registry.invalid/tidelock:1"')
    said = site.deploy(exit_code=7)
    assert "ImagePullBackOff" in said
    site.configure(image=f'"{IMAGE}"')
    site.deploy()


def test_a_namespace_that_is_not_there(site: Site):
    said = site.deploy("--namespace", "nowhere", exit_code=7)
    assert "K022 namespace nowhere: it is not there" in said


def test_an_api_server_that_is_not_there(site: Site, tmp_path: Path):
    wrong = tmp_path / "wrong"
    given = site.namespace.cluster.kubeconfig.read_text()
    wrong.write_text(re.sub(r"https://127\.0\.0\.1:\d+", f"https://127.0.0.1:{free_port()}", given))
    done = site.tidelock("kube", "deploy", "--kubeconfig", str(wrong))
    assert (done.returncode, "T040" in done.stderr) == (75, True), done.stderr


def test_a_dry_run_changes_nothing(site: Site):
    said = site.deploy("--dry-run=server")
    assert f"configmap/{MAP} would be accepted" in said
    assert not site.namespace.there("configmap", MAP)
    assert not site.namespace.there("job", JOB)


def test_the_right_to_a_backup_goes_into_the_namespace_of_the_databases(site: Site):
    with (site.folder / "tidelock.toml").open("a") as settings:
        settings.write('[backup]\nprovider = "cloudnative-pg"\ncluster = "farm"\nnamespace = "default"\n')
    assert f"role/{JOB}-backup would be accepted" in site.deploy("--dry-run=server")


def test_a_job_from_the_cron_job_runs_the_bundle_that_is_deployed(site: Site):
    site.deploy()
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    said = site.deploy("--from-cronjob", JOB)
    assert "002 applied" in said
    owner = site.namespace.get("job", JOB)["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", JOB)
    assert "K024" in site.deploy("--from-cronjob", "nowhere", exit_code=7)


def test_a_job_from_a_cron_job_of_a_smaller_bundle_mounts_all_of_the_larger_one(site: Site):
    site.deploy()
    for number in (2, 3):
        site.write(f"{number:03}_seed.sql", f"CREATE TABLE seed{number} AS SELECT '{'x' * 750_000}'::text;\n")
    assert "002, 003 applied" in site.deploy("--from-cronjob", JOB).splitlines()[-1]
    assert site.versions() == [1, 2, 3]


def test_config_maps_named_by_digest_are_pruned_when_nothing_mounts_them(site: Site):
    site.configure(immutable="true")
    site.deploy()
    first = {
        each["metadata"]["name"]
        for each in site.namespace.get("configmaps", "-l", f"tidelock.dev/bundle={MAP}")["items"]
    }
    site.write("002_area.sql", "ALTER TABLE parcels ADD COLUMN area numeric;\n")
    said = site.deploy()
    second = {
        each["metadata"]["name"]
        for each in site.namespace.get("configmaps", "-l", f"tidelock.dev/bundle={MAP}")["items"]
    }
    assert len(first) == len(second) == 1
    assert first != second
    assert f"{min(first)} " in said


def test_the_result_as_data(site: Site):
    found = site.report("kube", "deploy")
    assert (found["exit_code"], found["job"]["outcome"], found["job"]["attempts"][0]["exit_code"]) == (
        0,
        found["job"]["outcome"],
        0,
    )
    assert [each["version"] for each in found["report"]["applied"]] == [1]


def test_the_farm_is_deployed_with_its_critical_tables(site: Site):
    shutil.rmtree(site.folder / "migrations")
    shutil.copytree(FARM, site.folder, dirs_exist_ok=True)
    critical = (site.folder / "tidelock.toml").read_text().partition("[[critical]]")
    site.configure()
    with (site.folder / "tidelock.toml").open("a") as settings:
        settings.write(f"\n{critical[1]}{critical[2]}")
    said = site.deploy()
    assert "critical tables present" in said.splitlines()[-1]
    assert len(site.versions()) == len(list((site.folder / "migrations").glob("*.sql")))


def test_a_node_that_is_lost_in_mid_run_is_given_up_and_another_one_goes_on(rig: Cluster, site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    node = f"lost-{site.namespace.name[-6:]}"
    rig.add_node(node)
    rig.kubectl("cordon", "node-1")
    running = site.start("kube", "deploy")
    try:
        pod = site.namespace.running(JOB)
    finally:
        rig.kubectl("uncordon", "node-1")
    assert pod["spec"]["nodeName"] == node
    until(site.holding)
    rig.nodes[node].kill()
    site.release()

    def given_up() -> bool:
        return any(each["metadata"].get("deletionTimestamp") for each in site.namespace.pods(JOB))

    until(given_up, 90, what="the pod of a lost node is deleted after its toleration of 30 s")
    rig.kubectl(
        "taint", "node", node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    )  # as an operator does
    said, complained = running.communicate(timeout=150)
    assert running.returncode == 0, said + complained
    assert "started on node-1" in said
    assert site.versions() == [1, 2]
    assert outcome(site.namespace.finished(JOB)) == "Complete"
    rig.kubectl("delete", "node", node)


def test_a_job_that_kubectl_made_is_joined_and_one_with_a_digest_in_its_name_is_found(site: Site):
    site.write_held("002_slow.sql", "CREATE TABLE slow (id int);\n")
    site.tidelock("kube", "render", "--out", "out")
    site.namespace.kubectl("apply", "--server-side", "-f", str(site.folder / "out"))
    until(site.holding)
    joined = site.start("kube", "deploy")
    assert joined.stdout is not None
    assert "joining it" in joined.stdout.readline()
    site.release()
    assert joined.wait(120) == 0, joined.communicate()
    joined.communicate()
    assert len(site.namespace.pods(JOB)) == 1
    site.namespace.kubectl("delete", "job", JOB)
    site.tidelock("kube", "render", "--for", "kustomize", "--out", "hashed")
    site.namespace.kubectl("apply", "--server-side", "-k", str(site.folder / "hashed"))
    until(lambda: site.report("kube", "status")["settled"])
    assert site.report("kube", "status")["job"]["name"].startswith(f"{JOB}-")
    assert "Nothing to do" in site.tidelock("kube", "logs").stdout


def test_two_databases_are_deployed_one_after_the_other(site: Site, cluster: Server):
    name = cluster.create_database()
    shutil.copytree(site.folder / "migrations", site.folder / "farm")
    shutil.move(site.folder / "migrations", site.folder / "shop")
    with (site.folder / "tidelock.toml").open("a") as settings:
        settings.write(f'\n[databases.farm]\n[databases.shop]\n[databases.shop.kube]\ndatabase = "{name}"\n')
    said = site.deploy()
    assert f"{site.namespace.name}/farm-migration" in said
    assert f"{site.namespace.name}/shop-migration" in said
    assert said.count("001 applied") == 2
    assert "farm-migration" in site.deploy("--database", "farm")
    cluster.drop_database(name)
