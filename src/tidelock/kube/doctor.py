"""Doctor: one question after the other about a namespace, each with what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.check import Check, Flaw
from tidelock.core.rollout import FAILED
from tidelock.core.workload import KeyReference
from tidelock.kube import job, pod
from tidelock.kube.attempts import how, mend
from tidelock.kube.deploy import abandoned, counted, short
from tidelock.kube.faults import NotAllowed, Rejected, granting
from tidelock.kube.pod import reference
from tidelock.kube.rights import RIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.rollout import ClusterStanding, Rollout
    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery

    Object = dict[str, Any]

FEW = 5
LINES = 8
"""Of a failed Job's log."""
LASTS = {
    "OOMKilled": "raise memory in [kube], and deploy again",
    "Evicted": "the node was short of something: see `kubectl describe node`; the Job tries again by itself",
    "DeadlineExceeded": "raise deadline in [kube], and deploy again; what was committed is in the ledger",
    "BackoffLimitExceeded": "mend what the log says, and deploy again",
}
"""Why a Job or its pod ended → what mends it."""


def namespace(cluster: Cluster) -> Check:
    """The namespace is there."""
    there = cluster.namespace_there()
    about = f"{cluster.namespace} · {cluster.context} · {cluster.server}"
    if there is None:
        return Check(name="namespace", about=f"not asked: no right to read namespaces ({about})", asked=False)
    missing = Flaw(what="it is not there", mend=f"kubectl create namespace {cluster.namespace}")
    return Check(name="namespace", about=about, flaws=() if there else (missing,))


def rights(cluster: Cluster) -> Check:
    """Whoever asks may do what a deployment does."""
    asked = [(group, resource, verb) for group, resources, verbs in RIGHTS for resource in resources for verb in verbs]
    lacking = [f"{verb} {resource}" for group, resource, verb in asked if not cluster.may(verb, group, resource)]
    mending = f"as an administrator `{granting(cluster.namespace)}`, and use its ServiceAccount"
    flaws = (Flaw(what=f"may not {', '.join(lacking)}", mend=mending),) if lacking else ()
    return Check(name="rights to deploy", about=f"{len(asked)} asked for", flaws=flaws)


def bundle(standing: ClusterStanding) -> Check:
    """The ConfigMaps hold what is here."""
    held = standing.bundle
    flaws = []
    deploy = "tidelock kube deploy"
    if held.missing:
        flaws.append(Flaw(what=f"not there: {', '.join(held.missing)}", mend=deploy))
    elif held.differing:
        more = f" and {len(held.differing) - FEW} more" if len(held.differing) > FEW else ""
        flaws.append(
            Flaw(
                what=f"{counted(held.keys, 'file')} there (digest {short(held.found)}), {held.files} here; "
                f"different: {', '.join(held.differing[:FEW])}{more}",
                mend=deploy,
            )
        )
    return Check(
        name="ConfigMap holds what is here",
        about=f"{held.name}: {counted(held.files, 'file')}, digest {short(held.digest)}",
        flaws=tuple(flaws),
    )


def keys(cluster: Cluster, delivery: Delivery) -> Check:
    """What the pod refers to is there, with its keys."""
    workload = delivery.workload
    wanted = [value for _, value in workload.variables() if isinstance(value, KeyReference)]
    wanted += [reference(workload)] if workload.ca else []
    wanted += [whole(each) for each in workload.env_from]
    wanted += [KeyReference("secret", each, "") for each in workload.pull_secrets]
    flaws, unseen = [], 0
    for each in wanted:
        kind = "Secret" if each.kind == "secret" else "ConfigMap"
        try:
            held = cluster.get(kind, each.name)
        except NotAllowed:
            unseen += 1
            continue
        flaws += list(lacking(cluster.namespace, kind, each, held))
    if unseen and not flaws:
        return Check(name="Secrets and keys", about="not asked: no right to read them", asked=False)
    about = ", ".join(sorted({f"{each.kind}/{each.name}" for each in wanted})) or "none are referred to"
    return Check(name="Secrets and keys", about=about, flaws=tuple(dict.fromkeys(flaws)))


def whole(text: str) -> KeyReference:
    """`env_from` as a reference to no key."""
    kind, _, name = text.rpartition("/")
    return KeyReference(kind or "secret", name, "")


def lacking(where: str, kind: str, wanted: KeyReference, held: Object | None) -> Iterator[Flaw]:
    """What of a reference is not there."""
    if held is None:
        making = f"kubectl create {kind.lower()} {'generic ' if kind == 'Secret' else ''}{wanted.name} -n {where} …"
        yield Flaw(what=f'{kind} "{wanted.name}" is not there', mend=making)
        return
    there = sorted((held.get("data") or {}).keys() | (held.get("binaryData") or {}).keys())
    if wanted.key and wanted.key not in there:
        yield Flaw(
            what=f'{kind} "{wanted.name}" has no key "{wanted.key}"; keys: {", ".join(there) or "none"}',
            mend="name one of these in [kube] (password_key, user_key, url_key, env), then `tidelock kube deploy`",
        )


