"""What the rendered pods do beside `kube deploy`: a mount that lags behind, and an application that waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.kube.site import Site
from tests.rig.kube.access import until
from tests.rig.kube.namespace import outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace

CRITICAL = '\n[[critical]]\ntable = "a"\nmigration = 1\nfallback = "fallback/a.sql"\n'


@pytest.fixture
def place(tmp_path: Path, namespace: Namespace, postgres_dsn: str) -> Site:
    found = Site(tmp_path, namespace, postgres_dsn)
    namespace.secret("postgres-secret", {"password": "geheim"})
    found.configure(wait='"20s"')
    found.write("001_a.sql", "CREATE TABLE a (i int);\n")
    return found


def rendered(place: Site, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = place.tidelock("kube", "render", *arguments)
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}


def test_a_job_that_is_there_before_its_config_map_waits_for_the_mount(place: Site) -> None:
    old = rendered(place)
    place.namespace.apply(*(each for (kind, _), each in old.items() if kind in ("ConfigMap", "ServiceAccount")))
    place.write("002_b.sql", "INSERT INTO a VALUES (2);\n")
    new = rendered(place)
    place.namespace.apply(new["Job", "db-migration"])
    place.namespace.running("db-migration")
    until(lambda: "is not the bundle" in place.namespace.kubectl("logs", "job/db-migration"))
    place.namespace.apply(new["ConfigMap", "postgresql-migrations"])
    assert outcome(place.namespace.finished("db-migration")) == "Complete"
    assert place.versions() == [1, 2]


def edited(place: Site) -> None:
    """Apply what is rendered, and a ConfigMap that somebody has edited."""
    objects = rendered(place)
    objects["ConfigMap", "postgresql-migrations"]["data"]["001_a.sql"] += "-- edited in the cluster\n"
    place.namespace.apply(
        *(each for (kind, _), each in objects.items() if kind in ("ConfigMap", "ServiceAccount", "Job"))
    )


def test_one_that_waits_in_vain_is_refused_before_the_database_is_asked(place: Site) -> None:
    place.configure(wait='"3m"')
    edited(place)
    assert outcome(place.namespace.finished("db-migration", wait_s=240)) == "Failed"
    ended = place.namespace.ended("db-migration")
    assert ended["exitCode"] == 3
    assert "S060" in ended["message"]
    assert place.query("SELECT to_regclass('schema_migrations')") == [(None,)]


def test_one_that_did_not_wait_long_enough_to_know_is_left_to_the_next_attempt(place: Site) -> None:
    place.configure(wait='"2s"', retries="0")
    edited(place)
    assert outcome(place.namespace.finished("db-migration")) == "Failed"
    ended = place.namespace.ended("db-migration")
    assert ended["exitCode"] == 75
    assert "T033" in ended["message"]
    assert place.query("SELECT to_regclass('schema_migrations')") == [(None,)]


def deployment(place: Site) -> None:
    """An application with the init container that `kube render` prints."""
    pod = {"containers": [{"name": "app", "image": "host", "command": ["sleep", "600"]}]}
    place.application(pod)
    part = place.tidelock("kube", "render", "--init-container").stdout
    path = place.folder / "part.yaml"
    path.write_text(part)
    place.namespace.kubectl("patch", "deployment", "farm", "--patch-file", str(path))
    place.namespace.kubectl("scale", "deployment", "farm", "--replicas=1")


def starts(place: Site) -> bool:
    """The application's own container runs."""
    return any(
        each.get("ready")
        for pod in place.namespace.get("pods", "-l", "app=farm")["items"]
        for each in pod["status"].get("containerStatuses", [])
    )


def test_the_application_starts_after_the_newest_migration(place: Site) -> None:
    objects = rendered(place)
    deployment(place)
    until(lambda: place.namespace.get("pods", "-l", "app=farm")["items"])
    time.sleep(2)
    assert not starts(place)
    place.namespace.apply(*objects.values())
    until(lambda: starts(place))
    assert place.versions() == [1]


def test_with_critical_tables_it_starts_on_their_fallback_and_the_job_fails_with_8(place: Site) -> None:
    toml = place.folder / "tidelock.toml"
    toml.write_text(toml.read_text() + CRITICAL)
    (place.folder / "fallback").mkdir()
    (place.folder / "fallback/a.sql").write_text("CREATE TABLE IF NOT EXISTS a (i int);\n")
    place.write("001_a.sql", "CREATE TABLE a (i int CHECK (nobody > 0));\n")
    objects = rendered(place)
    place.namespace.apply(*objects.values())
    deployment(place)
    until(lambda: starts(place))
    assert outcome(place.namespace.finished("db-migration")) == "Failed"
    assert place.namespace.ended("db-migration")["exitCode"] == 8
