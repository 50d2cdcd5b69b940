"""Following a Job to its end: pods and Job are watched, each attempt's log is passed on as it comes."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from lightkube import ApiError

from tidelock.core.rollout import Rollout
from tidelock.kube.attempts import JOB_UID, UNSCHEDULABLE, attempt, how, mend, obstacle, over, rollout
from tidelock.kube.faults import JobVanished, LeftRunning, NeverStarted, Unanswered
from tidelock.kube.feed import Broken, Feed, Listed, Seen, listening
from tidelock.kube.refusals import MISSING, NOT_OURS, fault, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.rollout import Attempt
    from tidelock.errors import TidelockError
    from tidelock.kube.client import Cluster

    Object = dict[str, Any]

STUCK_S = 10.0
"""What keeps a pod from starting may pass within this time: a Secret that is being made, a pull that is retried."""
UNSCHEDULABLE_S = 120.0
"""Nodes may be on their way."""
TROUBLE_S = 2.0
"""When nothing has started for so long, events are read, as often as this."""
LAST_LINES_S = 10.0
TICK_S = 0.5
RECONNECT_S = 0.5


@dataclass(frozen=True, slots=True)
class Refused:
    """A log may not be read."""

    error: TidelockError


@dataclass(frozen=True, slots=True)
class LogEnded:
    """All lines of a pod were passed on."""

    uid: str


class Follower:
    """Follows one Job. `show` gets the lines of its log, `tell` what happens around it."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        uid: str,
        *,
        show: Callable[[str], None],
        tell: Callable[[str], None],
        timeout_s: float = 0.0,
        tail: int | None = None,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.uid = uid
        self.show = show
        self.tell = tell
        self.timeout_s = timeout_s
        """Seconds after which it is left to itself; 0 is never."""
        self.tail = tail
        self._news: queue.Queue[Listed | Seen | Broken | Refused | LogEnded | str] = queue.Queue()
        self._stop = threading.Event()
        self._job: Object | None = None
        self._pods: dict[str, Object] = {}
        self._read: set[str] = set()
        """Pods whose log is passed on, or was."""
        self._ended: set[str] = set()
        self._told: set[str] = set()
        self._silent_since: float | None = None
        self._stuck: tuple[str, float] | None = None
        self._asked_at = time.monotonic()

    def run(self) -> Rollout:
        """Return when the Job is over. Raises NeverStarted, JobVanished, LeftRunning or Unanswered."""
        feeds = (
            Feed(name="Job", kind="Job", fields={"metadata.name": self.name}),
            Feed(name="Pod", kind="Pod", labels={JOB_UID: self.uid}),
        )
        began = time.monotonic()
        over_at: float | None = None
        with listening(self.cluster, feeds, self._news.put) as self._stop:
            while True:
                self._hear()
                if self._job is None:
                    continue
                found = rollout(self._job, self._pods.values())
                self._follow_logs(found)
                self._tell_attempts(found)
                if over(found):
                    over_at = over_at or time.monotonic()
                    if self._read <= self._ended or time.monotonic() - over_at > LAST_LINES_S:
                        return found
                elif not found.began or (found.last and not found.last.began):
                    self._look_for_obstacles(found)
                if self.timeout_s and time.monotonic() - began > self.timeout_s:
                    raise LeftRunning(found.job, f"waited {self.timeout_s:.0f} s")

    # What comes in

    def _hear(self) -> None:
        """Take in what has come since, or wait a moment for it."""
        try:
            self._take(self._news.get(timeout=TICK_S))
            while True:
                self._take(self._news.get_nowait())
        except queue.Empty:
            return

    def _take(self, news: Listed | Seen | Broken | Refused | LogEnded | str) -> None:
        match news:
            case str():
                self.show(news)
            case LogEnded():
                self._ended.add(news.uid)
            case Refused():
                raise news.error
            case Broken():
                self._bear(news)
            case Listed("Job", objects):
                self._silent_since = None
                self._keep_job(next((each for each in objects if each["metadata"]["uid"] == self.uid), None))
            case Listed(_, objects) if not self._is_over:
                self._pods = {each["metadata"]["uid"]: each for each in objects}
            case Seen("Job", what, found) if found["metadata"]["uid"] == self.uid:
                self._keep_job(None if what == "DELETED" else found)
            case Seen("Pod", "DELETED", found):
                if not self._is_over:
                    self._pods.pop(found["metadata"]["uid"], None)
            case Seen("Pod", _, found):
                self._pods[found["metadata"]["uid"]] = found

    def _keep_job(self, found: Object | None) -> None:
        if found is not None and not found["metadata"].get("deletionTimestamp"):
            self._job = found
        elif not self._is_over:  # else the next deployment has cleared it away: how it ended is known
            raise JobVanished(f"{self.cluster.namespace}/{self.name}")

    @property
    def _is_over(self) -> bool:
        return self._job is not None and over(rollout(self._job, self._pods.values()))

    def _bear(self, broken: Broken) -> None:
        error, doing = broken.error, f"watching {broken.feed.lower()}s"
        if isinstance(error, ApiError) and error.status.code in NOT_OURS:
            raise fault(error, f"{self.cluster.namespace}/{self.name}", doing, self.cluster)
        why, now = reason_of(error), time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self.tell(f"the API server does not answer ({why}); the Job goes on, waiting for it")
        elif now - self._silent_since > self.cluster.wait_s:
            raise Unanswered(self.cluster.server, f"watching job/{self.name}", why, now - self._silent_since)

    # What goes out

    def _follow_logs(self, found: Rollout) -> None:
        for each in found.attempts:
            if each.began and each.uid not in self._read:
                self._read.add(each.uid)
                threading.Thread(target=self._pass_on, args=(each, found.container), daemon=True).start()

    def _pass_on(self, each: Attempt, container: str) -> None:
        """Pass the lines of one pod's log on, each once, also when the stream breaks in between."""
        passed: int | None = None
        while not self._stop.is_set():
            number = 0
            try:
                passed = self._before_tail(each.pod, container) if passed is None else passed
                skip = passed
                for line in self.cluster.log(each.pod, container, follow=True):
                    number += 1
                    if number > skip:
                        self._news.put(line)
                        passed += 1
                if self._has_ended(each.uid, container):
                    break
            except ApiError as error:
                if error.status.code in NOT_OURS:
                    doing = f"reading the log of {each.pod}"
                    self._news.put(Refused(fault(error, f"{self.cluster.namespace}/{each.pod}", doing, self.cluster)))
                    break
                if error.status.code == MISSING:
                    break
            except (httpx2.HTTPError, RuntimeError):
                pass  # the watch says that the API server is away
            self._stop.wait(RECONNECT_S)
        self._news.put(LogEnded(each.uid))

    def _before_tail(self, pod: str, container: str) -> int:
        """How many lines are left out, counted from the log's beginning: there a stream that broke begins anew."""
        if self.tail is None:
            return 0
        return max(0, sum(1 for _ in self.cluster.log(pod, container, follow=False)) - self.tail)

    def _has_ended(self, uid: str, container: str) -> bool:
        """Whether the pod's container has; the watch may say it a moment after the log's end."""
        ends = time.monotonic() + LAST_LINES_S
        while time.monotonic() < ends and not self._stop.is_set():
            pod = self._pods.get(uid)
            if pod is None or attempt(pod, container).over:
                return True
            time.sleep(0.05)
        return False

    def _tell_attempts(self, found: Rollout) -> None:
        for number, each in enumerate(found.attempts, 1):
            if each.began and not each.over:
                self._once(
                    f"begins {each.uid}",
                    f"started on {each.node}" if number == 1 else f"attempt {number} started on {each.node}",
                )
            if each.over and not over(found) and each is found.last and (each.uid in self._ended or not each.began):
                self._once(f"ends {each.uid}", f"attempt {number} {how(each)}; Kubernetes tries again after a pause")

    def _look_for_obstacles(self, found: Rollout) -> None:
        now = time.monotonic()
        if now - self._asked_at < TROUBLE_S:
            return
        self._asked_at = now
        about = found.last.pod if found.last else self.name
        known = obstacle(found, self.cluster.events(about))
        if known is None:
            self._stuck = None
            return
        reason, message = known
        if self._stuck is None or self._stuck[0] != reason:
            self._stuck = (reason, now)
            self._once(reason + message, f"does not start yet: {reason}: {message}")
        if now - self._stuck[1] > (UNSCHEDULABLE_S if reason == UNSCHEDULABLE else STUCK_S):
            raise NeverStarted(found.job, reason, message, mend(reason, message))

    def _once(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self.tell(text)
