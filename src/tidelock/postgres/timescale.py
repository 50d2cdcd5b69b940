"""TimescaleDB's objects as rows like those of `sections`: hypertables, continuous aggregates, jobs.

Ids and generated names (hypertables, jobs, `_materialized_hypertable_5`) are other ones in every database and appear
nowhere.
"""

# ruff: noqa: E501 - rows of a SQL query read better whole

from __future__ import annotations

import re
from typing import LiteralString

# A continuous aggregate is a view for pg_class; it is told of as what it is.
NOT_AGGREGATES: LiteralString = """
   AND NOT EXISTS (SELECT FROM _timescaledb_catalog.continuous_agg a
                    WHERE a.user_view_schema = n.nspname AND a.user_view_name = c.relname)"""

# Chunks depend on much and are many.
WITHIN: LiteralString = """
   AND NOT EXISTS (SELECT FROM pg_class k JOIN pg_namespace s ON s.oid = k.relnamespace
                    WHERE d.classid = 'pg_class'::regclass AND k.oid = d.objid AND s.nspname ~ '^_timescaledb_'
                      AND k.relkind NOT IN ('v'))"""

DIMENSION: LiteralString = """
jsonb_build_object(
  'column', format('%I', d.column_name), 'hash_partitions', d.num_slices,
  'interval', CASE WHEN d.interval_length IS NULL THEN NULL
                   WHEN d.column_type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
                   THEN to_jsonb({span:d.interval_length}) ELSE to_jsonb(d.interval_length) END,
  'function', CASE WHEN d.partitioning_func <> 'get_partition_hash'
                   THEN format('%I.%I', d.partitioning_func_schema, d.partitioning_func) END,
  'integer_now', CASE WHEN d.integer_now_func IS NOT NULL THEN format('%I.%I', d.integer_now_func_schema, d.integer_now_func) END)"""

# Microseconds as an interval, in whole days when they are.
SPAN: LiteralString = """
CASE WHEN {us} % 86400000000 = 0 THEN make_interval(days => ({us} / 86400000000)::int) ELSE make_interval(secs => {us} / 1000000.0) END::text"""

COLUMNSTORE: LiteralString = """
(SELECT jsonb_strip_nulls(jsonb_build_object(
          'segment_by', to_jsonb(s.segmentby),
          'order_by', (SELECT jsonb_agg(format('%I %s NULLS %s', o, CASE WHEN down THEN 'DESC' ELSE 'ASC' END,
                                               CASE WHEN first THEN 'FIRST' ELSE 'LAST' END) ORDER BY number)
                         FROM unnest(s.orderby, s.orderby_desc, s.orderby_nullsfirst) WITH ORDINALITY x (o, down, first, number)),
          'chunk_interval', (SELECT {span:d.compress_interval_length}
                               FROM _timescaledb_catalog.dimension d
                              WHERE d.hypertable_id = h.id AND d.compress_interval_length IS NOT NULL),
          'index', {index}))
   FROM _timescaledb_catalog.compression_settings s
  WHERE s.relid = {oid:h.schema_name:h.table_name})"""

HYPERTABLES: LiteralString = """
SELECT 'hypertable', format('%I.%I', h.schema_name, h.table_name), 0, 0, 0,
       jsonb_build_object(
         'dimensions', (SELECT jsonb_agg(jsonb_strip_nulls({dimension}) ORDER BY d.id) FROM _timescaledb_catalog.dimension d
                         WHERE d.hypertable_id = h.id),
         'chunk_schema', nullif(h.associated_schema_name, '_timescaledb_internal'),
         'tablespaces', (SELECT jsonb_agg(t.tablespace_name ORDER BY t.id) FROM _timescaledb_catalog.tablespace t
                          WHERE t.hypertable_id = h.id),
         'chunk_skipping', (SELECT jsonb_agg(s.column_name ORDER BY s.column_name) FROM _timescaledb_catalog.chunk_column_stats s
                             WHERE s.hypertable_id = h.id AND coalesce(s.chunk_id, 0) = 0),
         'columnstore', {columnstore}),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, {oid:h.schema_name:h.table_name}, 0))
  FROM _timescaledb_catalog.hypertable h
 WHERE h.schema_name !~ '^_timescaledb_' AND h.num_dimensions > 0"""

