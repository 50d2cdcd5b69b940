"""The image builds from what its Dockerfile copies: no container engine is needed to see that the package does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def copied() -> list[tuple[str, str]]:
    """What the build stage takes from the repository, and where to."""
    stage = (ROOT / "Dockerfile").read_text().partition("\nFROM ")[2].partition("\nFROM ")[0]
    lines = [line.split()[1:] for line in stage.splitlines() if line.startswith("COPY ")]
    return [(source, words[-1]) for words in lines for source in words[:-1]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from these alone."""
    context = tmp_path_factory.mktemp("context")
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, context / target)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", "."],
        cwd=context, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return next((context / "wheels").glob("tidelock-*.whl"))


def test_the_package_builds_with_its_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder, package in (("docs/codes", "tidelock/codes"), ("docs/rules", "tidelock/rules")):
        pages = {f"{package}/{page.relative_to(ROOT / folder)}" for page in (ROOT / folder).rglob("*.md")}
        assert pages
        assert pages <= set(names)


def test_what_is_copied_is_not_ignored() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {source for source, _ in copied()} == let_in
