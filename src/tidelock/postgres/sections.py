"""The catalog's objects as rows: (kind, name, class, oid, number, attributes, part of).

Each query returns what is defined in the schemas of users. `class`, `oid` and `number` are the object's address in
pg_depend; `part of` lists addresses that the catalog's dependencies do not tell of. Attributes that have their
default are NULL and fall out. Names are printed with their schema: the search_path is empty.

    {relations}  the oids of the relations that count, as an array
    {ours}       a condition on pg_namespace n
"""

# ruff: noqa: E501 - rows of a SQL query read better whole

from __future__ import annotations

from typing import LiteralString

OURS = r"n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_(information|experimental)$|tidelock$)'"

UNOWNED: LiteralString = """NOT EXISTS (
  SELECT FROM pg_depend member
   WHERE member.classid = '{table}'::regclass AND member.objid = {oid} AND member.deptype = 'e')"""
"""No extension owns it."""

# Tables, views, sequences, indexes and composite types of users; without what an extension made, chunks, and
# Tidelock's own: a ledger, with its journal and lease beside it.
RELATIONS: LiteralString = r"""
WITH chunked AS (SELECT h.oid FROM pg_class h JOIN pg_namespace s ON s.oid = h.relnamespace {hypertables}),
     leased AS (
       SELECT l.relnamespace, left(l.relname, -6) AS name FROM pg_class l WHERE right(l.relname, 6) = '_lease'),
     bookkeeping AS (
       SELECT c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relname = 'schema_migrations'
       UNION
       SELECT c.oid FROM leased JOIN pg_class j ON j.relnamespace = leased.relnamespace AND j.relname = leased.name || '_journal'
         JOIN pg_class c ON c.relnamespace = leased.relnamespace AND c.relkind IN ('r', 'p')
          AND c.relname IN (leased.name, leased.name || '_journal', leased.name || '_lease'))
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') AND c.relpersistence <> 't'
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_(information|experimental)$|tidelock$)'
   AND NOT EXISTS (SELECT FROM pg_depend e
                    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent IN (SELECT oid FROM chunked))
   AND c.oid NOT IN (SELECT oid FROM bookkeeping)
   AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = c.oid
                      AND (x.indrelid IN (SELECT oid FROM bookkeeping)
                           OR x.indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM chunked))))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass
                      AND d.refobjid IN (SELECT oid FROM bookkeeping))"""
HYPERTABLES: LiteralString = """
  JOIN _timescaledb_catalog.hypertable t ON t.schema_name = s.nspname AND t.table_name = h.relname"""

SCHEMAS: LiteralString = """
SELECT 'schema', format('%I', n.nspname), 'pg_namespace'::regclass::oid, n.oid, 0, '{}'::jsonb, NULL
  FROM pg_namespace n WHERE {ours} AND {unowned:pg_namespace:n.oid}"""

EXTENSIONS: LiteralString = """
SELECT 'extension', format('%I', extname), 'pg_extension'::regclass::oid, oid, 0,
       jsonb_build_object('version', extversion, 'schema', extnamespace::regnamespace::text), NULL
  FROM pg_extension WHERE extname <> 'plpgsql'"""

TYPES: LiteralString = """
SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, format('%I.%I', n.nspname, t.typname),
       'pg_type'::regclass::oid, t.oid, 0,
       jsonb_build_object(
         'as', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range' WHEN 'c' THEN 'composite' END,
         'values', (SELECT jsonb_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
         'attributes', CASE WHEN t.typtype = 'c' THEN (
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                     'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                     'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END))
                   ORDER BY a.attnum)
              FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
         'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
         'default', pg_get_expr(t.typdefaultbin, 0), 'not_null', CASE WHEN t.typtype = 'd' THEN nullif(t.typnotnull, false) END,
         'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation THEN t.typcollation::regcollation::text END,
         'checks', (SELECT jsonb_object_agg(k.conname, pg_get_constraintdef(k.oid))
                      FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
         'subtype', format_type(r.rngsubtype, NULL), 'operator_class', CASE WHEN NOT o.opcdefault THEN o.opcname END,
         'range_collation', CASE WHEN r.rngcollation <> s.typcollation THEN r.rngcollation::regcollation::text END,
         'canonical', nullif(r.rngcanonical::oid, 0)::regproc::text, 'difference', nullif(r.rngsubdiff::oid, 0)::regproc::text,
         'multirange', m.typname), NULL
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_type b ON b.oid = t.typbasetype
  LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_opclass o ON o.oid = r.rngsubopc
  LEFT JOIN pg_type s ON s.oid = r.rngsubtype LEFT JOIN pg_type m ON m.oid = r.rngmultitypid
  LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE t.typtype IN ('e', 'd', 'c', 'r') AND coalesce(c.relkind, 'c') = 'c' AND {ours} AND {unowned:pg_type:t.oid}"""

