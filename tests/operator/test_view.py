"""What the operator keeps of the cluster, and what it makes of it."""

from __future__ import annotations

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidelock.core.bundle import Bundle, mountable, parts
from tidelock.core.reconciling import Action, Do, Outcome, Phase, State
from tidelock.core.workload import Workload
from tidelock.kube.attempts import JOB_UID
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.delivery import BUNDLE, PART, PATHS, SETTINGS, Delivery
from tidelock.operator import attempt, manifests, resource
from tidelock.operator.turn import cleared
from tidelock.operator.view import View, content, read_map

WORKLOAD = Workload(
    namespace="farm", image="registry.example/tidelock", host="db", secret="s", password_key="p", cpu="2"
).named("")
FILES = {"001_a.sql": b"SELECT 1;\n", "002 ä.sql": b"SELECT 2;\n", "common/x.sql": b"\xff"}


def delivery(files=None, settings=None):
    return Delivery(workload=WORKLOAD, bundle=mountable(files or FILES), settings=Bundle(settings or {}))


def target(**more):
    found = manifests.target(delivery())
    found["metadata"] |= {"uid": "u", "generation": 3, **more.pop("metadata", {})}
    return {**found, **more}


def maps(found):
    return [
        read_map({**each, "metadata": {**each["metadata"], "namespace": "farm"}}, BUNDLE) for each in bundle_maps(found)
    ]


def test_what_was_rendered_has_the_digest_that_was_rendered():
    found = content(maps(delivery()))
    assert found.bundle.digest == delivery().bundle.digest
    assert found.whole


def test_the_operators_job_is_the_rendered_one_but_for_its_name():
    rendered = delivery(settings={"tidelock.toml": b"", "fallback/001.sql": b"x"})
    (settings,) = settings_map(rendered)
    read = read_map(settings, SETTINGS)
    again = attempt.delivery(target(), content(maps(rendered)), read)
    from tidelock.kube.job import job

    ours, theirs = job(again)["spec"], job(rendered)["spec"]
    assert ours["backoffLimit"] == 0, "the operator tries again, not the Job"
    assert ours["template"]["spec"]["volumes"] == theirs["template"]["spec"]["volumes"]
    assert ours["template"]["spec"]["containers"][0]["env"] == theirs["template"]["spec"]["containers"][0]["env"]
    assert ours["template"]["spec"]["containers"][0]["args"] == theirs["template"]["spec"]["containers"][0]["args"]


def test_parts_of_two_digests_are_not_whole():
    files = {f"{number:03}.sql": b"-" * 500_000 for number in range(1, 4)}
    old, new = maps(delivery(files)), maps(delivery({**files, "003.sql": b"+" * 500_000}))
    assert content(old).whole
    assert not content([*old[:2], new[2]]).whole
    assert not content(old[:2]).whole


def test_one_config_map_is_taken_as_it_is_also_when_somebody_has_edited_it():
    (found,) = bundle_maps(delivery())
    found["data"]["001_a.sql"] = "SELECT 3;\n"
    seen = content([read_map(found, BUNDLE)])
    assert seen.whole
    assert seen.bundle.digest != delivery().bundle.digest


def test_a_specification_says_what_the_workload_says():
    again = resource.workload(target())
    for name in (
        "host",
        "port",
        "secret",
        "password_key",
        "cpu",
        "memory",
        "deadline_s",
        "wait_s",
        "bundle",
        "image_with_tag",
    ):
        assert getattr(again, name) == getattr(WORKLOAD, name), name


def test_the_mark_changes_with_bundle_specification_and_a_persons_word_alone():
    def mark(found, files=None):
        return attempt.mark(found, attempt.delivery(found, content(maps(delivery(files))), None))

    one = mark(target())
    assert one == mark(target(status={"serial": 7}))
    others = [
        mark(target(), {"001_a.sql": b"SELECT 2;\n"}),
        mark(target(spec={**target()["spec"], "image": "other:1"})),
        mark(target(metadata={"annotations": {resource.RETRY: "1"}})),
    ]
    assert len({one, *others}) == 4


def job_object(**more):
    made = attempt.job(target(), delivery(), 3, 2, "m")
    made["metadata"] |= {"uid": "j", "creationTimestamp": "2026-11-30T16:00:00Z"}
    return {**made, "status": {}, **more}


def test_a_job_tells_all_that_the_next_decision_needs():
    ended = {
        "conditions": [
            {"type": "Failed", "status": "True", "reason": "x", "lastTransitionTime": "2026-11-30T16:01:00Z"}
        ],
        "failed": 1,
    }
    found = attempt.run(job_object(status=ended))
    assert (found.serial, found.mark, found.failures, found.state, found.outcome) == (3, "m", 2, State.FAILED, None)
    assert found.ended_at - found.created_at == 60
    assert job_object()["metadata"]["name"] == "db-migration-3"


def test_a_proxy_beside_the_container_says_nothing_of_how_the_job_ended():
    def state(name, code):
        return {"name": name, "state": {"terminated": {"exitCode": code, "startedAt": "2026-11-30T16:00:10Z"}}}

    pod = {
        "metadata": {"name": "p", "uid": "p", "labels": {JOB_UID: "j"}},
        "spec": {},
        "status": {"phase": "Failed", "containerStatuses": [state("a-proxy", 0), state("migrate", 5)]},
    }
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}
    assert attempt.look(job_object(status=failed), [pod])["exit_code"] == 5


def test_a_job_that_is_being_deleted_still_counts():
    made = job_object()
    made["metadata"]["deletionTimestamp"] = "2026-11-30T16:02:00Z"
    assert attempt.run(made).state is State.RUNNING


