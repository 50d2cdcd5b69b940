"""The exit code of a report."""

import pytest

from tidelock.core.critical import Critical, Footing, Standing
from tidelock.core.report import Report, exit_code
from tidelock.errors import DatabaseFault


class Broken(DatabaseFault):
    pass


def standing(footing):
    return Standing(critical=Critical(table="t"), footing=footing)


FALLEN, MISSING, WELL = standing(Footing.FALLBACK), standing(Footing.MISSING), standing(Footing.MIGRATION)


@pytest.mark.parametrize(
    ("critical", "start", "code"),
    [
        ((WELL,), False, 5),
        ((WELL,), True, 5),
        ((FALLEN, WELL), False, 8),
        ((FALLEN, WELL), True, 0),
        ((FALLEN, MISSING), True, 8),
    ],
)
def test_fallback_tables_are_good_enough_only_where_that_was_asked_for_and_all_are_there(critical, start, code):
    assert exit_code(Report(command="apply", failure=Broken("x"), critical=critical, start_on_fallback=start)) == code
