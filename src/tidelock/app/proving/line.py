"""A shadow database that goes from file to file, and is built anew when a proof has spoiled it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.app.proving.context import Proving


class Unsteady(Exception):
    """Files that were applied once do not apply again: the proof that needs them cannot be made."""


class Line:
    """It stands where the first `at` files have brought it."""

    def __init__(self, proving: Proving) -> None:
        self.proving = proving
        self.name = ""
        self.at = 0

    def stand(self, count: int) -> str:
        """Bring it to where the first `count` files bring it; returns its name. Raises Unsteady."""
        if not self.name or self.at > count:
            self.lose()
            self.name = self.proving.shadows.create()
        if self.at < count and self.proving.applicable(count)[len(self.proving.applicable(self.at)) :]:
            report = self.proving.apply(self.proving.shadows.database(self.name), count)
            if report.failure is not None:
                raise Unsteady(f"{report.failure.code} {report.failure.message}")
            self.proving.note_roles()
        self.at = count
        return self.name

    def lose(self) -> None:
        """Nobody knows what is in it: drop it, with the roles that its files have made."""
        if self.name:
            self.proving.shadows.drop(self.name)
            if self.proving.with_roles:
                self.proving.note_roles()
                self.proving.shadows.drop_roles()
        self.name, self.at = "", 0

    @contextmanager
    def copy(self, name: str = "") -> Iterator[str]:
        """A copy of it (or of another database) while the context lasts; roles that are made in it go with it."""
        shadows, roles = self.proving.shadows, self.proving.with_roles
        before = shadows.note_roles(()) if roles else frozenset()
        copied = shadows.clone(name or self.name)
        try:
            yield copied
        finally:
            shadows.drop(copied)
            if roles:
                self.proving.note_roles()
                shadows.drop_roles(before)
