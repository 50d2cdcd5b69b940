"""`tidelock kube deploy` and `kube logs`."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.cli.delivering import deliveries
from tidelock.config import duration
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.core.rollout import Rollout
    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery
    from tidelock.kube.deploy import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which cluster and namespace the command line names."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said of deploying itself."""

    from_cronjob: str | None = None
    dry_run: str | None = None
    timeout: str | None = None
    commit: str = ""


def connect(where: Where, what: str, *, dry: bool = False) -> Cluster:
    """A client for the context that is meant, in its namespace. Raises NoKubernetesClient or NoContext."""
    from importlib.util import find_spec

    from tidelock.kube.faults import NoContext, NoKubernetesClient

    if find_spec("lightkube") is None:
        raise NoKubernetesClient(what)
    import ssl

    from lightkube import Client
    from lightkube.core.exceptions import ConfigError

    from tidelock.kube.client import Cluster
    from tidelock.kube.kubeconfig import configuration

    chosen = configuration(where.kubeconfig, where.context)
    try:
        client = Client(config=chosen, dry_run=dry, trust_env=True)
    except (ConfigError, OSError, ssl.SSLError, ValueError, AssertionError) as error:
        raise NoContext(f"context {chosen.context_name}", f"it cannot be used: {error}") from None
    return Cluster(client, where.namespace or chosen.namespace, dry=dry)


def each_delivery(
    asked: Asked,
    out: Output,
    where: Where,
    command: str,
    act: Callable[[Cluster, Delivery], int],
    *,
    dry: bool = False,
    commit: str = "",
) -> int:
    """Do something for every database in its namespace; a fault of one does not keep the others from their turn.

    Returns the first code that is not 0, a lasting one before a passing one.
    """
    try:
        found = deliveries(asked, commit=commit, namespace=where.namespace)
    except TidelockError as error:
        return out.fail(error, command)
    codes = []
    with ExitStack() as open_until_all_are_done:  # a watch may still read from one while the next is opened
        for each in found:
            cluster: Cluster | None = None
            try:
                namespace = each.workload.namespace or None
                cluster = connect(replace(where, namespace=namespace), f"tidelock {command}", dry=dry)
                open_until_all_are_done.callback(cluster.close)
                workload = replace(each.workload, namespace=cluster.namespace)
                codes.append(act(cluster, replace(each, workload=workload)))
            except TidelockError as error:
                codes.append(out.fail(error, command, cluster.namespace if cluster else ""))
    return next((code for code in codes if code not in (0, 75)), max(codes))


def deploy(asked: Asked, out: Output, where: Where, wanted: Wanted) -> int:
    """`tidelock kube deploy`."""
    from tidelock.cli.rendering import project
    from tidelock.repo import git

    commit = wanted.commit or git.commit(project(asked)) or ""
    timeout_s = duration(wanted.timeout, "--timeout") if wanted.timeout else 0.0

    def act(cluster: Cluster, delivery: Delivery) -> int:
        began = time.monotonic()
        say = speaker(out, cluster.namespace)
        run = deployment(cluster, delivery, wanted.from_cronjob, say, timeout_s)
        if cluster.dry:
            return rehearse(run, delivery, out)
        if not wanted.from_cronjob:
            tell_of_former_backups(cluster, delivery, say)
        done = carried_out(run, delivery, say, out, timeout_s, clears=not wanted.from_cronjob)
        return ended(done, out, time.monotonic() - began, command="kube deploy")

    return each_delivery(asked, out, where, "kube deploy", act, dry=wanted.dry_run == "server", commit=commit)


def deployment(
    cluster: Cluster, delivery: Delivery, cron_job: str | None, say: Callable[[str, str], None], timeout_s: float
) -> Deployment:
    """What is to be in the namespace, under plain names, as `kube render --for kubectl` writes it."""
    from tidelock.kube import cronjob, job, network, rights
    from tidelock.kube.configmap import bundle_maps, settings_map
    from tidelock.kube.deploy import Deployment

    made = job.job(delivery)
    others = [
        *rights.pod_account(delivery), network.policy(delivery), cronjob.migration(delivery),
        *([cronjob.backup(delivery)] if delivery.stores else []),
    ]  # fmt: skip
    if cron_job:
        others = []  # somebody else looks after the rest: Argo CD, Flux, a person
        made = cronjob.instantiated(cluster, cron_job, made)
    maps = [*bundle_maps(delivery), *settings_map(delivery)]
    return Deployment(
        cluster,
        maps,
        made,
        delivery.workload.bundle,
        others,
        tell=say,
        timeout_s=timeout_s or delivery.workload.deadline_s,
    )


def tell_of_former_backups(cluster: Cluster, delivery: Delivery, say: Callable[[str, str], None]) -> None:
    """Say that a CronJob of the backups' name, from before Tidelock, goes on: no store is named that ours would use."""
    from tidelock.kube.faults import NotAllowed

    name = delivery.workload.backup
    with suppress(NotAllowed):
        if not delivery.stores and cluster.get("CronJob", name):
            end = f"kubectl delete cronjob {name} -n {cluster.namespace}"
            say(name, f"is no longer rendered, and goes on: set [backup] url to replace it, or end it (`{end}`)")