# Without those of identity columns, which are the column's own. Limits that are the type's are defaults.
SEQUENCES: LiteralString = """
SELECT 'sequence', format('%I.%I', n.nspname, c.relname), 'pg_class'::regclass::oid, c.oid, 0,
       jsonb_build_object(
         'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
         'min', s.seqmin, 'max', s.seqmax, 'cache', nullif(s.seqcache, 1), 'cycle', nullif(s.seqcycle, false),
         'unlogged', nullif(c.relpersistence = 'u', false),
         'owned_by', (SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname)
                        FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
                        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
                       WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a')), NULL
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations})
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')"""

TABLES: LiteralString = """
SELECT 'table', format('%I.%I', n.nspname, c.relname), 'pg_class'::regclass::oid, c.oid, 0,
       jsonb_build_object(
         'unlogged', nullif(c.relpersistence = 'u', false),
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(
            c.reloptions || (SELECT array_agg('toast.' || x) FROM pg_class w, unnest(w.reloptions) x WHERE w.oid = c.reltoastrelid)) o),
         'method', (SELECT amname FROM pg_am WHERE oid = c.relam AND amname <> 'heap'),
         'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
         'partition_by', pg_get_partkeydef(c.oid), 'partition_of', CASE WHEN c.relispartition THEN p.names -> 0 END,
         'bound', pg_get_expr(c.relpartbound, c.oid), 'inherits', CASE WHEN NOT c.relispartition THEN p.names END,
         'of', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
         'row_security', nullif(c.relrowsecurity, false), 'force_row_security', nullif(c.relforcerowsecurity, false),
         'replica_identity', CASE WHEN c.relkind <> 'f' THEN CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN 'INDEX ' || (
            SELECT format('%I', x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
             WHERE i.indrelid = c.oid AND i.indisreplident) END END,
         'unenforced', (SELECT true WHERE EXISTS (
            SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgisinternal AND t.tgconstraint <> 0 AND t.tgenabled = 'D')),
         'trigger_states', (SELECT jsonb_object_agg(format('%I', t.tgname), CASE t.tgenabled
                                     WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' ELSE 'yes' END)
                              FROM pg_trigger t JOIN pg_trigger w ON w.oid = t.tgparentid
                             WHERE t.tgrelid = c.oid AND NOT w.tgisinternal AND t.tgenabled <> w.tgenabled),
         'server', f.srvname,
         'foreign_options', (SELECT jsonb_agg(o ORDER BY o) FROM pg_foreign_table t, unnest(t.ftoptions) o WHERE t.ftrelid = c.oid)),
       (SELECT jsonb_agg(jsonb_build_array('pg_class'::regclass::oid, i.inhparent, 0))
          FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT jsonb_agg(format('%I.%I', pn.nspname, pc.relname) ORDER BY i.inhseqno) AS names
                       FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
                      WHERE i.inhrelid = c.oid) p ON true
  LEFT JOIN pg_foreign_table ft ON ft.ftrelid = c.oid LEFT JOIN pg_foreign_server f ON f.oid = ft.ftserver
 WHERE c.oid = ANY ({relations}) AND c.relkind IN ('r', 'p', 'f')"""

