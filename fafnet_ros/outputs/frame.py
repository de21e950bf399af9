"""What the outputs are made of: one segmented frame, and what people asked to see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels import LabelSet
from fafnet_core.nearest import unknown_name

POINT_COLOURS = ("image", "label")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One segmented frame.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32, metres, registered to colour; 0, NaN or infinite: no depth.
        camera_matrix: (3, 3) of the colour image, pixel centres at whole numbers.
        labels: (H, W) uint8 class ids; None where nobody asked for any.
        confidence: (H, W) float32, 0..1, of the labels; None with them.
        hha: (h, w, 3) uint8, at the size at which the network saw it.
        label_set: names and colours of the labels.
        distortion_model: of the colour image, as camera_info names it.
        distortion: its coefficients; they hold at any size.

    Raises:
        ValueError: the arrays but HHA are not of one size, or there are labels without confidence.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    camera_matrix: NDArray[np.float64]
    labels: NDArray[np.uint8] | None
    confidence: NDArray[np.float32] | None
    hha: NDArray[np.uint8]
    label_set: LabelSet
    distortion_model: str = "plumb_bob"
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if (self.labels is None) != (self.confidence is None):
            raise ValueError("labels and confidence come together; one of them is missing")
        for name in ("depth_m", "labels", "confidence"):
            array = getattr(self, name)
            if array is not None and array.shape[:2] != self.rgb.shape[:2]:
                raise ValueError(
                    f"colour is {self.rgb.shape[:2]}, {name} is {array.shape[:2]} (height, width);"
                    " these arrays of a result have one size"
                )


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
