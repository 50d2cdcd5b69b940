"""What the operator decides: the newest state counts, one Job at a time, retried or not as the exit code says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidelock.core.reconciling import LASTING, Do, Memory, Outcome, Phase, Run, State, Wanted, decide, pause_s

OK, BROKEN, BUSY = Outcome(exit_code=0), Outcome(exit_code=5), Outcome(exit_code=75)


def run(serial=1, mark="a", state=State.SUCCEEDED, outcome=OK, **more):
    return Run(serial=serial, mark=mark, state=state, outcome=outcome, **more)


def decided(wanted="a", *runs, memory=None, now=1000.0, **more):
    return decide(Wanted(mark=wanted, **more), runs, memory or Memory(), now)


def test_a_new_bundle_is_started_and_an_applied_one_is_not():
    assert (decided("a").do, decided("a").serial) == (Do.START, 1)
    assert decided("a", run()).phase is Phase.APPLIED


def test_going_back_to_an_earlier_bundle_runs_again_under_another_number():
    found = decided("a", run(1, "a"), run(2, "b"))
    assert (found.do, found.serial) == (Do.START, 3)


def test_a_job_that_runs_is_waited_for_even_when_something_newer_is_wanted():
    assert decided("b", run(1, "a", State.RUNNING, None)).do is Do.NOTHING


def test_how_a_job_ended_is_read_before_anything_else():
    found = decided("b", run(1, "a", State.FAILED, None))
    assert (found.do, found.serial) == (Do.LOOK, 1)


@pytest.mark.parametrize("code", LASTING)
def test_what_a_person_must_mend_is_not_tried_again(code):
    found = decided("a", run(1, "a", State.FAILED, Outcome(exit_code=code)), now=1e12)
    assert (found.do, found.phase) == (Do.NOTHING, Phase.ON_FALLBACK if code == 8 else Phase.FAILED)


def test_and_is_tried_again_when_something_changed():
    assert decided("b", run(1, "a", State.FAILED, BROKEN)).do is Do.START


@pytest.mark.parametrize(
    "outcome",
    [BUSY, Outcome(exit_code=137, reason="OOMKilled"), Outcome(reason="Evicted"), Outcome(reason="DeadlineExceeded")],
)
def test_what_passes_by_itself_is_tried_again_after_a_pause_for_ever(outcome):
    failed = run(7, "a", State.FAILED, outcome, failures=6, ended_at=1000.0)
    waiting = decided("a", failed, now=1000.0)
    assert (waiting.do, waiting.phase) == (Do.NOTHING, Phase.RETRYING)
    again = decided("a", failed, now=waiting.at)
    assert (again.do, again.serial, again.failures) == (Do.START, 8, 7)


def test_pauses_grow_to_a_limit_and_differ_a_little():
    pauses = [pause_s(Wanted(mark="a"), run(serial=number + 1, failures=number)) for number in range(12)]
    assert 7.5 <= pauses[0] <= 12.5
    assert all(450 <= each <= 750 for each in pauses[7:])
    assert len(set(pauses[7:])) == 5


def test_something_newer_does_not_wait_for_the_pause():
    assert decided("b", run(1, "a", State.FAILED, BUSY, ended_at=1000.0), now=1000.0).do is Do.START


def test_half_a_bundle_no_bundle_and_a_suspended_target_start_nothing():
    assert decided("a", whole=False).phase is Phase.BUNDLE_INCOMPLETE
    assert decided("").phase is Phase.NO_BUNDLE
    assert decided("a", suspended=True).phase is Phase.SUSPENDED


def test_jobs_that_somebody_deleted_are_remembered_by_the_status():
    memory = Memory(serial=7, applied="a")
    assert decided("a", memory=memory).phase is Phase.APPLIED
    assert decided("b", memory=memory).serial == 8


def test_a_job_that_cannot_begin_makes_way_for_something_newer():
    stuck = run(1, "a", State.RUNNING, None, begun=False, created_at=1000.0)
    assert decided("b", stuck, now=1001.0).at == 1010.0
    assert decided("b", stuck, now=1010.0).do is Do.CANCEL
    assert decided("a", stuck, now=2000.0).do is Do.NOTHING


def test_why_a_job_does_not_begin_is_looked_at_for_as_long_as_it_does_not():
    stuck = run(1, "a", State.RUNNING, None, begun=False, created_at=1000.0)
    seen = [
        (each.phase, each.at) for each in (decided("a", stuck, now=now) for now in (1000.0, 1010.0, 1070.0, 9000.0))
    ]
    assert seen == [
        (Phase.RUNNING, 1010.0),
        (Phase.CANNOT_BEGIN, 1070.0),
        (Phase.CANNOT_BEGIN, 1130.0),
        (Phase.CANNOT_BEGIN, 9060.0),
    ]


RUNS = st.lists(
    st.builds(
        Run,
        serial=st.integers(1, 50),
        mark=st.sampled_from("abc"),
        state=st.sampled_from(State),
        outcome=st.none() | st.builds(Outcome, exit_code=st.none() | st.sampled_from([0, 5, 8, 75, 137])),
        failures=st.integers(0, 20),
        ended_at=st.floats(0, 2000),
        begun=st.booleans(),
        leaving=st.booleans(),
    ),
    max_size=6,
)
WANTED = st.builds(Wanted, mark=st.sampled_from(["", "a", "b", "c"]), whole=st.booleans(), suspended=st.booleans())


@given(WANTED, RUNS, st.builds(Memory, serial=st.integers(0, 60)), st.floats(0, 5000))
def test_nothing_is_started_beside_another_and_no_number_is_given_twice(wanted, runs, memory, now):
    found = decide(wanted, runs, memory, now)
    if found.do is Do.START:
        assert all(each.state is not State.RUNNING for each in runs)
        assert found.serial > max([memory.serial, *(each.serial for each in runs)])
    assert decide(wanted, runs, memory, now) == found


class Operator(RuleBasedStateMachine):
    """Bundles change, Jobs end in every way, operators are killed and start over, and two of them may act at once."""

    def __init__(self):
        super().__init__()
        self.now, self.wanted, self.jobs, self.memory = 0.0, "a", {}, Memory()
        self.healthy = False

    @rule(mark=st.sampled_from("abcd"))
    def change(self, mark):
        self.wanted = mark

    @rule(twice=st.booleans())
    def act(self, twice):
        """One or two operators decide on the same view; names collide, as the API server would have it."""
        runs, memory = list(self.jobs.values()), self.memory
        for _ in range(1 + twice):
            self.carry_out(decide(Wanted(mark=self.wanted), runs, memory, self.now))

    def carry_out(self, found):
        if found.do is Do.START and found.serial not in self.jobs:
            self.jobs[found.serial] = Run(
                serial=found.serial, mark=self.wanted, state=State.RUNNING, failures=found.failures, created_at=self.now
            )
        if found.do is Do.LOOK:
            job = self.jobs[found.serial]
            outcome = OK if job.state is State.SUCCEEDED else self.outcome
            self.jobs[found.serial] = Run(
                serial=job.serial,
                mark=job.mark,
                state=job.state,
                failures=job.failures,
                outcome=outcome,
                ended_at=self.now,
            )
        if found.do is Do.START:
            self.memory = Memory(serial=max(self.memory.serial, found.serial))
        if found.phase is Phase.APPLIED:
            self.memory = Memory(serial=max(self.memory.serial, found.serial), applied=self.wanted)

    outcome = BUSY

    @rule(outcome=st.sampled_from([OK, BROKEN, BUSY, Outcome(reason="Evicted")]))
    def end(self, outcome):
        for serial, job in self.jobs.items():
            if job.state is State.RUNNING:
                self.outcome = outcome
                state = State.SUCCEEDED if outcome is OK else State.FAILED
                self.jobs[serial] = Run(serial=serial, mark=job.mark, state=state, failures=job.failures, outcome=None)

    @rule(seconds=st.floats(0, 1000))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def trim(self):
        """Old Jobs are taken away."""
        for serial in sorted(self.jobs)[:-1]:
            if self.jobs[serial].state is not State.RUNNING:
                del self.jobs[serial]

    @rule()
    def delete(self):
        """A person deletes all that have ended."""
        for serial, job in list(self.jobs.items()):
            if job.state is not State.RUNNING and job.outcome:
                del self.jobs[serial]

    @invariant()
    def one_at_a_time(self):
        assert sum(each.state is State.RUNNING for each in self.jobs.values()) <= 1

    def teardown(self):
        """Left alone with Jobs that succeed, it ends at what is wanted."""
        for _ in range(12):
            self.act(twice=True)
            self.end(OK)
            self.now += 1000
        if not self.jobs:
            assert self.memory.applied == self.wanted
            return
        last = self.jobs[max(self.jobs)]
        assert last.mark == self.wanted
        assert last.state is State.SUCCEEDED or last.outcome == BROKEN


TestOperator = Operator.TestCase
TestOperator.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
