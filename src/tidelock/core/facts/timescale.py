"""TimescaleDB: what its functions and options do. Each claim is compared with a server (2.28.3) in the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.tree import constant, identifier, is_temporary_schema
from tidelock.core.statement import Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

NAMESPACES = ("timescaledb.", "tsdb.")
"""Options of its own: WITH (timescaledb.continuous), tsdb.hypertable since 2.20."""

FALSE = ("false", "f", "off", "no", "n", "0")
"""What switches an option off, in lower case."""


def option(settings: dict[str, str], name: str) -> str | None:
    """The value of one of its options, under either namespace."""
    return next((settings[space + name] for space in NAMESPACES if space + name in settings), None)


def switched_on(settings: dict[str, str], name: str) -> bool:
    """Whether one of its options is given and not false."""
    value = option(settings, name)
    return value is not None and value.lower() not in FALSE


def argument(call: Node, place: int, *names: str) -> Node | None:
    """An argument of a call by name, else by place."""
    positional = 0
    for each in call.get("args", ()):
        if named := each.get("NamedArgExpr"):
            if named.get("name") in names:
                found: Node = named["arg"]
                return found
        elif positional == place:
            return dict(each)
        else:
            positional += 1
    return None


def target(call: Node, place: int = 0, *names: str) -> tuple[str, str]:
    """(schema, name) of the relation that a call names in a constant; ("", "") when it is not a constant."""
    value = constant(argument(call, place, *(names or _RELATION)))
    return identifier(value) if isinstance(value, str) else ("", "")


def written(schema: str, name: str) -> str:
    """`schema.name`, or the bare name."""
    return f"{schema}.{name}" if schema else name


def flagged(call: Node, *names: str) -> bool:
    """Whether a named argument is the constant true."""
    return any(
        each["NamedArgExpr"].get("name") in names and constant(each) is True
        for each in call.get("args", ())
        if "NamedArgExpr" in each
    )


_RELATION = ("relation", "hypertable", "continuous_aggregate", "chunk", "uncompressed_chunk")
_GUARDS = ("if_not_exists", "if_exists", "replace_if_exists", "if_not_attached", "if_attached")


def _guard(draft: Draft, call: Node) -> None:
    """`if_not_exists => true` makes a repetition a NOTICE. Without it a second call is an error."""
    if flagged(call, *_GUARDS):
        draft.guarded = True
    else:
        draft.unrepeatable = True


def _create_hypertable(draft: Draft, call: Node) -> None:
    """`create_hypertable('t', …)`: creates the hypertable, alters the table; migrate_data moves its rows."""
    schema, name = target(call, 0, "relation", "main_table")
    _guard(draft, call)
    if not name:
        return
    draft.creates.append(Object("hypertable", name, schema))
    draft.alters.append(Object("table", name, schema))
    draft.lock(written(schema, name), "AccessExclusive")
    draft.session |= is_temporary_schema(schema)


def _adds_policy(job: str) -> Callable[[Draft, Node], None]:
    """`add_…_policy('t', …)`: creates Object("job", name as in timescaledb_information.jobs.proc_name, parent 't')."""

    def handle(draft: Draft, call: Node) -> None:
        schema, name = target(call)
        _guard(draft, call)
        if name:
            draft.creates.append(Object("job", job, schema, written(schema, name)))

    return handle


def _add_retention_policy(draft: Draft, call: Node) -> None:
    """Its job drops what is old, minutes later."""
    _adds_policy("policy_retention")(draft, call)
    draft.harms.add(("lets a policy drop old chunks of", written(*target(call))))


def _policies(draft: Draft, call: Node) -> None:
    """add_policies and alter_policies (timescaledb_experimental): several at once, on an aggregate."""
    schema, name = target(call)
    _guard(draft, call)
    if name:
        draft.alters.append(Object("aggregate", name, schema))
    if argument(call, 5, "drop_after") is not None:
        draft.harms.add(("lets a policy drop old chunks of", written(schema, name)))


def _alter_job(draft: Draft, call: Node) -> None:
    """With a config it may drop more, or refresh more, than before."""
    _effect(draft, call)
    if argument(call, 6, "config") is not None:
        draft.harms.add(("changes what a job does", ""))


def _removes_policy(job: str) -> Callable[[Draft, Node], None]:
    def handle(draft: Draft, call: Node) -> None:
        schema, name = target(call)
        _guard(draft, call)
        if name:
            draft.drops.append(Object("job", job, schema, written(schema, name)))

    return handle


def _add_job(draft: Draft, call: Node) -> None:
    """`add_job('s.f', …)`: a second call makes a second job."""
    schema, name = target(call, 0, "proc")
    draft.unrepeatable = True
    draft.creates.append(Object("job", name, schema))


def _add_dimension(draft: Draft, call: Node) -> None:
    schema, name = target(call)
    column = constant(argument(call, 1, "column_name"))
    _guard(draft, call)
    if name and isinstance(column, str):
        draft.creates.append(Object("dimension", column, schema, written(schema, name)))
        draft.alters.append(Object("hypertable", name, schema))
        draft.lock(written(schema, name), "ShareUpdateExclusive")


def _alters(*, repeatable: bool, place: int = 0) -> Callable[[Draft, Node], None]:
    """A function that changes a hypertable, an aggregate or a chunk."""

    def handle(draft: Draft, call: Node) -> None:
        schema, name = target(call, place)
        draft.unrepeatable |= not repeatable
        if name:
            draft.alters.append(Object("hypertable", name, schema))

    return handle


def _guarded(draft: Draft, call: Node) -> None:
    schema, name = target(call)
    _guard(draft, call)
    if name:
        draft.alters.append(Object("hypertable", name, schema))


def _alone(name: str, *, repeatable: bool) -> Callable[[Draft, Node], None]:
    """A function or procedure that commits on its own."""

    def handle(draft: Draft, call: Node) -> None:
        del call
        draft.alone = draft.alone or f"{name} commits on its own, so no transaction block may hold it"
        draft.unrepeatable |= not repeatable

    return handle


def _refresh(draft: Draft, call: Node) -> None:
    """`CALL refresh_continuous_aggregate('a', …)`: writes the aggregate; the same range again gives the same rows."""
    _alone("refresh_continuous_aggregate", repeatable=True)(draft, call)
    schema, name = target(call)
    if name:
        draft.alters.append(Object("aggregate", name, schema))


def _drop_chunks(draft: Draft, call: Node) -> None:
    """A repetition may drop more: older_than counts from now, and chunks age."""
    schema, name = target(call)
    draft.unrepeatable = True
    if name:
        draft.alters.append(Object("hypertable", name, schema))
        draft.writes.add(written(schema, name))
    draft.harms.add(("drops chunks of", written(schema, name)))


def _merge_chunks(draft: Draft, call: Node) -> None:
    """`CALL merge_chunks(a, b, concurrently => true)` commits on its own."""
    draft.unrepeatable = True
    if constant(argument(call, 2, "concurrently")) is True:
        _alone("merge_chunks (concurrently)", repeatable=False)(draft, call)


def _attach_tablespace(draft: Draft, call: Node) -> None:
    schema, name = target(call, 1, "hypertable")
    _guard(draft, call)
    if name:
        draft.alters.append(Object("hypertable", name, schema))
        draft.lock(written(schema, name), "AccessExclusive")


def _restoring(draft: Draft, call: Node) -> None:
    """It sets timescaledb.restoring for the database and for the session."""
    del call
    draft.session = True


def _nothing(draft: Draft, call: Node) -> None:
    """It only reads."""


def _effect(draft: Draft, call: Node) -> None:
    """It changes something that has no name here."""
    del call
    draft.unrepeatable = True


TAKE = frozenset({"attach_chunk", "cagg_migrate", "detach_chunk", "run_job"})
"""What they take away, or run, is not known from the call."""

_READS = (
    "time_bucket",
    "time_bucket_gapfill",
    "locf",
    "interpolate",
    "first",
    "last",
    "histogram",
    "show_chunks",
    "show_tablespaces",
    "hypertable_size",
    "hypertable_detailed_size",
    "hypertable_index_size",
    "hypertable_approximate_size",
    "hypertable_approximate_detailed_size",
    "approximate_row_count",
    "chunks_detailed_size",
    "chunk_compression_stats",
    "chunk_columnstore_stats",
    "hypertable_compression_stats",
    "hypertable_columnstore_stats",
    "by_range",
    "by_hash",
    "generate_uuidv7",
    "to_uuidv7",
    "to_uuidv7_boundary",
    "uuid_timestamp",
    "uuid_timestamp_micros",
    "uuid_version",
    "get_telemetry_report",
    "cagg_watermark",
)

FUNCTIONS: dict[str, Callable[[Draft, Node], None]] = {
    **dict.fromkeys(_READS, _nothing),
    "create_hypertable": _create_hypertable,
    "add_dimension": _add_dimension,
    "add_retention_policy": _add_retention_policy,
    "add_compression_policy": _adds_policy("policy_compression"),
    "add_columnstore_policy": _adds_policy("policy_compression"),
    "add_continuous_aggregate_policy": _adds_policy("policy_refresh_continuous_aggregate"),
    "add_reorder_policy": _adds_policy("policy_reorder"),
    "add_process_hypertable_invalidations_policy": _adds_policy("policy_process_hypertable_invalidations"),
    "remove_retention_policy": _removes_policy("policy_retention"),
    "remove_compression_policy": _removes_policy("policy_compression"),
    "remove_columnstore_policy": _removes_policy("policy_compression"),
    "remove_continuous_aggregate_policy": _removes_policy("policy_refresh_continuous_aggregate"),
    "remove_reorder_policy": _removes_policy("policy_reorder"),
    "remove_process_hypertable_invalidations_policy": _removes_policy("policy_process_hypertable_invalidations"),
    "add_policies": _policies,
    "alter_policies": _policies,
    "remove_policies": _alters(repeatable=False),
    "remove_all_policies": _alters(repeatable=False),
    "show_policies": _nothing,
    "add_job": _add_job,
    "alter_job": _alter_job,
    "delete_job": _effect,
    "run_job": _alone("run_job", repeatable=False),
    "refresh_continuous_aggregate": _refresh,
    "move_chunk": _alone("move_chunk", repeatable=False),
    "reorder_chunk": _alone("reorder_chunk", repeatable=True),
    "merge_chunks_concurrently": _alone("merge_chunks_concurrently", repeatable=False),
    "cagg_migrate": _alone("cagg_migrate", repeatable=False),
    "set_chunk_time_interval": _alters(repeatable=True),
    "set_partitioning_interval": _alters(repeatable=True),
    "set_number_partitions": _alters(repeatable=True),
    "set_integer_now_func": _guarded,
    "enable_chunk_skipping": _guarded,
    "disable_chunk_skipping": _guarded,
    "attach_tablespace": _attach_tablespace,
    "detach_tablespace": _effect,
    "detach_tablespaces": _effect,
    "compress_chunk": _alters(repeatable=True),
    "decompress_chunk": _alters(repeatable=True),
    "convert_to_columnstore": _alters(repeatable=True),
    "convert_to_rowstore": _alters(repeatable=True),
    "recompress_chunk": _alters(repeatable=True),
    "merge_chunks": _merge_chunks,
    "split_chunk": _effect,
    "attach_chunk": _effect,
    "detach_chunk": _effect,
    "drop_chunks": _drop_chunks,
    "timescaledb_pre_restore": _restoring,
    "timescaledb_post_restore": _restoring,
}
"""Function or procedure, without its schema → what a call of it does."""
