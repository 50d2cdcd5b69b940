"""tidelock.toml → Settings: units in names, contradictions refused, nothing guessed."""

from __future__ import annotations

import os
import re
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelock.core.critical import Critical
from tidelock.core.secrets import is_connection, masked
from tidelock.core.source import seconds
from tidelock.core.values import record
from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.workload import Workload

FILE = "tidelock.toml"
DEFAULT_DIRECTORY = "migrations"
COMMANDS = ("command", "smoke", "source")
"""Keys whose text may have a connection string in it: a command, and where Git is."""


class BadSetting(UsageFault):
    """A key or value in tidelock.toml (or an option) that cannot be used."""

    code = "U001"

    def __init__(self, where: str, problem: str, hint: str) -> None:
        super().__init__(f"{where}: {problem}", hint=hint)


@record(frozen=True, slots=True, kw_only=True)
class Target:
    """One database with its directory of migrations."""

    name: str = ""
    """As in `[databases.NAME]`; empty for the only one."""
    directory: Path = Path(DEFAULT_DIRECTORY)
    url: str = ""
    """A libpq connection string or URL; empty leaves all to the environment. May hold a password: never print it."""
    database: str = ""
    """Another database on that server, by its bare name (--database NAME)."""
    direct: str = ""
    """The server itself, when `url` leads to a pooler."""
    role: str = ""
    """The role that owns what migrations create."""
    ledger: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    out_of_order: bool = False
    lock_timeout_s: float = 2.0
    """Seconds that one attempt queues for a table lock."""
    statement_timeout_s: float = 0.0
    """Seconds that one statement may run; 0 is no limit."""
    build_limit_s: float = 600.0
    """Seconds that a concurrent index build may wait for other sessions."""
    wait_s: float = 60.0
    """Seconds to be patient in all: server, other runner, table locks."""
    severity: str = "warning"
    """The least severity of a finding of `lint` that makes it exit with 1."""
    select: tuple[str, ...] = ()
    """Rules, or families of rules, that `lint` asks; empty is all that are not optional."""
    extend: tuple[str, ...] = ()
    """Optional rules that `lint` asks too."""
    ignore: tuple[str, ...] = ()
    """Rules that `lint` does not ask."""
    snapshot_dir: Path = Path("schema")
    """Where `snapshot` writes; one pair of files for each database."""
    drift_ignore: tuple[str, ...] = ()
    """`kind:name` patterns of what other tools own."""
    smoke: str = ""
    """A command that `prove` runs against the schema before a file that takes something away."""
    prove_on: int = 0
    """The major version of PostgreSQL that is meant; 0 when nobody says."""
    strict: bool = False
    """`prove` exits 1 also when something could not be proved."""
    shadow: str = ""
    """The server for shadow databases; empty is the embedded one. May hold a password: never print it."""
    backup_url: str = ""
    """Where backups go: s3://bucket/prefix, gs://…, az://…, or a directory; empty for nowhere."""
    backup_before: str = "destructive"
    """Which runs are preceded by one, where there is a place or a command for it: destructive, always, never."""
    backup_max_age_s: float = 0.0
    """A verified one that is not older is good enough; 0 takes a new one each time."""
    backup_scope: str = "database"
    """What such a backup holds: the database, or the affected tables alone."""
    backup_command: str = ""
    """The user's own way to make one; waited for."""
    backup_provider: str = ""
    """The user's own system that makes one: cloudnative-pg."""
    backup_cluster: str = ""
    """The name of its cluster there."""
    backup_namespace: str = ""
    """Where that is; empty for the namespace that the Kubernetes client is in."""
    backup_method: str = "barmanObjectStore"
    """How it makes one: barmanObjectStore, plugin, volumeSnapshot."""
    backup_plugin: str = "barman-cloud.cloudnative-pg.io"
    """Which plugin, when the method is plugin."""
    backup_timeout_s: float = 3600.0
    """How long it may take."""
    backup_jobs: int = 2
    """Dumps at the same time."""
    backup_recipients: tuple[str, ...] = ()
    """age public keys that a backup is encrypted for."""
    on_recreate: str = "refuse"
    """What a file is that drops and recreates a continuous aggregate with history: refuse, or preserve."""
    refresh: str = "after"
    """Whether an aggregate that a migration creates or changes is filled: after (the migration), or never."""
    refresh_parallel: int = 0
    """Connections that fill an aggregate at the same time; 0 lets Tidelock choose."""
    refresh_lock_wait_s: float = 1.0
    """The longest that filling an aggregate makes others wait for a lock."""
    critical: tuple[Critical, ...] = ()
    """Tables that the application cannot start without."""

    @property
    def backs_up(self) -> bool:
        """Whether there is any way to make a backup before a run."""
        return bool(self.backup_url or self.backup_command or self.backup_provider)


