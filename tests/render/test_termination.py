"""A container's last words are always JSON, always fit, and lose first what matters least."""

import json

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from tidelock.render.termination import MOST_BYTES, last_words

SLOW = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
"""A busy machine is no failure."""
TEXT = st.text(max_size=6000)
FAILURE = st.none() | st.fixed_dictionaries(
    {"code": st.just("D010"), "message": TEXT, "hint": TEXT, "detail": TEXT, "exit_code": st.just(5)}
)
APPLIED = st.lists(st.fixed_dictionaries({"version": st.integers(0, 10**18), "name": TEXT}), max_size=400)
REPORTS = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "command": st.just("apply"),
        "target": TEXT,
        "exit_code": st.sampled_from([0, 5, 8, 75]),
        "applied": APPLIED,
        "findings": st.lists(st.fixed_dictionaries({"message": TEXT}), max_size=20),
        "failure": FAILURE,
    },
    optional={
        "critical": st.lists(
            st.fixed_dictionaries({"table": TEXT, "footing": st.sampled_from(["fallback", "migration"]), "why": TEXT}),
            max_size=40,
        )
    },
)


def report(**more):
    empty = {
        "schema": 1,
        "command": "apply",
        "target": "farm@db:5432",
        "exit_code": 0,
        "applied": [],
        "findings": [],
        "failure": None,
    }
    return {**empty, **more}


@SLOW
@given(REPORTS)
def test_every_report_fits_and_says_its_exit_code(data):
    text = last_words(data)
    assert len(text.encode()) <= MOST_BYTES
    assert json.loads(text)["exit_code"] == data["exit_code"]


def test_what_fits_stays_as_it_is():
    assert json.loads(last_words(report())) == report()


def test_remarks_go_before_what_was_applied():
    found = json.loads(last_words(report(findings=[{"message": "x" * 5000}], applied=[{"version": 7, "name": "a"}])))
    assert (found["findings_count"], found["applied"]) == (1, [{"version": 7, "name": "a"}])


def test_of_many_migrations_the_versions_stay_and_then_the_count():
    few = json.loads(last_words(report(applied=[{"version": number, "name": "x" * 100} for number in range(100)])))
    many = json.loads(last_words(report(applied=[{"version": 10**17 + number, "name": ""} for number in range(1000)])))
    assert few["applied_versions"] == list(range(100))
    assert (many["applied_versions"], many["applied_count"]) == ([10**17 + 999], 1000)


def test_the_place_of_a_failure_outlives_the_end_of_its_detail():
    failure = {
        "code": "D010",
        "message": "009 b failed",
        "hint": "mend it",
        "detail": "migrations/009_b.sql:3:1\n" + "x" * 9000,
        "exit_code": 5,
    }
    found = json.loads(last_words(report(failure=failure, exit_code=5)))
    assert found["failure"]["detail"].startswith("migrations/009_b.sql:3:1")
    assert found["failure"]["message"] == "009 b failed"


def test_the_tables_that_stand_on_their_fallback_stay():
    critical = [
        {"table": f"t{number}", "footing": "fallback" if number < 2 else "migration", "why": "y" * 500}
        for number in range(30)
    ]
    found = json.loads(last_words(report(critical=critical, exit_code=8)))
    assert found["critical"] == [{"table": "t0", "footing": "fallback"}, {"table": "t1", "footing": "fallback"}]
