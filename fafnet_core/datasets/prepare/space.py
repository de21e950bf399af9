"""Disk space: how much a preparation needs, before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence

from fafnet_core.datasets.prepare.records import FrameRecord
from fafnet_core.datasets.prepare.workers import FrameToMake, PreparationTask, run_jobs

_TRIED = 5
"""Frames that are made on trial: data sets of several sensors have several sizes."""

_FEW = 2 * _TRIED
"""So few frames are not worth a trial: a full disk shows as soon, and stops it as cleanly."""

_BLOCK = 4096
"""Files take whole blocks of a disk."""

_MARGIN = 1.1


def check_space(
    task: PreparationTask,
    todo: Sequence[FrameToMake],
    processes: int | None,
    done: Collection[FrameRecord],
) -> None:
    """Refuse to begin where there is no room for all frames.

    Their size is that of the frames that are done already, else of a few made on trial.

    Raises:
        OSError: the disk has less room than the frames will take.
    """
    if len(todo) <= _FEW:
        return
    sizes = [list(record.files.values()) for record in done]
    if len(sizes) < _TRIED:
        tried = todo[:: max(len(todo) // _TRIED, 1)][:_TRIED]
        # In a worker: a file that crashes a library is reported when its turn comes.
        sizes += [list(each.sizes) for each in run_jobs(task, tried, processes, trial=True)]
    blocks = [sum(-(-size // _BLOCK) for size in frame) for frame in sizes if frame]
    if not blocks:
        return
    wanted = int(_MARGIN * len(todo) * _BLOCK * sum(blocks) / len(blocks))
    free = shutil.disk_usage(task.root).free
    if wanted > free:
        raise OSError(
            f"{len(todo)} frames need about {in_units(wanted)}, but {task.root} has"
            f" {in_units(free)} free: make room, or give a folder on another disk"
        )


def in_units(count: int) -> str:
    """Return a number of bytes as people write it."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
