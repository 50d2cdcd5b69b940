"""Prove: recall, then the passes side by side, then what is proved of all files at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from tidelock.app.proving import fresh, interrupted, smoke, whole
from tidelock.core.cluster import beyond, made_roles
from tidelock.core.proof import Proof, Proven
from tidelock.core.report import Event, Happening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.app.proving.context import Proving

STOP_S = 2.0
"""How long threads whose databases were taken from them may take to notice."""


def prove(proving: Proving, target: str = "") -> Proven:
    """Everything that is wanted. Raises a TidelockError when a proof cannot even be tried."""
    began = time.monotonic()
    proving.recall()
    spare_the_server(proving)
    if proving.with_roles or proving.wanted.source:
        wait_for_turn(proving)
    passes: list[Callable[[], None]] = [lambda: fresh.walk(proving)]
    left = [index for index in range(len(proving.files)) if proving.wants(Proof.INTERRUPTED, index)]
    jobs = 1 if proving.with_roles else proving.wanted.jobs
    parts = shares(left, max(jobs - 1, 1))
    if jobs > 1:  # one after the other, the first pass would wait for nobody
        proving.awaited = {part[0] for part in parts if part and part[0]}
    passes += [lambda part=part: interrupted.walk(proving, part) for part in parts]  # type: ignore[misc]  # mypy cannot see a default's type
    side_by_side(proving, passes, jobs)
    side_by_side(proving, of_all(proving), jobs)
    return Proven(
        server=proving.shadows.server,
        target=target,
        results=tuple(proving.results),
        files=tuple((file.version, file.label) for file in proving.files),
        duration_s=time.monotonic() - began,
    )


def spare_the_server(proving: Proving) -> None:
    """Pass over files that would change more of a server of the user's than the shadow databases."""
    if proving.shadows.disposable:
        return
    scripts = [proving.reader.script(file).statements for file in proving.files]
    made = frozenset[str]().union(*map(made_roles, scripts)) - proving.shadows.roles
    for index, statements in enumerate(scripts):
        if words := beyond(statements, made):
            proving.pass_over(
                index, f"{words}: on this server it would be done for real; the embedded one can prove it"
            )


def wait_for_turn(proving: Proving) -> None:
    """Roles are of the whole server: runs whose files make some go one after the other."""
    told = False
    while not proving.shadows.take_turn():
        if not told:
            words = "another run proves files that make roles on this server; waiting for its end"
            proving.sink.emit(Event(what=Happening.WAITING, text=words))
            told = True
        time.sleep(0.2)


def of_all(proving: Proving) -> list[Callable[[], None]]:
    """Proofs of all files at once."""
    wanted = proving.wanted
    found: list[Callable[[], None]] = []
    if Proof.FALLBACK in wanted.proofs and any(each.fallback for each in proving.critical):
        if proving.passed_over:
            proving.add(whole.without(Proof.FALLBACK, "fallbacks", "not all files apply here"))
        else:
            found.append(lambda: whole.fallbacks(proving))
    if Proof.UPGRADE in wanted.proofs and (wanted.source or wanted.stored):
        found.append(lambda: whole.upgrade(proving))
    contracts = any(file.directive("BREAKING") for file in proving.files)
    if Proof.PREVIOUS in wanted.proofs and wanted.smoke and not contracts:
        found.append(lambda: smoke.at_the_end(proving))
    return found


def shares(indexes: Sequence[int], number: int) -> list[Sequence[int]]:
    """Neighbours stay together: a database goes from one file to the next for nothing."""
    size = -(-len(indexes) // number) or 1
    return [indexes[start : start + size] for start in range(0, len(indexes), size)]


def side_by_side(proving: Proving, passes: Sequence[Callable[[], None]], jobs: int) -> None:
    """Run them in threads, the first one first; the first fault of any ends all."""
    pool = ThreadPoolExecutor(max_workers=jobs)
    running = [pool.submit(guarded, proving, each) for each in passes]
    try:
        for each in running:
            each.result()
    except KeyboardInterrupt:
        proving.stopped = True
        proving.end()
        proving.shadows.stop()
        proving.note_roles()
        wait(running, STOP_S)
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        proving.stopped = True
        proving.end()
        pool.shutdown()
        raise
    pool.shutdown()


def guarded(proving: Proving, act: Callable[[], None]) -> None:
    """A thread that fails takes the others with it."""
    try:
        act()
    except BaseException:
        proving.stopped = True
        proving.end()
        raise