COLUMN_ORDER: LiteralString = """
SELECT 'column order', format('%I.%I', n.nspname, c.relname), 0, 0, 0,
       jsonb_build_object('columns', (SELECT jsonb_agg(format('%I', a.attname) ORDER BY a.attnum) FROM pg_attribute a
                                       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, c.oid, 0))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations}) AND c.relkind IN ('r', 'p', 'f')
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

# Debian's PostgreSQL 15.20 keeps a version of each column among its options (pg_attver), another one in every database.
# NOT NULL is a constraint of its own from PostgreSQL 18 on, and a flag of the column here: one that is not valid yet
# is told of as the constraint that it is, see CONSTRAINTS.
COLUMNS: LiteralString = """
SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname), 'pg_class'::regclass::oid, c.oid, a.attnum,
       jsonb_build_object(
         'type', format_type(a.atttypid, a.atttypmod),
         'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END,
         'not_null', nullif(a.attnotnull AND NOT EXISTS (
            SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey[1] = a.attnum
               AND (NOT k.convalidated OR k.connoinherit)), false),
         'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
         'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
         'virtual', nullif(a.attgenerated = 'v', false),
         'identity', CASE WHEN a.attidentity <> '' THEN (
            SELECT jsonb_strip_nulls(jsonb_build_object(
                     'always', nullif(a.attidentity = 'a', false), 'name', format('%I.%I', sn.nspname, sc.relname),
                     'start', s.seqstart, 'increment', s.seqincrement, 'min', s.seqmin, 'max', s.seqmax,
                     'cache', nullif(s.seqcache, 1), 'cycle', nullif(s.seqcycle, false)))
              FROM pg_depend i JOIN pg_sequence s ON s.seqrelid = i.objid JOIN pg_class sc ON sc.oid = s.seqrelid
              JOIN pg_namespace sn ON sn.oid = sc.relnamespace
             WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass AND i.refobjid = c.oid
               AND i.refobjsubid = a.attnum AND i.deptype = 'i') END,
         'storage', CASE WHEN a.attstorage <> y.typstorage
                         THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'x' THEN 'EXTENDED' ELSE 'MAIN' END END,
         'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
         'statistics', nullif(a.attstattarget, -1),
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='),
         'foreign_options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(a.attfdwoptions) o),
         'inherited', nullif(NOT a.attislocal, false)),
       (SELECT jsonb_agg(jsonb_build_array('pg_class'::regclass::oid, each.oid, each.number)) FROM (
          SELECT c.oid, 0 AS number UNION ALL
          SELECT i.inhparent, p.attnum FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
           WHERE i.inhrelid = c.oid AND NOT a.attislocal) each)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.oid = ANY ({relations}) AND c.relkind IN ('r', 'p', 'f')"""

# Without those that a partition or child has from its parent, and the copies of foreign keys to partitions.
CONSTRAINTS: LiteralString = """
SELECT 'constraint', format('%I.%I.%I', n.nspname, c.relname, k.conname), 'pg_constraint'::regclass::oid, k.oid, 0,
       jsonb_build_object(
         'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
         'type', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check'
                                WHEN 'f' THEN 'foreign key' WHEN 'x' THEN 'exclude' ELSE 'not null' END,
         'not_validated', nullif(NOT k.convalidated, false),
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM pg_class x, unnest(x.reloptions) o WHERE x.oid = k.conindid AND k.contype <> 'f'),
         'clustered', nullif(i.indisclustered, false), 'invalid', nullif(NOT i.indisvalid, false)),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, c.oid, 0))
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
 WHERE c.oid = ANY ({relations}) AND k.conparentid = 0 AND (k.coninhcount = 0 OR k.conislocal)
   AND (k.contype IN ('p', 'u', 'c', 'f', 'x') OR k.contype = 'n' AND (NOT k.convalidated OR k.connoinherit))"""

# ON ONLY is printed for every index of a partitioned table. It was meant where not all partitions have theirs yet: such
# an index is invalid, and those that are attached to it already are told of by themselves.
INDEXES: LiteralString = """
SELECT 'index', format('%I.%I', n.nspname, c.relname), 'pg_class'::regclass::oid, c.oid, 0,
       jsonb_build_object(
         'definition', CASE WHEN c.relkind = 'I' AND NOT i.indisvalid THEN pg_get_indexdef(c.oid)
                            ELSE regexp_replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') END,
         'attached_to', (SELECT format('%I.%I', wn.nspname, w.relname) FROM pg_inherits h JOIN pg_class w ON w.oid = h.inhparent
                           JOIN pg_namespace wn ON wn.oid = w.relnamespace WHERE h.inhrelid = c.oid),
         'invalid', nullif(NOT i.indisvalid, false), 'clustered', nullif(i.indisclustered, false),
         'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
         'statistics', (SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attstattarget >= 0)),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, i.indrelid, 0))
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations})
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
   AND NOT EXISTS (SELECT FROM pg_inherits h JOIN pg_index w ON w.indexrelid = h.inhparent
                    WHERE h.inhrelid = c.oid AND (w.indisvalid OR EXISTS (
                          SELECT FROM pg_constraint k WHERE k.conindid = h.inhparent AND k.contype IN ('p', 'u', 'x'))))"""

VIEWS: LiteralString = """
SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, format('%I.%I', n.nspname, c.relname),
       'pg_class'::regclass::oid, c.oid, 0,
       jsonb_build_object(
         'definition', rtrim(pg_get_viewdef(c.oid), ';'),
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(c.reloptions) o),
         'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
         'defaults', (SELECT jsonb_object_agg(a.attname, pg_get_expr(d.adbin, d.adrelid))
                        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                       WHERE d.adrelid = c.oid)), NULL
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations}) AND c.relkind IN ('v', 'm') {aggregates}"""

FUNCTIONS: LiteralString = """
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
       format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       'pg_proc'::regclass::oid, p.oid, 0, jsonb_build_object('definition', rtrim(pg_get_functiondef(p.oid), E'\\n')), NULL
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prokind IN ('f', 'p', 'w') AND {ours} AND {unowned:pg_proc:p.oid}
   AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')"""

