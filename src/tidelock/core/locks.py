"""What the facts say that a statement locks and rewrites, against what the server took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.facts.draft import STRENGTH
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.proof import LockLook, Seen
    from tidelock.core.statement import Lock

COMPARED = ("r", "p", "m", "v", "f")
"""Kinds of relations that facts speak of: what an index or a TOAST table gets follows from its table."""
WEAKEST = STRENGTH["ShareUpdateExclusive"]
"""Weaker locks are in nobody's way."""


@dataclass(frozen=True, slots=True)
class WrongClaim:
    """A claim that the server did not bear out."""

    table: str
    words: str
    """`claimed Share, and the server took AccessExclusive`."""
    wrong: bool
    """The statement names the table, and more was locked than was said: a mistake of Tidelock's. Otherwise it is what
    the text alone cannot tell: the table behind an index or at the other end of a foreign key, the type of before."""


def known(look: LockLook) -> bool:
    """The facts say something of the statement."""
    facts = look.statement.facts
    return facts.kind is not Kind.UNKNOWN and not look.statement.runtime


def wrong_claims(look: LockLook) -> list[WrongClaim]:
    """Every table on which facts and server differ. What the statement itself or its file has just made is nobody's."""
    if not known(look):
        return []
    claims = {look.claimed[lock.table]: lock for lock in look.statement.facts.locks if lock.table in look.claimed}
    return [*too_little(look, claims), *too_much(look, claims)]


def too_little(look: LockLook, claims: dict[int, Lock]) -> Iterator[WrongClaim]:
    """More was locked or rewritten than is claimed."""
    by_name = {look.before[oid].name: lock for oid, lock in claims.items() if oid in look.before}
    for oid, after in sorted(look.after.items()):
        before = look.before.get(oid)
        if before is None or after.kind not in COMPARED:
            continue
        claim = claims.get(oid) or by_name.get(before.whole)
        mode = claim.mode if claim else ""
        if took_more(before, after) and STRENGTH[after.mode] > STRENGTH.get(mode, 0):
            said = f"claimed {mode}" if mode else "claimed no lock"
            yield WrongClaim(before.name, f"{said}, and the server took {after.mode}", wrong=claim is not None)
        if rewritten(look, before, after) and not (claim and claim.rewrite):
            yield WrongClaim(before.name, "claimed no rewrite, and the server rewrote it", wrong=False)


def rewritten(look: LockLook, before: Seen, after: Seen) -> bool:
    """The table has another file; after TRUNCATE that is an empty one, and nothing was copied."""
    return before.file != after.file and after.kind in ("r", "m") and look.statement.facts.command != "TRUNCATE"


def took_more(before: Seen, after: Seen) -> bool:
    """The statement added to what its transaction held, and it is a lock that keeps others out."""
    held = STRENGTH.get(before.mode, 0)
    return STRENGTH.get(after.mode, 0) > max(held, WEAKEST - 1)


def too_much(look: LockLook, claims: dict[int, Lock]) -> Iterator[WrongClaim]:
    """Less was locked than is claimed. Code with branches may well take less than all of them together."""
    if look.statement.facts.kind is Kind.CODE or look.statement.facts.calls:
        return
    for oid, claim in claims.items():
        before, after = look.before.get(oid), look.after.get(oid)
        if before is None or after is None or after.kind not in COMPARED:
            continue
        took = STRENGTH.get(after.mode, 0)
        if took < STRENGTH[claim.mode] and STRENGTH[claim.mode] >= WEAKEST:
            words = f"claimed {claim.mode}, and the server took {after.mode or 'no lock'}"
            yield WrongClaim(before.name, words, wrong=False)


def evidence(look: LockLook) -> dict[str, str]:
    """Table → what happened to it, of those that were there before: `AccessExclusive, rewritten, scanned`."""
    found: dict[str, str] = {}
    for oid, after in sorted(look.after.items()):
        before = look.before.get(oid)
        if before is None or after.kind not in COMPARED:
            continue
        words = [after.mode] if took_more(before, after) else []
        words += ["rewritten"] if rewritten(look, before, after) else []
        words += ["scanned"] if after.scans > before.scans else []
        if words:
            found[before.name] = ", ".join(words)
    return found
