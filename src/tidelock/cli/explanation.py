"""`tidelock explain`: the page of a code, from the package itself."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


class UnknownCode(UsageFault):
    """A code that no page explains."""

    code = "U010"

    def __init__(self, code: str, known: list[str]) -> None:
        near = get_close_matches(code.upper(), known, n=3, cutoff=0.4)
        super().__init__(
            f"no page explains “{code}”",
            hint=f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}",
        )


NO_CODES = ("index.md", "comparison.md")


def pages() -> dict[str, str]:
    """code → page, in Markdown: of errors and of rules. From `docs/` in a checkout, from the package elsewhere."""
    return {
        file.name.removesuffix(".md"): file.read_text(encoding="utf-8")
        for name in ("codes", "rules")
        for file in folder(name).iterdir()
        if file.name.endswith(".md") and file.name not in NO_CODES
    }


def folder(name: str) -> Traversable:
    """Where pages lie."""
    checkout = Path(__file__).parents[3] / "docs" / name
    return checkout if checkout.is_dir() else resources.files("tidelock").joinpath(name)


def page(code: str) -> str:
    """The page of a code. Raises UnknownCode with the nearest ones."""
    known = pages()
    if code.upper() not in known:
        raise UnknownCode(code, sorted(known))
    return known[code.upper()]
