"""The queries behind `dump.py`: each returns rows of (name, definition) for one section of the catalog.

What belongs to an extension, to PostgreSQL or to TimescaleDB's internals is left out, and so is Tidelock's
bookkeeping: everything about relations named `schema_migrations…`, and the schema `tidelock`.
"""

from __future__ import annotations

FOREIGN = "'^(pg_|information_schema$|_timescaledb_|timescaledb_|tidelock$)'"
BOOKKEEPING = "'^schema_migrations(_|$)'"


def _ours(catalog: str, oid: str) -> str:
    """No extension owns it."""
    return f"""NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_catalog.{catalog}'::regclass
                           AND objid = {oid} AND deptype = 'e')"""


def _privileges(acl: str, kind: str, owner: str) -> str:
    """The access list as sorted text, with an absent one spelt out as what it stands for."""
    return f"""(SELECT coalesce(string_agg(format('%s=%s%s', grantee::regrole, privilege_type,
                    CASE WHEN is_grantable THEN '*' END), ' ' ORDER BY grantee::regrole::text, privilege_type), '')
                FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))))"""


RELATIONS = f"""
    pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    AND n.nspname !~ {FOREIGN} AND c.relname !~ {BOOKKEEPING} AND {_ours("pg_class", "c.oid")}"""

EXTENSIONS = """
    SELECT extname, format('%s in %s', extversion, extnamespace::regnamespace) FROM pg_extension"""

SCHEMAS = f"""
    SELECT nspname, format('owner %s, privileges %s', nspowner::regrole, {_privileges("nspacl", "n", "nspowner")})
    FROM pg_namespace n WHERE nspname !~ {FOREIGN} AND {_ours("pg_namespace", "n.oid")}"""

ENUMS = f"""
    SELECT t.oid::regtype::text, (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)
                                  FROM pg_enum WHERE enumtypid = t.oid)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE typtype = 'e' AND nspname !~ {FOREIGN} AND {_ours("pg_type", "t.oid")}"""

TYPES = f"""
    SELECT t.oid::regtype::text, format('%s %s%s%s, owner %s, privileges %s', t.typtype,
        format_type(nullif(t.typbasetype, 0), t.typtypmod), CASE WHEN t.typnotnull THEN ' not null' END,
        ' default ' || t.typdefault, t.typowner::regrole, {_privileges("t.typacl", "T", "t.typowner")})
        || coalesce((SELECT string_agg(format(' (%I %s)', attname, format_type(atttypid, atttypmod)), '' ORDER BY attnum)
                     FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped), '')
        || coalesce((SELECT format(' of %s', rngsubtype::regtype) FROM pg_range WHERE rngtypid = t.oid), '')
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE typtype IN ('c', 'd', 'e', 'r') AND coalesce(c.relkind, 'c') = 'c'
        AND nspname !~ {FOREIGN} AND {_ours("pg_type", "t.oid")}"""

SEQUENCES = f"""
    SELECT c.oid::regclass::text, format('%s start %s from %s to %s by %s cache %s cycle %s, owned by %s, owner %s, privileges %s',
        seqtypid::regtype, seqstart, seqmin, seqmax, seqincrement, seqcache, seqcycle,
        (SELECT format('%s.%I', refobjid::regclass, attname) FROM pg_depend d
         JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')),
        relowner::regrole, {_privileges("relacl", "s", "relowner")})
    FROM {RELATIONS} JOIN pg_sequence s ON s.seqrelid = c.oid"""

TABLES = f"""
    SELECT c.oid::regclass::text, format('%s%s (%s), owner %s, privileges %s, row security %s%s, replica identity %s%s%s%s%s%s',
        relkind, relpersistence,
        (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
        relowner::regrole, {_privileges("relacl", "r", "relowner")}, relrowsecurity,
        CASE WHEN relforcerowsecurity THEN ' forced' END, relreplident, ' with ' || reloptions::text,
        ' using ' || (SELECT amname FROM pg_am WHERE oid = relam), ' partition by ' || pg_get_partkeydef(c.oid),
        ' partition ' || pg_get_expr(relpartbound, c.oid),
        (SELECT ' inherits ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
         FROM pg_inherits WHERE inhrelid = c.oid))
    FROM {RELATIONS} WHERE relkind IN ('r', 'p', 'f')"""

COLUMNS = f"""
    SELECT format('%s.%I', c.oid::regclass, attname), format('%s%s%s%s%s%s storage %s%s%s%s',
        format_type(atttypid, atttypmod),
        (SELECT ' collate ' || a.attcollation::regcollation::text FROM pg_type
         WHERE oid = atttypid AND typcollation <> a.attcollation),
        CASE WHEN attnotnull THEN ' not null' END, ' default ' || pg_get_expr(adbin, adrelid),
        ' identity ' || nullif(attidentity::text, ''), ' generated ' || nullif(attgenerated::text, ''), attstorage,
        ' compression ' || nullif(attcompression::text, ''), ' statistics ' || nullif(attstattarget, -1),
        ' privileges ' || attacl::text)
    FROM {RELATIONS} JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
    WHERE relkind IN ('r', 'p', 'f')"""

