"""Shared memory of Fast DDS that killed processes left behind.

A process that ends gives its segments back; one that is killed cannot. Each segment has a file
beside it that its process keeps locked, so a lock that can be had shows a dead owner; this is how
`fastdds shm clean` tells, too. Names and locks: eProsima Fast DDS, shared-memory transport.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - where Fast DDS puts them
_SEGMENT_LOCK = re.compile(r"fast(rtps|dds)_[0-9a-f]{16}_el")
_YOUNG_S = 10.0
"""A process may have made a file and not yet locked it."""


def remove_dead_segments(folder: Path = _FOLDER) -> int:
    """Remove the segments of this user's processes that have ended; return how many there were.

    Other users' stay, as does what the system does not let us remove.

    Args:
        folder: where the system keeps shared memory.
    """
    try:
        locks = [file for file in folder.iterdir() if _SEGMENT_LOCK.fullmatch(file.name)]
    except OSError:  # not Linux
        return 0
    return sum(_is_dead(lock) and _remove(lock) for lock in locks)


def _is_dead(lock: Path) -> bool:
    try:
        if time.time() - lock.stat().st_mtime < _YOUNG_S or lock.stat().st_uid != os.getuid():
            return False
        file = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _remove(lock: Path) -> bool:
    try:
        lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
        lock.unlink()
    except OSError:
        return False
    return True
