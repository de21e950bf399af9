"""Every frame of a split read once, before a training begins: what `data.check: all` asks for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
from tqdm import tqdm

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.samples import RgbdSegmentationDataset

_READING_ERRORS = (ValueError, OSError, cv2.error)


def check_every_frame(dataset: RgbdSegmentationDataset) -> None:
    """Read all frames, and refuse a data set some of which cannot be used.

    On a thread for each core; a bar on a terminal.

    Raises:
        ValueError: the message names the frames, and says what is wrong with the first.
    """

    def fault(index: int) -> str | None:
        try:
            dataset.read(index)
        except _READING_ERRORS as error:
            return str(error) or type(error).__name__
        return None

    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(dataset), unit="frame", desc="checking", leave=False, disable=None) as bar,
    ):
        faults: dict[str, str] = {}
        for name, found in zip(dataset.names, pool.map(fault, range(len(dataset))), strict=True):
            if found is not None:
                faults[name] = found
            bar.update()
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(dataset)} frames cannot be used"
            f" ({name_some(list(faults))}): {next(iter(faults.values()))}"
        )
