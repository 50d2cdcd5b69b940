"""The rules of GitOps, without git."""

from tidelock.core.gitops import Project, current, findings


def codes(**more):
    known = {"directory": "migrations", "names": ["001_a.sql", "002_b.sql"], "main": ["001_a.sql", "002_b.sql"]}
    return [(each.code, each.message) for each in findings(Project(**{**known, **more}))]


def test_what_is_as_the_main_branch_has_it_is_fine():
    assert codes() == []


def test_the_next_number_is_fine_and_so_is_the_one_after_it():
    assert codes(names=["001_a.sql", "002_b.sql", "003_c.sql", "004_d.sql"]) == []


def test_a_number_that_skips_one_is_found():
    ((code, message),) = codes(names=["001_a.sql", "002_b.sql", "005_c.sql"])
    assert code == "G004"
    assert "skips 3 to 4" in message


def test_a_gap_that_the_main_branch_has_is_nobodys_fault_now():
    assert codes(names=["001_a.sql", "024_b.sql", "025_c.sql"], main=["001_a.sql", "024_b.sql"]) == []


def test_a_time_as_number_only_has_to_be_later():
    assert codes(names=["001_a.sql", "20261130120000_b.sql"], main=["001_a.sql"]) == []


def test_two_open_branches_with_one_number_are_found():
    ((code, message),) = codes(
        names=["001_a.sql", "002_b.sql", "003_c.sql"],
        branches={"origin/other": ["003_x.sql"], "origin/same": ["003_c.sql"]},
    )
    assert (code, message) == ("G005", "003_c.sql and 003_x.sql of origin/other have the same number")


def test_a_number_that_the_main_branch_has_given_away_since_is_found():
    ((code, _),) = codes(names=["001_a.sql", "002_c.sql"], main=["001_a.sql", "002_b.sql"])
    assert code == "G005"


def test_what_is_not_committed_or_not_rendered_is_found():
    assert [code for code, _ in codes(uncommitted=["002_b.sql"], untidy=["tidelock.toml"])] == ["G001", "G002"]
    assert [each.code for each in current([("k8s/a.yaml", "stale")])] == ["G003"]


def test_without_git_there_is_one_finding():
    assert [code for code, _ in codes(git=False)] == ["G001"]
