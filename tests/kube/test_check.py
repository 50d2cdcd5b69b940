"""`tidelock kube check`: the rules of GitOps, in a real repository."""

import json

import pytest

from tests.docs.test_json import check as as_documented
from tests.kube.project import commit, git, tidelock, write


@pytest.fixture
def repository(farm):
    git(farm, "init", "--quiet")
    tidelock(farm, "kube", "render")
    commit(farm, "first")
    return farm


def codes(folder):
    done = tidelock(folder, "kube", "check", "--json")
    found = as_documented("kube-check", done.stdout)
    assert done.returncode == (1 if found["findings"] else 0)
    return [each["code"] for each in found["findings"]]


def test_what_is_committed_and_rendered_is_fine(repository):
    assert codes(repository) == []
    assert "0 findings in 1 directory" in tidelock(repository, "kube", "check").stdout


def test_a_migration_that_is_not_committed_is_found_and_so_is_what_was_not_rendered(repository):
    write(repository, {"migrations/003_c.sql": "SELECT 1;\n"})
    assert codes(repository) == ["G001", "G003"]


def test_settings_that_are_not_committed_are_found(repository):
    text = (repository / "tidelock.toml").read_text()
    write(repository, {"tidelock.toml": f"{text}# changed\n", "notes.txt": "nobody deploys this"})
    assert codes(repository) == ["G002"]


def test_a_file_of_the_main_branch_that_changed_is_found(repository):
    git(repository, "checkout", "--quiet", "-b", "feature")
    write(repository, {"migrations/002_seed.sql": "SELECT 2;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "edited")
    assert codes(repository) == ["HY026"]


def test_two_branches_that_give_one_number_away_are_found(repository):
    for branch, name in (("one", "003_one.sql"), ("two", "003_two.sql")):
        git(repository, "checkout", "--quiet", "-b", branch, "main")
        write(repository, {f"migrations/{name}": "SELECT 1;\n"})
        tidelock(repository, "kube", "render")
        commit(repository, name)
    done = tidelock(repository, "kube", "check")
    assert done.returncode == 1
    assert "G005 003_two.sql and 003_one.sql of one have the same number" in done.stdout


def test_a_gap_to_the_main_branch_is_found(repository):
    git(repository, "checkout", "--quiet", "-b", "feature")
    write(repository, {"migrations/007_x.sql": "SELECT 1;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "skips")
    assert codes(repository) == ["G004"]


def test_a_main_branch_that_is_not_known_is_said_and_one_that_is_named_must_be_there(repository):
    git(repository, "checkout", "--quiet", "-b", "only")
    git(repository, "branch", "-D", "main")
    done = tidelock(repository, "kube", "check", "--json")
    found = json.loads(done.stdout)
    assert (found["not_compared"], done.returncode) == (["migrations"], 1)
    assert [each["code"] for each in found["findings"]] == ["G006"]
    assert tidelock(repository, "kube", "check", "--main", "main").returncode == 2


def test_without_a_repository_nothing_is_committed(farm):
    assert codes(farm) == ["G001"]


def test_a_clone_of_one_branch_is_not_compared_with_itself(repository, tmp_path_factory):
    git(repository, "checkout", "--quiet", "-b", "f2")
    write(repository, {"migrations/003_y.sql": "SELECT 1;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "y")
    clone = tmp_path_factory.mktemp("clone") / "c"
    git(repository, "clone", "--quiet", "--depth", "1", "--branch", "f2", f"file://{repository}", str(clone))
    assert codes(clone) == ["G006"]


def test_on_the_main_branch_an_applied_file_that_the_last_commit_edited_is_found(repository):
    write(repository, {"migrations/002_seed.sql": "SELECT 2;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "edited")
    assert codes(repository) == ["HY026"]


def test_a_migration_that_git_ignores_is_not_committed(repository):
    write(repository, {".gitignore": "*_local*\n", "migrations/003_local.sql": "SELECT 1;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "ignored")
    assert codes(repository) == ["G001"]


def test_an_included_file_counts_as_the_migration_that_includes_it(repository):
    write(repository, {"migrations/003_c.sql": "\\ir sub/x.sql\n", "migrations/sub/x.sql": "SELECT 1;\n"})
    tidelock(repository, "kube", "render")
    commit(repository, "included")
    assert codes(repository) == []
    git(repository, "checkout", "--quiet", "-b", "feature")
    write(repository, {"migrations/sub/x.sql": "SELECT 2;\n"})
    tidelock(repository, "kube", "render")
    assert "G001" in codes(repository)
    commit(repository, "edited")
    assert codes(repository) == ["G007"]
