"""Applied files that are not what they were: only their looks, or what they say, and then which of them and where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.errors import LedgerFault, SourceFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.model import LedgerEntry, Migration, Observed
    from tidelock.core.statement import Script


class ChecksumChanged(LedgerFault):
    """An applied file was edited. Only a human knows which side is right."""

    code = "L002"

    def __init__(
        self,
        migration: Migration,
        entry: LedgerEntry,
        *,
        restoring: str | None = None,
        difference: str = "",
        beside: str = "",
    ) -> None:
        """`restoring`: the command that brings the file back; empty when there is none, None when nobody was asked.

        `beside`: which file that it names, or variable, is another.
        """
        when = f"{entry.applied_at:%Y-%m-%d %H:%M %Z}" if entry.applied_at else "at an unknown time"
        who = f" by {entry.applied_by}" if entry.applied_by else ""
        commit = f" from commit {entry.commit[:10]}" if entry.commit else ""
        git = f"git checkout {entry.commit[:10]} --" if entry.commit else "git log -p --"
        command = f"{git} {migration.path}" if restoring is None else restoring
        hint = f"restore it (`{command}`) and put the change in a new file (`tidelock new`)" if command else NOT_IN_GIT
        what = f"{(entry.checksum or '')[:8]} → {migration.checksum[:8]}"
        if entry.checksum == migration.checksum:
            what = beside
            hint = f"restore what changed (a file: `{git} FILE`; a variable: --set with the value of then), {NEW_FILE}"
        super().__init__(
            f"{migration.path} changed after it was applied ({what})",
            hint=hint,
            detail=f"applied {when}{who}{commit}" + (f"\n{difference}" if difference else ""),
        )


NEW_FILE = "and put the change in a new file (`tidelock new`)"
NOT_IN_GIT = (
    "git has no version of it as it was applied: write the lines with “-” back by hand and put the change in a new "
    "file (`tidelock new`); when the database has what the file says now, record it anew as "
    "`tidelock explain L002` says"
)


def compare_applied(
    files: Sequence[Migration],
    observed: Observed,
    read: Callable[[Migration], Script],
    changed: Callable[[Migration], bool],
    stored: Callable[[int], str | None],
    beside: Callable[[int], Mapping[str, str]],
    restoring: Callable[[Migration, LedgerEntry], str | None] = lambda *_: None,
) -> tuple[str, ...]:
    """Paths of applied files with cosmetic changes only. Raises ChecksumChanged for the first real change."""
    cosmetic = []
    for file in files:
        entry = observed.applied.get(file.version)
        if entry is None or entry.checksum is None:
            continue
        same_bytes = entry.checksum == file.checksum
        if same_bytes and not changed(file):
            continue
        applied_text, now = stored(file.version), script_or_fault(file, read)
        if tokens_of(now) != tokens_then(file, entry, applied_text, read):
            raise ChecksumChanged(
                file,
                entry,
                restoring=None if same_bytes else restoring(file, entry),
                difference=difference(file, applied_text),
                beside=changed_beside(beside(file.version), now) if same_bytes else "",
            )
        if not same_bytes:
            cosmetic.append(file.path)
    return tuple(cosmetic)


def script_or_fault(file: Migration, read: Callable[[Migration], Script]) -> Script | SourceFault:
    """A file's script, or why it cannot even be read."""
    try:
        return read(file)
    except SourceFault as fault:
        return fault


def tokens_of(script: Script | SourceFault) -> str | None:
    """The digest of its tokens; None where it cannot be read, which is a change as well."""
    return None if isinstance(script, SourceFault) else script.tokens


def tokens_then(
    file: Migration, entry: LedgerEntry, text: str | None, read: Callable[[Migration], Script]
) -> str | None:
    """The digest of what was applied: as recorded, or made anew when another version of the algorithm recorded it."""
    from tidelock.core.tokens import TOKENS_VERSION  # compiles expressions that a run with nothing to do needs not

    if entry.tokens_version == TOKENS_VERSION or text is None:
        return entry.tokens
    return tokens_of(script_or_fault(replace(file, text=text), read))


def changed_beside(then: Mapping[str, str], now: Script | SourceFault) -> str:
    """Which files and variables are not what they were; where that was not recorded, which may be it."""
    if isinstance(now, SourceFault):
        return now.message
    names = sorted(then.keys() | now.beside.keys())
    if not then:
        return f"one of these: {', '.join(names)}" if names else "a file that it included, or a variable"
    return ", ".join(
        f"{name} changed"
        if name in then and name in now.beside
        else f"{name} {'is not there now' if name in then else 'was not there then'}"
        for name in names
        if then.get(name) != now.beside.get(name)
    )


def difference(file: Migration, stored: str | None) -> str:
    """The lines that changed, `-` as applied and `+` as found; empty when the applied text is not known."""
    if stored is None:
        return ""
    import difflib

    before, after = (text.replace("\r\n", "\n").split("\n") for text in (stored, file.text))
    lines = difflib.unified_diff(before, after, "applied", file.path, lineterm="", n=1)
    return "\n".join(list(lines)[:40])
