"""Results → Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.proof.rounds import Result

HEAD = """# Proofs

Written by `make proof`; `make test` runs the same code with smaller counts. Do not edit.
"""


def page(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *table(["what", "version"], [list(each) for each in versions.items()]), *sections(results)])


def sections(results: Sequence[Result]) -> Iterator[str]:
    """One section for each proof."""
    for result in results:
        yield f"\n## {result.title}\n"
        if result.about:
            yield f"{result.about}\n"
        yield from table(["count", ""], [[name, value] for name, value in result.counts.items()])
        for head, rows in result.tables:
            yield ""
            yield from table(head, rows)
        yield from (f"\n{remark}" for remark in result.remarks)
        yield f"\nIt took {result.took_s / 60:.1f} minutes."
        yield from (f"\n**Failed:** {line}" for line in result.failures)
    yield ""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"


def text(result: Result) -> str:
    """The same for a terminal."""
    lines = [result.title, *(f"  {name}: {value}" for name, value in result.counts.items())]
    for head, rows in result.tables:
        lines += ["  " + " | ".join(head), *("  " + " | ".join(map(str, row)) for row in rows)]
    return "\n".join([*lines, *(f"  FAILED {line}" for line in result.failures)])
