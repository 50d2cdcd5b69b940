"""What Kubernetes refuses, in our words: each names the object, the namespace, and what to do."""

from __future__ import annotations

from tidelock.errors import ClusterFault, PassingFault, UsageFault


class NoKubernetesClient(UsageFault):
    """A command that needs the extra that brings a client for Kubernetes."""

    code = "U045"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs lightkube, which is not installed", hint="pip install 'tidelock[kube]', then run it again"
        )


class NoContext(UsageFault):
    """There is no kubeconfig, or it has no such context, or the context is not whole."""

    code = "U046"

    def __init__(self, where: str, problem: str, hint: str = "") -> None:
        super().__init__(
            f"{where}: {problem}", hint=hint or "see `kubectl config get-contexts`, and name one with --context"
        )


class Unanswered(PassingFault):
    """The API server does not answer, or answers that it cannot now."""

    code = "T040"

    def __init__(self, server: str, doing: str, why: str, waited_s: float) -> None:
        waited = f" for {waited_s:.0f} s" if waited_s >= 1 else ""
        super().__init__(
            f"the API server {server} did not answer{waited} while {doing}: {why}",
            hint="see whether `kubectl get --raw /readyz` says ok; what was begun goes on in the cluster "
            "(`tidelock kube status`)",
        )


class Occupied(PassingFault):
    """Another deployment's Job is in the way, and it was waited for long enough."""

    code = "T041"

    def __init__(self, namespace: str, job: str, why: str, waited_s: float, mend: str = "") -> None:
        super().__init__(
            f"{namespace}/{job} {why}; waited {waited_s:.0f} s, and changed nothing",
            hint=mend
            or f"see what it does (`tidelock kube logs -f`), wait longer (--timeout 30m), or end it: "
            f"`kubectl delete job {job} -n {namespace}`",
        )


class LeftRunning(PassingFault):
    """Whoever waited has left: the Job goes on in the cluster."""

    code = "T042"

    def __init__(self, job: str, why: str) -> None:
        super().__init__(
            f"{why}; {job} goes on in the cluster",
            hint="tidelock kube logs -f comes back to it, `tidelock kube status` shows how it stands",
        )


class NotBegun(PassingFault):
    """ctrl-C or SIGTERM before the Job of this deployment ran."""

    code = "T043"

    def __init__(self, namespace: str, job: str) -> None:
        super().__init__(
            f"interrupted before {namespace}/{job} began: nothing of this bundle has run",
            hint=f"deploy again. Another deployment's Job goes on; one that is left suspended (`kubectl get job {job} "
            f"-n {namespace}`) never runs, and the next deployment removes it",
        )


class NotSignedIn(ClusterFault):
    """The API server does not know who asks."""

    code = "K020"

    def __init__(self, server: str, why: str) -> None:
        super().__init__(
            f"the API server {server} does not accept these credentials: {why}",
            hint="sign in again, or name another --context; a token may have expired",
        )


class NotAllowed(ClusterFault):
    """RBAC does not allow it."""

    code = "K021"

    def __init__(self, where: str, doing: str, why: str) -> None:
        commands = granting(where.partition("/")[0])
        super().__init__(
            f"{where}: not allowed while {doing}: {why}",
            hint=f"have an administrator give the rights: `{commands}`; or name another --context",
        )


def granting(namespace: str) -> str:
    """The commands that give whoever deploys the rights for it."""
    return (
        f"tidelock kube render --for kubectl --out DIR && kubectl apply --server-side -f DIR/rights.yaml -n {namespace}"
    )


class NoNamespace(ClusterFault):
    """The namespace is not there, or is going."""

    code = "K022"

    def __init__(self, namespace: str, why: str) -> None:
        super().__init__(
            f"namespace {namespace}: {why}",
            hint=f"make it (`kubectl create namespace {namespace}`), "
            "or name another with --namespace or [kube] namespace",
        )


class Rejected(ClusterFault):
    """An object is not accepted: validation, admission, quota."""

    code = "K023"

    def __init__(self, where: str, doing: str, why: str, *, status: int = 422) -> None:
        super().__init__(
            f"{where}: refused while {doing}: {why}",
            hint="mend what it names (in tidelock.toml [kube], or the namespace's policy or quota), and deploy again",
        )
        self.why = why
        self.status = status
        """The HTTP status of the answer."""


class NotThere(ClusterFault):
    """An object that is needed does not exist."""

    code = "K024"

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} is not there", hint=hint)


class NeverStarted(ClusterFault):
    """The Job is there, and its container cannot start."""

    code = "K025"

    def __init__(self, job: str, reason: str, message: str, mend: str) -> None:
        super().__init__(
            f"{job} does not start: {reason}: {message}",
            hint=f"{mend}. Nothing has run; the Job waits, and starts by itself when this is mended",
        )
        self.mend = mend


class JobVanished(ClusterFault):
    """Somebody has deleted the Job that was waited for."""

    code = "K026"

    def __init__(self, job: str) -> None:
        super().__init__(
            f"{job} was deleted while it was waited for",
            hint="tidelock status, against the database, shows what of it was applied; deploy again for the rest",
        )


class JobFailed(ClusterFault):
    """The Job failed, and no container said how: its deadline, or a node that was lost."""

    code = "K027"

    def __init__(self, job: str, reason: str, message: str) -> None:
        super().__init__(
            f"{job} failed: {reason}: {message}",
            hint="what was committed is in the ledger; see `tidelock kube doctor`, and deploy again for the rest",
        )
