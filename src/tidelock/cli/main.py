"""The command line's entrance and its one error boundary: exit codes, secrets, signals."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from tidelock.core.secrets import SECRETIVE, is_connection
from tidelock.errors import Interrupted, PassingFault, TidelockError, UsageFault

if TYPE_CHECKING:
    from types import FrameType

GRACE_S = 4.5
"""After a signal everything is released within this time, or the process ends without."""
CONNECTIONS = ("-d", "--database", "--dbname", "--direct", "--shadow", "--from")
"""Options whose value may be a connection string."""
SECRET = re.compile(r"://[^/@]*:[^@]*@|(?:^|[?&\s])(?:ssl)?password\s*=", re.IGNORECASE)
ANYTHING = re.compile(r"(?:-v|--set) \w+=|--store ")
"""Options whose value may look like one and is none."""
VARIABLES = ("-v", "--set")
"""Options that set a psql variable."""
GIVEN = re.compile(rf"({SECRETIVE})=(?!\$\{{TIDELOCK_HIDDEN_)(.+)", re.IGNORECASE | re.DOTALL)
HIDDEN = "TIDELOCK_HIDDEN_"
ACTING = (
    "adopt",
    "aggregates",
    "apply",
    "backup",
    "demo",
    "kube",
    "operator",
    "recover",
    "restore",
    "rollback",
    "wait",
)
"""Commands whose exit code tells of a database or a cluster, whether or not their words were read."""


LONG = ("aggregates", "backup", "kube", "operator", "restore", "rollback")
"""Commands that may work for hours, or for ever, and are to need the same memory all the time."""


class StrayConnection(UsageFault):
    """A connection string where none is taken. It is not shown: it may hold a password."""

    code = "U024"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"a connection string stands where none is taken: {where}",
            hint="pass it with --database (-d); better, keep the password in PGPASSWORD or ~/.pgpass",
        )


class Nowhere(UsageFault):
    """Relative paths count from a directory that was removed."""

    code = "U051"


class WrongWord(UsageFault):
    """An option, argument or command that is not known: click's words, as JSON."""

    code = "U025"


class NotWritten(PassingFault):
    """What was asked for could not be written to stdout."""

    code = "T034"

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(
            f"the output could not be written: {why}",
            hint="free space where it goes"
            + ("; what the command did stays, and its exit code tells how it ended" if lasting else ", then try again"),
        )


class Tolerant(io.TextIOWrapper):
    """Standard output that never stops a run: when it cannot be written any more, the rest goes nowhere."""

    lost: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write, or give up."""
        try:
            return super().write(text)
        except OSError as error:
            self.give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or give up."""
        try:
            super().flush()
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """What is still to be written has a place where it does no harm."""
        self.lost = self.lost or error
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def tolerant(stream: TextIO | None) -> TextIO:
    """A standard stream, made so. A terminal that cannot show a letter gets ? for it."""
    if stream is None:  # closed by whoever started us: writing fails, and that is told
        nowhere = os.fdopen(os.open(os.devnull, os.O_RDONLY), "wb")
        return Tolerant(nowhere, encoding="utf-8", errors="replace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
    return Tolerant(stream.detach(), encoding=encoding, errors="replace", line_buffering=lines, write_through=through)


def main() -> None:
    """Run the command line and exit with the contract's code."""
    sys.stdout, sys.stderr = tolerant(sys.stdout), tolerant(sys.stderr)
    if not set(LONG) & set(sys.argv[1:2]):
        gc.set_threshold(1_000_000, 50, 100)  # what a run reads stays until its end: looking through it is in vain
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        hide_password()
        from tidelock.cli.commands import app

        sys.exit(written(app.main(prog_name="tidelock", standalone_mode=False)))
    except click.exceptions.Exit as left:
        sys.exit(written(left.exit_code))
    except click.ClickException as error:
        wrong = WrongWord(error.format_message(), hint="`tidelock --help` and `tidelock COMMAND --help` show what is")
        if "--json" in sys.argv:
            fail(wrong)
        error.show()
        leave_word(wrong)
        sys.exit(2)
    except TidelockError as error:
        fail(error)
    except (KeyboardInterrupt, click.Abort):
        fail(interrupted())
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            fail(interrupted())  # it came in the middle of an import, which made something else of it
        if isinstance(error, FileNotFoundError) and not stands():
            fail(Nowhere("the working directory is not there any more", hint="go to one that is: cd DIR"))
        bug(error)


def written(code: int) -> int:
    """The exit code, when all was shown; of a command that only shows, the one for what nobody could see.

    Whoever closes a pipe has seen enough.
    """
    sys.stdout.flush()
    lost = sys.stdout.lost if isinstance(sys.stdout, Tolerant) else None
    if lost is None or lost.errno == errno.EPIPE:
        return code
    lasting = bool(set(ACTING) & set(sys.argv[1:3])) or code != 0
    error = NotWritten(lost.strerror or str(lost), lasting=lasting)
    print(f"✗ {error.code} {error.message}\n  {error.hint[0].upper()}{error.hint[1:]}.", file=sys.stderr)
    return code if lasting else error.exit_code


def on_signal(number: int, frame: FrameType | None) -> None:
    """SIGTERM and ctrl-C alike: psycopg cancels the running statement, and `apply` rolls back and releases.

    When the server does not answer to that, the process ends all the same within the grace period.
    """
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib") and frame.f_code.co_name == "cb":
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()  # a weakref's callback swallows what is raised
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: os._exit(75))
    for seconds, act in ((GRACE_S, silent_server), (GRACE_S + 0.3, lambda: os._exit(75))):  # stderr may hang as well
        watchdog = threading.Timer(seconds, act)
        watchdog.daemon = True
        watchdog.start()
    raise KeyboardInterrupt


