"""Is a prepared folder still as it was written: each file there, of its size, with its checksum."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from fafnet_core.datasets.prepare.journal import read_manifest
from fafnet_core.datasets.prepare.layout import OFFICIAL_SPLITS, list_file
from fafnet_core.datasets.prepare.records import FrameRecord


def verify(root: str | Path, *, progress: bool = False) -> list[str]:
    """Read every file of a prepared folder and compare its checksum with the manifest's.

    Args:
        root: the prepared folder.
        progress: show a bar on stderr.

    Returns:
        A line about each file that is not as it was written; none where all is well.

    Raises:
        FileNotFoundError: the folder was not prepared, or is not complete.
        ValueError: the manifest is damaged, or of another version.
    """
    root = Path(root)
    manifest = read_manifest(root)
    faults = [
        fault
        for name in map(list_file, OFFICIAL_SPLITS)
        if (fault := manifest.lists[name].fault(root / name, content=True))
    ]
    for of_frame in find_faults(root, manifest.frames, content=True, progress=progress):
        faults += of_frame
    return faults


def intact(
    root: Path, records: Sequence[FrameRecord], *, content: bool, progress: bool = False
) -> list[FrameRecord]:
    """Return the records whose files are all there as they were written; see `find_faults`."""
    faults = find_faults(root, records, content=content, progress=progress)
    return [record for record, of_frame in zip(records, faults, strict=True) if not of_frame]


def find_faults(
    root: Path, records: Sequence[FrameRecord], *, content: bool, progress: bool
) -> list[list[str]]:
    """Return what is wrong with the files of each frame, in the order of the records.

    Args:
        root: the prepared folder.
        records: what to look for.
        content: compare checksums, on a thread for each core; otherwise sizes only, which is quick.
        progress: show a bar on stderr.
    """
    if not content:
        return [list(record.faults(root, content=False)) for record in records]
    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(records), unit="frame", desc="checking", disable=not progress) as bar,
    ):
        faults = []
        for of_frame in pool.map(lambda record: list(record.faults(root, content=True)), records):
            faults.append(of_frame)
            bar.update()
        return faults
