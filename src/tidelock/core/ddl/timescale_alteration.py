"""ALTER for hypertables, continuous aggregates and jobs. None: drop and create it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.core.ddl.timescale import columnstore, lookup, schema_of, span
from tidelock.core.ddl.words import literal, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tidelock.core.snapshot import Attributes, Key, Snapshot


def hypertable(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Chunk intervals, partitions, clock, chunk skipping, columnstore."""
    name, schema = literal(key[1]), schema_of(snapshot)
    for wanted, found in zip(*changes.get("dimensions", ((), ())), strict=False):
        dimension = f"dimension_name => {literal(unquoted(wanted['column']))}"
        if wanted.get("interval") != found.get("interval"):
            yield f"SELECT {schema}.set_chunk_time_interval({name}, {span(wanted['interval'])}, {dimension});"
        if wanted.get("hash_partitions") != found.get("hash_partitions"):
            yield f"SELECT {schema}.set_number_partitions({name}, {wanted['hash_partitions']}, {dimension});"
        if wanted.get("integer_now") != found.get("integer_now"):
            call = f"{name}, {literal(wanted.get('integer_now', ''))}, replace_if_exists => true"
            yield f"SELECT {schema}.set_integer_now_func({call});"
    wanted, found = (set(each or ()) for each in changes.get("chunk_skipping", (None, None)))
    yield from (f"SELECT {schema}.enable_chunk_skipping({name}, {literal(each)});" for each in sorted(wanted - found))
    yield from (f"SELECT {schema}.disable_chunk_skipping({name}, {literal(each)});" for each in sorted(found - wanted))
    if "columnstore" in changes:
        yield columnstore("TABLE", key[1], cleared(*changes["columnstore"]))


def cleared(wanted: Attributes | None, found: Attributes | None) -> Attributes | None:
    """The wanted columnstore settings, with an empty value for those that are to go."""
    if wanted is None or found is None:
        return wanted
    return {**{name: [] for name in found if name in ("segment_by", "order_by") and name not in wanted}, **wanted}


def aggregate(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """What of a continuous aggregate can be changed without building it anew."""
    if "definition" in changes or "bucket" in changes:
        return None
    lines = []
    if "materialized_only" in changes:
        value = str(changes["materialized_only"][0]).lower()
        lines.append(f"ALTER MATERIALIZED VIEW {key[1]} SET (timescaledb.materialized_only = {value});")
    if "chunk_interval" in changes:
        call = f"{literal(key[1])}, {span(changes['chunk_interval'][0])}"
        lines.append(f"SELECT {schema_of(snapshot)}.set_chunk_time_interval({call});")
    if "columnstore" in changes:
        lines.append(columnstore("MATERIALIZED VIEW", key[1], cleared(*changes["columnstore"])))
    return lines


def job(snapshot: Snapshot, key: Key, is_now: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """alter_job, for everything but the procedure and what it is for."""
    if set(changes) & {"proc", "on", "title"}:
        return None
    words = [
        JOB[name](*values_) if name in JOB else f"{name} => {span(values_[0])}"
        for name, values_ in sorted(changes.items())
    ]
    wanted = snapshot.objects[key]
    if "timezone" in wanted and "timezone" not in changes:  # alter_job forgets it otherwise
        words.append(f"timezone => {literal(wanted['timezone'])}")
    return [f"SELECT {schema_of(snapshot)}.alter_job(j.job_id, {', '.join(words)}) {lookup(is_now)}"]


def merged(wanted: Attributes | None, found: Attributes | None) -> str:
    """The configuration as it should be; the ids in it stay."""
    gone = "".join(f" - {literal(name)}" for name in found or {} if name not in (wanted or {}))
    return f"config => j.config{gone} || {literal(json.dumps(wanted or {}, sort_keys=True))}"


JOB: dict[str, Callable[[Any, Any], str]] = {
    "config": merged,
    "paused": lambda wanted, _: f"scheduled => {str(not wanted).lower()}",
    "max_retries": lambda wanted, _: f"max_retries => {wanted}",
    "fixed_schedule": lambda wanted, _: f"fixed_schedule => {str(wanted).lower()}",
    "timezone": lambda wanted, _: f"timezone => {'NULL' if wanted is None else literal(wanted)}",
    "check": lambda wanted, _: f"check_config => {'NULL' if wanted is None else literal(wanted)}",
}
"""Attribute → the argument of alter_job; the others are intervals under their own names."""
