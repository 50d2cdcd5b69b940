"""Proofs: migrations run for real in throw-away databases, with the engine that `apply` uses."""
