"""Notices that a camera has come back with other intrinsics: another matrix, or another size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo

from fafnet_core.messages.camera_info import stated_matrix
from fafnet_core.messages.synchronizer import Stream


@dataclass(frozen=True)
class _Calibration:
    """All of a camera_info that determines the camera matrix of its images."""

    size: tuple[int, int]
    matrix: tuple[float, ...]  # 3x3 of K or P, row by row
    binning: tuple[int, int]
    region: tuple[int, int, int, int]

    def __str__(self) -> str:
        focal_lengths = f"fx {self.matrix[0]:.6g}, fy {self.matrix[4]:.6g}"
        centre = f"cx {self.matrix[2]:.6g}, cy {self.matrix[5]:.6g}"
        text = f"{self.size[0]}x{self.size[1]}, {focal_lengths}, {centre}"
        if max(self.binning) > 1:
            text += f", binning {self.binning[0]}x{self.binning[1]}"
        if any(self.region):
            x, y, width, height = self.region
            text += f", region {width}x{height} at {x}, {y}"
        return text


class Calibrations:
    """The calibrations in use, of each stream and frame id.

    By frame id: an aligned depth stream that flickers has the camera_infos of two cameras in turn.

    Args:
        rectified: the images are rectified, and the matrix is that of P.
    """

    def __init__(self, *, rectified: bool) -> None:
        self._rectified = rectified
        self._of: dict[tuple[Stream, str], _Calibration] = {}

    def change(self, stream: Stream, info: CameraInfo | None) -> str | None:
        """Take the camera_info of an image; return what is new about it, None for nothing."""
        if info is None:
            return None
        key = (stream, info.header.frame_id)
        new, old = self._read(info), self._of.get(key)
        self._of[key] = new
        return None if old is None or new == old else f"{new} (was {old})"

    def _read(self, info: CameraInfo) -> _Calibration:
        matrix = stated_matrix(info, rectified=self._rectified).ravel()
        return _Calibration(
            (info.width, info.height),
            tuple(np.nan_to_num(matrix).tolist()),  # NaN differs from itself
            (max(info.binning_x, 1), max(info.binning_y, 1)),
            (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
        )
