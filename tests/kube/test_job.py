"""The Job's contract with Kubernetes, as manifests."""

import pytest

from tidelock.core.bundle import Bundle
from tidelock.core.source import seconds
from tidelock.core.workload import BadReference, Incomplete, Workload
from tidelock.kube import cronjob
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.delivery import Delivery
from tidelock.kube.job import job
from tidelock.operator.resource import specification

FARM = Workload(image="registry.example/tidelock", host="postgresql", secret="postgres-secret", namespace="nekazari")


def delivery(workload=FARM, files=None, name="", **more):
    return Delivery(workload=workload.named(name), bundle=Bundle(files or {"001_a.sql": b"SELECT 1;\n"}), **more)


def pod_of(found):
    return found["spec"]["template"]["spec"]


def env_of(found):
    return {each["name"]: each.get("value") or each["valueFrom"] for each in pod_of(found)["containers"][0]["env"]}


def test_a_disruption_is_ignored_before_an_exit_code_is_looked_at():
    first, second = job(delivery())["spec"]["podFailurePolicy"]["rules"]
    assert (first["action"], first["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert second["action"] == "FailJob"
    assert second["onExitCodes"] == {
        "containerName": "migrate",
        "operator": "In",
        "values": [1, 2, 3, 4, 5, 6, 7, 8, 70],
    }


def test_a_day_is_the_deadline_and_no_ttl_takes_the_job_away():
    spec = job(delivery())["spec"]
    assert spec["activeDeadlineSeconds"] == 86_400
    assert "ttlSecondsAfterFinished" not in spec


def test_the_pod_fits_the_restricted_standard_and_holds_no_token():
    pod = pod_of(job(delivery()))
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_a_lost_node_is_given_up_after_half_a_minute():
    assert {each["key"]: each["tolerationSeconds"] for each in pod_of(job(delivery()))["tolerations"]} == {
        "node.kubernetes.io/unreachable": 30,
        "node.kubernetes.io/not-ready": 30,
    }


def test_the_job_knows_which_bundle_it_is_for():
    found = delivery()
    assert env_of(job(found))["TIDELOCK_BUNDLE"] == found.bundle.digest
    assert job(found)["metadata"]["labels"]["tidelock.dev/digest"] == found.bundle.digest[7:23]


def test_a_password_comes_from_the_secret_and_is_nowhere_in_the_manifest():
    env = env_of(job(delivery()))
    assert env["PGPASSWORD"] == {"secretKeyRef": {"name": "postgres-secret", "key": "password"}}
    assert (env["PGHOST"], env["PGPORT"]) == ("postgresql", "5432")


def test_a_url_in_the_secret_stands_for_all():
    workload = Workload(
        image="i", secret="app", url_key="DATABASE_URL", env={"AWS_REGION": "eu", "AWS_ACCESS_KEY_ID": "secret/s3/id"}
    )
    env = env_of(job(delivery(workload)))
    assert env["DATABASE_URL"] == {"secretKeyRef": {"name": "app", "key": "DATABASE_URL"}}
    assert env["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "s3", "key": "id"}}
    assert env["AWS_REGION"] == "eu"
    assert "PGPASSWORD" not in env


def test_a_certificate_is_mounted_and_named():
    found = job(delivery(Workload(image="i", host="db", sslmode="verify-full", ca="configmap/ca/root.pem")))
    assert env_of(found)["PGSSLROOTCERT"] == "/etc/tidelock-ca/root.pem"
    assert {"name": "ca", "configMap": {"name": "ca", "items": [{"key": "root.pem", "path": "root.pem"}]}} in pod_of(
        found
    )["volumes"]


def test_a_commit_changes_no_job():
    assert job(delivery(commit="42f2cdd")) | {"metadata": {}} == job(delivery()) | {"metadata": {}}
    assert settings_map(delivery(commit="42f2cdd"))[0]["data"] == {"commit": "42f2cdd"}


def test_a_hashed_name_changes_with_the_bundle_and_with_the_image_and_else_never():
    names = [
        job(each, hashed=True)["metadata"]["name"]
        for each in (
            delivery(),
            delivery(commit="42f2cdd"),
            delivery(files={"002_b.sql": b""}),
            delivery(Workload(image="other", host="db")),
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_names_are_those_of_the_seeds_and_can_be_told():
    farm, telemetry = delivery(), delivery(name="timescaledb")
    assert (farm.workload.job, farm.config_map) == ("db-migration", "postgresql-migrations")
    assert (telemetry.workload.job, telemetry.config_map, telemetry.workload.backup) == (
        "timescaledb-migration",
        "timescaledb-migrations",
        "timescaledb-backup",
    )


def test_a_large_bundle_is_one_directory_behind_one_volume():
    found = delivery(files={f"{number:03}_x.sql": b"-" * 500_000 for number in range(1, 11)})
    maps = bundle_maps(found)
    (volume, _) = pod_of(job(found))["volumes"]
    assert [each["configMap"]["name"] for each in volume["projected"]["sources"]] == [
        each["metadata"]["name"] for each in maps
    ]
    assert [each["metadata"]["annotations"]["tidelock.dev/part"] for each in maps][:2] == ["1/10", "2/10"]
    assert {each["metadata"]["labels"]["tidelock.dev/bundle"] for each in maps} == {"postgresql-migrations"}


def test_a_name_that_is_no_key_is_mounted_under_its_name():
    found = delivery(files={"001 ä.sql": b"x"})
    assert pod_of(job(found))["volumes"][0]["configMap"] == {
        "name": "postgresql-migrations",
        "items": [{"key": "001--.sql", "path": "001 ä.sql"}],
    }


def test_the_suspended_cron_job_runs_what_the_job_runs():
    found = cronjob.migration(delivery())
    assert found["spec"]["suspend"] is True
    assert found["spec"]["jobTemplate"]["spec"] == job(delivery())["spec"]
    assert found["metadata"]["name"] == "db-migration"


def test_the_backup_runs_by_the_clock_and_never_beside_itself():
    found = cronjob.backup(delivery())
    assert found["spec"]["concurrencyPolicy"] == "Forbid"
    assert found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][:2] == ["backup", "create"]


def test_immutable_config_maps_are_named_by_their_digest():
    found = delivery(Workload(image="i", host="db", immutable=True))
    (config_map,) = bundle_maps(found)
    assert config_map["immutable"] is True
    assert config_map["metadata"]["name"] == f"postgresql-migrations-{found.bundle.short[:10]}"
    assert pod_of(job(found))["volumes"][0]["configMap"]["name"] == config_map["metadata"]["name"]


@pytest.mark.parametrize(
    ("workload", "lacks"),
    [
        (Workload(host="db"), "image"),
        (Workload(image="i"), "where the database is"),
        (Workload(image="i", host="db", password_key="p"), "no secret"),
    ],
)
def test_what_could_not_work_is_refused(workload, lacks):
    with pytest.raises(Incomplete, match=lacks):
        workload.named("").check(addressed=False)


def test_a_reference_needs_three_parts():
    with pytest.raises(BadReference, match=r"env\.A"):
        list(Workload(env={"A": "secret/only"}).variables())


def test_an_image_with_a_tag_or_digest_is_taken_as_it_is():
    assert Workload(image="r:5000/t").image_with_tag == "r:5000/t:0.1.0-pg18"
    assert Workload(image="r/t:x").image_with_tag == "r/t:x"
    assert Workload(image="r/t@sha256:00").image_with_tag == "r/t@sha256:00"


def test_durations_are_written_as_they_are_read():
    found = delivery(Workload(image="i", host="db", deadline_s=1e6, wait_s=0.25))
    assert job(found)["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "0.25s"
    policy = specification(found.workload, "", token=False)["policy"]
    assert (policy["deadline"], policy["wait"]) == ("1000000s", "0.25s")
    assert seconds(policy["deadline"]) == 1e6
