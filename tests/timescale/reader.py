"""Somebody who reads an aggregate every 10 ms while something else is done."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Seen:
    """What the reader met."""

    rows: list[int] = field(default_factory=lambda: [10**9])
    """How many rows there were, look by look."""
    faults: list[str] = field(default_factory=list)


@contextmanager
def reading(dsn: str) -> Iterator[Seen]:
    """Read energy_hourly as long as the block runs."""
    seen, end = Seen(), threading.Event()

    def read() -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            while not end.is_set():
                try:
                    seen.rows += [row[0] for row in conn.execute("SELECT count(*) FROM energy_hourly")]
                except psycopg.Error as error:
                    seen.faults.append(str(error))
                time.sleep(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
