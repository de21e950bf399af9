"""`~/points`: the frame as a cloud of coloured, labelled points in the colour camera's frame."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from fafnet_core.camera import Camera, Size
from fafnet_core.labels import LabelSet
from fafnet_core.resampling import under_centres
from fafnet_ros.outputs.rendering import FrameRendering

POINT = np.dtype(
    [
        ("x", np.float32),
        ("y", np.float32),
        ("z", np.float32),
        ("rgb", np.uint32),
        ("label", np.uint32),
        ("confidence", np.float32),
    ]
)
"""One point: metres, 0x00RRGGBB, class id, 0..1. Every field on a multiple of four bytes."""

# PCL and RViz know the packed colour as a float. PCL takes a field only in its own type, and the
# label of its PointXYZL and PointXYZRGBL is 32 bits wide: in 8 it would be left out.
_TYPES = dict.fromkeys(("x", "y", "z", "rgb", "confidence"), PointField.FLOAT32)
_TYPES["label"] = PointField.UINT32
_OPAQUE = np.uint32(0x00FFFFFF)

Points = NDArray[np.void]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class _Rays:
    """Which pixels of a frame become points, and where they look at one metre; room for points.

    Those of the outputs' images, so that the cloud lies on them pixel for pixel, or every n-th.
    """

    camera: Camera
    size: Size
    stride: int
    pixels: tuple[NDArray[np.int64], NDArray[np.int64]]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    points: Points

    @classmethod
    def of(cls, camera: Camera, size: Size, stride: int) -> _Rays:
        rows, columns = (
            under_centres(new, old)[::stride] for new, old in zip(size, camera.size, strict=True)
        )
        x = ((columns - camera.cx) / camera.fx).astype(np.float32)
        y = ((rows - camera.cy) / camera.fy).astype(np.float32)[:, None]
        points = np.zeros((len(rows), len(columns)), POINT)
        return cls(camera, size, stride, (rows, columns), x, y, points)

    def sampled(self, image: NDArray[T]) -> NDArray[T]:
        """Return an image of the frame's size, (H, W) or (H, W, C), at these pixels."""
        if self.points.shape == image.shape[:2]:
            return image
        rows, columns = self.pixels
        return image.take(rows, axis=0).take(columns, axis=1)


class PointClouds:
    """Makes the clouds of one label set; keeps what does not change from frame to frame."""

    def __init__(self, label_set: LabelSet) -> None:
        self._label_set = label_set
        ids = np.arange(256, dtype=np.uint8)
        self._colours = _packed(label_set.colourise(ids)[None])[0]
        self._rays: _Rays | None = None

    def message(self, rendering: FrameRendering, header: Header) -> PointCloud2:
        """Return the cloud as a message under this header."""
        points = self.points(rendering)
        height, width = points.shape
        message = PointCloud2(header=header, height=height, width=width)
        message.fields = [
            PointField(name=name, offset=field[1], datatype=_TYPES[name], count=1)
            for name, field in (POINT.fields or {}).items()
        ]
        message.is_bigendian = sys.byteorder == "big"
        message.point_step = POINT.itemsize
        message.row_step = POINT.itemsize * width
        message.is_dense = not rendering.settings.points_organized
        if points.size:  # Python casts no empty view
            # As with images: into the message's own array, for assigning checks each element.
            message.data.frombytes(points.view(np.uint8).data.cast("B"))
        return message

    def points(self, rendering: FrameRendering) -> Points:
        """Return the cloud as `POINT`s: (h, w) where organised, else (1, N).

        An organised cloud has NaN for x, y and z where there is no depth or the class is not
        wanted; it stays valid until the next call. An unordered one leaves those points out.
        """
        frame, settings = rendering.frame, rendering.settings
        rays = self._rays_for(frame.camera, rendering.size, settings.points_stride)
        points, labels = rays.points, rays.sampled(rendering.sure_labels)
        depth_m = rays.sampled(frame.depth_m)
        kept = (depth_m > 0) & (depth_m < np.inf)
        if settings.points_classes:
            kept &= np.take(self._wanted(settings.points_classes), labels)
        elif not settings.points_unlabelled:
            kept &= labels != self._label_set.ignore_index
        z = np.where(kept, depth_m, np.float32(np.nan))
        np.multiply(rays.x, z, out=points["x"])
        np.multiply(rays.y, z, out=points["y"])
        points["z"] = z
        if settings.points_color == "label":
            points["rgb"] = np.take(self._colours, labels)
        else:
            points["rgb"] = _packed(rays.sampled(frame.rgb))
        points["label"] = labels
        if rendering.segmented.found is not None:
            points["confidence"] = rays.sampled(rendering.segmented.found.confidence)
        if settings.points_organized:
            return points
        # As blocks of bytes: NumPy copies a structured array field by field.
        blocks = points.reshape(-1).view(f"V{POINT.itemsize}")
        unordered: Points = blocks[kept.ravel()].view(POINT)[None]
        return unordered

    def _rays_for(self, camera: Camera, size: Size, stride: int) -> _Rays:
        rays = self._rays
        if rays is None or (rays.camera, rays.size, rays.stride) != (camera, size, stride):
            self._rays = rays = _Rays.of(camera, size, stride)
        return rays

    def _wanted(self, classes: tuple[str, ...]) -> NDArray[np.bool_]:
        wanted = np.zeros(256, np.bool_)
        wanted[[self._label_set.names.index(name) for name in classes]] = True
        return wanted


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return (h, w) 0x00RRGGBB of (h, w, 3) RGB."""
    # Blue, green, red, alpha in memory are 0xAARRGGBB read from the low byte up.
    bgra: Any = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGRA)
    packed: NDArray[np.uint32] = bgra.view("<u4")[..., 0] & _OPAQUE
    return packed
