"""`[kube]` of tidelock.toml: how Tidelock is run in a namespace; names, image, where the database is, limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
"""What Kubernetes takes as a name everywhere, also as a label."""
MOST = {"job": 47, "backup": 52, "bundle": 63}
"""Characters: of a label 63, of a CronJob 52, and of the Job so many that `-told-` and a digest can follow."""
CONNECTIONS = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "DATABASE_URL")
"""Any of these says where the database is."""


class Incomplete(UsageFault):
    """`[kube]` lacks what no manifest can do without."""

    code = "U040"

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"tidelock.toml: [kube] {what}", hint=hint)


class BadName(UsageFault):
    """`[kube]` gives, or makes from the database's, a name that Kubernetes would not take, or that leaves no room."""

    code = "U043"

    def __init__(self, key: str, name: str, most: int) -> None:
        long = f"has {len(name)} characters, and may have {most}: what is appended has to fit, too"
        why = long if len(name) > most else "cannot be a name in Kubernetes"
        super().__init__(
            f"tidelock.toml: [kube] {key}: “{name}” {why}",
            hint=f'write {key} = "…" with lower-case letters, digits and “-”, at most {most} characters',
        )


class SharedName(UsageFault):
    """Two databases would be delivered as one and the same object: the later takes the place of the first."""

    code = "U044"

    def __init__(self, key: str, name: str, databases: tuple[str, str]) -> None:
        super().__init__(
            f"tidelock.toml: [kube] {key}: databases {' and '.join(databases)} both have “{name}”",
            hint=f'write {key} = "…" into [databases.{databases[1]}.kube]',
        )


class BadReference(UsageFault):
    """`[kube]` names a key of a Secret or ConfigMap in a way that cannot be read."""

    code = "U041"

    def __init__(self, where: str, text: str) -> None:
        super().__init__(
            f"tidelock.toml: [kube] {where}: “{text}” names no key of a Secret or ConfigMap",
            hint='write "secret/NAME/KEY" or "configmap/NAME/KEY"',
        )


