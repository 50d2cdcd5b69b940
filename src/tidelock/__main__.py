"""`python -m tidelock`."""

from tidelock.cli.main import main

main()