def rehearse(run: Deployment, delivery: Delivery, out: Output) -> int:
    """`--dry-run=server`: the API server says whether it would accept each object, and keeps none."""
    from tidelock.kube.deploy import marked
    from tidelock.render import kube as render

    run.apply()
    made = marked(run.job)
    made["metadata"] = {**made["metadata"], "name": f"{run.name}-dry-run"}  # the Job of that name may be there
    run.cluster.create(made)
    names = [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in (*run.maps, *run.others, run.job)]
    out.show(
        render.rehearsed_text(run.cluster.namespace, names),
        render.rehearsed_data(run.cluster.context, run.cluster.namespace, delivery.bundle.digest, names),
    )
    return 0


def carried_out(
    run: Deployment, delivery: Delivery, say: Callable[[str, str], None], out: Output, timeout_s: float, *, clears: bool
) -> Rollout:
    """Replace the Job, follow it, and clear up after it, unless somebody else does. ctrl-C leaves it running."""
    from tidelock.kube.faults import LeftRunning, NotBegun
    from tidelock.kube.following import Follower

    job = f"{run.cluster.namespace}/{run.name}"
    try:
        if clears:
            run.clear(delivery.selector("migration"))
        claim = run.prepare()
    except KeyboardInterrupt:
        raise NotBegun(run.cluster.namespace, run.name) from None
    try:
        follower = Follower(
            run.cluster,
            run.name,
            claim.uid,
            show=liner(out),
            tell=lambda text: say(run.name, text),
            timeout_s=timeout_s,
        )
        done = follower.run()
        if clears and done.exit_code == 0 and not claim.joined:
            for name in run.prune():
                say(name, "removed: it is no longer part of the bundle")
    except KeyboardInterrupt:
        raise LeftRunning(job, "interrupted") from None
    return done


def ended(done: Rollout, out: Output, duration_s: float, *, command: str) -> int:
    """Say how the Job ended, and hand its exit code back. Raises JobFailed when no container said how."""
    from tidelock.core.rollout import FAILED
    from tidelock.kube.faults import JobFailed
    from tidelock.render import kube as render

    code = done.exit_code
    if code is None or (done.outcome == FAILED and (done.last is None or done.last.exit_code is None)):
        raise JobFailed(done.job, done.reason, done.message)
    if out.json:
        out.show("", render.deployed_data(done, duration_s, command))
    elif code:
        print(render.failed_text(done, duration_s), file=sys.stderr, flush=True)
    else:
        out.show(render.deployed_text(done, duration_s), {})
    return code


def speaker(out: Output, namespace: str) -> Callable[[str, str], None]:
    """Prints what becomes of an object: on stdout, beside JSON on stderr."""

    def say(name: str, text: str) -> None:
        shown = f"{namespace}/{name:<30} {text}" if name else f"{namespace:<31} {text}"
        print(shown, file=sys.stderr if out.json else sys.stdout, flush=True)

    return say


def liner(out: Output) -> Callable[[str], None]:
    """Prints a line of the Job's log."""

    def show(line: str) -> None:
        print(f"  │ {line}", file=sys.stderr if out.json else sys.stdout, flush=True)

    return show


def logs(asked: Asked, out: Output, where: Where, *, follow: bool, tail: int | None) -> int:
    """`tidelock kube logs`: of the newest attempt, or with `follow` until the Job is over."""

    def act(cluster: Cluster, delivery: Delivery) -> int:
        from tidelock.kube.attempts import over
        from tidelock.kube.faults import NotThere
        from tidelock.kube.standing import job_of

        began = time.monotonic()
        found = job_of(cluster, delivery)
        if found is None:
            missing = f"{cluster.namespace}/{delivery.workload.job} (Job)"
            raise NotThere(missing, "tidelock kube deploy makes it and follows it")
        if follow and not over(found):
            done = followed(cluster, found, out, tail)
            return ended(done, out, time.monotonic() - began, command="kube logs")
        if found.last is None or not found.last.began:
            reason = f": {found.last.reason}" if found.last and found.last.reason else ""
            raise NotThere(
                f"a log of {found.job}", f"no container of it has run yet{reason}; see `tidelock kube doctor`"
            )
        show = printer(out, found.job, found.last.pod, follow=follow)
        for line in cluster.lines(found.last.pod, tail=tail):
            show(line)
        if follow and out.json:
            return ended(found, out, time.monotonic() - began, command="kube logs")
        return (found.exit_code or 0) if follow else 0

    return each_delivery(asked, out, where, "kube logs", act)


def followed(cluster: Cluster, found: Rollout, out: Output, tail: int | None) -> Rollout:
    """The Job at its end. ctrl-C leaves it running."""
    from tidelock.kube.faults import LeftRunning
    from tidelock.kube.following import Follower

    say, show = speaker(out, cluster.namespace), printer(out, found.job, "", follow=True)
    name = found.name
    try:
        return Follower(cluster, name, found.uid, show=show, tell=lambda text: say(name, text), tail=tail).run()
    except KeyboardInterrupt:
        raise LeftRunning(found.job, "interrupted") from None


def printer(out: Output, job: str, pod: str, *, follow: bool) -> Callable[[str], None]:
    """Prints a line as the Job wrote it; as JSON one object a line, or beside the report, which comes at the end."""

    def show(line: str) -> None:
        from tidelock.render import kube as render

        data = out.json and not follow
        shown = render.logged(job, pod, line) if data else line
        print(shown, file=sys.stderr if out.json and follow else sys.stdout, flush=True)

    return show
