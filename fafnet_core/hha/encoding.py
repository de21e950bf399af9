"""Depth to HHA: horizontal disparity, height above ground, angle with gravity.

Gupta, Girshick, Arbelaez and Malik, "Learning Rich Features from RGB-D Images for Object Detection
and Segmentation", ECCV 2014 (arXiv 1407.5736), section 2; their MATLAB code is the definition of
the numbers. `docs/hha.md` has the equations and what is decided here where the source is silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Camera
from fafnet_core.hha.arrays import Array, ArrayWay, NumpyWay
from fafnet_core.hha.channels import angle_channel, disparity_channel, height_channel, heights
from fafnet_core.hha.checks import (
    check_depth,
    check_gravity,
    check_metres,
    check_missing,
    plain_depth,
)
from fafnet_core.hha.geometry import DepthView, PixelRays
from fafnet_core.hha.gravity import (
    GRAVITY_WINDOW,
    TRACKING_BLOCK,
    TRACKING_WINDOW,
    estimate_direction,
)
from fafnet_core.hha.normals import NORMAL_WINDOW, Samples, WindowGrid, normals_by_strip

if TYPE_CHECKING:
    import torch

NO_DEPTH = (0, 0, 0)
"""HHA of a pixel without depth."""


class HHAEncoder:
    """Encodes depth images of one camera; it keeps tables of the camera, and nothing of a frame.

    Args:
        camera: of the depth images.
        device: None for NumPy and OpenCV, or a torch device ("cuda", "cpu", ...) to compute there.
    """

    def __init__(self, camera: Camera, *, device: str | torch.device | None = None) -> None:
        self.camera = camera
        self.shape = camera.size
        self._way = _array_way(device)
        self._on_torch = device is not None
        self._rays = PixelRays.of(camera, self._way)
        self._windows = WindowGrid.of(self._rays, NORMAL_WINDOW, self._way)
        self._gravity_windows = WindowGrid.of(self._rays, GRAVITY_WINDOW, self._way)
        # An image may be smaller than a block.
        self._block = TRACKING_BLOCK if min(self.shape) >= TRACKING_BLOCK else 1
        blocks = self._rays.blocks(self._block)
        self._tracking_windows = WindowGrid.of(blocks, TRACKING_WINDOW, self._way)

    def encode(
        self,
        depth_m: NDArray[np.floating[Any]],
        *,
        missing: NDArray[np.bool_] | None = None,
        gravity: ArrayLike | None = None,
    ) -> NDArray[np.uint8]:
        """Encode one depth image.

        Args:
            depth_m: (H, W) floating point, metres along the optical axis. Zero, negative, NaN and
                infinite mean no depth: such pixels become `NO_DEPTH` and affect no other pixel.
            missing: (H, W) bool, True where the sensor saw nothing and `depth_m` is in-painted;
                these pixels are not used to fit normals.
            gravity: (3,) known downward direction in the camera's optical frame (x right, y down,
                z forward), of any length but zero; estimated from the depth if None.

        Returns:
            (H, W, 3) uint8: disparity, height, angle.

        Raises:
            ValueError: a wrong type or shape, depth that is not in metres, zero gravity.
        """
        view = self.view(depth_m, missing)
        return self.encode_view(view, self._down(view, gravity))[0]

    def encode_tensor(
        self,
        depth_m: torch.Tensor,
        *,
        missing: torch.Tensor | None = None,
        gravity: ArrayLike | None = None,
    ) -> torch.Tensor:
        """Encode one depth image that is a tensor; as `encode`, but the result stays on the device.

        Returns:
            (H, W, 3) uint8 tensor on the encoder's device.

        Raises:
            RuntimeError: the encoder was built without a device.
            ValueError: as `encode`.
        """
        if not self._on_torch:
            raise RuntimeError(
                "this HHAEncoder computes with NumPy; for tensors build it with a device, "
                "e.g. device=depth_m.device"
            )
        check_depth(depth_m, self.shape, is_float=depth_m.is_floating_point())
        if missing is not None:
            check_missing(missing, self.shape, is_bool=str(missing.dtype) == "torch.bool")
        view = self._view(depth_m, missing)
        hha: torch.Tensor = self._encode(view, self._down(view, gravity), None)[0]
        return hha

    def estimate_gravity(
        self, depth_m: NDArray[np.floating[Any]], *, missing: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Estimate the downward direction; arguments and errors as `encode`.

        Returns:
            (3,) float64 unit vector in the camera's optical frame; (0, 1, 0) where nothing in the
            image says otherwise.
        """
        return self._estimate(self.view(depth_m, missing))

    # The steps of `encode`, for `HHAStream`.

    def view(self, depth_m: ArrayLike, missing: ArrayLike | None) -> DepthView:
        """Check a depth image and sort it; arguments and errors as `encode`."""
        depth = plain_depth(depth_m)
        check_depth(depth, self.shape, is_float=np.issubdtype(depth.dtype, np.floating))
        # torch takes neither flipped nor big-endian arrays.
        with np.errstate(over="ignore"):
            depth = np.ascontiguousarray(depth, np.float32)
        if missing is not None:
            missing = np.asarray(missing)
            check_missing(missing, self.shape, is_bool=missing.dtype == np.bool_)
            missing = np.ascontiguousarray(missing)
        return self._view(depth, missing)

    def gravity_normals(self, view: DepthView) -> NDArray[np.float32]:
        """Return the unit normals (3, N) that gravity is estimated from, zero where none is."""
        return self._vectors(Samples.of(view), self._gravity_windows)

    def tracking_normals(self, view: DepthView) -> NDArray[np.float32]:
        """Return fewer of them, for where the gravity of the last frame is known."""
        samples = Samples.of(view).blocks(self._block, self._way)
        return self._vectors(samples, self._tracking_windows)

    def _vectors(self, samples: Samples, windows: WindowGrid) -> NDArray[np.float32]:
        strips = [n.unit_vectors(self._way) for n in normals_by_strip(samples, windows, self._way)]
        vectors = self._way.functions.concatenate(strips, 1)
        normals: NDArray[np.float32] = vectors.cpu().numpy() if self._on_torch else vectors
        return normals

    def measured_heights(
        self, view: DepthView, down: NDArray[np.float64], stride: int
    ) -> NDArray[np.float32]:
        """Return the heights over the camera, in metres, of every stride-th row and column.

        (N,) float32; pixels without depth, and those in-painted, are left out.
        """
        every = (slice(None, None, stride),) * 2
        height = heights(view.depth_m[every], self._rays.every(stride), down)
        if view.measured is not None:
            height = height[view.measured[every]]
        values: NDArray[np.float32] = height.cpu().numpy() if self._on_torch else height
        return values.ravel()

    def encode_view(
        self, view: DepthView, down: NDArray[np.float64], ground_m: float | None = None
    ) -> tuple[NDArray[np.uint8], float]:
        """Encode a sorted depth image.

        Args:
            view: what `view` returned.
            down: (3,) float64 unit vector of gravity.
            ground_m: the ground's height over the camera; None: that under the lowest point.

        Returns:
            (H, W, 3) uint8 HHA, and the ground's height over the camera in metres.
        """
        hha, ground = self._encode(view, down, ground_m)
        return (hha.cpu().numpy() if self._on_torch else hha), ground

    def _view(self, depth_m: Array, missing: Array | None) -> DepthView:
        mask = None if missing is None else self._way.boolean(missing)
        view = DepthView.of(self._way.float32(depth_m), mask, self._way)
        check_metres(view.inverse_depth)
        return view

    def _down(self, view: DepthView, gravity: ArrayLike | None) -> NDArray[np.float64]:
        return self._estimate(view) if gravity is None else check_gravity(gravity)

    def _estimate(self, view: DepthView) -> NDArray[np.float64]:
        return estimate_direction(self.gravity_normals(view)).direction

    def _encode(
        self, view: DepthView, down: NDArray[np.float64], ground_m: float | None
    ) -> tuple[Array, float]:
        way = self._way
        strips = normals_by_strip(Samples.of(view), self._windows, way)
        height, ground = height_channel(view.depth_m, self._rays, down, way, ground_m)
        channels = [
            disparity_channel(view.inverse_depth, way),
            height,
            way.functions.concatenate([angle_channel(normals, down, way) for normals in strips]),
        ]
        if view.has_depth is not None:
            # NO_DEPTH is zero in each channel.
            channels = [channel * view.has_depth for channel in channels]
        return way.stack(channels), ground


