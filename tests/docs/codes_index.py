"""docs/codes/index.md, made from the pages: `python -m tests.docs.codes_index` writes it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "codes"
FAMILIES = {
    "U": "Usage: a flag or a setting is wrong (exit 2)",
    "S": "Source: the files are wrong (exit 3)",
    "L": "Ledger: files and database disagree, a person decides (exit 4)",
    "D": "Database: a statement failed, a permission or a version is missing (exit 5)",
    "B": "Backup: none, or not this one; nothing was changed (exit 6)",
    "K": "Kubernetes: the cluster refused, or cannot hold what it is given (exit 7)",
    "T": "Passing: try again (exit 75)",
    "P": "Proofs: what `tidelock prove` found (exit 1)",
    "G": "GitOps: what `tidelock kube check` found (exit 1)",
    "N": "Notes: something to know that stops nothing (exit 0)",
}


def titles() -> dict[str, str]:
    """Code → what its page is called."""
    return {
        path.stem: path.read_text(encoding="utf-8").splitlines()[0].partition(" · ")[2]
        for path in sorted(FOLDER.glob("[A-Z][0-9]*.md"))
    }


def index() -> str:
    """The page."""
    lines = [
        "# Errors",
        "",
        "Each message begins with a code. `tidelock explain CODE` prints its page; these are the same pages.",
    ]
    for letter, family in FAMILIES.items():
        lines += ["", f"## {family}", "", "| code | |", "|---|---|"]
        lines += [f"| [{code}]({code}.md) | {title} |" for code, title in titles().items() if code.startswith(letter)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (FOLDER / "index.md").write_text(index(), encoding="utf-8")