AGGREGATES: LiteralString = """
SELECT 'aggregate', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       'pg_proc'::regclass::oid, p.oid, 0,
       jsonb_build_object(
         'arguments', pg_get_function_arguments(p.oid),
         'SFUNC', g.aggtransfn::text, 'STYPE', format_type(g.aggtranstype, NULL), 'SSPACE', nullif(g.aggtransspace, 0),
         'FINALFUNC', nullif(g.aggfinalfn::oid, 0)::regproc::text, 'FINALFUNC_EXTRA', nullif(g.aggfinalextra, false),
         'COMBINEFUNC', nullif(g.aggcombinefn::oid, 0)::regproc::text,
         'SERIALFUNC', nullif(g.aggserialfn::oid, 0)::regproc::text, 'DESERIALFUNC', nullif(g.aggdeserialfn::oid, 0)::regproc::text,
         'INITCOND', quote_literal(g.agginitval), 'MSFUNC', nullif(g.aggmtransfn::oid, 0)::regproc::text,
         'MINVFUNC', nullif(g.aggminvtransfn::oid, 0)::regproc::text,
         'MSTYPE', CASE WHEN g.aggmtranstype <> 0 THEN format_type(g.aggmtranstype, NULL) END,
         'MFINALFUNC', nullif(g.aggmfinalfn::oid, 0)::regproc::text, 'MINITCOND', quote_literal(g.aggminitval),
         'SORTOP', (SELECT format('OPERATOR(%s.%s)', o.oprnamespace::regnamespace, o.oprname) FROM pg_operator o WHERE o.oid = g.aggsortop),
         'HYPOTHETICAL', nullif(g.aggkind = 'h', false),
         'PARALLEL', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' END), NULL
  FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE {ours} AND {unowned:pg_proc:p.oid}"""

TRIGGERS: LiteralString = """
SELECT 'trigger', format('%I.%I.%I', n.nspname, c.relname, t.tgname), 'pg_trigger'::regclass::oid, t.oid, 0,
       jsonb_build_object(
         'definition', pg_get_triggerdef(t.oid),
         'enabled', CASE t.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, c.oid, 0))
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations}) AND NOT t.tgisinternal AND t.tgparentid = 0
   AND t.tgname NOT IN ('ts_insert_blocker', 'ts_cagg_invalidation_trigger')"""

