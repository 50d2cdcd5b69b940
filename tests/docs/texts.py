"""The texts that people read, and what stands in their fences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = DOCS / "codes"
TEXTS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
MOST_LINES = 40


def fences(*languages: str) -> Iterator[tuple[Path, str]]:
    """(where, content) of each fence in one of these languages."""
    for path in TEXTS:
        for found in FENCE.finditer(path.read_text("utf-8")):
            if found["language"] in languages:
                yield path, found["body"]
