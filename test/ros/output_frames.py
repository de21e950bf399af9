"""Small frames whose every value a test can name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.frame import Classes, RgbdFrame, Segmentation
from fafnet_core.labels import NYU40
from fafnet_ros.outputs import Lens, SegmentedFrame

HEIGHT, WIDTH = 12, 16
CAMERA = Camera(fx=20.0, fy=25.0, cx=7.5, cy=5.5, width=WIDTH, height=HEIGHT)


def frame(**changes: Any) -> SegmentedFrame:
    """A plane at 2 m: the left half is floor (1), sure; the right half chair (4), less so."""
    labels: NDArray[np.uint8] = np.full((HEIGHT, WIDTH), 1, np.uint8)
    labels[:, WIDTH // 2 :] = 4
    confidence = np.where(labels == 1, np.float32(0.9), np.float32(0.4))
    rows, columns = np.indices((HEIGHT, WIDTH), np.uint8)
    values: dict[str, Any] = {
        "rgb": np.stack([rows, columns, 200 + rows - columns], axis=2).astype(np.uint8),
        "depth_m": np.full((HEIGHT, WIDTH), 2, np.float32),
        "camera": CAMERA,
        "labels": labels,
        "confidence": confidence,
        "hha": np.stack([columns, rows, columns], axis=2).astype(np.uint8),
        "label_set": NYU40,
        "lens": Lens(),
    }
    values |= changes
    seen = RgbdFrame(rgb=values["rgb"], depth_m=values["depth_m"], camera=values["camera"])
    found = Segmentation(
        classes=Classes(values["labels"], lambda: values["confidence"]),
        hha=values["hha"],
        label_set=values["label_set"],
    )
    return SegmentedFrame(frame=seen, hha=found.hha, found=found, lens=values["lens"])


def unlabelled() -> SegmentedFrame:
    """The same frame, of which nobody wanted labels."""
    return replace(frame(), found=None)