def encode_hha(
    depth_m: NDArray[np.floating[Any]],
    camera_matrix: ArrayLike,
    *,
    missing: NDArray[np.bool_] | None = None,
    gravity: ArrayLike | None = None,
    device: str | torch.device | None = None,
) -> NDArray[np.uint8]:
    """Encode one depth image to HHA.

    Args:
        depth_m: (H, W) floating point, metres; zero, negative, NaN, infinite: no depth.
        camera_matrix: (3, 3), pixel centres at whole numbers counted from 0.
        missing: as for `HHAEncoder.encode`, as is `gravity`.
        gravity: see `missing`.
        device: as for `HHAEncoder`.

    Returns:
        (H, W, 3) uint8: disparity, height, angle.

    Raises:
        ValueError: as `Camera.from_matrix` and `HHAEncoder.encode`.
    """
    camera = Camera.from_matrix(camera_matrix, np.shape(depth_m))
    encoder = HHAEncoder(camera, device=device)
    return encoder.encode(depth_m, missing=missing, gravity=gravity)


def estimate_gravity(
    depth_m: NDArray[np.floating[Any]],
    camera_matrix: ArrayLike,
    *,
    missing: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Estimate the downward direction from a room's surfaces; arguments as `encode_hha`.

    Returns:
        (3,) float64 unit vector in the camera's optical frame (x right, y down, z forward).
    """
    encoder = HHAEncoder(Camera.from_matrix(camera_matrix, np.shape(depth_m)))
    return encoder.estimate_gravity(depth_m, missing=missing)


def _array_way(device: str | torch.device | None) -> ArrayWay:
    if device is None:
        return NumpyWay()
    # torch takes over a second to import: the NumPy way must not pay it.
    from fafnet_core.hha.torch_way import TorchWay

    return TorchWay(device)
