"""HHA of a stream of depth images: as one-shot HHA, but steady from frame to frame, and faster.

Two of HHA's three channels depend on the whole frame: angle and height on gravity, and height also
on the lowest point. Both change from frame to frame with the sensor's noise (for the lowest point
one pixel is enough), and all pixels of the channel with them. Here both are followed in time
(`tracking`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Camera
from fafnet_core.hha.checks import check_gravity
from fafnet_core.hha.encoding import HHAEncoder
from fafnet_core.hha.gravity import estimate_direction
from fafnet_core.hha.holes import fill_holes
from fafnet_core.hha.tracking import GravityTracker, GroundTracker

if TYPE_CHECKING:
    import torch

    from fafnet_core.hha.geometry import DepthView

_LONGEST_GAP_S = 60.0
"""After a gap this long the stream starts again (`GravityTracker` itself finds a camera that was
turned in a shorter gap) ..."""

_LARGEST_STEP_BACK_S = 0.5
"""... as it does when stamps step back by this much."""

_SAME_VIEW = 1e-3
"""How far the numbers of two cameras may be apart, in image sides, for the same view."""

_USUAL_STEP_S = 1 / 30
"""Assumed time between two frames where their stamps do not give one."""

_HEIGHT_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class HHAStreamConfig:
    """What an `HHAStream` does to frames.

    Attributes:
        smoothing_s: time constant of gravity and ground in seconds; 0: each frame is encoded by
            itself, exactly as `encode_hha` does.
        fill_holes: whether holes in the depth are filled first (see `fill_holes`). Filled pixels
            are not used to fit normals.

    Raises:
        ValueError: a time constant that is negative or not finite.
    """

    smoothing_s: float = 0.5
    fill_holes: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.smoothing_s) and self.smoothing_s >= 0):
            raise ValueError(
                f"smoothing_s is {self.smoothing_s}; it is a time constant in seconds, 0 (none) or"
                " more"
            )


@dataclass(frozen=True)
class HHAFrame:
    """HHA of one frame.

    Attributes:
        hha: (H, W, 3) uint8: disparity, height, angle.
        gravity: (3,) float64 unit vector, the downward direction that was used, in the camera's
            optical frame.
        ground_m: height of the ground over the camera in metres, i.e. below zero; height channel 0.
        filled: (H, W) bool, where holes were filled; None where filling is off.
    """

    hha: NDArray[np.uint8]
    gravity: NDArray[np.float64]
    ground_m: float
    filled: NDArray[np.bool_] | None = None


class HHAStream:
    """Encodes the depth images of one moving camera, in the order of their stamps.

    It starts again by itself when the camera's view changes, and when stamps jump. The same view in
    more or fewer pixels is the same camera: gravity and ground do not depend on its resolution.

    Args:
        config: what to do.
        device: None for NumPy and OpenCV, or a torch device, as for `HHAEncoder`.
    """

    def __init__(
        self,
        config: HHAStreamConfig | None = None,
        *,
        device: str | torch.device | None = None,
    ) -> None:
        self.config = config or HHAStreamConfig()
        self._device = device
        self._encoder: HHAEncoder | None = None
        self._stamp_s: float | None = None
        smoothing_s = self.config.smoothing_s
        self._gravity = GravityTracker(smoothing_s) if smoothing_s else None
        self._ground = GroundTracker(smoothing_s) if smoothing_s else None

    def reset(self) -> None:
        """Start again: the next frame is the first."""
        self._stamp_s = None
        if self._gravity and self._ground:
            self._gravity.restart()
            self._ground.restart()

    def encode(
        self,
        depth_m: NDArray[np.floating[Any]],
        camera: Camera,
        *,
        stamp_s: float,
        missing: NDArray[np.bool_] | None = None,
        gravity: ArrayLike | None = None,
    ) -> HHAFrame:
        """Encode the next depth image.

        Args:
            depth_m: (H, W) floating point, metres; zero, negative, NaN and infinite: no depth.
            camera: of the image.
            stamp_s: time of the image in seconds, by any clock. A stamp up to half a second before
                the last one counts as the next frame at 30 Hz.
            missing: (H, W) bool, True where `depth_m` is in-painted already.
            gravity: (3,) known downward direction, of any length but zero, used as it is; None:
                estimated from this frame and those before.

        Raises:
            ValueError: as `HHAEncoder.encode`, or a stamp that is not finite. The frame then
                leaves no trace in the stream.
        """
        if not math.isfinite(stamp_s):
            raise ValueError(f"stamp_s is {stamp_s}; wanted the image's time in seconds")
        known = None if gravity is None else check_gravity(gravity)
        before = encoder = self._encoder
        if encoder is None or encoder.camera != camera:
            encoder = HHAEncoder(camera, device=self._device)
        filled = None
        if self.config.fill_holes:
            depth_m, filled = fill_holes(depth_m)
            missing = filled if missing is None else missing | filled
        view = encoder.view(depth_m, missing)
        # From here on nothing can fail: only now the frame changes the stream.
        self._encoder = encoder
        if before is None or not before.camera.sees_like(camera, _SAME_VIEW):
            self.reset()
        elapsed_s = self._elapsed(stamp_s)
        down = self._down(encoder, view, known, elapsed_s)
        ground_m = None
        if self._ground:
            heights_m = encoder.measured_heights(view, down, _HEIGHT_STRIDE)
            ground_m = self._ground.update(heights_m, elapsed_s)
        hha, ground_m = encoder.encode_view(view, down, ground_m)
        return HHAFrame(hha, down.copy(), ground_m, filled)

    def _down(
        self,
        encoder: HHAEncoder,
        view: DepthView,
        known: NDArray[np.float64] | None,
        elapsed_s: float,
    ) -> NDArray[np.float64]:
        if known is not None:
            if self._gravity:
                self._gravity.set(known)
            return known
        if self._gravity is None:
            return estimate_direction(encoder.gravity_normals(view)).direction
        is_first = self._gravity.direction is None
        normals = encoder.gravity_normals(view) if is_first else encoder.tracking_normals(view)
        return self._gravity.update(normals, elapsed_s)

    def _elapsed(self, stamp_s: float) -> float:
        """Return the seconds since the last frame, above 0, and start again after a jump."""
        last, self._stamp_s = self._stamp_s, stamp_s
        if last is None:
            return _USUAL_STEP_S
        if not -_LARGEST_STEP_BACK_S < stamp_s - last < _LONGEST_GAP_S:
            self.reset()
            self._stamp_s = stamp_s
            return _USUAL_STEP_S
        return stamp_s - last if stamp_s > last else _USUAL_STEP_S
