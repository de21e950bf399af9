"""Preparing a data set: from its official splits to the files of a prepared folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from fafnet_core.datasets.prepare.journal import Journal, locked
from fafnet_core.datasets.prepare.layout import (
    OFFICIAL_SPLITS,
    check_name,
    list_content,
    write_file,
)
from fafnet_core.datasets.prepare.records import Manifest
from fafnet_core.datasets.prepare.space import check_space
from fafnet_core.datasets.prepare.workers import FrameToMake, PreparationTask, run_jobs
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSegmentationDataset
from fafnet_core.version import __version__

_PROGRAM = "fafnet"


@dataclass
class Preparation:
    """What a preparation did.

    Attributes:
        frames: their number in the data set.
        kept: frames that an earlier run had made.
        written: frames that this run made.
        failed: errors of the others, by name; if there are any, the folder is not complete.
        bytes: size of the pictures of all frames that are there.
        seconds: of the whole run.
        stages: seconds of all workers together, by stage: read, hha, png, write.
    """

    frames: int
    kept: int = 0
    written: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    stages: Counter[str] = field(default_factory=Counter)


def prepare(
    datasets: Mapping[str, RgbdSegmentationDataset],
    out: str | Path,
    *,
    source: Mapping[str, Any],
    jobs: int | None = None,
    progress: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> Preparation:
    """Make a prepared folder, or go on with one that an earlier run has begun.

    A script that calls this needs `if __name__ == "__main__":`, as it starts processes.

    Args:
        datasets: the official splits, "train" and "test", each whole; they have metric depth.
        out: the folder; made if it is not there.
        source: what the data sets are and how they were read, as JSON values; a folder begun with
            others is refused.
        jobs: worker processes; one for each core if None.
        progress: show a bar on stderr.
        warn: called with a line about each frame that fails, and each worker that dies.

    Returns:
        What was done. If frames failed, the folder is not complete; another run goes on with it.

    Raises:
        ValueError: names or label sets that do not fit, a folder that holds other files, or one
            that another version of this program began.
        OSError: too little disk space, output that cannot be written, or workers that die again
            and again. What was done is kept.
    """
    begun = time.perf_counter()
    root = Path(out)
    plan, label_set = _plan(datasets)
    settings = {**source, "label_set": label_set.name, "splits": _fingerprints(datasets)}
    settings = json.loads(json.dumps(settings))  # as they come back from the disk: no tuples
    lists = {f"{split}.txt": list_content(datasets[split].names) for split in OFFICIAL_SPLITS}
    root.mkdir(parents=True, exist_ok=True)
    with locked(root):
        journal = Journal(root, settings)
        there = [journal.records[job.name] for job in plan if job.name in journal.records]
        kept = {record.name: record for record in there if record.is_whole(root)}
        todo = [job for job in plan if job.name not in kept]
        result = Preparation(len(plan), kept=len(kept))
        if todo or not _is_complete(root, journal, lists):
            made_by = _makers(root, journal.made_by, len(kept), len(todo))
            task = PreparationTask(root, datasets, label_set)
            check_space(task, todo, jobs, kept.values())
            with journal.open(kept.values(), made_by):
                with tqdm(
                    total=len(plan), initial=len(kept), unit="frame", disable=not progress
                ) as bar:
                    _make(task, todo, jobs, journal, result, bar, warn)
                if not result.failed:
                    for name, content in lists.items():
                        write_file(root / name, content)
                    frames = [journal.records[job.name] for job in plan]
                    journal.finish(Manifest(settings, label_set, made_by, frames))
        result.bytes = sum(sum(record.files.values()) for record in journal.records.values())
    result.seconds = time.perf_counter() - begun
    return result


def _plan(datasets: Mapping[str, RgbdSegmentationDataset]) -> tuple[list[FrameToMake], LabelSet]:
    """Return the frames to make, training first; refuses names that would share their files."""
    if set(datasets) != set(OFFICIAL_SPLITS):
        raise ValueError(f"splits {sorted(datasets)}; wanted {', '.join(OFFICIAL_SPLITS)}")
    jobs: list[FrameToMake] = []
    for split in OFFICIAL_SPLITS:
        dataset = datasets[split]
        scenes: Sequence[str] = getattr(dataset, "scenes", None) or [""] * len(dataset)
        for index, name in enumerate(dataset.names):
            check_name(name)
            jobs.append(FrameToMake(split, index, name, dataset.sensors[index], str(scenes[index])))
    seen: dict[str, FrameToMake] = {}
    for job in jobs:
        # Some file systems do not tell upper from lower case.
        other = seen.setdefault(job.name.casefold(), job)
        if other is not job:
            raise ValueError(
                f"two frames would share their files: {other.name} of {other.split} and"
                f" {job.name} of {job.split}; a frame belongs to one split, once"
            )
    first, second = (datasets[split].label_set for split in OFFICIAL_SPLITS)
    if first != second:
        raise ValueError(f"the splits have two label sets, {first.name} and {second.name}")
    return jobs, first


def _fingerprints(datasets: Mapping[str, RgbdSegmentationDataset]) -> dict[str, Any]:
    """Return what differs between two choices of frames."""
    return {
        split: {
            "frames": len(dataset),
            "names": hashlib.sha256(list_content(dataset.names)).hexdigest()[:16],
        }
        for split, dataset in datasets.items()
    }


def _make(
    task: PreparationTask,
    todo: Sequence[FrameToMake],
    processes: int | None,
    journal: Journal,
    result: Preparation,
    bar: tqdm[Any],
    warn: Callable[[str], None],
) -> None:
    """Make the frames, and add each to the journal when it is done."""
    with closing(run_jobs(task, todo, processes)) as outcomes:
        for outcome in outcomes:
            name = outcome.job.name
            if outcome.record is not None:
                journal.add(outcome.record)
                result.written += 1
                result.stages.update(outcome.seconds)
            elif outcome.write_error:
                raise OSError(
                    f"{outcome.write_error} (frame {name}). {len(journal.records)} of"
                    f" {result.frames} frames are done and kept: make room, then run it again"
                )
            elif outcome.died:
                warn(f"{name}: a worker process died while this frame was made; trying it again")
                continue
            else:
                result.failed[name] = outcome.error
                warn(f"{name}: {outcome.error}")
            bar.update()


def _is_complete(root: Path, journal: Journal, lists: Mapping[str, bytes]) -> bool:
    return journal.manifest is not None and all(
        (root / name).is_file() and (root / name).read_bytes() == content
        for name, content in lists.items()
    )


def _makers(root: Path, before: Mapping[str, str], kept: int, todo: int) -> Mapping[str, str]:
    """Return the versions that made the frames that are kept, and that make the others.

    Another version of this program is refused: it may read, encode or store frames in another way.
    Another NumPy or OpenCV is not: the equations are the same, only rounding may differ. The
    manifest then names both.
    """
    now = {_PROGRAM: __version__, "numpy": np.__version__, "opencv": cv2.__version__}
    if not kept:
        return now
    if not todo:
        return before
    theirs, ours = before.get(_PROGRAM), now[_PROGRAM]
    if theirs != ours:
        raise ValueError(
            f"{kept} frames of {root} were made by version {theirs} of this program, {todo} are to"
            f" be made, and this is version {ours}, whose frames may differ: go on with version"
            f" {theirs}, or give another folder, or delete this one"
        )
    return {
        library: ", ".join(dict.fromkeys([*before.get(library, version).split(", "), version]))
        for library, version in now.items()
    }
