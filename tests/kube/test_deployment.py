"""What a deployment decides without a cluster: which Jobs are the same, what is mounted, what a CronJob's Job expects."""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tidelock.cli.deploying import Where, connect
from tidelock.cli.operating import address
from tidelock.config import BadSetting
from tidelock.core.bundle import Bundle, mountable
from tidelock.core.workload import Incomplete, Workload
from tidelock.kube import cronjob, network
from tidelock.kube import job as jobs
from tidelock.kube.client import SILENT_S
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.cronjob import for_bundle
from tidelock.kube.delivery import Delivery
from tidelock.kube.deploy import Deployment, holds, is_same, marked, mentioned
from tidelock.kube.faults import NoContext
from tidelock.kube.settings import PASSWORD, refuse_passwords
from tidelock.operator.metrics import Metrics, serve

if TYPE_CHECKING:
    from pathlib import Path


def delivered(text: bytes = b"SELECT 1;\n", settings: bytes = b"") -> Delivery:
    workload = Workload(namespace="farm", image="tidelock", host="db").named("")
    return Delivery(
        workload=workload, bundle=mountable({"001_a.sql": text}), settings=Bundle({"tidelock.toml": settings})
    )


def test_a_job_that_does_not_say_which_bundle_it_runs_is_still_of_one_bundle_alone() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "psql"}], "restartPolicy": "Never"}}}
    one, two = ({**jobs.job(delivered(text)), "spec": spec} for text in (b"SELECT 1;\n", b"SELECT 2;\n"))
    assert not is_same(marked(one), marked(two)), "else a deployment joins the Job of another"
    assert is_same(marked(one), marked(dict(one)))


def test_a_cron_jobs_job_expects_the_settings_that_go_with_the_bundle() -> None:
    old, new = delivered(b"SELECT 1;\n", b"old"), delivered(b"SELECT 2;\n", b"new")
    made = for_bundle(cronjob.migration(old)["spec"]["jobTemplate"]["spec"], jobs.job(new)["spec"])
    env = {each["name"]: each.get("value") for each in made["template"]["spec"]["containers"][0]["env"]}
    assert (env["TIDELOCK_BUNDLE"], env["TIDELOCK_SETTINGS"]) == (new.bundle.digest, new.settings.digest)


