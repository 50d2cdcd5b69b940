"""Hypertables, continuous aggregates and jobs as SQL."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tidelock.core.ddl.words import literal, unquoted
from tidelock.core.renaming import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.snapshot import Attributes, Key, Snapshot

POLICIES = {
    "_timescaledb_functions.policy_retention": ("add_retention_policy", {"drop_after", "drop_created_before"}),
    "_timescaledb_functions.policy_compression": (
        "add_compression_policy",
        {"compress_after", "compress_created_before"},
    ),
    "_timescaledb_functions.policy_refresh_continuous_aggregate": (
        "add_continuous_aggregate_policy",
        {
            "start_offset",
            "end_offset",
            "buckets_per_batch",
            "max_batches_per_execution",
            "refresh_newest_first",
            "include_tiered_data",
        },
    ),
    "_timescaledb_functions.policy_reorder": ("add_reorder_policy", {"index_name"}),
}
"""Procedure → the function that adds such a policy, and which of its configuration are arguments of that."""
OFFSETS = {
    "drop_after",
    "drop_created_before",
    "compress_after",
    "compress_created_before",
    "start_offset",
    "end_offset",
}


def create(snapshot: Snapshot, key: Key) -> str:
    """The statements that make one of these."""
    make = {"hypertable": hypertable, "continuous aggregate": aggregate, "job": job}[key[0]]
    return "\n".join(make(snapshot, key[1], snapshot.objects[key]))


def schema_of(snapshot: Snapshot) -> str:
    """Where the extension's functions are."""
    return str(snapshot.objects.get(("extension", "timescaledb"), {}).get("schema", "public"))


def span(value: Any) -> str:
    """An interval, or a number for integer time."""
    return str(value) if isinstance(value, int) else f"INTERVAL {literal(value)}"


def hypertable(snapshot: Snapshot, name: str, attributes: Attributes, *, migrate: bool = False) -> Iterator[str]:
    """create_hypertable, further dimensions, columnstore."""
    schema = schema_of(snapshot)
    first = next(each for each in attributes["dimensions"] if "interval" in each)
    words = [
        literal(name),
        literal(unquoted(first["column"])),
        f"chunk_time_interval => {span(first['interval'])}",
        "create_default_indexes => false",
    ]
    if "function" in first:
        words.append(f"time_partitioning_func => {literal(first['function'])}")
    if "chunk_schema" in attributes:
        words.append(f"associated_schema_name => {literal(attributes['chunk_schema'])}")
    if migrate:
        words.append("migrate_data => true")
    yield f"SELECT {schema}.create_hypertable({', '.join(words)});"
    for each in attributes["dimensions"]:
        if each is not first:
            yield f"SELECT {schema}.add_dimension({literal(name)}, {dimension(each)});"
    for column in attributes.get("chunk_skipping", ()):
        yield f"SELECT {schema}.enable_chunk_skipping({literal(name)}, {literal(column)});"
    if "columnstore" in attributes:
        yield columnstore("TABLE", name, attributes["columnstore"])


def dimension(attributes: Attributes) -> str:
    """The arguments of add_dimension."""
    words = [literal(unquoted(attributes["column"]))]
    if "hash_partitions" in attributes:
        words.append(f"number_partitions => {attributes['hash_partitions']}")
    else:
        words.append(f"chunk_time_interval => {span(attributes['interval'])}")
    if "function" in attributes:
        words.append(f"partitioning_func => {literal(attributes['function'])}")
    return ", ".join(words)


def integer_now(snapshot: Snapshot, name: str) -> Iterator[str]:
    """The clock of a hypertable with integer time. The function may read the table, so it comes later."""
    for each in snapshot.objects["hypertable", name]["dimensions"]:
        if "integer_now" in each:
            call = f"{literal(name)}, {literal(each['integer_now'])}, replace_if_exists => true"
            yield f"SELECT {schema_of(snapshot)}.set_integer_now_func({call});"


def columnstore(word: str, name: str, settings: Attributes | None) -> str:
    """ALTER TABLE … SET (timescaledb.compress, …); without settings it is switched off."""
    if settings is None:
        return f"ALTER {word} {name} SET (timescaledb.compress = false);"
    words = ["timescaledb.compress = true"]
    if "segment_by" in settings:
        words.append(f"timescaledb.compress_segmentby = {literal(', '.join(map(identifier, settings['segment_by'])))}")
    if "order_by" in settings:
        words.append(f"timescaledb.compress_orderby = {literal(', '.join(settings['order_by']))}")
    if "chunk_interval" in settings:
        words.append(f"timescaledb.compress_chunk_time_interval = {literal(settings['chunk_interval'])}")
    return f"ALTER {word} {name} SET ({', '.join(words)});"