# section → key → (field of Target, how it is read)
KEYS: dict[str, dict[str, tuple[str, str]]] = {
    "migrations": {
        "dir": ("directory", "path"),
        "out_of_order": ("out_of_order", "flag"),
        "variables": ("variables", "texts"),
    },
    "database": {"url": ("url", "secret"), "direct": ("direct", "secret"), "role": ("role", "text")},
    "ledger": {"table": ("ledger", "text")},
    "snapshot": {"dir": ("snapshot_dir", "path")},
    "drift": {"ignore": ("drift_ignore", "list")},
    "limits": {
        "lock_timeout": ("lock_timeout_s", "duration"),
        "statement_timeout": ("statement_timeout_s", "duration"),
        "build_limit": ("build_limit_s", "duration"),
        "wait": ("wait_s", "duration"),
    },
    "lint": {
        "severity": ("severity", "error|warning|note"),
        "select": ("select", "list"),
        "extend": ("extend", "list"),
        "ignore": ("ignore", "list"),
    },
    "backup": {
        "url": ("backup_url", "secret"),
        "before": ("backup_before", "destructive|always|never"),
        "max_age": ("backup_max_age_s", "duration"),
        "scope": ("backup_scope", "database|affected"),
        "command": ("backup_command", "text"),
        "provider": ("backup_provider", "cloudnative-pg"),
        "cluster": ("backup_cluster", "text"),
        "namespace": ("backup_namespace", "text"),
        "method": ("backup_method", "barmanObjectStore|plugin|volumeSnapshot"),
        "plugin": ("backup_plugin", "text"),
        "timeout": ("backup_timeout_s", "duration"),
        "jobs": ("backup_jobs", "number"),
        "encrypt_to": ("backup_recipients", "list"),
    },
    "timescale": {
        "on_recreate": ("on_recreate", "refuse|preserve"),
        "refresh": ("refresh", "after|never"),
        "parallel": ("refresh_parallel", "number"),
        "max_lock_wait": ("refresh_lock_wait_s", "duration"),
    },
    "prove": {
        "smoke": ("smoke", "text"),
        "target": ("prove_on", "number"),
        "strict": ("strict", "flag"),
        "shadow": ("shadow", "secret"),
    },
}
DATABASE_KEYS = {
    key: value
    for name, section in KEYS.items()
    if name not in ("snapshot", "backup")  # one store for all: a backup lies under its database's name
    for key, value in section.items()
} | {"ledger": ("ledger", "text")}
KNOWN_ELSEWHERE = {"kube", "shadow", "operator"}
"""Sections that stand in the same file and say nothing of a database: `[kube]` is read by its own commands."""
KUBE_KEYS: dict[str, tuple[str, str]] = {
    "for": ("flavour", "kubectl|kustomize|helm|argocd|flux|operator"),
    "out": ("out", "text"),
    "script": ("script", "text"),
    "namespace": ("namespace", "text"),
    "bundle": ("bundle", "text"),
    "job": ("job", "text"),
    "backup": ("backup", "text"),
    "immutable": ("immutable", "flag"),
    "image": ("image", "text"),
    "pg_dump": ("pg_dump", "number"),
    "pull_secrets": ("pull_secrets", "list"),
    "host": ("host", "text"),
    "port": ("port", "number"),
    "user": ("user", "text"),
    "database": ("database", "text"),
    "sslmode": ("sslmode", "disable|allow|prefer|require|verify-ca|verify-full"),
    "ca": ("ca", "text"),
    "secret": ("secret", "text"),
    "password_key": ("password_key", "text"),
    "user_key": ("user_key", "text"),
    "url_key": ("url_key", "text"),
    "env": ("env", "texts"),
    "env_from": ("env_from", "list"),
    "service_account": ("service_account", "text"),
    "deployer": ("deployer", "text"),
    "schedule": ("schedule", "text"),
    "deadline": ("deadline_s", "duration"),
    "wait": ("wait_s", "duration"),
    "logs": ("logs", "text|json"),
    "retries": ("retries", "number"),
    "cpu": ("cpu", "text"),
    "memory": ("memory", "text"),
    "on_fallback": ("on_fallback", "start|fail"),
    "database_labels": ("database_labels", "texts"),
    "labels": ("labels", "texts"),
    "source": ("source", "text"),
}
"""`[kube]`, and `[databases.NAME.kube]` over it → fields of Workload."""


