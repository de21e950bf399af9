"""Disk space: how much a preparation needs, before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence

from tqdm import tqdm

from fafnet_core.datasets.prepare.records import FrameRecord
from fafnet_core.datasets.prepare.workers import FrameToMake, PreparationTask, run_jobs

_TRIED = 5
"""Frames that are made on trial: frames of different sensors have different sizes."""

_FEW = 2 * _TRIED
"""Without a trial up to here: these frames themselves show soon enough that the disk is full."""

_BLOCK = 4096
"""Files take whole blocks of a disk, of this many bytes."""

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
        # In a worker process: a file that crashes a library must not end this one.
        sizes += [list(each.sizes) for each in run_jobs(task, tried, processes, trial=True)]
    blocks = [sum(-(-size // _BLOCK) for size in frame) for frame in sizes if frame]
    if not blocks:
        return
    wanted = int(_MARGIN * len(todo) * _BLOCK * sum(blocks) / len(blocks))
    free = shutil.disk_usage(task.root).free
    if wanted > free:
        raise OSError(
            f"{len(todo)} frames need about {tqdm.format_sizeof(wanted, 'B')}, but {task.root} has"
            f" {tqdm.format_sizeof(free, 'B')} free: make room, or give a folder on another disk"
        )