def identifier(name: str) -> str:
    """A column as the setting wants it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def aggregate(snapshot: Snapshot, name: str, attributes: Attributes) -> Iterator[str]:
    """CREATE MATERIALIZED VIEW … WITH (timescaledb.continuous), empty."""
    options = [
        "timescaledb.continuous",
        f"timescaledb.materialized_only = {str(attributes['materialized_only']).lower()}",
    ]
    options.append("timescaledb.create_group_indexes = false")
    definition = attributes["definition"]
    yield f"CREATE MATERIALIZED VIEW {name} WITH ({', '.join(options)}) AS\n{definition}\nWITH NO DATA;"
    if "chunk_interval" in attributes:
        call = f"{literal(name)}, {span(attributes['chunk_interval'])}"
        yield f"SELECT {schema_of(snapshot)}.set_chunk_time_interval({call});"
    if "columnstore" in attributes:
        yield columnstore("MATERIALIZED VIEW", name, attributes["columnstore"])


def index(snapshot: Snapshot, key: Key) -> str:
    """An index of an aggregate. The one over its bucket is made with it; a generated name has a number of its own."""
    attributes = snapshot.objects[key]
    definition: str = attributes["definition"]
    if not attributes.get("generated"):
        return f"{definition};"
    own = next(each for each in attributes["part_of"]).partition(":")[2]
    bucket = snapshot.objects["continuous aggregate", own].get("bucket")
    if definition.endswith(f" USING btree ({bucket} DESC)"):
        return ""
    return (
        re.sub(r"^CREATE (UNIQUE )?INDEX \S+ ON ", lambda found: f"CREATE {found[1] or ''}INDEX ON ", definition) + ";"
    )


def job(snapshot: Snapshot, _: str, attributes: Attributes) -> Iterator[str]:
    """A policy or a job of the user's, with everything that can be said about it."""
    schema = schema_of(snapshot)
    config = dict(attributes.get("config") or {})
    if attributes["proc"] in POLICIES:
        add, arguments = POLICIES[attributes["proc"]]
        given = {name: value for name, value in config.items() if name in arguments}
        words = [literal(attributes["on"]), *(argument(name, value) for name, value in sorted(given.items()))]
        if add != "add_reorder_policy":
            words.append(f"schedule_interval => {span(attributes['schedule_interval'])}")
        rest = {name: value for name, value in config.items() if name not in arguments}
    else:
        add, rest = "add_job", {}
        words = [literal(attributes["proc"]), span(attributes["schedule_interval"])]
        if config:
            words.append(f"config => {literal(json.dumps(config, sort_keys=True))}")
        words.append(f"fixed_schedule => {str(attributes['fixed_schedule']).lower()}")
        if "check" in attributes:
            words.append(f"check_config => {literal(attributes['check'])}")
        if "title" in attributes:
            words.append(f"job_name => {literal(attributes['title'])}")
    if "timezone" in attributes:
        words.append(f"timezone => {literal(attributes['timezone'])}")
    if attributes["fixed_schedule"] and add != "add_job":
        words.append("initial_start => now()")
    changes = ", ".join(alterations(attributes))
    yield f"SELECT {schema}.alter_job({schema}.{add}({', '.join(words)}), {changes});"
    if rest:
        more = f"j.config || {literal(json.dumps(rest, sort_keys=True))}"
        yield f"SELECT {schema}.alter_job(j.job_id, config => {more}) {lookup(attributes)}"


def alterations(attributes: Attributes) -> Iterator[str]:
    """What the functions that add a job do not take."""
    yield f"max_runtime => {span(attributes['max_runtime'])}"
    yield f"max_retries => {attributes['max_retries']}"
    yield f"retry_period => {span(attributes['retry_period'])}"
    if attributes["proc"].endswith(".policy_reorder"):
        yield f"schedule_interval => {span(attributes['schedule_interval'])}"
    if attributes.get("paused"):
        yield "scheduled => false"
    if "timezone" in attributes:  # alter_job forgets it otherwise
        yield f"timezone => {literal(attributes['timezone'])}"


def argument(name: str, value: Any) -> str:
    """One argument of a policy."""
    if value is None:
        return f"{name} => NULL"
    if isinstance(value, bool):
        return f"{name} => {str(value).lower()}"
    return f"{name} => {span(value) if name in OFFSETS or isinstance(value, int) else literal(value)}"


def lookup(attributes: Attributes) -> str:
    """A query for the id of a job as it is now."""
    procedure_schema, procedure = map(unquoted, split(attributes["proc"])[0:3:2])
    words = [f"j.proc_schema = {literal(procedure_schema)}", f"j.proc_name = {literal(procedure)}"]
    if "on" in attributes:
        schema, _, name = split(attributes["on"])
        words += [
            f"j.hypertable_schema = {literal(unquoted(schema))}",
            f"j.hypertable_name = {literal(unquoted(name))}",
        ]
    elif "config" in attributes:
        words.append(f"j.config = {literal(json.dumps(attributes['config'], sort_keys=True))}::jsonb")
    return f"FROM timescaledb_information.jobs j WHERE {' AND '.join(words)};"