def load(path: Path | None, *, start: Path | None = None) -> tuple[tuple[Target, ...], Path | None]:
    """The targets of a tidelock.toml (the given one, or the nearest one upwards), and where it lies.

    Without a file there is one target with defaults. Raises BadSetting with the file and the key.
    """
    found = path or nearest(start or Path.cwd())
    if found is None:
        return (Target(),), None
    return targets(read(found), found), found


def read(path: Path) -> dict[str, Any]:
    """The file as it stands, `${NAME}` and all. Raises BadSetting."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetting(str(path), error.strerror or "cannot be read", "check --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(str(path), f"not valid TOML: {error}", "mend it at that place; strings want quotes") from None


def workload(data: Mapping[str, Any], path: Path, name: str) -> Workload:
    """`[kube]` with `[databases.NAME.kube]` over it, and a name for all that has none. Raises BadSetting."""
    from tidelock.core.workload import Workload

    own = table_of(data.get("databases", {}), path, "databases").get(name, {}).get("kube", {})
    section = f"databases.{name}.kube"
    return (
        Workload(
            **read_keys(table_of(data.get("kube", {}), path, "kube"), KUBE_KEYS, path, "kube"),
        )
        .over(**read_keys(table_of(own, path, section), KUBE_KEYS, path, section))
        .named(name)
    )


def nearest(start: Path) -> Path | None:
    """The tidelock.toml in a directory or the nearest one above it."""
    for each in (start, *start.parents):
        try:
            if (each / FILE).is_file():
                return each / FILE
        except OSError as error:
            hint = "give yourself the right to enter that directory, or name the file with --config"
            raise BadSetting(str(each / FILE), error.strerror or "cannot be looked for", hint) from None
    return None


def targets(data: Mapping[str, Any], path: Path) -> tuple[Target, ...]:
    """Every target that the file describes: common settings first, `[databases.NAME]` over them."""
    known = {*KEYS, "databases", "critical", *KNOWN_ELSEWHERE}
    for section in data:
        if section not in known:
            raise unknown(path, section, known)
    common = read_sections(data, path)
    databases = table_of(data.get("databases", {}), path, "databases")
    critical = criticals(data.get("critical", []), path, set(databases))
    if not databases:
        return (Target(**common, critical=critical),)
    if "url" in common:
        raise BadSetting(
            f"{path}: [database] url",
            "it stands beside [databases.…], and each of those has its own",
            "move it into the [databases.NAME] that it belongs to",
        )
    return tuple(
        Target(
            **{
                **common,
                "directory": path.parent / name,
                **read_keys(own_keys(table, path, f"databases.{name}"), DATABASE_KEYS, path, f"databases.{name}"),
                "name": name,
                "critical": tuple(each for each in critical if each.database in ("", name)),
            }
        )
        for name, table in databases.items()
    )


def own_keys(table: Any, path: Path, section: str) -> Mapping[str, Any]:
    """What a `[databases.NAME]` says of the database itself."""
    return {key: value for key, value in table_of(table, path, section).items() if key != "kube"}


CRITICAL_KEYS = {
    "table": ("table", "text"),
    "columns": ("columns", "list"),
    "migration": ("migration", "number"),
    "fallback": ("fallback", "path"),
    "database": ("database", "text"),
}


def criticals(value: Any, path: Path, databases: set[str]) -> tuple[Critical, ...]:
    """Every `[[critical]]`."""
    if not isinstance(value, list):
        raise BadSetting(f"{path}: critical", "it is one table", "write [[critical]], with two brackets, for each")
    found = []
    for number, table in enumerate(value, 1):
        section = f"critical[{number}]"
        given = read_keys(table_of(table, path, section), CRITICAL_KEYS, path, "critical")
        if not given.get("table"):
            raise BadSetting(f"{path}: {section}", "it names no table", 'write table = "name" into it')
        if given.get("database") and given["database"] not in databases:
            known = ", ".join(sorted(databases)) or "none"
            raise BadSetting(f"{path}: {section}", f"no database {given['database']}", f"known: {known}")
        place = {"entry": f"{path.name}: {section}", "project": str(path.parent)}
        found.append(Critical(**{**given, **place, "fallback": str(given.get("fallback", ""))}))
    return tuple(found)


def read_sections(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The settings that stand in the common sections."""
    settings: dict[str, Any] = {
        "directory": path.parent / DEFAULT_DIRECTORY,
        "snapshot_dir": path.parent / "schema",
    }
    for section, keys in KEYS.items():
        if section in data:
            settings |= read_keys(table_of(data[section], path, section), keys, path, section)
    return settings


