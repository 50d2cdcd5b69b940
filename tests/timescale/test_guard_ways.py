"""Ways to lose what exists only in an aggregate that a black-box examination found open, each of them closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.timescale.test_guard import filled, project, refused

if TYPE_CHECKING:
    from tests.rig.project import Project

__all__ = ["filled", "project"]

ALL = "DECLARE r record; BEGIN FOR r IN SELECT view_name AS n FROM timescaledb_information.continuous_aggregates LOOP"
REFRESH = "CALL refresh_continuous_aggregate"


def refused_before(project: Project, sql: str, code: str = "L042", *told: str) -> None:
    """A file with it is refused, and the one before it has not run."""
    project.write("001_before.sql", "CREATE TABLE before (id int);")
    project.write("002_harm.sql", sql)
    refused(project, code, "002_harm.sql:", *told)
    assert project.one("SELECT to_regclass('before')") is None


@pytest.mark.parametrize(
    "body",
    [
        f"DECLARE n text := 'hourly'; BEGIN {REFRESH}(n::regclass, NULL, NULL); END",
        f"{ALL} {REFRESH}(format('%I', r.n)::regclass, NULL, NULL); COMMIT; END LOOP; END",
        f"{ALL} PERFORM drop_chunks(r.n::regclass, older_than => interval '30 days'); COMMIT; END LOOP; END",
        f"BEGIN {REFRESH}(format('%s', 'hourly')::regclass, NULL, NULL); END",
    ],
)
def test_an_aggregate_that_code_names_by_a_variable_may_be_any(project: Project, body: str):
    refused_before(project, f"DO $$ {body} $$;", "L045", "hourly: ", "flat: ")


def test_a_refresh_that_names_its_aggregate_by_an_expression_is_refused_like_the_one_in_words(project: Project):
    refused_before(project, f"{REFRESH}(('hou' || 'rly')::regclass, NULL, NULL);", "L045", "hourly: ")
