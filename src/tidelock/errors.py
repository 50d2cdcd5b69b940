"""Every fault that Tidelock explains to a person, as one family.

    TidelockError            code, message, hint, exit code
    ├── UsageFault       U   2   a flag or a setting is wrong
    ├── SourceFault      S   3   the files are wrong
    ├── LedgerFault      L   4   files and database disagree, a person decides
    ├── DatabaseFault    D   5   a statement failed, a permission or a version is missing
    ├── ClusterFault     K   7   Kubernetes refused, or cannot hold what it is given
    └── PassingFault     T   75  lock busy, connection lost, server starting, interrupted: try again

The class fixes code and exit, the text has the values, the hint is an order. Every code has a page in
`docs/codes/`, shown by `tidelock explain CODE`; a test demands the page.
"""

from __future__ import annotations

from typing import ClassVar


class TidelockError(Exception):
    """A fault with a code, a message that carries the values, a hint in the imperative and an exit code."""

    code: ClassVar[str] = "X000"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        """Further lines: the text with a caret, a diff, what is known. Already formatted, never a secret."""


class UsageFault(TidelockError):
    """A flag or a setting is wrong: the caller mends it."""

    exit_code = 2


class SourceFault(TidelockError):
    """The files are wrong: name, duplicate, syntax, directive. The author mends them."""

    exit_code = 3


class LedgerFault(TidelockError):
    """Files and database disagree: edited, missing, out of order, unfinished. A person decides."""

    exit_code = 4


class DatabaseFault(TidelockError):
    """A statement failed, or a permission or version is missing."""

    exit_code = 5


class ClusterFault(TidelockError):
    """Kubernetes refused, or cannot hold what it is given: name the object, and the namespace where there is one."""

    exit_code = 7


class PassingFault(TidelockError):
    """Passing soon: lock busy, connection lost, server starting, interrupted. Try again."""

    exit_code = 75


class ConnectionLost(PassingFault):
    """The connection broke while it was used: the server restarted or failed over, or the network did.

    What was committed is in the ledger, so a use case may connect again and go on.
    """

    code = "T003"

    def __init__(self, target: str, why: str) -> None:
        super().__init__(
            f"the connection to {target} was lost: {why}",
            hint="run `tidelock apply` again: what was committed is in the ledger, "
            "the rest is taken up where it stopped",
        )


class Interrupted(PassingFault):
    """SIGTERM or ctrl-C."""

    code = "T030"

    def __init__(
        self,
        doing: str = "",
        *,
        hint: str = "what was committed stays and is in the ledger; run the command again to go on",
    ) -> None:
        super().__init__(f"interrupted{doing}", hint=hint)