class Jobs:
    """A cluster with these Jobs."""

    namespace = "farm"

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = jobs
        self.deleted: list[str] = []

    def all_of(self, _kind: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [each for each in self.jobs if labels.items() <= each["metadata"]["labels"].items()]

    def delete(self, _kind: str, name: str, _uid: str) -> None:
        self.deleted.append(name)


def test_a_deployment_removes_finished_jobs_from_its_cron_job_and_no_others() -> None:
    ours = delivered()
    made = jobs.job(ours)

    def job(name: str, owner: tuple[str, str] | None, *, ended: bool = True) -> dict[str, Any]:
        owners = [{"kind": owner[0], "name": owner[1]}] if owner else []
        status = {"conditions": [{"type": "Complete", "status": "True"}]} if ended else {}
        return {
            **made,
            "metadata": {**made["metadata"], "name": name, "uid": name, "ownerReferences": owners},
            "status": status,
        }

    there: Any = Jobs(
        job("db-migration", ("CronJob", "db-migration")),
        job("migration-manual", ("CronJob", "db-migration")),
        job("migration-at-work", ("CronJob", "db-migration"), ended=False),
        job("db-migration-7", ("MigrationTarget", "db-migration")),
        job("db-migration-1a2b3c4d5e", None),
        job("other-manual", ("CronJob", "other-migration")),
    )
    Deployment(there, [], made, "postgresql-migrations").clear(ours.selector("migration"))
    assert there.deleted == ["migration-manual"]


def test_an_object_holds_what_is_wanted_whatever_the_api_server_has_added() -> None:
    wanted = network.policy(delivered())
    found = copy.deepcopy(wanted)
    found["metadata"]["uid"] = "u"
    found["spec"]["egress"][0]["to"] = []
    assert holds(found, wanted)
    found["spec"]["egress"].append({})
    assert not holds(found, wanted), "it lets more through"
    assert not holds({**wanted, "spec": None}, wanted)


LARGE = {f"{number:03}_seed.sql": b"-" * 500_000 for number in range(1, 4)}


@pytest.mark.parametrize("immutable", [False, True])
def test_a_cron_jobs_job_mounts_what_the_bundle_lies_in_now(immutable: bool) -> None:
    old, new = delivered(settings=b"old"), delivered(settings=b"new")
    new = replace(new, bundle=mountable(LARGE), workload=replace(new.workload, immutable=immutable))
    spec = cronjob.migration(old)["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    pod["volumes"].append({"name": "beside", "configMap": {"name": "proxy"}})
    pod["containers"].append({"name": "proxy", "volumeMounts": [{"name": "beside", "mountPath": "/etc/proxy"}]})
    made = for_bundle(spec, jobs.job(new)["spec"])
    maps = {each["metadata"]["name"] for each in (*bundle_maps(new), *settings_map(new))}
    assert len(maps) == 4
    assert mentioned({"spec": made}) == maps | {"proxy"}
    env = {each["name"]: each for each in made["template"]["spec"]["containers"][0]["env"]}
    assert env["TIDELOCK_COMMIT"]["valueFrom"]["configMapKeyRef"]["name"] == new.settings_map


def test_a_cron_job_that_takes_its_files_from_elsewhere_goes_on_doing_so() -> None:
    spec = cronjob.migration(delivered())["spec"]["jobTemplate"]["spec"]
    volumes = spec["template"]["spec"]["volumes"]
    volumes[0] = {"name": "migrations", "persistentVolumeClaim": {"claimName": "files"}}
    made = for_bundle(spec, jobs.job(delivered(b"SELECT 2;\n"))["spec"])
    assert made["template"]["spec"]["volumes"][0] == volumes[0]


def test_what_jobs_cron_jobs_and_pods_mount_is_known() -> None:
    found = jobs.job(delivered())
    maps = {"postgresql-migrations", "postgresql-migrations-settings"}
    assert mentioned(found) == maps
    assert mentioned(cronjob.migration(delivered())) == maps
    assert mentioned({"spec": found["spec"]["template"]["spec"]}) == maps


KUBECONFIG = """\
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{{user}}}}}]
"""
EMPTY = "exec: {{apiVersion: client.authentication.k8s.io/v1, command: echo, args: ['{}']}}"
PLUGIN = 'exec: {{apiVersion: client.authentication.k8s.io/v1, command: {}, args: ["{{"]}}'


@pytest.mark.parametrize(
    ("server", "user"),
    [
        ("https://127.0.0.1:1", PLUGIN.format("no-such-program")),
        ("https://127.0.0.1:1", PLUGIN.format("echo")),
        ("https://127.0.0.1:1", EMPTY.format("{}")),
        ("https://127.0.0.1:1", EMPTY.format('{"status": null}')),
        ("https://127.0.0.1:1", EMPTY.format('{"status": {"clientCertificateData": "x"}}')),
        ("localhost:1", ""),
        ("https://[bad", ""),
        ("https://", ""),
        ("https://127.0.0.1:99999", ""),
        ("https://a b", ""),
    ],
)
def test_what_no_time_mends_is_the_callers_to_mend(tmp_path: Path, server: str, user: str) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.format(server=server, user=user))
    with (
        pytest.raises(NoContext, match="context c: ") as caught,
        closing(connect(Where(kubeconfig=path, namespace="farm"), "tidelock")) as cluster,
    ):
        cluster.get("Job", "db-migration")
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_another_kind_of_server_is_told_at_once(tmp_path: Path) -> None:
    server = serve(("127.0.0.1", 0), Metrics(), lambda: True, lambda: True)
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.format(server=f"http://127.0.0.1:{server.server_port}", user=""))
    cluster = connect(Where(kubeconfig=path, namespace="farm"), "tidelock")
    with pytest.raises(NoContext, match="404"):
        cluster.get("Job", "db-migration")
    cluster.close()
    with pytest.raises(BadSetting, match=f"127.0.0.1:{server.server_port}"):
        serve(("127.0.0.1", server.server_port), Metrics(), lambda: True, lambda: True)
    server.shutdown()
    server.server_close()


def test_a_watch_is_given_up_when_it_is_silent_for_longer_than_a_live_one_can_be(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.format(server="https://127.0.0.1:1", user=""))
    cluster = connect(Where(kubeconfig=path, namespace="farm"), "tidelock")
    timeout: Any = cluster.client._client._watch_timeout
    assert timeout.read == SILENT_S
    cluster.close()


@pytest.mark.parametrize("listen", ["8080", ":99999", ":x", "localhost:"])
def test_an_address_that_is_none_is_told(listen: str) -> None:
    with pytest.raises(BadSetting, match="--listen"):
        address(listen)


@pytest.mark.parametrize("url", ["postgresql://app:hunter2@db/farm", "host=db password=hunter2"])
def test_a_password_that_is_written_out_goes_into_no_config_map(url: str) -> None:
    with pytest.raises(Incomplete, match=r"database\.url") as caught:
        refuse_passwords({"database": {"url": url}})
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:${PGPASSWORD}@db/farm",
        "postgresql://app@db/farm?passfile=/x",
        "host=db password=${PGPASSWORD}",
        "s3://backups/farm",
    ],
)
def test_a_reference_to_a_password_is_none(url: str) -> None:
    assert not PASSWORD.search(url)
