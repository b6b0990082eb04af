"""Locks of the operating system's on files of ours: one goes with its process, so that a killed one holds nothing."""

import fcntl
import os
from pathlib import Path


def take(descriptor: int, path: Path) -> bool:
    """Lock an open file for this process, without waiting; whether it did.

    It did not where another process holds it, nor where the name has meanwhile gone to another file or to none: whoever
    holds a lock may take the file away. The lock goes when the descriptor is closed. An exclusive lock on a network
    file system wants a descriptor that can be written. Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False
