"""Backups as values: what a manifest says, which one is meant, which may go."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMAT = 4
"""2: rows as COPY's text beside pg_dump's archives; 3: also in COPY's binary form; 4: settings in a piece."""
WHOLE, AFFECTED = "database", "affected"


class BackupFault(TidelockError):
    """No backup, or not this one: an operator mends it."""

    exit_code = 6


class BadManifest(BackupFault):
    """A manifest that is not what was written."""

    code = "B002"

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"the manifest {place} is damaged: {why}",
            hint="take another backup (`tidelock backup list`), and look at who else writes there",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One object of a backup."""

    name: str
    """Under the backup's own folder: `02-tables-001.dump.zst`."""
    what: str
    """roles, settings, missing (what compressed rows have in the catalog), schema, rest, snapshot; tables: an archive
    of some tables' rows; rows: one table's, by COPY."""
    size_bytes: int
    sha256: str
    """Of what is stored, hex."""
    tables: tuple[str, ...] = ()
    """Whose rows it holds, `schema.name` as pg_dump is asked for them; of `rest` nothing is said."""
    columns: tuple[str, ...] = ()
    """Of COPY, quoted, in its order."""
    binary: bool = False
    """COPY's binary form, not its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup is."""

    id: str
    database: str
    system: str
    """pg_control's system identifier: which cluster it was; empty when the role may not ask."""
    at: str
    """The moment of its snapshot, ISO 8601 in UTC."""
    took_s: float
    tidelock: str
    server: int
    """server_version_num."""
    extensions: Mapping[str, str] = field(default_factory=dict, hash=False)
    label: str = ""
    run: str = ""
    """The run that it precedes; empty for one that a person made."""
    destructive: bool = True
    """Whether that run destroys something; also true when nobody has said."""
    client: int = 0
    """The major version of the pg_dump that made it; 0 when it does not say. An older pg_restore cannot read that."""
    scope: str = WHOLE
    ledger: str = ""
    """`schema.table`."""
    applied: tuple[int, ...] = ()
    """Versions in the ledger."""
    bundle: str = ""
    """Digest of the files that the run had."""
    lsn: str = ""
    encrypted: bool = False
    create: str = ""
    """CREATE DATABASE's options: encoding, locale."""
    settings: tuple[str, ...] = ()
    """SQL with `{database}` in it: owner, privileges, settings of the database and of roles in it. None when it is
    encrypted: then they are in the piece `settings`, with the comment."""
    comment: str | None = None
    """On the database."""
    roles: tuple[str, ...] = ()
    """Roles that its objects name."""
    database_bytes: int = 0
    """On the server's disk."""
    rows: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Table → rows in the snapshot."""
    pieces: tuple[Piece, ...] = ()
    format: int = FORMAT

    @property
    def size_bytes(self) -> int:
        """What is stored."""
        return sum(each.size_bytes for each in self.pieces)

    @property
    def moment(self) -> datetime:
        """`at` as a point in time."""
        return datetime.fromisoformat(self.at)

    def piece(self, what: str) -> Piece | None:
        """The first of its kind."""
        return next((each for each in self.pieces if each.what == what), None)


LISTS = ("applied", "settings", "roles")


def written(manifest: Manifest) -> bytes:
    """A manifest as it is stored: sorted JSON with its own digest, so that no byte of it can change unseen."""
    return sealed(asdict(manifest))


def sealed(data: Mapping[str, Any]) -> bytes:
    """With its digest."""
    body = json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"sha256": "{digest}", "manifest":\n{body}\n}}\n'.encode()


def read(content: bytes, place: str) -> Manifest:
    """A stored manifest. Raises BadManifest when it is not byte for byte what `written` made, also that of before."""
    try:
        data: dict[str, Any] = json.loads(content)["manifest"]
        if data["format"] > FORMAT:
            raise BadManifest(place, f"its format {data['format']} is of a newer Tidelock")
        same = sealed(data) == content
        pieces = tuple(piece_of(each) for each in data.pop("pieces"))
        manifest = Manifest(**{**data, **{name: tuple(data[name]) for name in LISTS}}, pieces=pieces)
    except (ValueError, KeyError, TypeError) as error:
        raise BadManifest(place, f"it cannot be read ({type(error).__name__})") from None
    if not same:
        raise BadManifest(place, "its digest is another")
    return manifest


def piece_of(data: Mapping[str, Any]) -> Piece:
    """One of its pieces."""
    return Piece(**{**data, **{name: tuple(data.get(name, ())) for name in ("tables", "columns")}})


def new_id(now: datetime, random: bytes) -> str:
    """`20261124T220501123Z-4f2a`: sorts by time, to the millisecond."""
    moment = now.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z-{random.hex()}"


ID = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{4}")


def moment_of(backup: str) -> datetime:
    """When it was begun, by its id. Raises ValueError for what is no id."""
    return datetime.strptime(backup[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def before(found: Iterable[Manifest], version: int, scope: str = WHOLE) -> Manifest | None:
    """The newest one of its scope in which this version was not applied."""
    return next((each for each in newest_first(found) if each.scope == scope and version not in each.applied), None)


def of_server(found: Iterable[Manifest], system: str | None) -> list[Manifest]:
    """Those of one cluster, by its system identifier; all when it is not known."""
    return [each for each in found if system is None or each.system == system]


def newest_first(found: Iterable[Manifest]) -> list[Manifest]:
    """By the moment of the snapshot."""
    return sorted(found, key=lambda each: (each.at, each.id), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What stays."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    least: int = 3
    """So many whole ones in any case."""
    runs: int = 10
    """Those of the last so many destructive runs."""


PERIODS = {"daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m"}


def expendable(
    found: Sequence[Manifest], keep: Keep, verified: Iterable[str], uses: Mapping[str, datetime]
) -> list[Manifest]:
    """Which may go, oldest first. The newest whole one of each day, week and month stays, as far as `keep` says; the
    last one that was verified, and the last whole one; those of the last destructive runs (`uses`: when one stood on
    it last), and those of some tables from the days that `keep.daily` counts."""
    ordered = newest_first(found)
    whole = [each for each in ordered if each.scope == WHOLE]
    stays = {each.id for each in whole[: keep.least]}
    for period, form in PERIODS.items():
        stays |= newest_of_each(whole, form, getattr(keep, period))
    proved = set(verified)
    for some in (ordered, whole):
        stays |= {each.id for each in [each for each in some if each.id in proved][:1]}
    days = sorted({each.at[:10] for each in ordered}, reverse=True)[: keep.daily]
    stays |= {each.id for each in ordered if each.scope != WHOLE and each.at[:10] in days}
    stays |= set(sorted(uses, key=lambda name: uses[name], reverse=True)[: keep.runs])
    return [each for each in reversed(ordered) if each.id not in stays]


def newest_of_each(ordered: Sequence[Manifest], form: str, count: int) -> set[str]:
    """The newest of each of the last so many periods in which there is one."""
    first: dict[str, str] = {}
    for each in ordered:
        first.setdefault(each.moment.strftime(form), each.id)
    return set(list(first.values())[:count])
