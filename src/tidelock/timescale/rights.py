"""Who may read an aggregate and the views on it: as before it was made anew, down to single columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import psycopg

    Connection = psycopg.Connection[Any]
    Right = tuple[str, str, str, str, bool]

RIGHTS = """
SELECT r.name, acl.part, coalesce(nullif(x.grantee, 0)::regrole::text, 'PUBLIC'), x.privilege_type, x.is_grantable
  FROM (SELECT c.*, format('%%I.%%I', n.nspname, c.relname) AS name
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')) r
  JOIN LATERAL (SELECT '' AS part, coalesce(r.relacl, acldefault('r', r.relowner)) AS list
                 UNION ALL
                SELECT quote_ident(a.attname), a.attacl FROM pg_attribute a
                 WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) acl ON true
  JOIN LATERAL aclexplode(nullif(acl.list, '{}')) x ON true
 WHERE r.name = ANY (%s)"""
COLUMNS = """
SELECT format('%%I.%%I', n.nspname, c.relname), quote_ident(a.attname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind IN ('v', 'm') AND a.attnum > 0 AND format('%%I.%%I', n.nspname, c.relname) = ANY (%s)"""


def rights(conn: Connection, names: Collection[str]) -> set[Right]:
    """(relation, column or nothing, role, privilege, may be handed on) of views and aggregates."""
    return set(conn.execute(RIGHTS, (list(names),)).fetchall())


def as_before(conn: Connection, before: Collection[Right], told: Collection[str]) -> Iterator[str]:
    """What gives them the rights that they had, and takes those that default privileges have added.

    `told`: relations whose rights the file speaks of itself; what it grants stays.
    """
    names = {each[0] for each in before}
    now = rights(conn, names)
    there = set(conn.execute(COLUMNS, (list(names),)).fetchall())
    for name, part, role, privilege, grantable in sorted(now.difference(before)):
        if name not in told:
            words = f"{privilege} ({part})" if part else privilege
            option = "GRANT OPTION FOR " if grantable and (name, part, role, privilege, False) in before else ""
            yield f"REVOKE {option}{words} ON {name} FROM {role}"
    for name, part, role, privilege, grantable in sorted(set(before) - now):
        if name in {each for each, _ in there} and (not part or (name, part) in there):
            words = f"{privilege} ({part})" if part else privilege
            yield f"GRANT {words} ON {name} TO {role}{' WITH GRANT OPTION' if grantable else ''}"
