"""Regular expressions that are compiled when they are first asked for: compiling all of them was a tenth of a start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["regex"]

if TYPE_CHECKING:
    from re import compile as regex
else:

    class regex:  # noqa: N801 - takes the place of a function
        """What re.compile gives, for expressions that most runs do not need."""

        def __init__(self, source: str, flags: int = 0) -> None:
            self.given = source, flags

        def __getattr__(self, name: str) -> Any:
            found = getattr(re.compile(*self.given), name)
            setattr(self, name, found)  # the next time it is simply there
            return found
