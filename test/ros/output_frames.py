"""Small frames whose every value a test can name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels import NYU40
from fafnet_ros.outputs import Result

HEIGHT, WIDTH = 12, 16
CAMERA = np.array([[20.0, 0, 7.5], [0, 25.0, 5.5], [0, 0, 1]])


def frame(**changes: Any) -> Result:
    """A plane at 2 m: the left half is floor (1), sure; the right half chair (4), less so."""
    labels: NDArray[np.uint8] = np.full((HEIGHT, WIDTH), 1, np.uint8)
    labels[:, WIDTH // 2 :] = 4
    confidence = np.where(labels == 1, np.float32(0.9), np.float32(0.4))
    rows, columns = np.indices((HEIGHT, WIDTH), np.uint8)
    values: dict[str, Any] = {
        "rgb": np.stack([rows, columns, 200 + rows - columns], axis=2).astype(np.uint8),
        "depth_m": np.full((HEIGHT, WIDTH), 2, np.float32),
        "camera_matrix": CAMERA,
        "labels": labels,
        "confidence": confidence,
        "hha": np.stack([columns, rows, columns], axis=2).astype(np.uint8),
        "label_set": NYU40,
    }
    return Result(**{**values, **changes})