def read_keys(
    table: Mapping[str, Any], keys: Mapping[str, tuple[str, str]], path: Path, section: str
) -> dict[str, Any]:
    """One table's keys as fields of Target."""
    settings: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            raise unknown(path, f"{section}.{key}", {f"{section}.{each}" for each in keys})
        name, how = keys[key]
        settings[name] = read_value(value, how, path, f"{section}.{key}")
    return settings


def read_value(value: Any, how: str, path: Path, key: str) -> Any:
    """One value, in the form that its key wants."""
    where = f"{path}: {key}"
    if how not in ("secret", "texts") and key.rpartition(".")[2] not in COMMANDS:
        refuse_connection(value, where)
    match how, value:
        case "flag", bool():
            return value
        case "path", str():
            return path.parent / refuse_connection(expanded(value, where), where)
        case "text", str() if key.rpartition(".")[2] not in COMMANDS:
            return refuse_connection(expanded(value, where), where)
        case "text" | "secret", str():
            return expanded(value, where)
        case "texts", dict():
            return {str(name): expanded(str(text), where) for name, text in value.items()}
        case _, str() if value in how.split("|"):
            return value
        case "number", int() if not isinstance(value, bool):
            return value
        case "list", list() if all(isinstance(each, str) for each in value):
            return tuple(value)
        case "duration", str():
            return duration(value, where)
        case "duration", int() | float() if not isinstance(value, bool):
            raise BadSetting(where, f"{value} has no unit", f'write it as a text with its unit: "{value}s"')
    shown = "its value" if how == "secret" else masked(repr(value))
    wanted = {
        "flag": "true or false",
        "texts": "a table of texts",
        "number": "a number",
        "list": 'a list of texts, such as ["id", "status"]',
        "duration": 'a duration such as "10s"',
    }.get(how, one_of(how.split("|")) if "|" in how else "a text in quotes")
    raise BadSetting(where, f"{shown} is not {wanted}", f"write {wanted}")


def refuse_connection(value: Any, where: str) -> Any:
    """The value, when it holds no connection string. Raises BadSetting without it: it may hold a password."""
    if any(is_connection(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)):
        raise BadSetting(
            where,
            "a connection string stands where none is taken",
            'write it as `[database] url = "…"`; better, keep the password in PGPASSWORD or ~/.pgpass',
        )
    return value


def one_of(words: list[str]) -> str:
    """`"error", "warning" or "note"`."""
    quoted = [f'"{each}"' for each in words]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def duration(text: str, where: str) -> float:
    """`10s`, `5m` in seconds."""
    try:
        return seconds(text)
    except ValueError:
        raise BadSetting(
            where, f"“{masked(text)}” is not a duration", "write a number with a unit: 500ms, 10s, 5m, 1h"
        ) from None


def expanded(text: str, where: str) -> str:
    """`${NAME}` replaced from the environment, so that no secret stands in the file."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise BadSetting(
                where,
                f"the environment has no {found[1]}",
                f"set {found[1]} (in Kubernetes: env or envFrom of the container)",
            )
        return os.environ[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def table_of(value: Any, path: Path, section: str) -> Mapping[str, Any]:
    """A TOML table, or a complaint."""
    if not isinstance(value, dict):
        raise BadSetting(f"{path}: {section}", "it is not a table", f"write [{section}] and its keys below")
    return value


def unknown(path: Path, key: str, known: set[str]) -> BadSetting:
    """A complaint about a key, with the nearest one that is known."""
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1, cutoff=0.5)
    return BadSetting(
        str(path),
        f"unknown key {masked(key)}",
        f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}",
    )