def test_conditions_keep_the_time_of_what_did_not_change():
    failed = Action(
        do=Do.NOTHING, phase=Phase.FAILED, serial=1, outcome=Outcome(exit_code=5, code="D010", message="002 b failed")
    )
    first = resource.conditions(target(), failed, resource.message(failed, "sha256:00"), "2026-01-01T00:00:00Z")
    later = resource.conditions(target(status={"conditions": first}), failed, "x", "2026-01-02T00:00:00Z")
    assert [each["status"] for each in first] == ["False", "False", "True"]
    assert {each["lastTransitionTime"] for each in later} == {"2026-01-01T00:00:00Z"}
    assert first[0]["message"].startswith("attempt 1 ended with exit 5: D010 002 b failed")


def test_what_a_watch_brings_late_undoes_nothing():
    view = View()
    new, old = job_object(), job_object()
    new["metadata"] |= {"resourceVersion": "20", "annotations": {"x": "new"}}
    old["metadata"] |= {"resourceVersion": "9", "annotations": {"x": "old"}}
    view.put("jobs", new)
    view.put("jobs", old)
    (found,) = view.jobs.values()
    assert found["metadata"]["annotations"] == {"x": "new"}


def test_a_list_that_was_on_its_way_when_a_job_was_made_does_not_have_it_started_again():
    view = View()
    ended, made = job_object(), attempt.job(target(), delivery(), 4, 0, "n")
    ended["metadata"] |= {"resourceVersion": "9"}
    made["metadata"] |= {"uid": "k", "creationTimestamp": "2026-11-30T16:02:00Z", "resourceVersion": "20"}
    view.put("jobs", {**made, "status": {}})
    view.replace("jobs", [ended], 15)
    assert {each["metadata"]["name"] for each in view.jobs.values()} == {"db-migration-3", "db-migration-4"}
    view.replace("jobs", [ended], 25)
    assert {each["metadata"]["name"] for each in view.jobs.values()} == {"db-migration-3"}


def test_the_late_end_of_an_older_job_of_that_name_does_not_hide_the_new_one():
    view = View()
    new, old = job_object(), job_object()
    new["metadata"] |= {"resourceVersion": "20"}
    old["metadata"] |= {"resourceVersion": "9"}
    view.put("jobs", new)
    view.put("jobs", old, gone=True)
    assert len(view.jobs) == 1


def test_a_job_without_labels_is_nobodys():
    view = View()
    stranger = job_object()
    del stranger["metadata"]["labels"]
    view.put("jobs", stranger)
    assert view.jobs_of(("farm", "db-migration")) == []


@pytest.mark.parametrize(
    "annotations", [{PART: "two of 3"}, {PART: "1"}, {PATHS: "{"}, {PATHS: "[1]"}, {PATHS: '{"a": 1}'}]
)
def test_annotations_that_somebody_has_broken_leave_a_bundle_that_is_not_whole(annotations):
    (found,) = bundle_maps(delivery())
    found["metadata"]["annotations"] |= annotations
    assert not content([read_map(found, BUNDLE)]).whole


def test_parts_that_are_left_over_from_a_larger_bundle_do_not_count():
    files = {f"{number:03}.sql": b"-" * 500_000 for number in range(1, 4)}
    large, small = maps(delivery(files)), maps(delivery())
    found = content([*small, *large[1:]])
    assert found.whole
    assert found.bundle.digest == delivery().bundle.digest
    assert not content([*small, *large]).whole, "two that say they are the first: nobody knows which is meant"


def test_of_two_settings_nobody_knows_which_are_meant():
    view = View()
    for name in ("a", "b"):
        (found,) = settings_map(delivery(settings={"tidelock.toml": b"x"}))
        found["metadata"] |= {"name": name, "namespace": "farm"}
        view.put(SETTINGS, found)
        assert view.settled(target()) is (name == "a")


SLOW = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
"""A busy machine is no failure."""
JSON = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TABLE = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def merged(before, patch):
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    found = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


@SLOW
@given(TABLE, TABLE)
def test_a_status_becomes_what_is_meant_also_where_something_goes(before, after):
    assert merged(before, cleared(before, after)) == after


def test_the_definition_is_valid_yaml_and_names_the_kind():
    from tidelock.kube.yaml import document

    assert yaml.safe_load(document(resource.definition()))["spec"]["names"]["kind"] == "MigrationTarget"
    assert len(parts(delivery().bundle)) == 1


def test_targets_for_one_database_know_of_each_other():
    view = View()
    spec = {"bundle": "b", "image": "i", "database": {"host": "db", "name": "farm"}}

    def put(name, **more):
        metadata = {"name": name, "namespace": "farm", "uid": name, "generation": 1}
        view.put("targets", {"metadata": metadata, "spec": {**spec, **more}})

    put("one")
    put("two", bundle="other", secret={"name": "s", "passwordKey": "p"})
    put("elsewhere", database={"host": "db", "name": "shop"})
    put("by-url", database={}, secret={"name": "s", "urlKey": "url"})
    put("by-the-same-url", database={}, secret={"name": "s", "urlKey": "url"})
    assert view.beside(("farm", "one")) == [("farm", "two")]
    assert view.beside(("farm", "by-url")) == [("farm", "by-the-same-url")]
    metadata = {"name": "one-1", "namespace": "farm", "resourceVersion": "1", "labels": {"tidelock.dev/target": "one"}}
    assert view.put("jobs", {"metadata": metadata, "status": {}}) == [("farm", "one"), ("farm", "two")]
    assert view.at_work(("farm", "two")) == ("farm", "one-1")
    assert view.at_work(("farm", "one")) is None
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    view.put("jobs", {"metadata": {**metadata, "resourceVersion": "2"}, "status": done})
    assert view.at_work(("farm", "two")) is None