CONSTRAINTS = f"""
    SELECT format('%s.%I', c.oid::regclass, conname), format('%s%s', pg_get_constraintdef(k.oid),
        CASE WHEN NOT convalidated THEN ' (never validated)' END)
    FROM {RELATIONS} JOIN pg_constraint k ON k.conrelid = c.oid AND (contype <> 'n' OR NOT convalidated)"""

DOMAIN_CONSTRAINTS = f"""
    SELECT format('%s.%I', contypid::regtype, conname), pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace
    WHERE contypid <> 0 AND contype <> 'n' AND nspname !~ {FOREIGN} AND {_ours("pg_type", "contypid")}"""

INDEXES = f"""
    SELECT i.indexrelid::regclass::text, format('%s%s%s%s%s', pg_get_indexdef(i.indexrelid),
        CASE WHEN NOT indisvalid THEN ' INVALID' END, CASE WHEN NOT indisready THEN ' NOT READY' END,
        CASE WHEN indisclustered THEN ' clustered' END, CASE WHEN indisreplident THEN ' replica identity' END)
    FROM {RELATIONS} JOIN pg_index i ON i.indrelid = c.oid"""

VIEWS = f"""
    SELECT c.oid::regclass::text, format('%s owner %s, privileges %s%s%s:%s', relkind, relowner::regrole,
        {_privileges("relacl", "r", "relowner")}, ' with ' || reloptions::text,
        CASE WHEN NOT relispopulated THEN ' without data' END,
        regexp_replace(pg_get_viewdef(c.oid), '_materialized_hypertable_[0-9]+', '_materialized_hypertable', 'g'))
    FROM {RELATIONS} WHERE relkind IN ('v', 'm')"""

FUNCTIONS = f"""
    SELECT p.oid::regprocedure::text, format('owner %s, privileges %s: %s', proowner::regrole,
        {_privileges("proacl", "f", "proowner")},
        CASE WHEN prokind = 'a' THEN (SELECT format('aggregate %s %s init %s', aggtransfn, aggtranstype::regtype, agginitval)
                                      FROM pg_aggregate WHERE aggfnoid = p.oid)
             ELSE pg_get_functiondef(p.oid) END)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname !~ {FOREIGN} AND {_ours("pg_proc", "p.oid")}"""

TRIGGERS = f"""
    SELECT format('%s.%I', c.oid::regclass, tgname), format('%s enabled %s', pg_get_triggerdef(t.oid), tgenabled)
    FROM {RELATIONS} JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT tgisinternal"""

EVENT_TRIGGERS = """
    SELECT evtname, format('on %s %s executes %s enabled %s', evtevent, evttags, evtfoid::regproc, evtenabled)
    FROM pg_event_trigger e
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid AND deptype = 'e')"""

RULES = f"""
    SELECT format('%s.%I', c.oid::regclass, rulename), format('%s enabled %s', pg_get_ruledef(r.oid), ev_enabled)
    FROM {RELATIONS} JOIN pg_rewrite r ON r.ev_class = c.oid AND rulename <> '_RETURN'"""

POLICIES = f"""
    SELECT format('%s.%I', c.oid::regclass, polname), format('%s for %s to %s using %s check %s',
        CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, polcmd,
        (SELECT string_agg(role::regrole::text, ', ' ORDER BY role::regrole::text) FROM unnest(polroles) AS role),
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM {RELATIONS} JOIN pg_policy p ON p.polrelid = c.oid"""

STATISTICS = f"""
    SELECT format('%s.%I', s.stxnamespace::regnamespace, s.stxname), pg_get_statisticsobjdef(s.oid)
    FROM {RELATIONS} JOIN pg_statistic_ext s ON s.stxrelid = c.oid"""

PUBLICATIONS = """
    SELECT pubname, format('all tables %s, insert %s update %s delete %s truncate %s: %s', puballtables, pubinsert,
        pubupdate, pubdelete, pubtruncate, (SELECT string_agg(prrelid::regclass::text, ', ' ORDER BY prrelid::regclass::text)
                                            FROM pg_publication_rel WHERE prpubid = p.oid))
    FROM pg_publication p"""

OPERATORS = f"""
    SELECT o.oid::regoperator::text, oprcode::text FROM pg_operator o JOIN pg_namespace n ON n.oid = oprnamespace
    WHERE nspname !~ {FOREIGN} AND {_ours("pg_operator", "o.oid")}"""