RULES: LiteralString = """
SELECT 'rule', format('%I.%I.%I', n.nspname, c.relname, r.rulename), 'pg_rewrite'::regclass::oid, r.oid, 0,
       jsonb_build_object(
         'definition', pg_get_ruledef(r.oid),
         'enabled', CASE r.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, c.oid, 0))
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations}) AND r.rulename <> '_RETURN'"""

POLICIES: LiteralString = """
SELECT 'policy', format('%I.%I.%I', n.nspname, c.relname, p.polname), 'pg_policy'::regclass::oid, p.oid, 0,
       jsonb_build_object(
         'restrictive', nullif(NOT p.polpermissive, false),
         'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END,
         'roles', (SELECT jsonb_agg(r.name ORDER BY r.name) FROM (
            SELECT CASE each WHEN 0 THEN 'public' ELSE each::regrole::text END AS name FROM unnest(p.polroles) each) r
             WHERE p.polroles <> '{0}'),
         'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)),
       jsonb_build_array(jsonb_build_array('pg_class'::regclass::oid, c.oid, 0))
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ({relations})"""

STATISTICS: LiteralString = """
SELECT 'statistics', format('%I.%I', n.nspname, s.stxname), 'pg_statistic_ext'::regclass::oid, s.oid, 0,
       jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid), 'target', nullif(s.stxstattarget, -1)), NULL
  FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
 WHERE s.stxrelid = ANY ({relations})"""

EVENT_TRIGGERS: LiteralString = """
SELECT 'event trigger', format('%I', e.evtname), 'pg_event_trigger'::regclass::oid, e.oid, 0,
       jsonb_build_object(
         'event', e.evtevent, 'tags', (SELECT jsonb_agg(g ORDER BY g) FROM unnest(e.evttags) g), 'function', e.evtfoid::regproc::text,
         'enabled', CASE e.evtenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END), NULL
  FROM pg_event_trigger e WHERE {unowned:pg_event_trigger:e.oid}"""

PUBLICATIONS: LiteralString = """
SELECT 'publication', format('%I', p.pubname), 'pg_publication'::regclass::oid, p.oid, 0,
       jsonb_build_object(
         'all_tables', nullif(p.puballtables, false), 'via_root', nullif(p.pubviaroot, false),
         'publish', nullif(concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END), 'insert, update, delete, truncate'),
         'schemas', {schemas},
         'tables', (SELECT jsonb_object_agg(format('%I.%I', n.nspname, c.relname), {table})
                      FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE r.prpubid = p.oid)), NULL
  FROM pg_publication p WHERE {unowned:pg_publication:p.oid}"""
PUBLISHED_SCHEMAS: LiteralString = """
(SELECT jsonb_agg(format('%I', n.nspname) ORDER BY n.nspname)
   FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)"""
PUBLISHED_TABLE: LiteralString = """
jsonb_strip_nulls(jsonb_build_object(
  'where', pg_get_expr(r.prqual, c.oid),
  'columns', (SELECT jsonb_agg(format('%I', a.attname) ORDER BY a.attnum) FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs::int2[]))))"""

FOREIGN: LiteralString = """
SELECT 'foreign data wrapper', format('%I', w.fdwname), 'pg_foreign_data_wrapper'::regclass::oid, w.oid, 0,
       jsonb_build_object('handler', nullif(w.fdwhandler::oid, 0)::regproc::text, 'validator', nullif(w.fdwvalidator::oid, 0)::regproc::text,
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(w.fdwoptions) o)), NULL::jsonb
  FROM pg_foreign_data_wrapper w WHERE {unowned:pg_foreign_data_wrapper:w.oid}
UNION ALL
SELECT 'server', format('%I', s.srvname), 'pg_foreign_server'::regclass::oid, s.oid, 0,
       jsonb_build_object('wrapper', format('%I', w.fdwname), 'type', s.srvtype, 'version', s.srvversion,
         'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(s.srvoptions) o)), NULL
  FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE {unowned:pg_foreign_server:s.oid}"""