@dataclass(frozen=True, slots=True)
class KeyReference:
    """A key of a Secret or a ConfigMap."""

    kind: str
    """secret or configmap."""
    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The `[kube]` of tidelock.toml, and of `[databases.NAME.kube]` over it."""

    flavour: str = "kubectl"
    """What applies the manifests: kubectl, kustomize, helm, argocd, flux."""
    out: str = ""
    """The directory that `kube render` writes; empty prints."""
    script: str = ""
    """Where the thin deployment script goes; empty for none."""
    namespace: str = ""
    """Empty leaves it to the tool that applies, or to the kubeconfig."""
    bundle: str = ""
    """The ConfigMap with the migrations."""
    job: str = ""
    """The migration Job, and the suspended CronJob of the same name."""
    backup: str = ""
    """The CronJob that makes backups."""
    immutable: bool = False
    """ConfigMaps that never change, named by their digest."""
    image: str = ""
    """Without a tag: `VERSION-pgMAJOR` is added."""
    pg_dump: int = 18
    """The major version of the PostgreSQL clients in the image."""
    pull_secrets: tuple[str, ...] = ()
    host: str = ""
    port: int = 5432
    user: str = ""
    database: str = ""
    sslmode: str = ""
    ca: str = ""
    """`secret/NAME/KEY` or `configmap/NAME/KEY`: the certificate that the server's is checked against."""
    secret: str = ""
    """The Secret with password, role or URL; made by whomever you like (SealedSecret, ExternalSecret)."""
    password_key: str = ""
    user_key: str = ""
    url_key: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further variables: a text, or `secret/NAME/KEY`, `configmap/NAME/KEY`."""
    env_from: tuple[str, ...] = ()
    """Whole Secrets, or `configmap/NAME`, as environment."""
    service_account: str = ""
    """An existing one for the pods; empty makes one without any right."""
    deployer: str = ""
    """Who may run `tidelock kube deploy` by a token; `none` makes no Role."""
    schedule: str = "17 2 * * *"
    """When backups are made, as cron has it, in UTC."""
    deadline_s: float = 86_400.0
    """Seconds after which Kubernetes ends the Job; a day, which no index build should meet."""
    wait_s: float = 300.0
    """Patience of one attempt: server, other runner, table locks, mounts that change."""
    logs: str = "text"
    """What `kubectl logs` shows: text, or JSON lines."""
    retries: int = 6
    """Further attempts after a passing fault; the pauses add up to 10 min."""
    cpu: str = "1"
    memory: str = "512Mi"
    on_fallback: str = "start"
    """Where a tool lets the application wait for the Job: whether it may start on fallback tables; start or fail."""
    database_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the database's pods, for the NetworkPolicy; without them any address at the database's port."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels for everything that is rendered."""
    source: str = "flux-system"
    """Flux: the GitRepository that the manifests are read from."""

    def over(self, **settings: object) -> Workload:
        """The same with one database's own settings; tables of texts are joined."""
        joined = {
            name: {**getattr(self, name), **value} if isinstance(value, dict) else value
            for name, value in settings.items()
        }
        return replace(self, **joined)  # type: ignore[arg-type]  # the keys are the fields, from KUBE_KEYS

    def named(self, database: str) -> Workload:
        """With names for all that has none: after the `[databases.NAME]`, or those for the only database."""
        slug = re.sub(r"[^a-z0-9]+", "-", database.lower()).strip("-")
        job = self.job or (f"{slug}-migration" if slug else "db-migration")
        return replace(
            self,
            bundle=self.bundle or f"{slug or 'postgresql'}-migrations",
            job=job,
            backup=self.backup or f"{slug or 'db'}-backup",
            service_account=self.service_account or job,
            deployer=self.deployer or f"{job}-deploy",
        )

    @property
    def makes_account(self) -> bool:
        """The pods' ServiceAccount is one of ours."""
        return self.service_account == self.job

    @property
    def image_with_tag(self) -> str:
        """The image as it stands, or with the tag of this version and of its PostgreSQL clients."""
        from tidelock import __version__

        name = self.image.rpartition("/")[2]
        return self.image if ":" in name or "@" in name else f"{self.image}:{__version__}-pg{self.pg_dump}"

    def variables(self) -> Iterator[tuple[str, str | KeyReference]]:
        """Name → text or reference, of each variable that the container gets. Raises BadReference."""
        plain = {"PGHOST": self.host, "PGUSER": self.user, "PGDATABASE": self.database, "PGSSLMODE": self.sslmode}
        if self.host:
            plain["PGPORT"] = str(self.port)
        keys = {"PGUSER": self.user_key, "PGPASSWORD": self.password_key, "DATABASE_URL": self.url_key}
        if self.secret and not any(keys.values()):
            keys["PGPASSWORD"] = "password"
        found: dict[str, str | KeyReference] = {name: text for name, text in plain.items() if text}
        found |= {name: KeyReference("secret", self.secret, key) for name, key in keys.items() if key}
        found |= {name: referenced(f"env.{name}", text) for name, text in self.env.items()}
        yield from sorted(found.items())

    def check(self, *, addressed: bool) -> None:
        """Raise Incomplete or BadName when a manifest could not work. `addressed`: tidelock.toml has a connection."""
        for key, most in MOST.items():
            name = getattr(self, key)
            if len(name) > most or not NAME.fullmatch(name):
                raise BadName(key, name, most)
        if not self.image:
            raise Incomplete("names no image", 'write image = "registry.example/tidelock" (built from the Dockerfile)')
        keys = (self.password_key, self.user_key, self.url_key)
        if any(keys) and not self.secret:
            raise Incomplete("names a key, and no secret", 'write secret = "NAME", or use env = { … }')
        if not addressed and not self.env_from and not any(name in CONNECTIONS for name, _ in self.variables()):
            raise Incomplete(
                "does not say where the database is",
                'write host = "NAME-OF-THE-SERVICE", or secret and url_key, or env_from = ["SECRET"]',
            )


def refuse_shared(named: Iterable[tuple[str, Workload]]) -> None:
    """Raise SharedName when two databases have the same name for something, and would be in the same place."""
    first: dict[tuple[str, str, str], str] = {}
    for database, each in named:
        places = dict.fromkeys(MOST, each.namespace) | ({"out": ""} if each.out else {})
        for key, namespace in places.items():
            name = getattr(each, key)
            if not name:
                continue
            other = first.setdefault((key, namespace, name), database)
            if other != database:
                raise SharedName(key, name, (other, database))


def referenced(where: str, text: str) -> str | KeyReference:
    """`secret/NAME/KEY` as a reference, any other text as it stands."""
    if not text.startswith(("secret/", "configmap/")):
        return text
    kind, _, rest = text.partition("/")
    name, _, key = rest.partition("/")
    if not name or not key:
        raise BadReference(where, text)
    return KeyReference(kind, name, key)