CASTS = f"""
    SELECT format('%s as %s', castsource::regtype, casttarget::regtype), format('%s %s', castcontext, castfunc::regproc)
    FROM pg_cast k WHERE k.oid >= 16384 AND {_ours("pg_cast", "k.oid")}"""

COLLATIONS = f"""
    SELECT k.oid::regcollation::text, format('%s %s', collprovider, collcollate)
    FROM pg_collation k JOIN pg_namespace n ON n.oid = collnamespace
    WHERE nspname !~ {FOREIGN} AND {_ours("pg_collation", "k.oid")}"""

DEFAULT_PRIVILEGES = """
    SELECT format('%s in %s for %s', defaclrole::regrole, nullif(defaclnamespace, 0)::regnamespace, defaclobjtype),
        defaclacl::text
    FROM pg_default_acl"""

COMMENTS = f"""
    SELECT format('%s %s', i.type, i.identity), d.description
    FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    WHERE d.objoid >= 16384 AND i.identity IS NOT NULL
        AND i.identity !~ '(^|[ .])(schema_migrations(_|[ .]|$)|_?timescaledb_|tidelock\\.)'
        AND NOT (i.type = 'schema' AND i.identity ~ {FOREIGN})
        AND NOT EXISTS (SELECT FROM pg_depend p WHERE p.classid = d.classoid AND p.objid = d.objoid AND p.deptype = 'e')"""

SECTIONS = {
    "extension": EXTENSIONS,
    "schema": SCHEMAS,
    "enum": ENUMS,
    "type": TYPES,
    "sequence": SEQUENCES,
    "table": TABLES,
    "column": COLUMNS,
    "constraint": CONSTRAINTS,
    "domain constraint": DOMAIN_CONSTRAINTS,
    "index": INDEXES,
    "view": VIEWS,
    "function": FUNCTIONS,
    "trigger": TRIGGERS,
    "event trigger": EVENT_TRIGGERS,
    "rule": RULES,
    "policy": POLICIES,
    "statistics": STATISTICS,
    "publication": PUBLICATIONS,
    "operator": OPERATORS,
    "cast": CASTS,
    "collation": COLLATIONS,
    "default privileges": DEFAULT_PRIVILEGES,
    "comment": COMMENTS,
}

HYPERTABLES = """
    SELECT format('%I.%I', h.hypertable_schema, h.hypertable_name), format('compression %s; %s', compression_enabled,
        (SELECT string_agg(format('%s %s %s %s %s', column_name, column_type, time_interval, integer_interval,
                                  num_partitions), ', ' ORDER BY dimension_number)
         FROM timescaledb_information.dimensions d
         WHERE (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)))
    FROM timescaledb_information.hypertables h WHERE h.hypertable_schema !~ '^_timescaledb_'"""

AGGREGATES = """
    SELECT format('%I.%I', view_schema, view_name), format('materialized only %s, compression %s: %s', materialized_only,
        compression_enabled, view_definition)
    FROM timescaledb_information.continuous_aggregates"""

JOBS = """
    SELECT format('%s on %s', proc_name, coalesce((SELECT format('%I.%I', view_schema, view_name)
               FROM timescaledb_information.continuous_aggregates a
               WHERE (a.materialization_hypertable_schema, a.materialization_hypertable_name)
                   = (j.hypertable_schema, j.hypertable_name)), format('%I.%I', hypertable_schema, hypertable_name))),
        format('every %s, scheduled %s, %s', schedule_interval, scheduled,
               config - 'hypertable_id' - 'mat_hypertable_id')
    FROM timescaledb_information.jobs j WHERE job_id >= 1000"""

TIMESCALE = {"hypertable": HYPERTABLES, "continuous aggregate": AGGREGATES, "job": JOBS}

ROWS = f"""
    SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY attnum) FILTER (WHERE NOT fed),
        array_agg(a.attname::text ORDER BY attnum)
    FROM {RELATIONS}
    JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum,
    LATERAL (SELECT attidentity <> '' OR (attgenerated = '' AND coalesce(pg_get_expr(adbin, adrelid), '') ~*
        'nextval\\(|now\\(|CURRENT_|LOCALTIME|clock_timestamp|statement_timestamp|random|uuid') AS fed) AS feeds
    WHERE (relkind IN ('r', 'p') OR relkind = 'm' AND relispopulated) AND NOT relispartition
    GROUP BY 1, 2"""
"""Tables with (columns not fed by a sequence, a clock or chance; all columns)."""

LEDGERS = """
    SELECT n.nspname, c.relname, CASE WHEN count(*) FILTER (WHERE attname = 'description') > 0
        THEN 'description' ELSE 'name' END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND attname IN ('description', 'name')
    WHERE relname = 'schema_migrations' AND relkind = 'r' AND n.nspname !~ '^pg_'
    GROUP BY 1, 2"""
