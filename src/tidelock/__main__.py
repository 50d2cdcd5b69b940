"""The entrance, of `python -m tidelock` and of the command: an interruption while all else is imported ends at once."""

import os
import signal
import sys


def main() -> None:
    """Run the command line, and leave at once: to take apart what was read costs a tenth of a long run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(75))  # nothing has begun
    from tidelock.cli.main import main as run

    try:
        run()
    except SystemExit as end:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    main()
