"""The database that PostgreSQL's own regression suite leaves behind: every type and kind of object that it has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.backup.farm import schema, sums
from tests.backup.test_rows import copied, each_alone, rows_of
from tests.rig.installation import Installation
from tests.rig.requirement import missing
from tidelock.backup.clients import clients

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHERE = "TIDELOCK_TEST_REGRESSION_DSN"
COPY = "regression_copy"


@pytest.fixture
def regression() -> Iterator[tuple[str, str]]:
    """The database, and the DSN of a copy that does not exist yet."""
    given = os.environ.get(WHERE, "")
    if not given:
        missing(
            "PostgreSQL's regression database", f"set {WHERE} to it, as a superuser (CONTRIBUTING.md)", package=False
        )
    known = conninfo_to_dict(given)
    url = "postgresql://{user}@{host}:{port}/".format(**{"user": "postgres", "port": 5432, **known})
    yield f"{url}{known['dbname']}", f"{url}{COPY}"
    with psycopg.connect(f"{url}postgres", autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(COPY)))


@pytest.mark.parametrize("by_copy", [False, True], ids=["as usual", "each table by COPY that can be"])
def test_the_regression_database_comes_back_as_it_was(
    regression: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, by_copy: bool
) -> None:
    if by_copy:
        each_alone(monkeypatch)
    dsn, copy = regression
    with psycopg.connect(dsn) as conn:
        tools = clients(conn.info.server_version)
    programs = Installation("regression", tools.folder, tools.major)
    made = copied(dsn, COPY, tmp_path / "store")
    assert len(made.rows) > 100
    assert (len(rows_of(made)) > 100) == by_copy
    assert sums(programs, copy, views=False) == sums(programs, dsn, views=False), "some views are stale there"
    assert lines(schema(programs, copy)) == lines(schema(programs, dsn))


def lines(text: str) -> list[str]:
    """In no order: columns that are inherited come first after pg_dump, wherever they were."""
    return sorted(each.rstrip(",") for each in text.splitlines())