CONTINUOUS: LiteralString = """
SELECT 'continuous aggregate', format('%I.%I', a.user_view_schema, a.user_view_name), 'pg_class'::regclass::oid,
       {oid:a.user_view_schema:a.user_view_name}, 0,
       jsonb_build_object(
         'definition', rtrim((SELECT {own_names}), ';'),
         'materialized_only', a.materialized_only,
         'bucket', (SELECT format('%I', d.column_name) FROM _timescaledb_catalog.dimension d
                     WHERE d.hypertable_id = h.id AND d.num_slices IS NULL LIMIT 1),
         'chunk_interval', (SELECT jsonb_strip_nulls({dimension}) -> 'interval' FROM _timescaledb_catalog.dimension d
                             WHERE d.hypertable_id = h.id AND d.num_slices IS NULL LIMIT 1),
         'columnstore', {columnstore}), NULL
  FROM _timescaledb_catalog.continuous_agg a JOIN _timescaledb_catalog.hypertable h ON h.id = a.mat_hypertable_id"""

# Indexes of the materialized hypertable are the aggregate's; those that TimescaleDB made have its number in their name.
CONTINUOUS_INDEXES: LiteralString = r"""
SELECT 'index',
       format('%I.%s', a.user_view_schema, CASE WHEN x.relname ~ '^_materialized_hypertable_\d+_'
              THEN format('%I', a.user_view_name || regexp_replace(x.relname, '^_materialized_hypertable_\d+', ''))
              ELSE format('%I', x.relname) END),
       'pg_class'::regclass::oid, x.oid, 0,
       jsonb_build_object(
         'definition', replace(regexp_replace(pg_get_indexdef(x.oid), '_materialized_hypertable_\d+(_\w+)? ON ',
                                              format('%s\1 ON ', a.user_view_name)),
                               format('%I.%I', h.schema_name, h.table_name), format('%I.%I', a.user_view_schema, a.user_view_name)),
         'of_aggregate', true, 'generated', nullif(x.relname ~ '^_materialized_hypertable_\d+_', false),
         'invalid', nullif(NOT i.indisvalid, false)),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid,
                         {oid:a.user_view_schema:a.user_view_name}, 0))
  FROM _timescaledb_catalog.continuous_agg a JOIN _timescaledb_catalog.hypertable h ON h.id = a.mat_hypertable_id
  JOIN pg_index i ON i.indrelid = {oid:h.schema_name:h.table_name}
  JOIN pg_class x ON x.oid = i.indexrelid"""

JOBS: LiteralString = r"""
SELECT 'job', label || CASE WHEN number > 1 THEN format(' #%s', number) ELSE '' END, 0, 0, 0,
       jsonb_build_object(
         'proc', format('%I.%I', proc_schema, proc_name), 'on', target, 'schedule_interval', schedule_interval::text,
         'max_runtime', max_runtime::text, 'max_retries', max_retries, 'retry_period', retry_period::text,
         'paused', nullif(NOT scheduled, false), 'fixed_schedule', fixed_schedule, 'timezone', timezone,
         'check', CASE WHEN check_name IS NOT NULL AND check_schema !~ '^_timescaledb' THEN format('%I.%I', check_schema, check_name) END,
         'title', CASE WHEN id >= 1000 AND proc_schema !~ '^_timescaledb' AND title <> 'User-Defined Action' THEN title END,
         'config', config),
       CASE WHEN target IS NOT NULL THEN jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, target_oid, 0)) END
  FROM (SELECT j.*, row_number() OVER (PARTITION BY label ORDER BY j.id) AS number FROM (
    SELECT b.id, b.schedule_interval, b.max_runtime, b.max_retries, b.retry_period, b.proc_schema, b.proc_name, b.scheduled,
           b.fixed_schedule, b.timezone, b.check_schema, b.check_name, t.target, t.target_oid,
           regexp_replace(b.application_name, ' \[\d+\]$', '') AS title,
           nullif(b.config - 'hypertable_id' - 'mat_hypertable_id', '{}') AS config,
           CASE b.proc_name WHEN 'policy_retention' THEN 'retention' WHEN 'policy_compression' THEN 'columnstore'
                WHEN 'policy_refresh_continuous_aggregate' THEN 'refresh' WHEN 'policy_reorder' THEN 'reorder'
                ELSE format('%I.%I', b.proc_schema, b.proc_name) || coalesce(' ' || (b.config - 'hypertable_id')::text, '') END || coalesce(' of ' || t.target, '') AS label
      FROM _timescaledb_config.bgw_job b
      LEFT JOIN _timescaledb_catalog.hypertable h ON h.id = coalesce(b.hypertable_id, (b.config ->> 'mat_hypertable_id')::int)
      LEFT JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = h.id
      LEFT JOIN LATERAL (SELECT CASE WHEN a.user_view_name IS NOT NULL THEN format('%I.%I', a.user_view_schema, a.user_view_name)
                                     WHEN h.id IS NOT NULL THEN format('%I.%I', h.schema_name, h.table_name) END AS target,
                                CASE WHEN a.user_view_name IS NOT NULL THEN {oid:a.user_view_schema:a.user_view_name}
                                     ELSE {oid:h.schema_name:h.table_name} END AS target_oid) t ON true
     WHERE b.id >= 1000) j) numbered"""

