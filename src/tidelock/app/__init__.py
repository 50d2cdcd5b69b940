"""Use cases: the order of events. Knows `core` and its own ports; no driver, no terminal."""
