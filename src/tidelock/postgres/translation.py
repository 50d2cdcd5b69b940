"""What the server says about our own statements, and not about a file's, in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidelock.errors import ConnectionLost, DatabaseFault, PassingFault

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReadOnly(DatabaseFault):
    """A session that may not write, or a standby where nothing waits for a primary."""

    code = "D006"

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target} is read-only: a standby, or default_transaction_read_only is on",
            hint="connect to the primary: add target_session_attrs=read-write and all hosts to the connection string",
        )


class Standby(PassingFault):
    """The server is a standby, and was not promoted while it was waited for."""

    code = "T005"

    def __init__(self, target: str, waited_s: float) -> None:
        super().__init__(
            f"{target} is a standby and takes no writes; waited {waited_s:.0f} s for it to be promoted",
            hint="connect to the primary: add target_session_attrs=read-write and all hosts to the connection string; "
            "during a failover wait longer: `--wait 5m`",
        )


class ServerSilent(PassingFault):
    """The server took the connection, and does not answer to a look at its catalog."""

    code = "T004"

    def __init__(self, target: str, waited_s: float) -> None:
        super().__init__(
            f"{target} took the connection and has not answered for {waited_s:.0f} s",
            hint="the server hangs, or somebody holds a lock on the ledger or the catalog: look at pg_stat_activity; "
            "`--wait 5m` waits longer",
        )


class RoleUnfit(DatabaseFault):
    """--role names a role that is not there, or that the connecting one may not become."""

    code = "D008"

    def __init__(self, target: str, role: str, user: str, *, exists: bool) -> None:
        super().__init__(
            f"{target}: {user} may not become {role}" if exists else f"{target}: there is no role {role}",
            hint=f'as an administrator: GRANT "{role}" TO "{user}"'
            if exists
            else "check --role (or `[database] role`)",
        )


class NoRight(DatabaseFault):
    """The role may not read or write Tidelock's own ledgers."""

    code = "D007"

    def __init__(self, target: str, why: str) -> None:
        super().__init__(
            f"{target}: {why}",
            hint="connect as the role that owns the ledger, or let it GRANT SELECT, INSERT, UPDATE on the three tables",
        )


CANCELED = "57014"


class CutShort(DatabaseFault):
    """A question or a record of Tidelock's own took longer than the session's statement_timeout."""

    code = "D009"

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target}: a statement of Tidelock's own took longer than statement_timeout allows",
            hint="give it more time: ALTER ROLE … SET statement_timeout = '1min', or take it out of PGOPTIONS",
        )


@contextmanager
def translated(target: str) -> Iterator[None]:
    """psycopg's errors about our own statements, in our words."""
    import psycopg

    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate == CANCELED and "statement timeout" in str(error):
            raise CutShort(target) from None
        words = (error.diag.message_primary or str(error)).strip().splitlines()
        raise ConnectionLost(target, words[0] if words else "no answer") from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise ReadOnly(target) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise NoRight(target, error.diag.message_primary or str(error)) from None
