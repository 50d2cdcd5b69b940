"""Links lead somewhere, decisions are short, and the site builds."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.texts import DOCS, MOST_LINES, ROOT, TEXTS
from tests.rig.requirement import missing

LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for found in LINK.finditer(path.read_text("utf-8")):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), found[0]
        assert not anchor or anchor in anchors(there), found[0]


def test_decisions_are_short_and_listed() -> None:
    index = (DOCS / "adr" / "index.md").read_text("utf-8")
    for path in (DOCS / "adr").glob("0*.md"):
        assert path.name in index
        assert path.read_text("utf-8").count("\n") <= MOST_LINES, path.name


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if not importlib.util.find_spec("mkdocs"):
        missing("mkdocs", "make docs", package=False)
    # Not --quiet: it drops the warnings before --strict counts them.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "site" / "codes" / "L002" / "index.html").exists()
