"""Backups as text and as data. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tidelock.core.backups import AFFECTED
from tidelock.render.json import SCHEMA
from tidelock.render.text import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.backups import BadManifest, Manifest
    from tidelock.core.model import Observed

    Noted = tuple[Manifest, Mapping[str, Any]]


def when(manifest: Manifest) -> str:
    """The moment of its snapshot."""
    return f"{manifest.moment:%Y-%m-%d %H:%M:%S} UTC"


def made_text(made: Manifest, store: str) -> str:
    """After `backup create`."""
    rows = sum(made.rows.values())
    return (
        f"{made.id}  {made.database}, {size(made.size_bytes)} in {made.took_s:.1f} s: {len(made.rows)} tables, "
        f"{rows:,} rows, {len(made.pieces)} objects in {store}"
    )


def list_text(
    found: Sequence[Noted], store: str, system: str | None = None, damaged: Mapping[str, BadManifest] | None = None
) -> str:
    """All backups, newest first, and those with a damaged manifest. `system` is of the server at hand, when known."""
    if not (found or damaged):
        return f"{store}: no backups."
    lines = [f"{'ID':<22} {'WHEN':<24} {'DATABASE':<16} {'SIZE':>8}  {'VERSION':>8}  VERIFIED     LABEL"]
    for each, noted in found:
        version = max(each.applied, default=0)
        lines.append(
            f"{each.id:<22} {when(each):<24} {each.database:<16} {size(each.size_bytes):>8}  {version or '-':>8}  "
            f"{noted.get('how', 'not yet'):<12} {about(each, system)}".rstrip()
        )
    lines += [f"{name:<22} {fault}" for name, fault in sorted((damaged or {}).items(), reverse=True)]
    return "\n".join(lines)


def about(each: Manifest, system: str | None) -> str:
    """Its label, or the plan that it precedes, and whether it is of another server than the one at hand."""
    elsewhere = "of another server" if is_ours(each, system) is False else ""
    words = [elsewhere, f"{len(each.rows)} of the tables" if each.scope == AFFECTED else "", each.label]
    return ", ".join(word for word in [*words, f"before plan {each.run}" if each.run else ""] if word)


def is_ours(each: Manifest, system: str | None) -> bool | None:
    """Whether it is of the server with this system identifier; None when that is not known."""
    return None if system is None else each.system == system


def bare(table: str) -> str:
    """`public.readings` for `"public"."readings"`: quotes only where a name wants them."""
    return re.sub(r'"([a-z_][a-z0-9_]*)"(?=\.|$)', r"\1", table)


def show_text(each: Manifest, noted: Mapping[str, Any]) -> str:
    """One backup."""
    extensions = ", ".join(f"{name} {version}" for name, version in sorted(each.extensions.items()))
    verified = f"{noted['how']}, {noted['at']}" if noted else "not yet"
    ledger = f"{each.ledger or 'none'}, version {max(each.applied, default=0) or '-'}"
    sealed = ", encrypted" if each.encrypted else ""
    lines = [
        f"{each.id}  {each.database}",
        f"   taken      {when(each)}, in {each.took_s:.1f} s, by Tidelock {each.tidelock}",
        f"   server     PostgreSQL {each.server // 10000}.{each.server % 10000}, at {each.lsn}",
        f"   extensions {extensions or 'none'}",
        f"   ledger     {ledger}, {len(each.applied)} applied",
        f"   size       {size(each.size_bytes)}, {len(each.pieces)} objects{sealed}",
        f"   verified   {verified}",
        *([f"   precedes   plan {each.run}"] if each.run else []),
        *([f"   holds      the rows of {len(each.rows)} tables, the schema of all"] if each.scope == AFFECTED else []),
        *([f"   label      {each.label}"] if each.label else []),
        "",
    ]
    largest = sorted(each.rows.items(), key=lambda row: (-row[1], row[0]))
    lines += [f"   {rows:>12,} rows  {bare(table)}" for table, rows in largest[:20]]
    return "\n".join(lines)


def verified_text(each: Manifest, *, restoring: bool, unfilled: Sequence[str] = ()) -> str:
    """After `backup verify`."""
    what = "every digest, and restored: rows and schema are the same" if restoring else "every digest is right"
    told = f"{each.id}  {each.database}: {what} ({len(each.pieces)} objects, {size(each.size_bytes)})"
    return "\n".join([told, *unfilled_lines(unfilled)])


def unfilled_lines(unfilled: Sequence[str]) -> list[str]:
    """Materialized views whose queries fail by now."""
    return [f"   not filled, as its query fails by now: {each}" for each in unfilled]


def pruned_text(gone: Sequence[Manifest], total: int, others: int, *, dry: bool) -> str:
    """After `backup prune`; `others` are of another server."""
    words = "would go" if dry else "gone"
    beside = f" {others} of another server are not touched." if others else ""
    lines = [f" - {each.id}  {when(each)}  {size(each.size_bytes)}" for each in gone]
    return "\n".join([*lines, f"{len(gone)} of {total} {words}, {total - len(gone)} stay.{beside}"])


def question(
    found: Manifest, live: str, target: str, guests: Sequence[str], *, drop_old: bool = False, elsewhere: bool = False
) -> str:
    """What is asked before a live database is replaced; `elsewhere`: by the backup of another server."""
    origin = " It was made on another server." if elsewhere else ""
    fate = (
        "is dropped at once (--drop-old): nothing written since the backup remains"
        if drop_old
        else "stays under another name, and alone has what was written since"
    )
    who = [f"   {each}" for each in guests] or ["   nobody is connected"]
    return (
        f"{target}: put backup {found.id} of {when(found)} in the place of the live database “{live}”?\n"
        f"The live database {fate}.{origin} "
        f"These sessions will be ended:\n" + "\n".join(who) + "\n"
    )


def restored_text(found: Manifest, name: str, old: str, unfilled: Sequence[str]) -> str:
    """After `restore`."""
    kept = f" The old one is {old}; when nobody misses it: DROP DATABASE." if old else ""
    told = f"{name} is backup {found.id} of {when(found)}: rows and schema are the same.{kept}"
    return "\n".join([told, *unfilled_lines(unfilled)])


def restored_data(found: Manifest, live: str, old: str, unfilled: Sequence[str]) -> dict[str, Any]:
    """The same as data."""
    return {
        "schema": SCHEMA,
        "command": "restore",
        "backup": found.id,
        "database": live,
        "old": old,
        "unfilled": list(unfilled),
    }


def rollback_text(
    found: Manifest,
    observed: Observed,
    version: int,
    lost: Sequence[tuple[str, int | None, int]],
    history: Sequence[Mapping[str, Any]],
    part: str = "",
) -> str:
    """What a rollback would do; `part` says what a newer backup of some tables can do instead."""
    lines = [f"{observed.database}: the last run began with version {version}.", ""]
    for each in reversed(history):
        if each["event"] in ("failed", "refused"):
            told = (each["detail"] or {}).get("message", "")
            lines.append(f" ✗ {each['at']:%Y-%m-%d %H:%M:%S} version {each['version']}: {told}")
    after = sorted(each for each in observed.applied if each not in found.applied)
    lines += [
        f"Backup {found.id} of {when(found)} precedes it.",
        f"   versions that go: {', '.join(map(str, after)) or 'none'}",
    ]
    lines += [
        f"   {bare(table)}: " + (f"new, its {now:,} rows go" if then is None else f"{then:,} rows then, {now:,} now")
        for table, then, now in lost
    ]
    if not lost:
        lines.append("   no table has another number of rows now")
    lines.append("   rows that were changed since cannot be told: they are again what they were then")
    if part:
        lines.append(f"Newer, from right before the run: {part}.")
    return "\n".join(lines)


def data(command: str, found: Sequence[Noted]) -> dict[str, Any]:
    """Backups as data."""
    return {
        "schema": SCHEMA,
        "command": command,
        "backups": [
            {**asdict(each), "size_bytes": each.size_bytes, "verified": dict(noted) or None} for each, noted in found
        ],
    }


def list_data(found: Sequence[Noted], system: str | None, damaged: Mapping[str, BadManifest]) -> dict[str, Any]:
    """All backups as data: also whether each is of this server, and which manifests are damaged."""
    whole = data("backup list", found)
    for (each, _), told in zip(found, whole["backups"], strict=True):
        told["this_server"] = is_ours(each, system)
    return {**whole, "damaged": [{"id": name, "message": str(fault)} for name, fault in sorted(damaged.items())]}
