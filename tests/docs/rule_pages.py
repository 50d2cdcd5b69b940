"""docs/rules/: a page for each rule and their index, made from the register and the examples.

`python -m tests.docs.rule_pages` writes them.
"""

from __future__ import annotations

from pathlib import Path

from tests.core.lint import examples

from tidelock.core.lint import engine  # noqa: F401 - registers the rules
from tidelock.core.lint.rule import RULES, Rule

FOLDER = Path(__file__).parents[2] / "docs" / "rules"
FAMILIES = {
    "ID": ("Idempotence", "what fails, or adds something, when it is run a second time"),
    "LK": ("Locking", "what keeps readers or writers waiting, for how long, and how to do without"),
    "TX": ("Transactions", "what a transaction may not hold, or does not undo"),
    "DE": ("Destruction", "what loses data or breaks those who use it; allowed with `-- BREAKING: why` in the file"),
    "TS": ("TimescaleDB", "what hypertables, the columnstore, aggregates and policies refuse, or do without a word"),
    "HY": ("Hygiene", "names, types, rights, secrets, and files that change after they were merged"),
}
PREFACE = """# Rules

`tidelock lint` asks these of every statement, without a database. `tidelock explain LK001` prints a page of them.

- `-- tidelock: allow LK001: why` above a statement allows one finding of it; above the first statement of a file, all
  of that file. The reason is required, and an allowance that nothing needs is a finding (HY001).
- `-- BREAKING: why` anywhere in a file allows its destructive statements (DE).
- `[lint]` in tidelock.toml, or `--select`, `--extend`, `--ignore`, choose rules or whole families. A rule marked
  *optional* is asked only when it is selected.
"""


def page(rule: Rule) -> str:
    """One rule."""
    lines = [
        f"# {rule.code} · {rule.title}",
        "",
        f"{FAMILIES[family(rule)][0]} · {rule.severity.value}" + " · optional" * rule.optional,
    ]
    lines += ["", "## Why", "", rule.why, "", "## What to do", "", sentence(rule.fix)]
    if rule.code in examples.codes():
        for name, title in (("bad", "Found"), ("good", "Not found")):
            lines += ["", f"## {title}", "", "```sql", shown(rule.code, name), "```"]
    return "\n".join(lines) + "\n"


def shown(code: str, name: str) -> str:
    """An example without what only the tests need."""
    text = (examples.FOLDER / code / f"{name}.sql").read_text(encoding="utf-8")
    lines = [line.replace("-- file: ", "-- ") for line in text.splitlines() if not line.startswith("-- claims:")]
    return "\n".join(lines).strip()


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text if text.startswith(("ALTER", "CREATE")) else text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def family(rule: Rule) -> str:
    """The letters of its code."""
    return rule.code.rstrip("0123456789")


def index() -> str:
    """All rules."""
    lines = [PREFACE]
    for letters, (title, about) in FAMILIES.items():
        rules = sorted((each for each in RULES.values() if family(each) == letters), key=lambda each: each.code)
        if not rules:
            continue
        lines += [f"## {title}", "", f"{about[0].upper()}{about[1:]}.", "", "| code | | severity |", "|---|---|---|"]
        lines += [
            f"| [{each.code}]({each.code}.md) | {each.title} | {each.severity.value}{', optional' * each.optional} |"
            for each in rules
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[str, str]:
    """File name → content, of all that this makes."""
    return {"index.md": index(), **{f"{code}.md": page(each) for code, each in RULES.items()}}


if __name__ == "__main__":
    for old in FOLDER.glob("[A-Z][A-Z][0-9]*.md"):
        old.unlink()
    for name, content in pages().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
