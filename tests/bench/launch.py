"""Runs one command and prints its exit code, CPU seconds with those of its children, and peak memory in KiB.

A process of its own, without imports: the peak memory that the system tells of a command begins with that of the
process that started it. Usage: python -I -S launch.py COMMAND...; the command's standard output is dropped.
"""

import os
import sys

SILENT = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]

if __name__ == "__main__":
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=SILENT)
    _, status, usage = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