ALIASES: LiteralString = """
SELECT 'pg_class'::regclass::oid, {oid:h.schema_name:h.table_name}, 'pg_class'::regclass::oid,
       {oid:a.user_view_schema:a.user_view_name}, 0
  FROM _timescaledb_catalog.continuous_agg a JOIN _timescaledb_catalog.hypertable h ON h.id = a.mat_hypertable_id
UNION ALL
SELECT 'pg_rewrite'::regclass, r.oid, 'pg_class'::regclass, {oid:a.user_view_schema:a.user_view_name}, 0
  FROM _timescaledb_catalog.continuous_agg a
  JOIN pg_rewrite r ON r.ev_class IN ({oid:a.direct_view_schema:a.direct_view_name},
                                      {oid:a.user_view_schema:a.user_view_name})"""

# The query as it was written, with other aggregates under their own names.
OWN_NAMES: LiteralString = """
coalesce(
  (SELECT replace(pg_get_viewdef(v), format('%I.%I', ph.schema_name, ph.table_name), format('%I.%I', p.user_view_schema, p.user_view_name))
     FROM _timescaledb_catalog.continuous_agg p JOIN _timescaledb_catalog.hypertable ph ON ph.id = p.mat_hypertable_id
    WHERE p.mat_hypertable_id = a.parent_mat_hypertable_id), pg_get_viewdef(v))
  FROM (SELECT {oid:a.direct_view_schema:a.direct_view_name} AS v) direct"""

# Sparse indexes that TimescaleDB chose by itself are not of the schema.
CHOSEN_INDEX: LiteralString = """
(SELECT jsonb_agg(e) FROM jsonb_array_elements(CASE jsonb_typeof(to_jsonb(s) -> 'index') WHEN 'array' THEN to_jsonb(s) -> 'index'
                                               ELSE '[]' END) e WHERE e ->> 'source' = 'config')"""


# A relation by its names. A cast to regclass would ask for USAGE on its schema.
OID: LiteralString = """
(SELECT rel.oid FROM pg_class rel JOIN pg_namespace space ON space.oid = rel.relnamespace
  WHERE space.nspname = {schema} AND rel.relname = {name})"""


def by_names(query: str) -> str:
    """A query with `{oid:schema:name}` filled in."""
    return re.sub(r"\{oid:([\w.]+):([\w.]+)\}", lambda found: OID.format(schema=found[1], name=found[2]), query)


def filled(query: str) -> str:
    """A query with the fragments in it."""
    query = (
        query.replace("{columnstore}", COLUMNSTORE)
        .replace("{index}", CHOSEN_INDEX)
        .replace("{dimension}", DIMENSION)
        .replace("{own_names}", OWN_NAMES)
    )
    for column in ("d.interval_length", "d.compress_interval_length"):
        query = query.replace(f"{{span:{column}}}", SPAN.replace("{us}", column))
    return by_names(query)


SECTIONS: tuple[str, ...] = tuple(map(filled, (HYPERTABLES, CONTINUOUS, CONTINUOUS_INDEXES, JOBS)))
