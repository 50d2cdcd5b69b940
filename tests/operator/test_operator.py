"""The operator on a real cluster, with real databases."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.operator.fleet import FIRST, Fleet, Process, witnessed
from tests.rig.kube.access import until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_config_map_that_changes_is_applied(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    fleet.applied("farm", fleet.add_witness("farm"))
    assert fleet.witnesses("farm") == [2]
    status = fleet.status("farm")
    assert (status["version"], status["pending"], status["lastRun"]["exitCode"]) == (2, 0, 0)
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
    }
    assert status["observedGeneration"] == fleet.namespace.get("migrationtarget", "farm")["metadata"]["generation"]
    fleet.namespace.kubectl("wait", "migrationtarget/farm", "--for=condition=Ready", "--timeout=5s")
    assert {"Started", "Applied"} <= {each["reason"] for each in fleet.namespace.get("events")["items"]}


def test_what_a_person_must_mend_waits_for_a_changed_bundle(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    fleet.change("farm", {"002_more.sql": "INSERT INTO nobody VALUES (1);\n"})
    condition = fleet.stands("farm", "Failed")
    assert condition["status"] == "False"
    assert "exit 5: D010" in condition["message"]
    assert fleet.condition("farm", "Stalled")["status"] == "True"
    count = len(fleet.jobs("farm"))
    time.sleep(4)
    assert len(fleet.jobs("farm")) == count
    fleet.applied("farm", fleet.change("farm", {"002_more.sql": "INSERT INTO witness VALUES (2);\n"}))


def test_or_for_a_word_of_a_person(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    digest = fleet.change("farm", {"002_more.sql": "INSERT INTO nobody VALUES (1);\n"})
    fleet.stands("farm", "Failed")
    with fleet.connect("farm") as connection:
        connection.execute("CREATE TABLE nobody (i int)")
    fleet.namespace.kubectl("annotate", "migrationtarget", "farm", "tidelock.dev/retry=1")
    fleet.applied("farm", digest)


def test_a_server_that_is_away_is_tried_again_until_it_comes(fleet: Fleet, operator: Process) -> None:
    fleet.add(
        "farm",
        database={"host": "127.0.0.1", "port": 1, "user": "postgres", "name": "farm"},
        policy={"wait": "1s", "firstRetry": "4s"},
    )
    condition = fleet.stands("farm", "Retrying")
    assert "exit 75: T" in condition["message"]
    assert "tried again at" in condition["message"]
    until(lambda: fleet.status("farm").get("failures", 0) >= 1)
    assert fleet.condition("farm", "Stalled")["status"] == "False"


def test_going_back_to_an_earlier_bundle_is_a_run_of_its_own(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    first = fleet.change("farm", FIRST)
    fleet.applied("farm", first)
    fleet.applied("farm", fleet.add_witness("farm"))
    fleet.files["farm"] = dict(FIRST)
    fleet.change("farm", {})
    assert "exit 4: L004" in fleet.stands("farm", "Failed")["message"]
    assert len({each["metadata"]["name"] for each in fleet.jobs("farm")}) == 3


def test_a_job_that_cannot_begin_makes_way_when_the_target_is_mended(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm", secret={"name": "missing"})
    condition = fleet.stands("farm", "CannotBegin")
    assert 'secret "missing" not found' in condition["message"]
    fleet.namespace.kubectl("patch", "migrationtarget", "farm", "--type=merge", "-p", '{"spec":{"secret":null}}')
    fleet.applied("farm", fleet.change("farm", FIRST))


def test_a_job_that_the_api_server_refuses_is_said_and_asked_for_again(fleet: Fleet, operator: Process) -> None:
    fleet.namespace.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    fleet.add("farm")
    assert "exceeded quota" in fleet.stands("farm", "Refused")["message"]
    fleet.namespace.kubectl("delete", "quota", "none")
    fleet.applied("farm", fleet.add_witness("farm"))


def test_a_suspended_target_starts_nothing(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm", suspend=True)
    fleet.stands("farm", "Suspended")
    assert fleet.jobs("farm") == []
    fleet.namespace.kubectl("patch", "migrationtarget", "farm", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    fleet.applied("farm", fleet.change("farm", FIRST))


def test_numbers_for_prometheus_and_health(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.add_witness("farm"))
    assert operator.ask("/healthz")[0] == operator.ask("/readyz")[0] == 200
    _, text = operator.ask("/metrics")
    label = f'{{namespace="{fleet.namespace.name}",target="farm"}}'
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values[f"tidelock_target_applied_version{label}"]) == 2
    assert float(values[f"tidelock_target_ready{label}"]) == 1
    assert float(values[f"tidelock_target_drift{label}"]) == 0
    assert float(values[f"tidelock_target_pending{label}"]) == 0
    assert float(values[f"tidelock_target_last_run_duration_seconds{label}"]) > 0
    assert float(values["tidelock_leader"]) == 1


def test_one_leads_and_another_takes_over_at_once_when_it_ends_well(
    fleet: Fleet, operator: Process, tmp_path: Path
) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    second = Process(fleet, tmp_path, 2).start()
    try:
        until(lambda: second.ask("/readyz")[0] == 200)
        assert "tidelock_leader 0.0" in second.ask("/metrics")[1]
        assert operator.stop() == 0
        until(lambda: "tidelock_leader 1.0" in second.ask("/metrics")[1], 5)
        fleet.applied("farm", fleet.add_witness("farm"))
    finally:
        second.kill()
        print(second.log.read_text())


def test_a_lost_api_server_starts_nothing_twice(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    digest = fleet.add_witness("farm")
    fleet.cluster.apiserver.stop()
    time.sleep(6)
    fleet.cluster.start_apiserver()
    with witnessed(fleet) as seen:
        fleet.applied("farm", digest)
        fleet.applied("farm", fleet.add_witness("farm"))
    assert fleet.witnesses("farm") == [2, 3]
    assert seen == []


def test_an_idle_operator_asks_for_nothing_but_its_lease(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    time.sleep(1)
    before = len(list(fleet.cluster.requests(fleet.user)))
    time.sleep(6)
    since = list(fleet.cluster.requests(fleet.user))[before:]
    assert {each["objectRef"]["resource"] for each in since} == {"leases"}


def going(fleet: Fleet, target: str) -> set[str]:
    """Jobs of a target that have not ended."""
    return {each["metadata"]["name"] for each in fleet.jobs(target) if not each["status"].get("conditions")}


def test_two_targets_for_one_database_have_one_job_at_a_time(fleet: Fleet, operator: Process) -> None:
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    with fleet.connect("farm") as connection:
        connection.execute("CREATE TABLE held (i int)")
        slow = "SELECT pg_sleep(4);\n"
        target = fleet.namespace.get("migrationtarget", "farm")
        other = {name: target[name] for name in ("apiVersion", "kind", "spec")}
        fleet.namespace.apply({**other, "metadata": {"name": "farm-two"}})
        fleet.applied("farm-two", fleet.change("farm", {"002_slow.sql": slow}))
        digest = fleet.change("farm", {"003_slow.sql": slow})
        most = 0
        while not all(fleet.status(each).get("applied", {}).get("digest") == digest for each in ("farm", "farm-two")):
            first, second = going(fleet, "farm"), going(fleet, "farm-two")
            still = (
                first & going(fleet, "farm") if first and second else first
            )  # it may have ended before the second look
            most = max(most, len(still) + len(second))
            assert most <= 1, still | second
            time.sleep(0.2)
    assert most == 1


def test_who_loses_the_lease_says_so_and_leads_again_when_it_is_free(fleet: Fleet, operator: Process) -> None:
    until(lambda: "leads as operator-1" in operator.log.read_text())
    taken = '{"spec":{"holderIdentity":"somebody","leaseDurationSeconds":2}}'
    fleet.namespace.kubectl("patch", "lease", "tidelock-operator", "--type=merge", "-p", taken)
    until(lambda: operator.log.read_text().count("leads as operator-1") == 2, 40)
    assert operator.log.read_text().count("leads no more as operator-1") == 1
    fleet.add("farm")
    fleet.applied("farm", fleet.change("farm", FIRST))
    assert "SSL" not in operator.log.read_text()
