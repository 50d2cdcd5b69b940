"""What to do when something that a test needs is not there: skip by name, or fail where that is no excuse."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from tests.rig.account import can_install


def missing(what: str, remedy: str, *, package: bool = True) -> NoReturn:
    """Skip the test with a reason that names `what` and the `remedy`.

    In CI (variable CI) a Debian package that root could have installed is no excuse: the test fails.
    """
    reason = f"{what} is not there: {remedy}"
    if package and os.environ.get("CI") and can_install():
        pytest.fail(f"{reason} (CI runs as root with apt, so this counts as a failure)", pytrace=False)
    pytest.skip(reason)
