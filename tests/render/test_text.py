"""What the last lines of a run say."""

from __future__ import annotations

import pytest

from tidelock.cli.output import Output
from tidelock.core.report import AppliedMigration
from tidelock.errors import ConnectionLost
from tidelock.render.deployer import for_deployer
from tidelock.render.text import failure


def applied(*numbers: int) -> list[AppliedMigration]:
    return [
        AppliedMigration(
            version=number,
            label=f"{number:03}",
            path="",
            steps=1,
            statements=1,
            alone=False,
            duration_s=0,
            lock_wait_s=0,
        )
        for number in numbers
    ]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ((), "lost: gone\n"),
        ((3,), " (003 was applied before, and stays)\n"),
        ((3, 4), " (003 and 004 were applied before, and stay)\n"),
        ((3, 4, 5), " (003, 004 and 005 were applied before, and stay)\n"),
        ((3, 4, 5, 6), " (4 were applied before, the last of them 004, 005 and 006, and stay)\n"),
    ],
)
def test_what_was_applied_before_a_failure_stays(before: tuple[int, ...], words: str) -> None:
    assert words in failure(ConnectionLost("farm@db", "gone"), applied=applied(*before))


@pytest.mark.parametrize(
    ("typed", "deployed"),
    [
        (
            "mend the file and run `tidelock apply` again",
            "mend the file and deploy again (`tidelock kube deploy`, or a commit)",
        ),
        ("wait longer (`tidelock apply --wait 30m`)", 'wait longer ([kube] wait = "30m")'),
        ("the next `tidelock apply` builds it again", "the next `tidelock kube deploy` builds it again"),
        ("`tidelock status` shows it", "`tidelock status` shows it"),
    ],
)
def test_a_hint_in_a_jobs_log_is_for_who_deploys(typed: str, deployed: str) -> None:
    assert for_deployer(typed) == deployed


def test_only_a_job_of_kubernetes_gives_such_hints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TIDELOCK_BUNDLE", raising=False)
    assert Output().fail(ConnectionLost("farm@db", "gone"), "apply") == 75
    assert "un `tidelock apply` again" in capsys.readouterr().err
    monkeypatch.setenv("TIDELOCK_BUNDLE", "sha256:0")
    Output().fail(ConnectionLost("farm@db", "gone"), "apply")
    assert "eploy again (`tidelock kube deploy`, or a commit)" in capsys.readouterr().err
