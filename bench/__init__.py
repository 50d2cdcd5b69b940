"""Benchmarks, side by side in one run on one server: `python -m bench`, or `make bench`.

corpus      the migrations that every contender applies
contenders  one class for each: how its directory looks, its commands, its version
peers       fetches the other tools, outside the repository
stopwatch   runs a command: seconds and peak memory (a program of its own, see there)
floor       the least that a correct runner can do: one connection, one simple query for each file
results     measurements → ratios, aims and a page
"""
