"""Names of what is delivered: such as Kubernetes takes, and no two databases under one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kube.project import FILES, SETTINGS, tidelock, write
from tidelock.core.workload import BadName, SharedName, Workload, refuse_shared
from tidelock.kube.delivery import Delivery
from tidelock.kube.render import script

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = Workload(image="registry.example/tidelock", host="db")


@pytest.mark.parametrize(
    ("key", "name"), [("job", "x" * 48), ("bundle", "Migrations"), ("backup", "a_b"), ("job", "-x")]
)
def test_a_name_that_kubernetes_would_not_take_is_refused_before_anything_is_written(key: str, name: str) -> None:
    with pytest.raises(BadName, match=f"{key}: “{name}”"):
        WHOLE.over(**{key: name}).named("").check(addressed=False)


def test_a_long_name_of_a_database_is_told_with_its_length() -> None:
    with pytest.raises(BadName, match="50 characters"):
        WHOLE.named("d" * 40).check(addressed=False)
    WHOLE.named("d" * 37).check(addressed=False)


@pytest.mark.parametrize("names", [("farm_a", "farm-a"), ("日本", "中国")])
def test_two_databases_whose_names_come_to_the_same_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(SharedName, match=" and ".join(names)):
        refuse_shared((each, WHOLE.named(each)) for each in names)


def test_two_namespaces_may_have_the_same_names() -> None:
    refuse_shared((each, WHOLE.over(namespace=each, job="m", bundle="m", backup="b")) for each in ("one", "two"))


def test_one_bundle_named_for_all_databases_is_refused(tmp_path: Path) -> None:
    more = SETTINGS.replace(
        "[backup]", 'bundle = "all"\n[databases.a]\ndir = "migrations"\n[databases.b]\ndir = "migrations"\n[backup]'
    )
    write(tmp_path, {**FILES, "tidelock.toml": more.partition("[[critical]]")[0]})
    done = tidelock(tmp_path, "kube", "render")
    assert (done.returncode, "U044" in done.stderr) == (2, True), done.stdout + done.stderr
    assert not (tmp_path / "k8s").exists()


def test_the_script_runs_nothing_that_stands_in_a_name(tmp_path: Path) -> None:
    from tidelock.core.bundle import Bundle

    odd = 'x"; touch hit; `touch hit` $(touch hit) '
    written = script(Delivery(workload=WHOLE, bundle=Bundle({}), database=odd), "$(touch hit)")
    (tmp_path / "$(touch hit)").mkdir()
    (tmp_path / "run.sh").write_text(written.replace("exec tidelock", "printf '%s|'"))
    done = subprocess.run(["bash", "run.sh"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"kube|deploy|--database|{odd}|"
    assert not list(tmp_path.rglob("hit"))
