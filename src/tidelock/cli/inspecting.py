"""`tidelock kube status` and `kube doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.cli.deploying import each_delivery
from tidelock.core.check import Check, Flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.cli.deploying import Where
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery

SOMETHING_IS_WRONG = 7
PROBE_S = 60.0
ASKED_JOB = "database, ledger, critical tables"
UNSEEN = "ConfigMaps, Job, database"


def status(asked: Asked, out: Output, where: Where, *, exit_code: bool) -> int:
    """Two lines for each database."""

    def act(cluster: Cluster, delivery: Delivery) -> int:
        from tidelock.kube.standing import look
        from tidelock.render import kube as render

        found = look(cluster, delivery)
        out.show(render.standing_text(found), render.standing_data(found))
        return 1 if exit_code and not found.settled else 0

    return each_delivery(asked, out, where, "kube status", act)


def doctor(asked: Asked, out: Output, where: Where, *, no_database: bool) -> int:
    """Every check for each database."""

    def act(cluster: Cluster, delivery: Delivery) -> int:
        from tidelock.render import kube as render

        found = list(checks(asked, cluster, delivery, no_database=no_database))
        out.show(render.doctor_text(found), render.doctor_data(cluster.namespace, found))
        return 0 if all(each.ok for each in found) else SOMETHING_IS_WRONG

    return each_delivery(asked, out, where, "kube doctor", act)


def checks(asked: Asked, cluster: Cluster, delivery: Delivery, *, no_database: bool) -> Iterator[Check]:
    """From what is near to what is far: files, namespace, rights, objects, Job, database."""
    from tidelock.kube import doctor as ask
    from tidelock.kube.faults import NotAllowed
    from tidelock.kube.standing import look

    yield from manifests(asked, delivery)
    there = ask.namespace(cluster)
    yield there
    if not there.ok:
        return
    yield ask.rights(cluster)
    try:
        standing = look(cluster, delivery)
    except NotAllowed:
        yield Check(name=UNSEEN, about="not asked: no right to read them", asked=False)
        return
    yield ask.bundle(standing)
    keys = ask.keys(cluster, delivery)
    yield keys
    yield ask.accepted(cluster, delivery)
    yield ask.migration(cluster, standing)
    if no_database:
        return
    if standing.bundle.missing or not keys.ok:
        yield Check(name=ASKED_JOB, about="not asked: no pod could start", asked=False)
    else:
        yield from looked_inside(cluster, delivery)


def manifests(asked: Asked, delivery: Delivery) -> Iterator[Check]:
    """What is rendered and kept is what would be rendered now."""
    from tidelock.cli.checking import stale
    from tidelock.cli.delivering import settings_file

    if delivery.workload.out:
        flaws = tuple(
            Flaw(what=f"{path} is {what}", mend="tidelock kube render, and commit what it writes")
            for path, what in stale([delivery], settings_file(asked))
        )
        yield Check(name="files and rendered manifests", about=delivery.workload.out, flaws=flaws)


def looked_inside(cluster: Cluster, delivery: Delivery) -> Iterator[Check]:
    """A Job in the cluster asks the database, and is removed again."""
    from tidelock.errors import TidelockError
    from tidelock.kube import doctor as ask
    from tidelock.kube.faults import NeverStarted, NotAllowed
    from tidelock.kube.following import Follower

    wanted = ask.probe(delivery)
    lines: list[str] = []
    try:
        made = cluster.create(wanted)
    except NotAllowed:
        yield Check(name=ASKED_JOB, about="not asked: no right to create a Job", asked=False)
        return
    if made is None:
        yield Check(name=ASKED_JOB, about="not asked: another doctor is looking", asked=False)
        return
    name, uid = wanted["metadata"]["name"], made["metadata"]["uid"]
    try:
        done = Follower(cluster, name, uid, show=lines.append, tell=lambda _: None, timeout_s=PROBE_S).run()
    except NeverStarted as error:
        yield Check(name=ASKED_JOB, about="its Job does not start", flaws=(Flaw(what=error.message, mend=error.mend),))
        return
    except TidelockError as error:
        yield Check(name=ASKED_JOB, about="", flaws=(Flaw(what=error.message, mend=error.hint),))
        return
    finally:
        cluster.delete("Job", name, uid)
    found = document("\n".join(lines))
    if found is None or "failure" in found or done.exit_code:
        yield Check(name="database", about="not reached", flaws=(unreached(found, lines),))
        return
    yield from ask.database(found)


def document(text: str) -> dict[str, Any] | None:
    """The JSON document in what a Job has printed; its warnings stand around it."""
    start = text.find("{\n")
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:] if start >= 0 else "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def unreached(found: dict[str, Any] | None, lines: list[str]) -> Flaw:
    """Why the Job could not say anything about the database."""
    failure = (found or {}).get("failure") or {}
    if failure:
        return Flaw(what=f"{failure['code']} {failure['message']}", mend=failure["hint"])
    return Flaw(what="\n     ".join(lines[-5:]) or "the Job said nothing", mend="tidelock kube logs")