def interrupted(words: str = "") -> TidelockError:
    """What is said of it: most commands have written nothing that the ledger could know of."""
    if set(ACTING) & set(sys.argv[1:3]):
        return Interrupted(words)
    return Interrupted(words, hint="nothing was changed in your databases; run the command again")


def silent_server() -> None:
    """The end of the grace period: the cancel was not answered."""
    from tidelock.render.text import failure

    error = interrupted(
        ": the server did not answer to the cancel. What it was executing may still run; the next run looks for it"
    )
    if (shadow := sys.modules.get("tidelock.postgres.shadow")) and shadow.OPEN:
        error = shadow.OPEN[0].left_behind("there was no time to drop them")
    os.write(2, f"{failure(error)}\n".encode())
    os._exit(75)


def hide_password() -> None:
    """A password in an argument is visible to everybody through ps: start again with it in the environment.

    `--database postgresql://u:secret@h/d` becomes `--database ${TIDELOCK_HIDDEN_1}`, which is read as in tidelock.toml.
    So does `--set password=secret`.
    """
    arguments, secrets = without_secrets(sys.argv[1:])
    if secrets:
        os.execve(sys.executable, [sys.executable, "-m", "tidelock", *arguments], {**os.environ, **secrets})  # noqa: S606 - ourselves, no shell


def without_secrets(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments with each connection string that holds a password replaced, and what it is to be read from.

    Raises StrayConnection for one that stands elsewhere, before any message can repeat it.
    """
    cleaned: list[str] = []
    secrets: dict[str, str] = {}
    for argument in arguments:
        option, equals, value = parted(argument)
        before = option or (cleaned[-1] if cleaned and cleaned[-1].startswith("-") else "")
        wanted = before in CONNECTIONS and not (before == "--from" and cleaned[:1] == ["adopt"])
        if not wanted and not ANYTHING.match(f"{before} {value}") and is_connection(value):
            raise StrayConnection(f"after {before}" if before else "as an argument")
        given = GIVEN.fullmatch(value) if before in VARIABLES else None
        if given or (wanted and SECRET.search(value)):
            name = f"{HIDDEN}{len(secrets) + 1}"
            secrets[name] = given[2] if given else value
            value = f"{given[1]}=${{{name}}}" if given else f"${{{name}}}"
        cleaned.append(f"{option}{equals}{value}")
    return cleaned, secrets


def parted(argument: str) -> tuple[str, str, str]:
    """Option, what joins them, value: `--database=…`, `-dNAME`; an argument is a value alone."""
    if argument.startswith("--"):
        option, equals, value = argument.partition("=")
        return (option, equals, value) if equals else ("", "", argument)
    return (argument[:2], "", argument[2:]) if argument[:1] == "-" and argument[2:] else ("", "", argument)


def fail(error: TidelockError) -> None:
    """Tell a person, or a machine, what happened and what to do, and leave with the error's exit code."""
    if "--json" in sys.argv:
        from tidelock.cli.output import Output

        sys.exit(Output(json=True).fail(error, ""))
    from tidelock.render.text import failure

    print(failure(error), file=sys.stderr)
    leave_word(error)
    sys.exit(error.exit_code)


def leave_word(error: TidelockError) -> None:
    """The same in a pod's termination log."""
    from tidelock.cli.output import last_words
    from tidelock.core.report import Report

    last_words(Report(command="", target="", failure=error))


def stands() -> bool:
    """Whether the working directory exists."""
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def bug(error: Exception) -> None:
    """A bug of ours: with traceback, and where to send it."""
    import traceback

    traceback.print_exc()
    print(
        "\n✗ This is a bug in Tidelock. Please report it with the lines above"
        " (they hold no password, but do read them first).\n"
        "  exit 70",
        file=sys.stderr,
    )
    leave_word(TidelockError(f"a bug in Tidelock ({type(error).__name__})", hint="report it with the container's log"))
    sys.exit(70)