def accepted(cluster: Cluster, delivery: Delivery) -> Check:
    """The API server would take the pod: admission, the Pod Security Standard, quota."""
    spec = job.job(delivery)["spec"]["template"]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**spec["metadata"], "name": f"{delivery.workload.job}-doctor"},
        "spec": spec["spec"],
    }
    name = "the namespace takes its pod"
    try:
        cluster.create(made, dry=True)
    except NotAllowed:
        return Check(name=name, about="not asked: no right to create pods", asked=False)
    except Rejected as error:
        return Check(
            name=name, about="tried without keeping it", flaws=(Flaw(what=error.why, mend=mend("", error.why)),)
        )
    return Check(name=name, about="tried without keeping it: admission, quota, Pod Security")


def migration(cluster: Cluster, standing: ClusterStanding) -> Check:
    """The Job: there, started, and how it ended."""
    found = standing.rollout
    name = f"Job {standing.job}"
    if found is None:
        return Check(
            name=name, about="there is none", flaws=(Flaw(what="it is not there", mend="tidelock kube deploy"),)
        )
    if standing.obstacle:
        reason, message = standing.obstacle
        return Check(
            name=name, about="has not started", flaws=(Flaw(what=f"{reason}: {message}", mend=mend(reason, message)),)
        )
    if found.outcome == FAILED or (found.last and found.last.exit_code not in (None, 0)):
        return Check(
            name=name,
            about="failed" if found.outcome else "failed, and is tried again",
            flaws=(failure(cluster, found),),
        )
    if abandoned(cluster, found):
        left = Flaw(what="a deployment that is no more has left it: it never runs", mend="tidelock kube deploy")
        return Check(name=name, about="suspended", flaws=(left,))
    about = "complete" if found.exit_code == 0 else "suspended" if found.suspended else "at work"
    old = found.digest != standing.bundle.digest
    outdated = Flaw(what=f"it is of another bundle (digest {short(found.digest)})", mend="tidelock kube deploy")
    return Check(
        name=name, about=f"{about}, {counted(len(found.attempts), 'attempt')}", flaws=(outdated,) if old else ()
    )


def failure(cluster: Cluster, found: Rollout) -> Flaw:
    """Why a Job failed, with the end of its log."""
    last = found.last
    if last is None:
        return Flaw(what=f"{found.reason}: {found.message}", mend=LASTS.get(found.reason, "kubectl describe job"))
    told = f"{last.pod} {how(last)}"
    if found.reason and found.reason not in ("PodFailurePolicy", "BackoffLimitExceeded"):
        told = f"{found.reason}: {found.message}; {told}"
    lines = last_lines(cluster, last.pod) if last.summary is None and last.began else []
    code = ((last.summary or {}).get("failure") or {}).get("code")
    mending = LASTS.get(last.reason) or LASTS.get(found.reason if found.reason == "DeadlineExceeded" else "")
    mending = mending or (f"tidelock explain {code}" if code else "tidelock kube logs")
    return Flaw(what="\n     ".join([told, *lines]), mend=mending)


def last_lines(cluster: Cluster, name: str) -> list[str]:
    """The end of a pod's log; nothing when it is gone."""
    try:
        return cluster.lines(name, tail=LINES)
    except (NotAllowed, Rejected):
        return []


def probe(delivery: Delivery) -> Object:
    """A Job that looks at the database from inside, with what is mounted there now, and applies nothing."""
    args = ["status", *pod.files(delivery), "--wait", "5s", "--json"]
    spec = job.job_spec(delivery, "doctor", "doctor", args)
    container = spec["template"]["spec"]["containers"][0]
    # who only looks takes what is there
    container["env"] = [each for each in container["env"] if each["name"] not in pod.EXPECTED]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": delivery.metadata(f"{delivery.workload.job}-doctor", "doctor"),
        "spec": {**spec, "backoffLimit": 0, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 300},
    }


def database(status: Object) -> Iterator[Check]:
    """What the Job that looked has found: `tidelock status --json`."""
    pending, applied = status["pending"], status["applied"]
    versions = ", ".join(f"{each['version']:03}" for each in pending[:FEW])
    waiting = (Flaw(what=f"{len(pending)} pending: {versions}", mend="tidelock kube deploy"),) if pending else ()
    trouble = tuple(Flaw(what=f"{each['code']} {each['message']}", mend=each["hint"]) for each in status["trouble"])
    yield Check(name="database", about=status["target"])
    yield Check(name="ledger", about=f"{len(applied)} applied", flaws=(*waiting, *trouble))
    fallen = [each for each in status.get("critical", []) if each["footing"] != "migration"]
    if "critical" in status:
        flaws = tuple(
            Flaw(
                what=f"{each['table']}: {each['footing']}",
                mend="tidelock verify, or mend what failed and `tidelock kube deploy`",
            )
            for each in fallen
        )
        yield Check(name="critical tables", about=counted(len(status["critical"]), "table"), flaws=flaws)
    if not status["clean"]:
        who = status.get("holder") or "a run is at work, or died"
        yield Check(name="lock", about=who)
