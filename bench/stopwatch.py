"""Run a command; print its seconds, CPU seconds, peak memory in KiB and exit code as JSON. Its output goes to a file.

    python -IS stopwatch.py OUTPUT_FILE COMMAND…

A program of its own and small, because Linux lets a child begin with the peak memory of whoever started it.
"""

import json
import os
import sys
import time

OUTPUT, COMMAND = sys.argv[1], sys.argv[2:]
flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
actions = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, OUTPUT, flags, 0o644),
    (os.POSIX_SPAWN_DUP2, 1, 2),
]
began = time.perf_counter()
pid = os.posix_spawnp(COMMAND[0], COMMAND, os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
cpu_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_kib": usage.ru_maxrss, "code": code}))
