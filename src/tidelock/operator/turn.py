"""One look at one target, and one action: a Job is made or given up, and the status says how the target stands."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.core.reconciling import Action, Do, Memory, Outcome, Phase, State, decide
from tidelock.errors import TidelockError
from tidelock.kube.attempts import going, obstacle
from tidelock.kube.client import EXISTS
from tidelock.kube.delivery import BUNDLE_DIGEST
from tidelock.kube.faults import Rejected
from tidelock.kube.job import CONTAINER
from tidelock.operator import attempt, resource
from tidelock.operator.feeds import STATUS
from tidelock.operator.view import TARGET

if TYPE_CHECKING:
    from tidelock.kube.client import Cluster
    from tidelock.operator.loop import Loop
    from tidelock.operator.view import Content, Key

    Object = dict[str, Any]

LEFT_OVER_S = 5.0
"""Between two looks at a pod that outlives its Job."""
OTHER_S = 60.0
"""After which another target's Job for the same database is looked for again, should its end not be heard."""
HISTORY = 3


@dataclass
class Turn:
    """One look at one target, and one action."""

    loop: Loop
    key: Key
    target: Object

    def take(self) -> None:
        """Decide and act."""
        view = self.loop.view
        content = view.content(self.target)
        settings = view.settings_of(self.target)
        jobs = {attempt.run(each).serial: each for each in view.jobs_of(self.key)}
        its_mark = ""
        if content is not None:
            delivery = attempt.delivery(self.target, content, settings)
            its_mark = attempt.mark(self.target, delivery)
        whole = content is None or (content.whole and view.settled(self.target))
        wanted = resource.wanted(self.target, its_mark, whole=whole)
        now = time.time()
        action = decide(wanted, [attempt.run(each) for each in jobs.values()], memory(self.target), now)
        match action.do:
            case Do.LOOK:
                self._look(jobs[action.serial])
                return
            case Do.CANCEL:
                self._cancel(jobs[action.serial])
            case Do.START:
                if other := view.at_work(self.key):
                    self.loop.later(self.key, now + OTHER_S)
                    self.say(Phase.RUNNING, f"waits for job {'/'.join(other)}, which is for the same database")
                    return
                if left := self._left_over():
                    self.loop.later(self.key, now + LEFT_OVER_S)
                    self.say(Phase.RUNNING, f"waits for pod {left}, which runs on though its Job is gone")
                    return
                self._start(attempt.job(self.target, delivery, action.serial, action.failures, its_mark))
            case Do.NOTHING if action.phase is Phase.CANNOT_BEGIN:
                action = self._why(action, jobs[action.serial])
        if action.at is not None:
            self.loop.later(self.key, action.at)
        self._write(action, content, its_mark, jobs)
        self._trim(jobs)

    @property
    def cluster(self) -> Cluster:
        """Where the target is."""
        return self.loop.cluster(self.key[0])

    def _start(self, job: Object) -> None:
        """Make the Job; one of that name is another operator's, or ours from before a crash, and as good."""
        made = self.cluster.create(job)
        name = job["metadata"]["name"]
        found = made or self.cluster.get("Job", name)
        if found and (found["metadata"].get("labels") or {}).get(TARGET) != self.key[1]:
            why = "a Job of that name is there, and it is none of this target's"
            raise Rejected("/".join((self.key[0], name)), f"creating job/{name}", why, status=EXISTS)
        if found:
            self.loop.view.put("jobs", found)
        if made:
            self.loop.tell(f"{'/'.join(self.key)}: started {name}")
            digest = job["metadata"]["annotations"][BUNDLE_DIGEST]
            self._event("Normal", "Started", f"{name} for bundle {digest}")

    def _left_over(self) -> str:
        """A pod of an earlier attempt that has not ended: its Job was deleted, or gave it up at its deadline."""
        pods = self.cluster.all_of("Pod", labels={TARGET: self.key[1]})
        return next((str(each["metadata"]["name"]) for each in pods if going(each, CONTAINER)), "")

    def refused(self, why: TidelockError) -> None:
        """Say that the API server, or what the target asks for, keeps it from being looked after.

        A quota, an admission, a right: it is asked again, later and later.
        """
        try:
            self.say(Phase.REFUSED, f"refused: {why.code} {why.message}"[:1000])
        except TidelockError as error:
            self.loop.tell(f"{'/'.join(self.key)}: {error.message}")

    def say(self, phase: Phase, why: str) -> None:
        """Nothing but how the target stands, in its status: no attempt is counted."""
        before = self.target.get("status", {})
        action = Action(do=Do.NOTHING, phase=phase, serial=before.get("serial", 0))
        content = self.loop.view.content(self.target)
        status = {
            **{name: value for name, value in before.items() if name != "nextAttempt"},
            **of_bundle(content),
            "observedGeneration": self.target["metadata"].get("generation", 0),
            "conditions": resource.conditions(self.target, action, why, resource.moment(time.time())),
            "failures": before.get("failures", 0),
        }
        self._tell(action, status)

    def _cancel(self, job: Object) -> None:
        """Delete a Job that cannot begin; it counts until its pods are gone."""
        name = job["metadata"]["name"]
        self.loop.tell(f"{'/'.join(self.key)}: {name} cannot begin, and something newer is wanted")
        self.cluster.delete("Job", name, job["metadata"]["uid"], foreground=True)
        self._event("Warning", "Cancelled", f"{name} could not begin, and something newer is wanted")

    def _look(self, job: Object) -> None:
        """Read how the Job ended, and note it there."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        noted = attempt.look(job, self._pods(name))
        change = {"metadata": {"uid": uid, "annotations": {attempt.OUTCOME: json.dumps(noted, ensure_ascii=False)}}}
        changed = self.cluster.merge("Job", name, change)
        if changed:
            self.loop.view.put("jobs", changed)
        self.loop.metrics.ended(self.key, noted, succeeded=attempt.run(job).state is State.SUCCEEDED)
        self.loop.later(self.key, time.time())

    def _why(self, action: Action, job: Object) -> Action:
        """What keeps the Job's pod from starting, as far as pods and events tell."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        found = attempt.standing(job, self._pods(name))
        about = found.last.pod if found.last else name
        known = obstacle(found, self.cluster.events(about))
        if known is None:
            return action
        found_out = replace(action, outcome=Outcome(reason=known[0], message=known[1][:800]))
        before = self.target.get("status", {}).get("conditions") or [{}]
        if resource.message(found_out, "") != before[0].get("message"):
            self.loop.tell(f"{'/'.join(self.key)}: {name} ({uid[:8]}) does not start: {': '.join(known)}")
        return found_out

    def _pods(self, job: str) -> list[Object]:
        return self.cluster.all_of("Pod", labels={"batch.kubernetes.io/job-name": job})

    def _trim(self, jobs: dict[int, Object]) -> None:
        """Keep the newest Jobs, and those that go on."""
        keep = self.target["spec"].get("policy", {}).get("history", HISTORY)
        ended = [serial for serial, job in sorted(jobs.items()) if attempt.run(job).state is not State.RUNNING]
        for serial in ended[:-keep]:
            metadata = jobs[serial]["metadata"]
            self.cluster.delete("Job", metadata["name"], metadata["uid"])

    def _write(self, action: Action, content: Content | None, its_mark: str, jobs: dict[int, Object]) -> None:
        """The status, when it is another one, and an Event when the target stands otherwise."""
        self._tell(action, self._status(action, content, its_mark, jobs))

    def _tell(self, action: Action, status: Object) -> None:
        self.loop.metrics.stands(self.key, action.phase, status)
        if self.loop.moved(self.key, action.phase, action.serial) and action.phase is not Phase.RUNNING:
            kind = "Normal" if action.phase is Phase.APPLIED else "Warning"
            self._event(kind, action.phase.value, status["conditions"][0]["message"])
        if status != self.target.get("status"):
            self.cluster.merge(STATUS, self.key[1], {"status": cleared(self.target.get("status", {}), status)})
            self.target["status"] = status

    def _status(self, action: Action, content: Content | None, its_mark: str, jobs: dict[int, Object]) -> Object:
        before = self.target.get("status", {})
        digest = content.bundle.digest if content else ""
        serial = max(action.serial, before.get("serial", 0))
        found = {
            "observedGeneration": self.target["metadata"].get("generation", 0),
            "conditions": resource.conditions(
                self.target, action, resource.message(action, digest), resource.moment(time.time())
            ),
            "serial": serial,
            "failures": attempt.run(jobs[serial]).failures if serial in jobs else 0,
            **of_bundle(content),
            **{name: before[name] for name in ("version", "pending", "lastRun") if name in before},
        }
        if action.phase is Phase.APPLIED:
            found["applied"] = {"digest": digest, "mark": its_mark}
        elif "applied" in before:
            found["applied"] = {**before["applied"], "mark": ""}
        if action.phase is Phase.RETRYING and action.at is not None:
            found["nextAttempt"] = resource.moment(action.at)
        if serial in jobs:
            found |= last_run(jobs[serial], serial)
        return found

    def _event(self, kind: str, reason: str, message: str) -> None:
        """Tell it as an Event of the target; one that cannot be told is not worth a failure."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = self.target["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self.key[1]}.{uuid.uuid4().hex[:16]}", "namespace": self.key[0]},
            "involvedObject": {
                "apiVersion": resource.API, "kind": resource.KIND,
                "name": self.key[1], "namespace": self.key[0], "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message[:1000],
            "type": kind,
            "source": {"component": "tidelock-operator"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }  # fmt: skip
        try:
            self.cluster.create(event)
        except TidelockError as error:
            self.loop.tell(f"{'/'.join(self.key)}: {error.message}")


def of_bundle(content: Content | None) -> Object:
    """The bundle that is there, for the status."""
    return {"bundle": {"digest": content.bundle.digest, "files": len(content.bundle.names)}} if content else {}


def memory(target: Object) -> Memory:
    """What the status remembers."""
    status = target.get("status", {})
    return Memory(serial=status.get("serial", 0), applied=status.get("applied", {}).get("mark", ""))


def last_run(job: Object, serial: int) -> Object:
    """The newest Job, for the status; with version and pending when it told them."""
    metadata, status = job["metadata"], job["status"]
    noted = json.loads((metadata.get("annotations") or {}).get(attempt.OUTCOME, "{}"))
    ended = next((each for each in status.get("conditions") or [] if each["type"] in attempt.FINISHED), None)
    run = {
        "job": metadata["name"],
        "serial": serial,
        "digest": metadata["annotations"][BUNDLE_DIGEST],
        "startedAt": resource.moment(attempt.epoch(metadata["creationTimestamp"])),
        "finishedAt": resource.moment(attempt.epoch(ended["lastTransitionTime"])) if ended else None,
        "exitCode": noted.get("exit_code"),
        "reason": noted.get("reason"),
        "code": noted.get("code"),
        "message": noted.get("message"),
    }
    told = {name: noted[name] for name in ("version", "pending") if name in noted}
    return {"lastRun": {name: value for name, value in run.items() if value is not None}, **told}


def cleared(before: Object, after: Object) -> Object:
    """The same for a merge patch: what is not there any more as null, one level of tables down."""
    found: Object = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        found[name] = cleared(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return found
