"""The command line's entrance and its one error boundary: exit codes, secrets, signals."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from tidelock.errors import Interrupted, TidelockError

if TYPE_CHECKING:
    from types import FrameType

GRACE_S = 4.5
"""After a signal everything is released within this time, or the process ends without."""
CONNECTIONS = ("-d", "--database", "--dbname", "--direct", "--shadow", "--from")
"""Options whose value may be a connection string."""
SECRET = re.compile(r"://[^/@]*:[^@]*@|[?&\s]password=|^\s*password\s*=|\spassword\s*=", re.IGNORECASE)
HIDDEN = "TIDELOCK_HIDDEN_"


def main() -> None:
    """Run the command line and exit with the contract's code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter gets ? for it
            stream.reconfigure(errors="replace")
    gc.set_threshold(100_000, 50, 100)  # what a run reads stays until its end: looking through it again is in vain
    hide_password()
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        from tidelock.cli.commands import app

        code = app.main(prog_name="tidelock", standalone_mode=False)
        if "tidelock.cli.linting" in sys.modules:
            leave(code)
        sys.exit(code)
    except click.exceptions.Exit as left:
        sys.exit(left.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TidelockError as error:
        fail(error)
    except (KeyboardInterrupt, click.Abort):
        fail(Interrupted())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            fail(Interrupted())  # it came in the middle of an import, which made something else of it
        bug()


def leave(code: int) -> None:
    """End at once: a tenth of `lint` would be taking apart what it has read, which the system does for nothing."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def on_signal(number: int, frame: FrameType | None) -> None:
    """SIGTERM and ctrl-C alike: psycopg cancels the running statement, and `apply` rolls back and releases.

    When the server does not answer to that, the process ends all the same within the grace period.
    """
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib") and frame.f_code.co_name == "cb":
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()  # a weakref's callback swallows what is raised
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: os._exit(75))
    watchdog = threading.Timer(GRACE_S, lambda: os._exit(75))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt


def hide_password() -> None:
    """A password in an argument is visible to everybody through ps: start again with it in the environment.

    `--database postgresql://u:secret@h/d` becomes `--database ${TIDELOCK_HIDDEN_1}`, which is read as in tidelock.toml.
    """
    arguments, secrets = without_secrets(sys.argv[1:])
    if secrets:
        os.execve(sys.executable, [sys.executable, "-m", "tidelock", *arguments], {**os.environ, **secrets})  # noqa: S606 - ourselves, no shell


def without_secrets(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments with each connection string that holds a password replaced, and what it is to be read from."""
    cleaned: list[str] = []
    secrets: dict[str, str] = {}
    for argument in arguments:
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        wanted = option in CONNECTIONS if equals else bool(cleaned) and cleaned[-1] in CONNECTIONS
        if wanted and SECRET.search(value):
            name = f"{HIDDEN}{len(secrets) + 1}"
            secrets[name] = value
            value = f"${{{name}}}"
        cleaned.append(f"{option}{equals}{value}")
    return cleaned, secrets


def fail(error: TidelockError) -> None:
    """Tell a person what happened and what to do, and leave with the error's exit code."""
    from tidelock.render.text import failure

    print(failure(error), file=sys.stderr)
    sys.exit(error.exit_code)


def bug() -> None:
    """A bug of ours: with traceback, and where to send it."""
    import traceback

    traceback.print_exc()
    print(
        "\n✗ This is a bug in Tidelock. Please report it with the lines above"
        " (they hold no password, but do read them first).\n"
        "  exit 70",
        file=sys.stderr,
    )
    sys.exit(70)
