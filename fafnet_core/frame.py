"""`RgbdFrame` and `Segmentation`: the two values that travel, from topic, bag, file and Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera, Size
from fafnet_core.labels import LabelMapping, LabelSet
from fafnet_core.resampling import resized_image, sampled

NEARLY_NO_DEPTH = 0.1
"""Share of the pixels with depth below which labels lean on colour alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RgbdFrame:
    """One colour image with the depth registered to it.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) floating point, metres along the optical axis; 0, NaN or infinite: none.
        camera: of the colour image.
        stamp_ns: time of the colour image; 0 where the source has none.
        frame_id: coordinate frame of the colour camera, or the file's name.
        missing: (H, W) bool, True where the depth is in-painted; None: nothing is known to be.
        gravity: (3,) downward direction in the camera's optical frame; None: not known.
        was_registered: depth came in the depth camera's own image.
        doubt: why depth may not be registered, as a value whose `str()` says it; None: no doubt.
        seconds: how long each stage so far took, such as `decode` and `register`.

    Raises:
        ValueError: arrays of other kinds, or that do not fit each other.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.floating[Any]]
    camera: Camera
    stamp_ns: int = 0
    frame_id: str = ""
    missing: NDArray[np.bool_] | None = None
    gravity: NDArray[np.float64] | None = None
    was_registered: bool = False
    doubt: object | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rgb, depth_m, missing = self.rgb, self.depth_m, self.missing
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.shape[2:] != (3,):
            raise ValueError(
                f"colour is {_kind(rgb)}; wanted a uint8 array (height, width, 3) in RGB order,"
                " 0..255"
            )
        if not isinstance(depth_m, np.ndarray) or depth_m.shape != rgb.shape[:2]:
            raise ValueError(
                f"colour is {rgb.shape[:2]}, depth is {_kind(depth_m)} (height, width); register"
                " the depth to the colour image first, so that both have the same pixels"
            )
        if not np.issubdtype(depth_m.dtype, np.floating):
            raise ValueError(
                f"depth is {depth_m.dtype}; wanted metres in floating point. Integers are mostly"
                " millimetres: pass depth.astype(np.float32) * 0.001"
            )
        if self.camera.size != depth_m.shape:
            raise ValueError(
                f"the camera is of images of {self.camera.size}, and these are {depth_m.shape}"
                " (height, width); take the camera of this size, e.g. camera.scaled(size)"
            )
        if missing is not None and (missing.dtype != np.bool_ or missing.shape != depth_m.shape):
            raise ValueError(
                f"missing is {_kind(missing)}; wanted bool of depth's size {depth_m.shape}, True"
                " where raw depth is absent"
            )

    @property
    def size(self) -> Size:
        """(height, width) of both images."""
        return self.camera.size

    @property
    def has_depth(self) -> bool:
        """Whether more than nearly none of the pixels have depth."""
        return depth_share(self.depth_m) >= NEARLY_NO_DEPTH

    def scaled(self, size: Size) -> RgbdFrame:
        """Return the frame at another (height, width).

        Colour is the mean of areas. Depth is what lies under each centre: a mean over an edge
        would be a surface that is not there.
        """
        if size == self.size:
            return self
        return replace(
            self,
            rgb=resized_image(self.rgb, size),
            depth_m=sampled(self.depth_m, size),
            camera=self.camera.scaled(size),
            missing=None if self.missing is None else sampled(self.missing, size),
        )


@dataclass(frozen=True, eq=False)
class Classes:
    """The best class of each pixel.

    Attributes:
        labels: (H, W) uint8 class ids.
        probability: computes `confidence`.
    """

    labels: NDArray[np.uint8]
    probability: Callable[[], NDArray[np.float32]]

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Return the softmax probability of the labels, (H, W) float32, 0..1.

        It takes longer than the labels, and few want it: it is computed when it is first asked for.
        """
        return self.probability()


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What was found in one frame.

    Attributes:
        classes: of the frame's pixels.
        hha: (h, w, 3) uint8, the HHA image that the network saw, at the size at which it saw it;
            `resampling.sampled` brings it to the frame's.
        label_set: what the labels mean.
        seconds: how long each stage took: `hha` (with resizing, where there is any), `network`.
    """

    classes: Classes
    hha: NDArray[np.uint8]
    label_set: LabelSet
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Return (H, W) uint8 class ids, at the frame's size."""
        return self.classes.labels

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Return (H, W) float32, the softmax probability of the labels, 0..1."""
        return self.classes.confidence

    def mapped(self, mapping: LabelMapping) -> Segmentation:
        """Return the same with the classes of `mapping.to_set`.

        Confidence stays that of the class which the network found: of classes that are merged, it
        is the probability of one of them, and so a lower bound of what they have together.

        Args:
            mapping: from these labels' classes to others.
        """
        labels = mapping.apply(self.labels)
        classes = Classes(labels, lambda: self.confidence)
        return replace(self, classes=classes, label_set=mapping.result_set)


def depth_share(depth_m: NDArray[np.floating[Any]]) -> float:
    """Return the share of the pixels of a depth image that have depth, 0..1."""
    # Invalid is 0, or not finite: a comparison with NaN is false.
    return float(np.count_nonzero((depth_m > 0) & (depth_m < np.inf)) / depth_m.size)


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
