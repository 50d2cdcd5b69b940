"""What is refused before anything runs, because the live database shows what would come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from tidelock.config import Target
    from tidelock.core.model import Plan


def check(conn: psycopg.Connection[Any], plan: Plan, target: Target) -> None:
    """Raise the first reason why the plan must not run here. Changes nothing."""
    del conn, plan, target
