"""What the outputs are made of: one segmented frame, and what people asked to see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.nearest import unknown_name

POINT_COLOURS = ("image", "label")


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


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """What goes out, and how.

    Attributes:
        overlay_opacity: of the labels in `~/overlay`, 0 to 1.
        confidence_threshold: pixels whose confidence is lower become unlabelled, 0 to 1.
        output_scale: size of all images over that of the colour image, above 0 to 1.
        mask_classes: classes that have a mask of their own.
        points_stride: `~/points` has every n-th row and column.
        points_classes: classes that `~/points` has; empty: all.
        points_color: what the field `rgb` shows, the colour image or the labels' colours.
        points_organized: keep the rows of the image, with NaN where there is no point.

    Raises:
        ValueError: a value out of range.
    """

    overlay_opacity: float = 0.5
    confidence_threshold: float = 0.0
    output_scale: float = 1.0
    mask_classes: tuple[str, ...] = ()
    points_stride: int = 1
    points_classes: tuple[str, ...] = ()
    points_color: Literal["image", "label"] = "image"
    points_organized: bool = False

    def __post_init__(self) -> None:
        for name in ("overlay_opacity", "confidence_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; it has to be 0 to 1")
        if not 0 < self.output_scale <= 1:
            raise ValueError(
                f"output_scale is {self.output_scale:g}; it has to be above 0 and at most 1"
            )
        if self.points_stride < 1:
            raise ValueError(f"points_stride is {self.points_stride}; it has to be 1 or more")
        if self.points_color not in POINT_COLOURS:
            raise ValueError(
                f"points_color: {unknown_name('value', self.points_color, POINT_COLOURS)}"
            )