COLLATIONS: LiteralString = """
SELECT 'collation', format('%I.%I', n.nspname, k.collname), 'pg_collation'::regclass::oid, k.oid, 0,
       jsonb_build_object('provider', CASE k.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
         'lc_collate', k.collcollate, 'lc_ctype', k.collctype, 'nondeterministic', nullif(NOT k.collisdeterministic, false),
         'locale', coalesce(to_jsonb(k) ->> 'colllocale', to_jsonb(k) ->> 'colliculocale')), NULL
  FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace WHERE {ours} AND {unowned:pg_collation:k.oid}"""

CASTS: LiteralString = """
SELECT 'cast', format('%s AS %s', format_type(k.castsource, NULL), format_type(k.casttarget, NULL)), 'pg_cast'::regclass::oid, k.oid, 0,
       jsonb_build_object('with', CASE k.castmethod WHEN 'b' THEN 'WITHOUT FUNCTION' WHEN 'i' THEN 'WITH INOUT'
                                  ELSE 'WITH FUNCTION ' || k.castfunc::regprocedure END,
         'context', CASE k.castcontext WHEN 'a' THEN 'ASSIGNMENT' WHEN 'i' THEN 'IMPLICIT' END), NULL
  FROM pg_cast k
 WHERE k.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass AND i.objid = k.oid AND i.deptype = 'i') AND {unowned:pg_cast:k.oid}"""

OPERATORS: LiteralString = """
SELECT 'operator', format('%I.%s(%s, %s)', n.nspname, o.oprname, coalesce(format_type(nullif(o.oprleft, 0), NULL), 'NONE'),
                          coalesce(format_type(nullif(o.oprright, 0), NULL), 'NONE')), 'pg_operator'::regclass::oid, o.oid, 0,
       jsonb_build_object('function', o.oprcode::text, 'symbol', format('%I.%s', n.nspname, o.oprname),
         'left', format_type(nullif(o.oprleft, 0), NULL), 'right', format_type(nullif(o.oprright, 0), NULL),
         'commutator', (SELECT format('OPERATOR(%s.%s)', c.oprnamespace::regnamespace, c.oprname) FROM pg_operator c WHERE c.oid = o.oprcom),
         'negator', (SELECT format('OPERATOR(%s.%s)', c.oprnamespace::regnamespace, c.oprname) FROM pg_operator c WHERE c.oid = o.oprnegate),
         'restrict', nullif(o.oprrest::oid, 0)::regproc::text, 'join', nullif(o.oprjoin::oid, 0)::regproc::text,
         'hashes', nullif(o.oprcanhash, false), 'merges', nullif(o.oprcanmerge, false)), NULL
  FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
 WHERE {ours} AND {unowned:pg_operator:o.oid} AND o.oprcode <> 0"""

# Secrets stand in settings as well (`app.jwt_secret`): of those the name is kept, not the value.
SETTINGS: LiteralString = r"""
SELECT 'setting', name || coalesce(' of role ' || nullif(s.setrole, 0)::regrole::text, ''), 0, 0, 0,
       jsonb_build_object('value', CASE WHEN name ~* '(secret|passw|token|credential|(^|[_.])key($|[_.]))' THEN NULL
                                        ELSE value END,
                          'hidden', nullif(name ~* '(secret|passw|token|credential|(^|[_.])key($|[_.]))', false),
                          'setting', name, 'role', nullif(s.setrole, 0)::regrole::text), NULL
  FROM pg_db_role_setting s JOIN pg_database b ON b.oid = s.setdatabase AND b.datname = current_database(),
       unnest(s.setconfig) entry,
       LATERAL (SELECT split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value) each"""

SECTIONS: tuple[LiteralString, ...] = (
    SCHEMAS,
    EXTENSIONS,
    TYPES,
    SEQUENCES,
    TABLES,
    COLUMN_ORDER,
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    VIEWS,
    FUNCTIONS,
    AGGREGATES,
    TRIGGERS,
    RULES,
    POLICIES,
    STATISTICS,
    EVENT_TRIGGERS,
    PUBLICATIONS,
    FOREIGN,
    COLLATIONS,
    CASTS,
    OPERATORS,
    SETTINGS,
)
