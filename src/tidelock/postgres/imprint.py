"""What a file has left in its session so far, as the journal keeps it: a run that goes on after it begins from there.

Code may leave there what no text of the file shows: set_config in a function, SQL that is put together at run time. So
the session itself is asked, before each step but the first, and a line of the journal says what it has.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from tidelock.core.patterns import regex
from tidelock.core.surroundings import bare
from tidelock.core.values import record
from tidelock.postgres.ledger import literal, quoted
from tidelock.postgres.session import prelude

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from tidelock.core.given import Given
    from tidelock.core.statement import Statement
    from tidelock.postgres.ledger import Ledger
    from tidelock.postgres.turn import Turn

    Connection = psycopg.Connection[tuple[object, ...]]

EVENT = "session"
# The settings of the transaction that asks come and go with it. Those with a name of the user's own (app.tenant) are
# shown to nobody who does not know it: such names are looked for in the file.
ASK = """
SELECT pg_catalog.json_build_object(
  'user', session_user, 'role', pg_catalog.current_setting('role'),
  'settings', (SELECT coalesce(pg_catalog.json_object_agg(name, setting ORDER BY name), '{}') FROM (
                SELECT name, setting FROM pg_catalog.pg_settings
                 WHERE source = 'session' AND context IN ('user', 'superuser') AND name NOT IN
                       ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
                UNION SELECT name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest(NAMED) AS n (name)
                 WHERE pg_catalog.current_setting(name, true) IS NOT NULL) AS set),
  'objects', (SELECT coalesce(pg_catalog.json_agg(name ORDER BY name), '[]') FROM (
                SELECT relname AS name FROM pg_catalog.pg_class
                 WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S')
                UNION SELECT name FROM pg_catalog.pg_cursors WHERE is_holdable
                UNION SELECT name FROM pg_catalog.pg_prepared_statements WHERE name NOT LIKE 'tidelock%') AS here))"""
LAST = """
SELECT step, detail FROM {journal}
 WHERE event = 'session' AND version = %(version)s AND step <= %(step)s
   AND id > (SELECT coalesce(max(id), 0) FROM {journal} WHERE version = %(version)s AND event = 'applied')
 ORDER BY id DESC LIMIT 1"""


@record(frozen=True, slots=True, kw_only=True)
class Imprint:
    """What a session has that a fresh one has not."""

    user: str
    """That of SET SESSION AUTHORIZATION; empty when it is the one who connected."""
    role: str
    """`none`, or that of SET ROLE."""
    settings: Mapping[str, str]
    """In the units of pg_settings, without those that Tidelock sets itself to the same values."""
    objects: tuple[str, ...]
    """Names of temporary relations, of cursors WITH HOLD and of prepared statements."""

    @property
    def detail(self) -> dict[str, object]:
        """For the journal."""
        return {"user": self.user, "role": self.role, "settings": self.settings, "objects": self.objects}


OWN = regex(r"(?<![\w$.])[a-z_][\w$]*\.[a-z_][\w$]*(?![\w$.])", re.IGNORECASE)
MOST = 200


def taken(turn: Turn) -> Imprint:
    """Of the session as it is now. Raises as `Turn.run` does."""
    if turn.named is None:
        texts = (each.text for step in turn.plan.steps for each in step.statements)
        turn.named = sorted({name.lower() for text in texts if "." in text for name in OWN.findall(text)})[:MOST]
    names = f"ARRAY[{', '.join(map(literal, turn.named))}]::text[]"
    [[answer]] = turn.run([(ASK.replace("NAMED", names), None)])[0].rows
    found = json.loads(str(answer))
    own = dict(each.removeprefix("SET ").split(" = ", 1) for each in surroundings(turn))
    settings = {name: value for name, value in found["settings"].items() if own.get(name) != value}
    user = "" if found["user"] == turn.session.conn.info.user else found["user"]
    return Imprint(user=user, role=found["role"], settings=settings, objects=tuple(found["objects"]))


def last(conn: Connection, ledger: Ledger, given: Given, version: int, step: int) -> tuple[int, Imprint | None]:
    """The newest of a file from before this step or an earlier one, and which; (0, None) when there is none."""
    row = conn.execute(ledger.fill(LAST).encode(), {"version": version, "step": step}).fetchone()
    if row is None:
        return 0, None
    before, detail = cast("tuple[int, dict[str, object]]", given.revealed_in(row))
    settings, objects = cast("dict[str, str]", detail["settings"]), cast("list[str]", detail["objects"])
    return before, Imprint(
        user=str(detail["user"]), role=str(detail["role"]), settings=settings, objects=tuple(objects)
    )


def again(turn: Turn, found: Imprint) -> list[str]:
    """SQL that gives settings and role to a session of the one who connected, whatever was set there before."""
    return [
        "RESET SESSION AUTHORIZATION",
        "RESET ROLE",
        "RESET ALL",
        *surroundings(turn),
        *(
            f"SELECT pg_catalog.set_config({literal(name)}, {literal(value)}, false)"
            for name, value in found.settings.items()
        ),
        *([f"SET SESSION AUTHORIZATION {quoted(found.user)}"] if found.user else []),
        *([f"SET ROLE {quoted(found.role)}"] if found.role != "none" else []),
    ]


def surroundings(turn: Turn, settings: tuple[float, float] | None = None) -> list[str]:
    """What Tidelock sets in a session of its own; `settings` are as `Turn.settings`, which they are by default."""
    lock_s, statement_s = settings or turn.settings or (turn.limits.lock_timeout_s, turn.limits.statement_timeout_s)
    return prelude(
        server_version=turn.server_version,
        local=False,
        lock_timeout_ms=int(lock_s * 1000),
        statement_timeout_ms=int(statement_s * 1000),
    )


def wears(statement: Statement) -> bool:
    """A setting of the user's own, empty and not absent ever after in its session, or a library that stays loaded."""
    facts = statement.facts
    configures = "set_config" in {bare(each) for each in facts.calls}
    return facts.command == "LOAD" or "." in facts.sets or (configures and any("." in each for each in facts.literals))
