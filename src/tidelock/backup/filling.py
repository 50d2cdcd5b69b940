"""Rows into a new database: large tables side by side, and what follows each as soon as its rows are there."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from tidelock.backup.listing import Order
    from tidelock.backup.restore import Restorer
    from tidelock.core.backups import Piece


class Filling:
    """One restore's, with as many threads as it has jobs."""

    def __init__(self, restorer: Restorer, schema: Path, order: Order) -> None:
        self.restorer, self.schema, self.order = restorer, schema, order
        self.pieces = sorted(restorer.large, key=lambda each: -each.size_bytes)
        self._parts = Counter(table for each in self.pieces for table in each.tables)
        """Table → pieces with rows of it."""
        self._left = self._parts.copy()
        """Those that are not loaded yet."""
        self._unloaded = len(self.pieces)
        self._lock = Lock()

    def run(self) -> None:
        """Fill it. Raises a BackupFault; the others are stopped then."""
        with ThreadPoolExecutor(self.restorer.jobs) as pool:
            ready = pool.submit(self.begin)
            try:
                if "timescaledb" in self.restorer.manifest.extensions:
                    ready.result()  # chunks are nothing without its catalog, which is among the rest
                waiting = [ready, *(pool.submit(self.fill, each, ready) for each in self.pieces)]
                for each in as_completed(waiting):
                    each.result()
            except BaseException:
                self.restorer.stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def begin(self) -> None:
        """The rows of small tables, and what follows them: also what partitions' own keys need of their parents."""
        if rest := self.restorer.manifest.piece("rest"):
            self.restorer.load(rest, whole=False)
        self.restorer.build("first", self.schema, self.order.first, self.restorer.jobs)

    def fill(self, piece: Piece, ready: Future[None]) -> None:
        """A piece's rows; then the indexes of those tables that have all of theirs."""
        self.restorer.load(piece, whole=self._parts[piece.tables[0]] == 1)
        with self._lock:
            self._unloaded -= 1
            self._left.subtract(piece.tables)
            due = [entry for each in piece.tables if not self._left[each] for entry in self.order.after.get(each, ())]
        ready.result()
        self.restorer.build(piece.name, self.schema, due, self.free)

    @property
    def free(self) -> int:
        """How many jobs have no more rows to load; the indexes that they still build are smaller than the last ones."""
        with self._lock:
            return max(1, self.restorer.jobs - self._unloaded)
