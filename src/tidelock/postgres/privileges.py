"""Who may do what: for each object and role what was granted or revoked, and default privileges.

What an object has by itself (its owner's rights, and PUBLIC's to functions, types, languages and the schema public)
is left out, so that an access list that was written out and one that was not are the same.
"""

# ruff: noqa: E501 - rows of a SQL query read better whole

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from tidelock.core.snapshot import reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.core.snapshot import Attributes, Key

ACCESS: LiteralString = """
SELECT o.class, o.oid, o.number, o.owner = g.role, coalesce(nullif(g.role, 0)::regrole::text, 'PUBLIC'),
       (SELECT jsonb_agg(privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END ORDER BY privilege_type)
          FROM aclexplode(nullif(coalesce(o.acl, o.usual), '{}')) WHERE grantee = g.role),
       (SELECT jsonb_agg(privilege_type ORDER BY privilege_type) FROM aclexplode(nullif(o.usual, '{}')) WHERE grantee = g.role),
       (SELECT count(*) FROM aclexplode(nullif(o.whole, '{}')) WHERE grantee = o.owner)
  FROM (SELECT 'pg_class'::regclass::oid AS class, c.oid, 0 AS number, c.relowner AS owner, c.relacl AS acl,
               acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner) AS usual,
               acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner) AS whole
          FROM pg_class c WHERE c.oid = ANY ({relations}) AND c.relacl IS NOT NULL
        UNION ALL
        SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl, '{}', acldefault('c', c.relowner)
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = ANY ({relations}) AND a.attacl IS NOT NULL
        UNION ALL
        SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspowner, n.nspacl,
               acldefault('n', n.nspowner) || CASE WHEN n.nspname = 'public'
                 THEN ARRAY[makeaclitem(0, n.nspowner, 'USAGE', false)] ELSE '{}' END, acldefault('n', n.nspowner)
          FROM pg_namespace n WHERE n.nspacl IS NOT NULL
        UNION ALL
        SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl, acldefault('f', p.proowner), acldefault('f', p.proowner)
          FROM pg_proc p WHERE p.oid >= 16384 AND p.proacl IS NOT NULL
        UNION ALL
        SELECT 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, acldefault('T', t.typowner), acldefault('T', t.typowner)
          FROM pg_type t WHERE t.oid >= 16384 AND t.typacl IS NOT NULL
        UNION ALL
        SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, w.fdwowner, w.fdwacl, acldefault('F', w.fdwowner), acldefault('F', w.fdwowner)
          FROM pg_foreign_data_wrapper w WHERE w.fdwacl IS NOT NULL
        UNION ALL
        SELECT 'pg_foreign_server'::regclass, s.oid, 0, s.srvowner, s.srvacl, acldefault('S', s.srvowner), acldefault('S', s.srvowner)
          FROM pg_foreign_server s WHERE s.srvacl IS NOT NULL
        UNION ALL
        SELECT 'pg_database'::regclass, b.oid, 0, b.datdba, b.datacl, acldefault('d', b.datdba), acldefault('d', b.datdba)
          FROM pg_database b WHERE b.datname = current_database() AND b.datacl IS NOT NULL) o,
       LATERAL (SELECT DISTINCT grantee AS role FROM aclexplode(nullif(coalesce(o.acl, '{}') || o.usual, '{}'))) g"""

DEFAULTS: LiteralString = """
SELECT CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
                            WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
       (SELECT format('%I', nspname) FROM pg_namespace WHERE oid = d.defaclnamespace),
       CASE WHEN d.defaclrole <> (SELECT oid FROM pg_roles WHERE rolname = {owner}) THEN d.defaclrole::regrole::text END,
       g.role = d.defaclrole, coalesce(nullif(g.role, 0)::regrole::text, 'PUBLIC'),
       (SELECT jsonb_agg(privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END ORDER BY privilege_type)
          FROM aclexplode(nullif(d.defaclacl, '{}')) WHERE grantee = g.role),
       (SELECT jsonb_agg(privilege_type ORDER BY privilege_type)
          FROM aclexplode(CASE WHEN d.defaclnamespace = 0 THEN u.acl END) WHERE grantee = g.role),
       (SELECT count(*) FROM aclexplode(u.acl) WHERE grantee = d.defaclrole)
  FROM pg_default_acl d,
       LATERAL (SELECT acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's'::"char" ELSE d.defaclobjtype END, d.defaclrole) AS acl) u,
       LATERAL (SELECT DISTINCT grantee AS role FROM aclexplode(
                  nullif(d.defaclacl || CASE WHEN d.defaclnamespace = 0 THEN u.acl ELSE '{}' END, '{}'))) g"""

OWNER = "OWNER"
"""Stands for whoever owns the object: its name is another one on another server."""


def grants(rows: list[tuple[Any, ...]], names: Mapping[tuple[int, int, int], Key]) -> Iterator[tuple[Key, Attributes]]:
    """One object for each (object, role) whose rights are not the usual ones."""
    for class_, oid, number, owns, role, has, usual, all_count in rows:
        whole = names.get((class_, oid, number))
        if whole is None or (has or []) == (usual or []):
            continue
        grantee = OWNER if owns else role
        attributes: Attributes = {"on": whole[0], "object": whole[1], "to": grantee, **rights(has, usual, all_count)}
        if whole != DATABASE:
            attributes["part_of"] = [reference(whole)]
        yield ("grant", f"{whole[0]} {whole[1]} to {grantee}".replace("  ", " ")), attributes


DATABASE: Key = ("database", "")
"""The database itself, whose name is another one elsewhere."""


def default_privileges(rows: list[tuple[Any, ...]]) -> Iterator[tuple[Key, Attributes]]:
    """One object for each kind of object, schema, maker and grantee."""
    for kind, schema, maker, owns, role, has, usual, all_count in rows:
        if (has or []) == (usual or []):
            continue
        grantee = OWNER if owns else role
        name = f"{kind.lower()}{f' in {schema}' if schema else ''}{f' of {maker}' if maker else ''} to {grantee}"
        places = {name: value for name, value in (("schema", schema), ("maker", maker)) if value is not None}
        yield ("default privileges", name), {"on": kind, "to": grantee, **places, **rights(has, usual, all_count)}


def rights(has: list[str] | None, usual: list[str] | None, all_count: int) -> Attributes:
    """What was granted beyond the usual rights, and which of those were revoked."""
    granted = [each for each in has or [] if each not in (usual or [])]
    revoked = [each for each in usual or [] if each not in (has or [])]
    found = {"granted": whole_set(granted, all_count), "revoked": whole_set(revoked, all_count)}
    return {name: values for name, values in found.items() if values}


def whole_set(rights_: list[str], all_count: int) -> list[str]:
    """Every right there is, as ALL: newer servers have more of them."""
    return ["ALL"] if len(rights_) == all_count > 1 and not any(" " in each for each in rights_) else rights_
