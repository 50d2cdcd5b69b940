"""What keeps a backup from being used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.backups import BackupFault
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Sequence


class CannotRead(BackupFault):
    """The role may not read all that belongs into a backup."""

    code = "B011"

    def __init__(
        self,
        target: str,
        why: str,
        hint: str = "connect as the owner of all tables, or GRANT pg_read_all_data TO its role",
    ) -> None:
        super().__init__(f"{target}: {why}", hint=hint)


class Damaged(BackupFault):
    """A stored object is not what was written."""

    code = "B006"

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"{place} is damaged: {why}", hint="use another backup (`tidelock backup list`), and look at the store"
        )


class NotTheSame(BackupFault):
    """What was restored is not what was backed up."""

    code = "B007"

    def __init__(self, backup: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"backup {backup} was restored, and differs from what it was made of: {differences[0]}",
            hint="the live database is as it was; use another backup, and report this",
            detail="\n".join(differences[:20]),
        )


class CannotRestore(BackupFault):
    """Something stands in the way, found before anything was done."""

    code = "B008"

    def __init__(self, target: str, why: str, hint: str) -> None:
        super().__init__(f"{target}: {why}", hint=hint)


class NotDropped(BackupFault):
    """A database that a restore made for itself could not be dropped."""

    code = "B020"

    def __init__(self, target: str, name: str, why: str) -> None:
        super().__init__(
            f"{target}: the database {name}, made by this restore, could not be dropped: {why.splitlines()[0]}",
            hint=f"it takes room, and serves nobody: mend what is named, then DROP DATABASE {name}",
            detail="\n".join(why.splitlines()[1:]),
        )

    def join(self, cause: BaseException | None) -> None:
        """Be told beside what went wrong before; be raised when nothing has."""
        if isinstance(cause, TidelockError):
            cause.detail = "\n".join(each for each in (cause.detail, self.message, f"{self.hint}.") if each)
        elif isinstance(cause, Exception) or cause is None:
            raise self from cause
        else:
            cause.add_note(f"{self.message}; {self.hint}")
