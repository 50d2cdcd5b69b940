"""What may be wrong with a live database, asked of its catalog; each flaw with the SQL that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from tidelock.core.check import Check, Flaw
from tidelock.postgres.ledger import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.postgres.ledger import Ask

NEAR_ITS_END = 0.8
"""A sequence that has used so much of its range."""

OURS = "n.nspname !~ '^(pg_|information_schema$|_timescaledb)'"
"""Schemas of users, where n is pg_namespace."""

NOT_OF_HYPERTABLES = """
           AND NOT EXISTS (SELECT FROM timescaledb_information.hypertables h JOIN pg_namespace tn
                              ON tn.nspname = h.hypertable_schema JOIN pg_class t ON t.relnamespace = tn.oid
                             AND t.relname = h.hypertable_name WHERE t.oid = i.indrelid)"""
"""Their indexes are mended in another way, and asked for in `timescale`."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query that returns how many there are, and a list of (what, mend)."""

    name: str
    unit: str
    query: LiteralString


QUESTIONS = (
    # One that is being built now is invalid too, and is none of our business.
    Question(
        "invalid indexes",
        "indexes",
        r"""
        SELECT json_build_array(count(*), coalesce(json_agg(json_build_array(
                 format('index %s on %s is invalid: queries do not use it, writes keep it up',
                        i.indexrelid::regclass, i.indrelid::regclass),
                 CASE WHEN c.relkind = 'I'
                      THEN format('ALTER INDEX %s ATTACH PARTITION …; -- for each partition that lacks one',
                                  i.indexrelid::regclass)
                      ELSE format('DROP INDEX CONCURRENTLY %s; %s;%s', i.indexrelid::regclass,
                                  regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX',
                                                 'CREATE \1INDEX CONCURRENTLY'),
                                  CASE WHEN i.indisunique THEN ' -- duplicates make it fail' ELSE '' END) END)
                 ORDER BY c.relname)
               FILTER (WHERE NOT (i.indisvalid AND i.indisready)
                         AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                                          WHERE p.index_relid = i.indexrelid)), '[]'))
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {ours}{elsewhere}""",
    ),
    Question(
        "unvalidated constraints",
        "constraints",
        """
        SELECT json_build_array(count(*), coalesce(json_agg(json_build_array(
                 format('constraint %I of %s is not validated: rows from before it may break it', k.conname,
                        k.conrelid::regclass),
                 format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', k.conrelid::regclass, k.conname)) ORDER BY k.conname)
               FILTER (WHERE NOT k.convalidated), '[]'))
          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE k.conrelid <> 0 AND k.contype IN ('c', 'f', 'n') AND {ours}""",
    ),
    Question(
        "disabled triggers",
        "triggers",
        """
        SELECT json_build_array(count(*), coalesce(json_agg(json_build_array(
                 CASE WHEN t.tgisinternal THEN format('a foreign key of %s is not enforced: its trigger is disabled',
                                                      t.tgrelid::regclass)
                      ELSE format('trigger %I of %s is disabled', t.tgname, t.tgrelid::regclass) END,
                 CASE WHEN t.tgisinternal THEN format('ALTER TABLE %s ENABLE TRIGGER ALL; -- rows of meanwhile are not '
                                                      'checked', t.tgrelid::regclass)
                      ELSE format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname) END)
                 ORDER BY t.tgname)
               FILTER (WHERE t.tgenabled = 'D'), '[]'))
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {ours}""",
    ),
    # The end is that of the sequence or of the column that it fills, whichever comes first.
    Question(
        "sequences near their end",
        "sequences",
        """
        WITH used AS (
          SELECT s.seqrelid::regclass AS sequence, a.attrelid::regclass AS owner, a.attname, a.atttypid,
                 coalesce(pg_sequence_last_value(s.seqrelid), 0)::numeric AS last,
                 CASE WHEN s.seqincrement < 0 THEN s.seqmin
                      ELSE least(s.seqmax, CASE a.atttypid WHEN 'smallint'::regtype THEN 32767
                                                           WHEN 'integer'::regtype THEN 2147483647
                                                           ELSE s.seqmax END) END::numeric AS most
            FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_depend d ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass
                                 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                                 AND d.refobjsubid > 0
            LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
           WHERE NOT s.seqcycle AND {ours}
             AND has_sequence_privilege(s.seqrelid, 'SELECT, USAGE'))
        SELECT json_build_array(count(*), coalesce(json_agg(json_build_array(
                 format('sequence %s is at %s of %s (%s %%)', sequence, last, most, round(100 * last / most, 1)),
                 CASE WHEN owner IS NOT NULL AND atttypid <> 'bigint'::regtype
                      THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint; ALTER SEQUENCE %s AS bigint; '
                                  '-- it rewrites the table', owner, attname, sequence)
                      ELSE format('ALTER SEQUENCE %s AS bigint NO MAXVALUE;', sequence) END) ORDER BY sequence::text)
               FILTER (WHERE abs(last) > {near} * abs(most) AND sign(last) = sign(most)), '[]')) FROM used""",
    ),
)

KEYLESS = """
SELECT json_build_array(count(*), coalesce(json_agg(json_build_array(
         format('table %s has no primary key, and %s gives it one', wanted.name, wanted.place),
         format('ALTER TABLE %s ADD PRIMARY KEY (…);', wanted.name)) ORDER BY wanted.name)
       FILTER (WHERE to_regclass(wanted.path) IS NOT NULL
                 AND NOT EXISTS (SELECT FROM pg_constraint
                                  WHERE conrelid = to_regclass(wanted.path) AND contype = 'p')), '[]'))
  FROM (VALUES {tables}) wanted (name, path, place)"""


def checks(ask: Ask, keyed: Sequence[tuple[str, str, str]], *, timescale: bool = False) -> list[Check]:
    """Every question. `keyed` are (name, quoted path, place) of tables that the files give a primary key."""
    filled = {"{ours}": OURS, "{near}": str(NEAR_ITS_END), "{elsewhere}": NOT_OF_HYPERTABLES if timescale else ""}
    asked = []
    for each in QUESTIONS:
        query: str = each.query
        for name, text in filled.items():
            query = query.replace(name, text)
        asked.append((each.name, each.unit, ask(query)))
    if keyed:
        tables = ", ".join(f"({', '.join(map(literal, each))})" for each in keyed)
        asked.append(("tables without their primary key", "tables", ask(KEYLESS.format(tables=tables))))
    return [
        Check(name=name, about=f"{count} {unit}", flaws=tuple(Flaw(what=what, mend=mend) for what, mend in flaws))
        for name, unit, (count, flaws) in asked
    ]
