"""`tidelock kube render`: the same files and settings give the same manifests, for each tool what it needs."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import yaml

from tests.docs.test_json import check as as_documented
from tests.kube.project import SETTINGS, git, tidelock, write

GOLDEN = Path(__file__).parent / "golden"
FLAVOURS = ("kubectl", "kustomize", "helm", "argocd", "flux", "operator")


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def objects(folder):
    return [each for path in sorted(folder.rglob("*.yaml")) for each in yaml.safe_load_all(path.read_text("utf-8"))]


def of_kind(folder, kind):
    return [each for each in objects(folder) if each["kind"] == kind]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_manifests_of_each_tool_are_as_they_were(farm, flavour):
    """TIDELOCK_WRITE_GOLDEN=1 writes them anew, for review in the diff."""
    assert tidelock(farm, "kube", "render", "--for", flavour).returncode == 0
    found = tree(farm / "k8s")
    if os.environ.get("TIDELOCK_WRITE_GOLDEN"):
        write(GOLDEN / flavour, found)
    assert found == tree(GOLDEN / flavour)


def test_rendering_twice_changes_nothing(farm):
    first = tidelock(farm, "kube", "render")
    again = tidelock(farm, "kube", "render")
    assert "made      k8s/migration-job.yaml" in first.stdout
    assert again.stdout == (
        "nekazari/postgresql-migrations  2 files in 1 ConfigMap, digest 67ee…ec\nnothing changed\n".replace(
            "67ee…ec", again.stdout.split("digest ")[1].split()[0]
        )
    )


def test_the_digest_is_the_one_that_sha256sum_prints(farm):
    found = as_documented("kube-render", tidelock(farm, "kube", "render", "--json").stdout)
    shown = subprocess.run(
        "sha256sum *.sql | LC_ALL=C sort -k2 | sha256sum",
        shell=True,
        cwd=farm / "migrations",
        capture_output=True,
        text=True,
    )
    assert found["bundles"][0]["digest"] == f"sha256:{shown.stdout.split()[0]}"


def test_stale_manifests_fail_the_check_and_say_which(farm):
    tidelock(farm, "kube", "render")
    assert tidelock(farm, "kube", "render", "--check").returncode == 0
    write(farm, {"migrations/003_c.sql": "SELECT 1;\n"})
    done = tidelock(farm, "kube", "render", "--check")
    assert done.returncode == 1
    assert "stale     k8s/migration-job.yaml" in done.stdout


def test_what_another_flavour_left_is_taken_away_and_what_others_wrote_is_not(farm):
    tidelock(farm, "kube", "render")
    write(farm, {"k8s/deployment.yaml": "kind: Deployment\n"})
    done = tidelock(farm, "kube", "render", "--for", "flux")
    assert "removed   k8s/migration-job.yaml" in done.stdout
    assert (farm / "k8s/deployment.yaml").exists()


def test_what_somebody_wrote_is_not_written_over_unless_it_is_said(farm):
    own = {
        "k8s/migration-job.yaml": "kind: Job  # ours for years\n",
        "scripts/migrate.sh": "#!/usr/bin/env bash\nkubectl apply\n",
    }
    write(farm, {"tidelock.toml": SETTINGS.replace('out = "k8s"', 'out = "k8s"\nscript = "scripts/migrate.sh"'), **own})
    done = tidelock(farm, "kube", "render")
    assert done.returncode == 2
    assert "U048 k8s/migration-job.yaml, scripts/migrate.sh were not written by" in done.stderr
    assert "--force" in done.stderr
    assert {name: (farm / name).read_text() for name in own} == own
    assert not (farm / "k8s/rights.yaml").exists(), "all of it, or nothing"
    assert tidelock(farm, "kube", "render", "--check").returncode == 1
    done = tidelock(farm, "kube", "render", "--force")
    assert "wrote     k8s/migration-job.yaml" in done.stdout
    write(farm, {"migrations/003_c.sql": "SELECT 1;\n"})
    assert tidelock(farm, "kube", "render").returncode == 0, "now they are its own"


def test_without_a_directory_the_manifests_are_printed(farm):
    write(farm, {"tidelock.toml": SETTINGS.replace('out = "k8s"\n', "")})
    done = tidelock(farm, "kube", "render")
    assert [each["kind"] for each in yaml.safe_load_all(done.stdout)][:2] == ["ConfigMap", "ConfigMap"]
    assert tidelock(farm, "kube", "render", "--check").returncode == 2


def test_the_seeds_layout_is_written_beside_its_migrations(farm):
    place = "gitops/apps/base/timescaledb"
    write(
        farm,
        {
            f"{place}/migrations/001_initial_schema.sql": "SELECT 1;\n",
            "tidelock.toml": SETTINGS.partition("[backup]")[0].replace('out = "k8s"', f'out = "{place}"')
            + f'bundle = "timescaledb-migrations"\njob = "timescaledb-migration"\nscript = "scripts/apply-database-migrations.sh"\n[migrations]\ndir = "{place}/migrations"\n',
        },
    )
    assert tidelock(farm, "kube", "render").returncode == 0
    names = {(each["kind"], each["metadata"]["name"]) for each in objects(farm / place)}
    assert {
        ("ConfigMap", "timescaledb-migrations"),
        ("Job", "timescaledb-migration"),
        ("CronJob", "timescaledb-migration"),
    } <= names
    assert subprocess.run(["bash", "-n", farm / "scripts/apply-database-migrations.sh"]).returncode == 0
    assert os.access(farm / "scripts/apply-database-migrations.sh", os.X_OK)


def test_the_backup_is_a_cron_job_where_there_is_a_store(farm):
    tidelock(farm, "kube", "render")
    assert [each["metadata"]["name"] for each in of_kind(farm / "k8s", "CronJob")] == ["db-backup", "db-migration"]
    write(farm, {"tidelock.toml": SETTINGS.replace('url = "s3://backups/farm"\n', "")})
    tidelock(farm, "kube", "render")
    assert [each["metadata"]["name"] for each in of_kind(farm / "k8s", "CronJob")] == ["db-migration"]


def test_included_files_go_along_and_a_readme_does_not(farm):
    write(farm, {"migrations/003_c.sql": "\\i common/x.sql\n", "migrations/common/x.sql": "SELECT 1;\n"})
    tidelock(farm, "kube", "render")
    (found,) = (
        each for each in of_kind(farm / "k8s", "ConfigMap") if each["metadata"]["name"] == "postgresql-migrations"
    )
    assert set(found["data"]) == {"001_ndvi_jobs.sql", "002_seed.sql", "003_c.sql", "common-x.sql"}


def test_five_mib_go_into_several_config_maps_and_helm_says_its_limit(farm):
    noise = zlib.compress(os.urandom(1_000_000)).hex()[:900_000]
    write(farm, {f"migrations/{number:03}_big.sql": f"SELECT '{noise[number:]}';\n" for number in range(3, 9)})
    done = tidelock(farm, "kube", "render", "--json")
    assert json.loads(done.stdout)["bundles"][0]["config_maps"] == 6
    refused = tidelock(farm, "kube", "render", "--for", "helm", "--out", "chart")
    assert refused.returncode == 7
    assert "K004" in refused.stderr
    assert not (farm / "chart").exists()


def test_each_database_has_its_own_job_and_directory(farm):
    write(
        farm,
        {
            "tidelock.toml": '[kube]\nimage = "i"\nhost = "db"\nout = "k8s"\n[databases.telemetry]\ndir = "migrations"\n'
            '[databases.reporting]\ndir = "reporting"\nlock_timeout = "5s"\n[databases.reporting.kube]\nhost = "other"\n',
            "reporting/001_a.sql": "SELECT 1;\n",
        },
    )
    assert tidelock(farm, "kube", "render").returncode == 0
    (first,), (second,) = of_kind(farm / "k8s/telemetry", "Job"), of_kind(farm / "k8s/reporting", "Job")
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("telemetry-migration", "reporting-migration")
    container = second["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][-4:-2] == ["--database", "reporting"]
    assert {"name": "PGHOST", "value": "other"} in container["env"]


def test_settings_in_the_pod_are_those_that_a_run_reads(farm):
    write(
        farm,
        {"tidelock.toml": SETTINGS + '[prove]\nshadow = "postgresql://elsewhere"\n[limits]\nlock_timeout = "5s"\n'},
    )
    tidelock(farm, "kube", "render")
    found = {each["metadata"]["name"]: each for each in of_kind(farm / "k8s", "ConfigMap")}
    text = found["postgresql-migrations-settings"]["data"]["tidelock.toml"]
    assert 'lock_timeout = "5s"' in text
    assert 'fallback = "fallback/001_ndvi_jobs.sql"' in text
    assert "elsewhere" not in text
    assert "image" not in text


def test_a_variable_that_the_pod_would_not_have_is_refused(farm):
    write(farm, {"tidelock.toml": SETTINGS.replace("s3://backups/farm", "${BUCKET}")})
    done = subprocess.run(
        [sys.executable, "-m", "tidelock", "kube", "render"],
        cwd=farm, capture_output=True, text=True, env={**os.environ, "BUCKET": "s3://here"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "BUCKET" in done.stderr
    assert "backup.url" in done.stderr


def test_a_commit_that_is_told_stands_on_the_config_maps_and_in_no_job(farm):
    tidelock(farm, "kube", "render")
    before = of_kind(farm / "k8s", "Job")[0]["spec"]
    tidelock(farm, "kube", "render", "--commit", "42f2cdd")
    found = {each["metadata"]["name"]: each for each in of_kind(farm / "k8s", "ConfigMap")}
    assert found["postgresql-migrations"]["metadata"]["annotations"]["tidelock.dev/commit"] == "42f2cdd"
    assert found["postgresql-migrations-settings"]["data"]["commit"] == "42f2cdd"
    assert of_kind(farm / "k8s", "Job")[0]["spec"] == before


def test_immutable_config_maps_get_names_of_their_own(farm):
    tidelock(farm, "kube", "render", "--immutable")
    found = of_kind(farm / "k8s", "ConfigMap")
    assert [each.get("immutable") for each in found] == [True, None]
    assert all(each["metadata"]["name"] != "postgresql-migrations" for each in found)


@pytest.mark.parametrize("how", ["option", "setting"])
def test_immutable_config_maps_are_refused_for_the_operator_which_could_not_tell_them_apart(farm, how):
    if how == "setting":
        write(farm, {"tidelock.toml": SETTINGS.replace('out = "k8s"', 'out = "k8s"\nimmutable = true')})
    done = tidelock(farm, "kube", "render", "--for", "operator", *(["--immutable"] if how == "option" else []))
    assert done.returncode == 2
    assert "U047" in done.stderr
    assert "render for another tool" in done.stderr
    assert not (farm / "k8s").exists()


def test_flux_reads_from_the_root_of_the_repository(farm):
    git(farm, "init", "--quiet")
    write(farm / "apps/farm", {name: text for name, text in dict(tree(farm)).items() if not name.startswith(".git/")})
    assert tidelock(farm / "apps/farm", "kube", "render", "--for", "flux").returncode == 0
    paths = [each["spec"]["path"] for each in of_kind(farm / "apps/farm/k8s", "Kustomization") if "spec" in each]
    assert paths == ["./apps/farm/k8s/migration", "./apps/farm/k8s/told"]


def test_the_application_waits_for_critical_tables_or_the_newest_version(farm):
    (found,) = yaml.safe_load_all(tidelock(farm, "kube", "render", "--init-container").stdout)
    (container,) = found["spec"]["template"]["spec"]["initContainers"]
    assert container["args"] == ["wait", "--config", "/etc/tidelock/tidelock.toml", "--critical", "--wait", "10m"]
    write(farm, {"tidelock.toml": SETTINGS.partition("[backup]")[0]})
    (found,) = yaml.safe_load_all(tidelock(farm, "kube", "render", "--init-container").stdout)
    assert found["spec"]["template"]["spec"]["initContainers"][0]["args"] == ["wait", "--version", "2", "--wait", "10m"]


def test_kustomize_builds_what_was_rendered_and_changes_no_sql(farm, kubectl):
    tidelock(farm, "kube", "render", "--for", "kustomize")
    done = subprocess.run([kubectl, "kustomize", farm / "k8s"], capture_output=True, text=True, check=True)
    built = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}
    assert (
        built["ConfigMap", "postgresql-migrations"]["data"]["002_seed.sql"]
        == (farm / "migrations/002_seed.sql").read_text()
    )
    assert any(kind == "Job" and name.startswith("db-migration-") for kind, name in built)


def test_a_token_is_mounted_only_where_kubernetes_is_asked_for_a_backup(farm):
    tidelock(farm, "kube", "render")
    assert not of_kind(farm / "k8s", "Job")[0]["spec"]["template"]["spec"]["automountServiceAccountToken"]
    provided = 'provider = "cloudnative-pg"\ncluster = "farm"\nnamespace = "databases"'
    write(farm, {"tidelock.toml": SETTINGS.replace('url = "s3://backups/farm"', provided)})
    assert tidelock(farm, "kube", "render").returncode == 0
    assert of_kind(farm / "k8s", "Job")[0]["spec"]["template"]["spec"]["automountServiceAccountToken"]
    roles = {each["metadata"]["name"]: each for each in of_kind(farm / "k8s", "Role")}
    assert roles["db-migration-backup"]["rules"] == [
        {"apiGroups": ["postgresql.cnpg.io"], "resources": ["backups"], "verbs": ["create", "get"]}
    ]
    assert roles["db-migration-backup"]["metadata"]["namespace"] == "databases"
    bindings = {each["metadata"]["name"]: each for each in of_kind(farm / "k8s", "RoleBinding")}
    assert bindings["db-migration-backup"]["subjects"][0] == {
        "kind": "ServiceAccount",
        "name": "db-migration",
        "namespace": "nekazari",
    }


TWO = """
[databases.a]
url = "postgresql://db/a"
dir = "migrations"
[databases.b]
url = "postgresql://db/b"
dir = "migrations"
"""


def test_rendering_one_database_leaves_the_manifests_of_the_others_alone(farm):
    write(farm, {"tidelock.toml": SETTINGS.partition("[[critical]]")[0] + TWO})
    assert tidelock(farm, "kube", "render").returncode == 0
    before = tree(farm / "k8s")
    assert {name.partition("/")[0] for name in before} == {"a", "b"}
    done = tidelock(farm, "kube", "render", "--database", "a")
    assert "nothing changed" in done.stdout
    assert tree(farm / "k8s") == before
    assert tidelock(farm, "kube", "render", "--check", "--database", "b").returncode == 0


def test_a_layout_that_is_no_more_is_taken_away_and_so_is_a_database_that_is_no_more(farm):
    plain = SETTINGS.partition("[[critical]]")[0]
    write(farm, {"tidelock.toml": plain})
    tidelock(farm, "kube", "render")
    write(farm, {"tidelock.toml": plain.replace("[kube]", '[kube]\nfor = "helm"') + TWO})
    assert "removed   k8s/migration-job.yaml" in tidelock(farm, "kube", "render").stdout
    assert {name.partition("/")[0] for name in tree(farm / "k8s")} == {"a", "b"}
    write(farm, {"tidelock.toml": plain + TWO.replace("databases.b", "databases.c")})
    assert tidelock(farm, "kube", "render").returncode == 0
    assert {name.partition("/")[0] for name in tree(farm / "k8s")} == {"a", "c"}


def test_the_manifests_of_another_project_are_neither_removed_nor_written_over(farm):
    plain = SETTINGS.partition("[[critical]]")[0]
    other = {name: (farm / name).read_text() for name in ("migrations/001_ndvi_jobs.sql",)}
    write(farm / "svc", {**other, "tidelock.toml": plain.replace('"k8s"', '"../k8s/svc"')})
    write(farm, {"tidelock.toml": plain})
    assert tidelock(farm / "svc", "kube", "render").returncode == 0
    done = tidelock(farm, "kube", "render")
    assert "removed" not in done.stdout
    assert (farm / "k8s/svc/migration-job.yaml").exists()
    write(farm / "svc", {"tidelock.toml": plain.replace('"k8s"', '"../k8s"')})
    done = tidelock(farm / "svc", "kube", "render")
    assert done.returncode == 2
    assert "U048" in done.stderr


def test_manifests_of_a_version_that_did_not_say_whose_they_are_are_written_over(farm):
    tidelock(farm, "kube", "render")
    path = farm / "k8s/migration-job.yaml"
    lines = path.read_text().splitlines(keepends=True)
    assert lines[1] == "# From ../tidelock.toml\n"
    path.write_text("".join([lines[0], *lines[2:]]))
    assert "wrote     k8s/migration-job.yaml" in tidelock(farm, "kube", "render").stdout
