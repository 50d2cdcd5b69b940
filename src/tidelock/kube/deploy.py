"""One deployment: ConfigMaps brought up to date, the old Job replaced, the new one followed to its end.

The Job's name is the lock between deployments: whoever creates the Job (suspended) may change the ConfigMaps, and lets
the Job run when they are there. A deployment of the very same Job that finds it running joins it; one of another bundle
waits until it is over.
"""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from tidelock.kube.attempts import JOB_UID, attempt, over, rollout
from tidelock.kube.client import EXISTS, MANAGER, named
from tidelock.kube.cronjob import sources
from tidelock.kube.delivery import BUNDLE, BUNDLE_DIGEST, MANAGED_BY, SETTINGS
from tidelock.kube.faults import JobVanished, LeftRunning, NotAllowed, Occupied, Rejected
from tidelock.kube.feed import Feed, listening
from tidelock.kube.job import fingerprint
from tidelock.kube.ownership import sole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.core.rollout import Rollout
    from tidelock.kube.client import Cluster

    Object = dict[str, Any]

FINGERPRINT = "tidelock.dev/fingerprint"
"""Annotation of a Job: what makes it this Job and no other."""
CLAIM = "tidelock.dev/claim"
"""Annotation of a Job: which deployment has made it."""
KIN = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component")
"""Labels that all pods for one database share, whatever Job they are of."""
ABANDONED_S = 90.0
"""A Job that is suspended and older was left by a deployment that is no more: one that is bears a silent API server for
`Cluster.wait_s`, and may still be changing the ConfigMaps."""
MOUNTING = ("Job", "CronJob", "Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
"""What may mount a ConfigMap of ours now, or once it is scaled up or rolled back: applications wait for migrations."""
SUSPENDED = f"deploy again in {ABANDONED_S:.0f} s: by then it runs, or is removed as left over"
LOOK_S = 5.0
"""Between two looks at a Job of another deployment of which nothing is heard."""
READ_S = 1.0
"""For this long a Job that was waited for stays after its end: its own deployment reads the last of its log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A Job to follow."""

    uid: str
    joined: bool
    """Somebody else has made it, and it is what we would have made."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there is no claim yet; without a reason it may be tried again at once."""

    why: str = ""
    mend: str = ""
    """What to do when it lasts, where there is more to be done than for a Job that runs."""
    look_s: float = LOOK_S
    """After which there is another look, whatever is heard."""


@dataclass
class Deployment:
    """What is to be in the namespace, and the Job to be run."""

    cluster: Cluster
    maps: Sequence[Object]
    """The ConfigMaps of bundle and settings."""
    job: Object
    bundle: str
    """The bundle's name."""
    others: Sequence[Object] = ()
    """ServiceAccount, CronJobs, NetworkPolicy, …: applied as far as whoever deploys may."""
    tell: Callable[[str, str], None] = field(default=lambda _name, _text: None)
    """Gets (object, what became of it)."""
    timeout_s: float = 0.0
    """How long another deployment's Job is waited for; 0 is as long as it takes."""
    _over_at: dict[str, float] = field(default_factory=dict)
    """uid of a Job → when it was first seen over."""

    @property
    def name(self) -> str:
        """The Job's name."""
        return str(self.job["metadata"]["name"])

    def prepare(self) -> Claim:
        """Everything up to the moment at which the Job runs."""
        wanted = marked(self.job)
        claim = self.claim(wanted)
        if claim.joined:
            return claim
        try:
            self.apply()
        except BaseException:
            self.cluster.delete("Job", self.name, claim.uid)  # nothing has run, and nobody will wait for it
            raise
        job = f"{self.cluster.namespace}/{self.name}"
        try:
            begun = self.cluster.merge("Job", self.name, {"metadata": {"uid": claim.uid}, "spec": {"suspend": False}})
        except KeyboardInterrupt:  # nobody knows whether it was heard
            raise LeftRunning(job, "interrupted") from None
        except (NotAllowed, Rejected) as error:
            self.cluster.delete("Job", self.name, claim.uid)
            if not isinstance(error, Rejected) or error.status != EXISTS:
                raise
            begun = None  # another deployment has taken its name since
        if begun is None:
            raise JobVanished(job)
        return claim

    def apply(self) -> None:
        """The ConfigMaps, and what else the Job needs, as far as whoever deploys may change it."""
        before = [self.apply_map(each) for each in self.maps]
        bundle = [(each, was) for each, was in zip(self.maps, before, strict=True) if of_bundle(each)]
        self.tell(bundle[0][0]["metadata"]["name"], summary([each for each, _ in bundle], bundle[0][1]))
        refused = [named(each["kind"], each["metadata"]["name"]) for each in self.others if not self.applied(each)]
        if refused:
            self.tell("", f"left as they are, for want of rights: {', '.join(refused)}")

    def applied(self, each: Object) -> bool:
        """Whether it could be, or is so already: whoever only deploys need not be allowed to give rights."""
        try:
            found = self.cluster.apply(each)
            # a CronJob of before that has the same name: what is left of its spec would run instead of ours
            if not self.cluster.dry and (fields := sole(found["metadata"].get("managedFields") or [], MANAGER)):
                self.cluster.merge(each["kind"], each["metadata"]["name"], {"metadata": {"managedFields": fields}})
                self.cluster.apply(each)
        except NotAllowed:
            return self.stands(each)
        return True

    def stands(self, wanted: Object) -> bool:
        """It is there as it is wanted, as far as that can be seen."""
        try:
            found = self.cluster.get(wanted["kind"], wanted["metadata"]["name"])
        except NotAllowed:
            return False
        return found is not None and holds(found, {**wanted, "apiVersion": found.get("apiVersion")})

    def apply_map(self, wanted: Object) -> Object | None:
        """Make a ConfigMap hold exactly this, without keys that others have put there; what it was before."""
        name = wanted["metadata"]["name"]
        before = self.cluster.get("ConfigMap", name)
        if before and before.get("immutable") and before.get("data") == wanted.get("data"):
            return before
        found = self.cluster.apply(wanted)
        for part in ("data", "binaryData"):
            extra = (found.get(part) or {}).keys() - (wanted.get(part) or {}).keys()
            if extra and not self.cluster.dry:
                self.cluster.merge("ConfigMap", name, {part: dict.fromkeys(sorted(extra))})
        return before

    # The Job

    def claim(self, wanted: Object) -> Claim:
        """The right to change the ConfigMaps, or a Job that does already what is wanted. Raises Occupied."""
        began = time.monotonic()
        told = ""
        news: SimpleQueue[object] = SimpleQueue()
        mark = uuid.uuid4().hex
        with ExitStack() as hearing:
            while isinstance(found := self.claimed(wanted, mark, waited=bool(told)), Obstacle):
                if not found.why:
                    continue
                if self.timeout_s and (waited := time.monotonic() - began) > self.timeout_s:
                    raise Occupied(self.cluster.namespace, self.name, found.why, waited, found.mend)
                if not told:
                    hearing.enter_context(listening(self.cluster, self.in_the_way, news.put))
                if found.why != told:
                    told = found.why
                    self.tell(self.name, f"{told}: waiting until it is over")
                with suppress(Empty):
                    news.get(timeout=found.look_s)
                    while True:
                        news.get_nowait()
        return found

    def claimed(self, wanted: Object, mark: str, *, waited: bool) -> Claim | Obstacle:
        """One try to make the Job, suspended and with our mark. It removes what is over or was left behind."""
        there = self.cluster.get("Job", self.name)
        if there is None:
            if pod := self.still_running():
                return Obstacle(f"is not there, and its pod {pod} runs on", f"kubectl logs {pod} shows what it does")
            made = self.cluster.create(claiming(wanted, mark))
            return Claim(made["metadata"]["uid"], joined=False) if made else Obstacle()
        if claim_of(there) == mark:  # the answer to `create` was lost
            return Claim(there["metadata"]["uid"], joined=False)
        found = rollout(there, self.cluster.all_of("Pod", labels={JOB_UID: there["metadata"]["uid"]}))
        same = is_same(there, wanted)
        if there["metadata"].get("deletionTimestamp"):
            return Obstacle("is being deleted, and its pods are not gone yet")
        if found.suspended:
            if abandoned(self.cluster, found):
                self.tell(self.name, "was left suspended by a deployment that is no more: removing it")
                self.cluster.delete("Job", self.name, found.uid)
                return Obstacle()
            return Obstacle("is suspended: another deployment makes it ready, or was cut short", SUSPENDED)
        if over(found) and waited and (left_s := READ_S - self.over_s(found)) > 0:
            return Obstacle("is over", look_s=left_s)
        if over(found) or not (found.running or same):  # between two attempts what is newer replaces it
            self.try_to_make(wanted)
            # a container may begin just now: the Job stays until its pods are gone
            self.cluster.delete("Job", self.name, found.uid, foreground=not over(found))
            return Obstacle()
        if same:
            self.tell(self.name, "runs already, for the same bundle: joining it")
            return Claim(found.uid, joined=True)
        if found.digest == digest_of(wanted):
            return Obstacle("runs this bundle with other settings")
        return Obstacle(f"runs another bundle ({short(found.digest)})")

    def try_to_make(self, wanted: Object) -> None:
        """Raise NotAllowed when no Job may be made: before the old one is removed."""
        metadata = {**wanted["metadata"], "name": f"{self.name}-dry-run"}
        with suppress(Rejected):  # a quota, perhaps, that the old one fills
            self.cluster.create({**wanted, "metadata": metadata}, dry=True)

    def over_s(self, found: Rollout) -> float:
        """How long ago a Job was first seen over."""
        now = time.monotonic()
        return now - self._over_at.setdefault(found.uid, now)

    @property
    def in_the_way(self) -> tuple[Feed, ...]:
        """What is heard of while somebody else's Job is waited for: the Job, and the pods for the same database."""
        return (
            Feed(name="Job", kind="Job", fields={"metadata.name": self.name}),
            Feed(name="Pod", kind="Pod", labels=self.kin),
        )

    @property
    def kin(self) -> dict[str, str]:
        """The labels that all pods for this database share."""
        labels = self.job["metadata"].get("labels", {})
        return {name: labels[name] for name in KIN if name in labels}

    def still_running(self) -> str:
        """A pod for the same database whose container runs: of a Job that was deleted, or made from hand; or empty."""
        pods = self.cluster.all_of("Pod", labels=self.kin)
        container = str(self.job["spec"]["template"]["spec"]["containers"][0]["name"])
        found = ((str(each["metadata"]["name"]), attempt(each, container)) for each in pods)
        return next((name for name, each in found if each.began and not each.over), "")

    def clear(self, label: dict[str, str]) -> None:
        """Remove finished Jobs that were made by hand from the CronJob of our Job's name.

        Others with these labels are somebody else's to remove: the operator keeps a history of its own, and Argo CD
        or Flux would make a Job anew that they miss.
        """
        for each in self.cluster.all_of("Job", labels=label):
            owners = {(owner["kind"], owner["name"]) for owner in each["metadata"].get("ownerReferences") or []}
            other = each["metadata"]["name"] != self.name
            if other and ("CronJob", self.name) in owners and rollout(each, ()).outcome:
                self.cluster.delete("Job", each["metadata"]["name"], each["metadata"]["uid"])

    def prune(self) -> list[str]:
        """Remove ConfigMaps of this bundle that we made, that are no part of it any more and that nothing can mount.

        The ConfigMaps are listed before the Jobs: a deployment that has begun meanwhile makes its Job first, so that
        each of its ConfigMaps that is seen here is kept.
        """
        keep = {each["metadata"]["name"] for each in self.maps}
        there = [
            each["metadata"]
            for label in (BUNDLE, SETTINGS)
            for each in self.cluster.all_of("ConfigMap", {label: self.bundle, MANAGED_BY: MANAGER})
            if each["metadata"]["name"] not in keep
        ]
        if not there:
            return []
        try:
            keep = self.in_use()
        except NotAllowed as error:
            names = ", ".join(each["name"] for each in there)
            self.tell("", f"left as they are, since nobody knows who mounts them ({error.message}): {names}")
            return []
        gone = [each for each in there if each["name"] not in keep]
        for each in gone:
            self.cluster.delete("ConfigMap", each["name"], each["uid"])
        return [str(each["name"]) for each in gone]

    def in_use(self) -> set[str]:
        """The ConfigMaps that something mounts, or will once it is scaled up. Raises NotAllowed."""
        found: set[str] = set()
        for kind in MOUNTING:
            for each in self.cluster.all_of(kind):
                ended = attempt(each, "").over if kind == "Pod" else kind == "Job" and rollout(each, ()).outcome
                if not ended:
                    found |= mentioned(each)
        return found


def abandoned(cluster: Cluster, found: Rollout) -> bool:
    """The Job is suspended, and whoever made it is no more."""
    if not found.suspended:
        return False
    age = cluster.clock() - datetime.fromisoformat(found.created)
    return age.total_seconds() > ABANDONED_S


def holds(found: Any, wanted: Any) -> bool:
    """What is there says all that is wanted; the API server and others may have added to it."""
    match wanted:
        case dict():
            return isinstance(found, dict) and all(holds(found.get(name), value) for name, value in wanted.items())
        case list():
            return isinstance(found, list) and len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


def claiming(job: Object, mark: str) -> Object:
    """The Job as a claim: suspended, with the mark of whoever made it."""
    meta, spec = job["metadata"], job["spec"]
    annotations = {**meta["annotations"], CLAIM: mark}
    return {**job, "metadata": {**meta, "annotations": annotations}, "spec": {**spec, "suspend": True}}


def marked(job: Object) -> Object:
    """The Job with its fingerprint."""
    meta = job["metadata"]
    annotations = meta.get("annotations", {})
    annotations = {**annotations, FINGERPRINT: fingerprint(job["spec"])}
    return {**job, "metadata": {**meta, "annotations": annotations}}


def mentioned(job: Object) -> set[str]:
    """The ConfigMaps that a Job, CronJob or pod mounts."""
    spec = job["spec"].get("jobTemplate", job)["spec"]
    spec = spec.get("template", {}).get("spec", spec)
    found: set[str] = set()
    for volume in spec.get("volumes") or []:
        found |= {each["configMap"]["name"] for each in sources(volume) if each.get("configMap")}
    return found


def claim_of(job: Object) -> str:
    """Which deployment has made it; empty for what no deployment made."""
    return str((job["metadata"].get("annotations") or {}).get(CLAIM, ""))


def is_same(there: Object, wanted: Object) -> bool:
    """It is the Job that is wanted; of one that `kubectl apply` made, its bundle tells."""
    found, meant = there["metadata"].get("annotations") or {}, wanted["metadata"]["annotations"]
    return bool(
        found.get(FINGERPRINT, meant[FINGERPRINT]) == meant[FINGERPRINT] and digest_of(there) == digest_of(wanted)
    )


def of_bundle(config_map: Object) -> bool:
    """It holds migrations, not settings."""
    return BUNDLE in config_map["metadata"].get("labels", {})


def summary(maps: Sequence[Object], before: Object | None) -> str:
    """`74 files in 1 ConfigMap, digest 5b0e…c1 (was 9a77…02)`."""
    files = sum(len(each.get("data") or {}) + len(each.get("binaryData") or {}) for each in maps)
    now, was = digest_of(maps[0]), digest_of(before) if before else ""
    changed = "" if before is None else " (unchanged)" if was == now else f" (was {short(was)})"
    return f"{counted(files, 'file')} in {counted(len(maps), 'ConfigMap')}, digest {short(now)}{changed}"


def counted(number: int, what: str) -> str:
    """`1 file`, `74 files`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def digest_of(found: Object) -> str:
    """The digest of the bundle that an object is part of, or is for; empty when it says none."""
    return str((found["metadata"].get("annotations") or {}).get(BUNDLE_DIGEST, ""))


def short(digest: str) -> str:
    """`5b0e…c1`."""
    plain = digest.removeprefix("sha256:")
    return f"{plain[:4]}…{plain[-2:]}" if plain else "unknown"
