"""Pixels, rays and points of a pinhole camera: what HHA needs to know of the camera.

Camera frame: x to the right, y down, z forward (the optical frame of ROS). Pixel centres lie at
whole numbers, counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fafnet_core.camera import Camera
from fafnet_core.hha.arrays import Array, ArrayWay

DEPTH_RANGE_M = (1e-3, 1e6)
"""Depths outside this range (metres) are no depth. It keeps float32 clear of overflow, no more."""


@dataclass(frozen=True)
class PixelRays:
    """The ray (u, v, 1) through each pixel: a point at depth Z is Z (u, v, 1).

    Attributes:
        u: (1, W) float32, (x - cx) / fx of each column.
        v: (H, 1) float32, (y - cy) / fy of each row.
        focal_length: (fx, fy) in pixels.
    """

    u: Array
    v: Array
    focal_length: tuple[float, float]

    @classmethod
    def of(cls, camera: Camera, way: ArrayWay) -> PixelRays:
        """Rays of a camera's pixels."""
        u = (np.arange(camera.width) - camera.cx) / camera.fx
        v = (np.arange(camera.height) - camera.cy) / camera.fy
        return cls(way.float32(u[None, :]), way.float32(v[:, None]), (camera.fx, camera.fy))

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.v), self.u.shape[1]

    def every(self, stride: int) -> PixelRays:
        """The rays of every stride-th column and row."""
        return PixelRays(self.u[:, ::stride], self.v[::stride], self.focal_length)

    def blocks(self, side: int) -> PixelRays:
        """The rays of blocks of side * side pixels, through their centres; `side` is odd."""
        rows, columns = (slice(side // 2, n // side * side, side) for n in self.shape)
        fx, fy = self.focal_length
        return PixelRays(self.u[:, columns], self.v[rows], (fx / side, fy / side))

    def rows(self, part: slice) -> PixelRays:
        """The rays of some rows."""
        return PixelRays(self.u, self.v[part], self.focal_length)


@dataclass(frozen=True)
class DepthView:
    """A depth image sorted into what takes part in what.

    Attributes:
        depth_m: (H, W) float32 metres, 0 where there is no depth.
        inverse_depth: (H, W) float32 1/Z, 0 where there is no depth.
        has_depth: (H, W) bool, or None if every pixel has depth.
        measured_inverse_depth: as `inverse_depth`, 0 also where raw depth is missing.
        measured: (H, W) bool, pixels with depth that is not in-painted; None if all of them are.
    """

    depth_m: Array
    inverse_depth: Array
    has_depth: Array | None
    measured_inverse_depth: Array
    measured: Array | None

    @classmethod
    def of(cls, depth_m: Array, missing: Array | None, way: ArrayWay) -> DepthView:
        """Sort a float32 depth image; `missing` is True where it is in-painted."""
        nearest, farthest = DEPTH_RANGE_M
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            has_depth = (depth_m >= nearest) & (depth_m <= farthest)
            inverse = 1.0 / depth_m
        measured = has_depth if missing is None else has_depth & ~missing
        if bool(measured.all()):
            return cls(depth_m, inverse, None, inverse, None)
        if bool(has_depth.all()):
            return cls(depth_m, inverse, None, way.masked(inverse, measured), measured)
        depth_m, inverse = way.masked(depth_m, has_depth), way.masked(inverse, has_depth)
        measured_inverse = inverse if missing is None else way.masked(inverse, measured)
        return cls(depth_m, inverse, has_depth, measured_inverse, measured)
