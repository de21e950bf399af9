"""What the outputs are made of: one segmented frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fafnet_core.frame import RgbdFrame, Segmentation


@dataclass(frozen=True)
class Lens:
    """The distortion of the colour image; it holds at any size.

    Attributes:
        model: as camera_info names it.
        coefficients: of that model.
    """

    model: str = "plumb_bob"
    coefficients: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentedFrame:
    """One frame, and what was made of it.

    Attributes:
        frame: as it came.
        hha: (h, w, 3) uint8, at the size at which the network saw it.
        found: the labels; None where nobody asked for any.
        lens: of the colour image.
    """

    frame: RgbdFrame
    hha: NDArray[np.uint8]
    found: Segmentation | None = None
    lens: Lens = Lens()
