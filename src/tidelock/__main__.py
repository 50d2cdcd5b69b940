"""The entrance, of `python -m tidelock` and of the command: an interruption while all else is imported ends at once."""

import os
import signal


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(75))  # nothing has begun
    from tidelock.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
