"""MigrationTarget: one database whose migrations lie in a bundle. Its schema, its specification, its conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.core.reconciling import Action, Phase, Wanted
from tidelock.core.source import seconds
from tidelock.core.workload import CONNECTIONS, Workload
from tidelock.kube.pod import duration

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    Object = dict[str, Any]

GROUP = "tidelock.dev"
VERSION = "v1alpha1"
API = f"{GROUP}/{VERSION}"
KIND = "MigrationTarget"
PLURAL = "migrationtargets"
RETRY = "tidelock.dev/retry"
"""Annotation of a target: another value of it is a changed object, so that what failed is run again."""
DURATION = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"}


def text(description: str, **more: Any) -> Object:
    """A text in the schema."""
    return {"type": "string", "description": description, **more}


def table(properties: Mapping[str, Any], **more: Any) -> Object:
    """An object in the schema."""
    return {"type": "object", "properties": dict(properties), **more}


def texts(description: str) -> Object:
    """A list of texts in the schema."""
    return {"type": "array", "items": {"type": "string"}, "description": description}


SPEC = table(
    {
        "bundle": text("The value of the label tidelock.dev/bundle of the ConfigMaps", minLength=1),
        "image": text("Without a tag, the one of the operator's version is added", minLength=1),
        "imagePullSecrets": texts("Names of Secrets"),
        "database": table(
            {
                "host": text("PGHOST"),
                "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                "user": text("PGUSER"),
                "name": text("PGDATABASE"),
                "sslmode": text("PGSSLMODE"),
                "ca": text("secret/NAME/KEY or configmap/NAME/KEY"),
            }
        ),
        "secret": table(
            {
                "name": text("The Secret", minLength=1),
                "passwordKey": text("Its key for PGPASSWORD"),
                "userKey": text("Its key for PGUSER"),
                "urlKey": text("Its key for DATABASE_URL"),
            },
            required=["name"],
        ),
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "envFrom": texts("Secrets, or configmap/NAME"),
        "settings": text("The [databases.NAME] of the settings"),
        "serviceAccount": text("Of the pods"),
        "token": {"type": "boolean", "description": "Mount the account's token: for a backup by CloudNativePG"},
        "resources": table({"cpu": text("Limit"), "memory": text("Limit")}),
        "suspend": {"type": "boolean", "description": "Start nothing; what runs goes on"},
        "policy": table(
            {
                "deadline": {**DURATION, "description": "Kubernetes ends a Job after it"},
                "logs": {"type": "string", "enum": ["text", "json"], "description": "What kubectl logs shows"},
                "wait": {**DURATION, "description": "--wait of one attempt"},
                "firstRetry": {**DURATION, "description": "Pause after the first passing failure; then doubled"},
                "longestRetry": {**DURATION, "description": "The longest pause"},
                "history": {"type": "integer", "minimum": 1, "maximum": 50, "description": "Jobs that are kept"},
            }
        ),
    },
    required=["bundle", "image"],
)
RUN = table(
    {
        "job": text("Its name"),
        "serial": {"type": "integer"},
        "digest": text("Of its bundle"),
        "startedAt": {"type": "string", "format": "date-time"},
        "finishedAt": {"type": "string", "format": "date-time"},
        "exitCode": {"type": "integer"},
        "reason": text("A word of Kubernetes"),
        "code": text("Of Tidelock, for `tidelock explain`"),
        "message": text("How it ended"),
    }
)
CONDITION = table(
    {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {"type": "string"},
        "message": {"type": "string"},
    },
    required=["type", "status", "lastTransitionTime", "reason", "message"],
)
STATUS = table(
    {
        "observedGeneration": {"type": "integer"},
        "conditions": {
            "type": "array", "items": CONDITION,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        },
        "bundle": table({"digest": text("Of what is there now"), "files": {"type": "integer"}}),
        "applied": table({"digest": text("Of the last bundle that was applied"), "mark": {"type": "string"}}),
        "version": {"type": "integer", "format": "int64", "description": "The highest that is applied"},
        "pending": {"type": "integer"},
        "serial": {"type": "integer", "description": "The number of the last attempt"},
        "failures": {"type": "integer", "description": "Passing failures in a row"},
        "nextAttempt": {"type": "string", "format": "date-time"},
        "lastRun": RUN,
    }
)  # fmt: skip


def definition() -> Object:
    """The CustomResourceDefinition."""
    columns = [
        ("Bundle", "string", ".spec.bundle"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("Status", "string", '.status.conditions[?(@.type=="Ready")].message'),
        ("Version", "integer", ".status.version"),
        ("Age", "date", ".metadata.creationTimestamp"),
    ]
    schema = table({"spec": SPEC, "status": STATUS}, required=["spec"])
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "plural": PLURAL, "singular": "migrationtarget", "shortNames": ["mt"]},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns
                    ],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def specification(workload: Workload, database: str, *, token: bool) -> Object:
    """A Workload as the `spec` of a target: what `workload` reads back."""
    of_database = {
        "host": workload.host, "port": workload.port if workload.host else 0, "user": workload.user,
        "name": workload.database, "sslmode": workload.sslmode, "ca": workload.ca,
    }  # fmt: skip
    secret = {"name": workload.secret, "passwordKey": workload.password_key, "userKey": workload.user_key,
              "urlKey": workload.url_key}  # fmt: skip
    found = {
        "bundle": workload.bundle,
        "image": workload.image_with_tag,
        "imagePullSecrets": list(workload.pull_secrets),
        "database": given(of_database),
        "secret": given(secret) if workload.secret else {},
        "env": dict(workload.env),
        "envFrom": list(workload.env_from),
        "settings": database,
        "serviceAccount": workload.service_account,
        "token": token,
        "resources": {"cpu": workload.cpu, "memory": workload.memory},
        "policy": {
            "deadline": duration(workload.deadline_s),
            "wait": duration(workload.wait_s),
            **({"logs": workload.logs} if workload.logs != "text" else {}),
        },
    }
    return given(found)


def given(values: Mapping[str, Any]) -> Object:
    """Those that say something."""
    return {name: value for name, value in values.items() if value}


def workload(target: Object) -> Workload:
    """How the Jobs of a target run."""
    spec, policy = target["spec"], target["spec"].get("policy", {})
    database, secret = spec.get("database", {}), spec.get("secret", {})
    of_resources = {name: value for name, value in spec.get("resources", {}).items() if name in ("cpu", "memory")}
    return Workload(
        namespace=target["metadata"]["namespace"],
        bundle=spec["bundle"],
        job=target["metadata"]["name"],
        image=spec["image"],
        pull_secrets=tuple(spec.get("imagePullSecrets", ())),
        host=database.get("host", ""),
        port=database.get("port", 5432),
        user=database.get("user", ""),
        database=database.get("name", ""),
        sslmode=database.get("sslmode", ""),
        ca=database.get("ca", ""),
        secret=secret.get("name", ""),
        password_key=secret.get("passwordKey", ""),
        user_key=secret.get("userKey", ""),
        url_key=secret.get("urlKey", ""),
        env=spec.get("env", {}),
        env_from=tuple(spec.get("envFrom", ())),
        service_account=spec.get("serviceAccount") or "default",
        deadline_s=seconds(policy.get("deadline", "24h")),
        wait_s=seconds(policy.get("wait", "5m")),
        logs=policy.get("logs", "text"),
        retries=0,
        **of_resources,
    )


def place(target: Object) -> Hashable:
    """Where its database is, as far as the specification says: targets that agree in it have one database."""
    found = workload(target)
    given = dict(found.variables())
    where = {name: given[name] for name in (*CONNECTIONS, "PGPORT", "PGDATABASE") if name in given}
    if "PGDATABASE" not in given and "PGUSER" in given:
        where["PGUSER"] = given["PGUSER"]  # whose name the database has then
    told = any(name in given for name in CONNECTIONS)
    elsewhere = () if told else (found.env_from, found.bundle, target["spec"].get("settings", ""))
    host = given.get("PGHOST")
    namespace = "" if isinstance(host, str) and "." in host else found.namespace
    return namespace, frozenset(where.items()), elsewhere


def wanted(target: Object, mark: str, *, whole: bool) -> Wanted:
    """What the target asks for, as the decision needs it."""
    policy = target["spec"].get("policy", {})
    return Wanted(
        mark=mark,
        whole=whole,
        suspended=bool(target["spec"].get("suspend")),
        first_s=seconds(policy.get("firstRetry", "10s")),
        most_s=seconds(policy.get("longestRetry", "10m")),
    )


STANDS: dict[Phase, tuple[str, str, str]] = {
    Phase.APPLIED: ("True", "False", "False"),
    Phase.RUNNING: ("False", "True", "False"),
    Phase.CANNOT_BEGIN: ("False", "True", "False"),
    Phase.REFUSED: ("False", "True", "False"),
    Phase.RETRYING: ("False", "True", "False"),
    Phase.BUNDLE_INCOMPLETE: ("False", "True", "False"),
    Phase.SUSPENDED: ("False", "False", "False"),
    Phase.NO_BUNDLE: ("False", "False", "True"),
    Phase.FAILED: ("False", "False", "True"),
    Phase.ON_FALLBACK: ("False", "False", "True"),
}
"""Ready, Reconciling, Stalled, as kstatus reads them."""


def conditions(target: Object, action: Action, message: str, now: str) -> list[Object]:
    """The conditions; the time of one that did not change stays."""
    before = {each["type"]: each for each in target.get("status", {}).get("conditions", [])}
    found = []
    for name, status in zip(("Ready", "Reconciling", "Stalled"), STANDS[action.phase], strict=True):
        old = before.get(name, {})
        since = old["lastTransitionTime"] if old.get("status") == status else now
        found.append(
            {
                "type": name,
                "status": status,
                "observedGeneration": target["metadata"].get("generation", 0),
                "lastTransitionTime": since,
                "reason": action.phase.value,
                "message": message,
            }
        )
    return found


def message(action: Action, digest: str) -> str:
    """How the target stands, for a person."""
    short = digest.removeprefix("sha256:")[:12]
    ended = ending(action)
    match action.phase:
        case Phase.APPLIED:
            return f"bundle {short} is applied"
        case Phase.RUNNING:
            return f"attempt {action.serial} runs"
        case Phase.CANNOT_BEGIN:
            why = f": {action.outcome.reason}: {action.outcome.message}" if action.outcome else ""
            return f"attempt {action.serial} does not start{why}"
        case Phase.RETRYING:
            assert action.at is not None
            return f"attempt {action.serial} {ended}; tried again at {moment(action.at)}"
        case Phase.FAILED:
            return f"attempt {action.serial} {ended}; waits for a changed bundle, specification or {RETRY}"
        case Phase.ON_FALLBACK:
            return f"attempt {action.serial}: a critical table stands on its fallback; {ended}"
        case Phase.NO_BUNDLE:
            return "no ConfigMap has the label tidelock.dev/bundle with this bundle's name"
        case Phase.BUNDLE_INCOMPLETE:
            return "the parts of the bundle are not of one digest yet, or ConfigMaps of an older one are left over"
    return "suspended"


def moment(at: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ending(action: Action) -> str:
    """How the last attempt ended."""
    found = action.outcome
    if found is None:
        return ""
    code = f"exit {found.exit_code}" if found.exit_code is not None else "no exit code"
    reason = f" ({found.reason})" if found.reason not in ("", "Error", "Completed") else ""
    said = f": {found.code} {found.message}".rstrip(" :") if found.code or found.message else ""
    return f"ended with {code}{reason}{said}"
