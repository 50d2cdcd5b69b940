"""The command line: one function per verb; `wiring.py` composes, `main.py` is the one error boundary."""
