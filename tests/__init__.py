"""Tests mirror `src/tidelock`; `tests/rig` starts the real servers they run on."""
