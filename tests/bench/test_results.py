"""What the page of the benchmark says, from given measurements."""

from __future__ import annotations

import pytest
from bench.results import APPLY, NOTHING, Results, Sample, aims, page


def samples(contender: str, task: str, *seconds: float, peak_kib: int = 10_240) -> list[Sample]:
    return [Sample(contender, "on", task, each, peak_kib, number) for number, each in enumerate(seconds)]


def results(*found: list[Sample]) -> Results:
    return Results(
        count=1000, changes="rows", rounds=3, machine={"server": "PostgreSQL 18"}, versions={"dbmate": "2.0"},
        absent={"sqitch": "needs root"}, samples=[each for some in found for each in some],
    )  # fmt: skip


@pytest.mark.parametrize(("ours", "verdict"), [(0.75, "pass"), (0.76, "FAIL")])
def test_an_aim_is_met_up_to_its_factor(ours: float, verdict: str) -> None:
    found = results(samples("tidelock", APPLY, ours), samples("dbmate", APPLY, 1.0))
    assert aims(found).splitlines()[0] == (
        f"- {verdict}: apply, synchronous_commit on: {ours} × dbmate (aim: at most 0.75)"
    )


def test_an_aim_against_somebody_absent_is_not_measured() -> None:
    assert aims(results(samples("tidelock", APPLY, 1.0))).count("not measured") == 10


def test_the_median_counts_and_so_does_the_largest_memory() -> None:
    found = results(samples("dbmate", NOTHING, 1.0, 2.0, 9.0), samples("dbmate", NOTHING, 2.0, peak_kib=20_480))
    assert "| dbmate | 2.000 s | – | 1.00 / – | 0.00 s | 20 MiB |" in page(found)


def test_a_contender_that_ran_less_often_is_marked_and_one_that_is_absent_is_named() -> None:
    found = page(results(samples("dbmate", APPLY, 1.0, 1.0, 1.0), samples("yoyo", APPLY, 4.0)))
    assert "| yoyo | 4.000 s (1) | – | 4.00 / – | 0.00 s | 10 MiB |" in found
    assert "- sqitch: needs root" in found


def test_a_ratio_is_taken_within_rounds_so_that_a_busy_minute_does_not_tilt_it() -> None:
    found = results(samples("tidelock", APPLY, 1.0, 20.0, 1.0), samples("dbmate", APPLY, 2.0, 40.0, 9.0))
    assert found.ratio("tidelock", "dbmate", "on", APPLY) == 0.5
