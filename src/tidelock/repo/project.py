"""Another tool's project: its files as bytes, Python migrations as the SQL that their own tool prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.patterns import regex
from tidelock.errors import SourceFault, UsageFault
from tidelock.repo import git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.adoption.original import Original
    from tidelock.core.adoption.writing import Written

MOST_BYTES = 4 << 20
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", "target"}
PROGRAM_S = 120


class NothingFound(SourceFault):
    """A directory without a migration of the tool in it."""

    code = "S013"

    def __init__(self, directory: Path, title: str) -> None:
        super().__init__(
            f"{directory} holds no migration of {title}",
            hint="point --dir at the project: the directory with its migrations, or above them",
        )


class ToolSilent(SourceFault):
    """Alembic or Django printed not one migration."""

    code = "S018"

    def __init__(self, tool: str, why: str) -> None:
        super().__init__(
            f"no migration of {tool} could be turned into SQL: {why}",
            hint=f"call it where {tool} works: in the project's virtual environment, with the settings that it needs",
        )


class FilesThere(UsageFault):
    """--write into a directory that has migrations already."""

    code = "U019"

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        super().__init__(
            f"{directory} has SQL files already: {', '.join(names[:3])}{more}",
            hint="name a new directory with --write; when these are the files that were written before, "
            f"leave --write out: `tidelock adopt --from … --dir {directory}`",
        )


def files(directory: Path) -> dict[str, bytes]:
    """Path below the directory → content, of every file that could matter."""
    if not directory.is_dir():
        from tidelock.repo.directory import NoDirectory

        raise NoDirectory(directory)
    found = {}
    for path in sorted(directory.rglob("*")):
        below = path.relative_to(directory)
        if SKIPPED.isdisjoint(below.parts) and path.is_file() and path.stat().st_size <= MOST_BYTES:
            found[below.as_posix()] = path.read_bytes()
    return found


# --- Python migrations, through their own tool ---------------------------------------------------------------------


def with_sql(tool: str, directory: Path, originals: Sequence[Original]) -> list[Original]:
    """The originals with the SQL that Alembic or Django prints for them; why not, where they cannot."""
    printers = {"alembic": alembic, "django": django}
    if tool not in printers:
        return list(originals)
    printed = [printers[tool](directory, each) for each in originals]
    if all(each.sql is None for each in printed):
        raise ToolSilent(tool, printed[0].why_not)
    return printed


PIECE = regex(r"^-- Running upgrade .*$", re.MULTILINE)
STATEMENTS_OF_VERSION = regex(r"(?:INSERT INTO|UPDATE|DELETE FROM) (?:\S+\.)?alembic_version [^;]*;")
TRANSACTION = regex(r"^(?:BEGIN|COMMIT);\s*$", re.MULTILINE)


def alembic(directory: Path, original: Original) -> Original:
    """`alembic upgrade PARENT:REVISION --sql`, without what is about Alembic's own table."""
    ini = below_or_above(directory, "alembic.ini")
    if ini is None:
        return replace(original, why_not="it is Python, and no alembic.ini was found")
    span = f"{original.after[0] if original.after else 'base'}:{original.key}"
    done = program(ini.parent, "alembic", ["-c", str(ini), "upgrade", span, "--sql"])
    if isinstance(done, str):
        return replace(original, why_not=f"Alembic could not print it: {done}")
    piece = PIECE.split(done[0])[-1]
    body, _, _ = piece.rpartition("alembic_version")
    inner = TRANSACTION.search(body[: body.rfind("\n")]) is not None
    text = STATEMENTS_OF_VERSION.sub("", piece)
    text = re.sub(r"CREATE TABLE (?:\S+\.)?alembic_version \(.*?\);", "", text, flags=re.DOTALL)
    text = re.sub(r";\s*;", ";", TRANSACTION.sub("", text))
    return replace(original, sql=tidied(text), why_not="it prints nothing", transaction=not inner)


def django(directory: Path, original: Original) -> Original:
    """`manage.py sqlmigrate APP NAME`."""
    manage = below_or_above(directory, "manage.py")
    if manage is None:
        return replace(original, why_not="it is Python, and no manage.py was found")
    app, _, name = original.key.partition(".")
    done = program(manage.parent, "python", [str(manage), "sqlmigrate", app, name])
    if isinstance(done, str):
        return replace(original, why_not=f"Django could not print it: {done}")
    printed = done[0]
    if "CANNOT BE WRITTEN AS SQL" in printed:
        return replace(original, why_not="it runs Python (RunPython), which is not SQL")
    whole = TRANSACTION.search(printed) is not None
    text = tidied(TRANSACTION.sub("", printed))
    return replace(original, sql=text or "SELECT 1; -- it only joins branches\n", transaction=whole or not text)


def below_or_above(directory: Path, name: str) -> Path | None:
    """The first file of that name below the directory, or else the nearest one above it."""
    above = (parent / name for parent in directory.resolve().parents if (parent / name).exists())
    return next(iter(sorted(directory.rglob(name))), None) or next(above, None)


def tidied(text: str) -> str:
    """Without runs of blank lines."""
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n" if text.strip() else ""


def program(where: Path, name: str, arguments: Sequence[str]) -> tuple[str] | str:
    """What a program of the project's own environment prints, or why it could not."""
    beside = [each / "bin" / name for each in (where / ".venv", where / "venv")]
    found = next((str(each) for each in beside if each.exists()), None) or shutil.which(name)
    if found is None:
        found = sys.executable if name == "python" else None
    if found is None:
        return f"there is no program {name} on the PATH or in .venv"
    try:
        done = subprocess.run(
            [found, *arguments], cwd=where, capture_output=True, text=True, timeout=PROGRAM_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        return f"exit {done.returncode}: {last[:200]}"
    return (done.stdout,)


# --- writing --------------------------------------------------------------------------------------------------------


def refuse_filled(directory: Path) -> None:
    """A directory that is written into must have no SQL file yet."""
    names = sorted(each.name for each in directory.glob("*.sql")) if directory.is_dir() else []
    if names:
        raise FilesThere(directory, names)


def write(source: Path, directory: Path, files_: Sequence[Written]) -> int:
    """Write the files; returns how many are git moves of the file that they come from."""
    directory.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for each in files_:
        counts[each.original.path] = counts.get(each.original.path, 0) + 1
    moved = 0
    for each in files_:
        old, new = source / each.original.path, directory / each.name
        if counts[each.original.path] == 1 and old.suffix == ".sql" and git.move(old, new):
            moved += 1
        new.write_text(each.text, encoding="utf-8", newline="\n")
        git.stage(new)  # a move that is committed without its new text would have lost what the file was
    return moved
