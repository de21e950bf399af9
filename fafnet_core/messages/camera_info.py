"""`sensor_msgs/CameraInfo` to a camera matrix of the image that came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fafnet_core.messages.protocols import CameraInfoFields


def camera_matrix(
    info: CameraInfoFields,
    width: int,
    height: int,
    *,
    rectified: bool = False,
    has_parameter: bool = True,
) -> NDArray[np.float64]:
    """Return the (3, 3) float64 camera matrix of an image of this size.

    `K` is the matrix of raw images, the left of `P` that of rectified ones. The region of interest
    is subtracted first, then the binning divides (0 means 1; an all-zero region means all).

    An image of another size is refused even where its sides are in proportion: a driver that
    scales or crops its images has changed the matrix in a way that nothing in the message tells.

    Args:
        info: the camera_info.
        width: of the image in pixels.
        height: of the image in pixels.
        rectified: the image is rectified.
        has_parameter: the remedies may name the parameter camera_matrix, which colour has.

    Raises:
        ValueError: the camera is not calibrated, or its size is not the image's.
    """
    full = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else None
    if full is None or full[0, 0] == 0:
        full = np.array(info.k, np.float64).reshape(3, 3)
    if not (full[0, 0] > 0 and full[1, 1] > 0 and np.isfinite(full).all()):
        load = "have its driver load its calibration"
        load = (
            f", {load}, or give fx, fy, cx, cy as camera_matrix" if has_parameter else f" or {load}"
        )
        raise ValueError(
            f"camera_info has focal lengths {full[0, 0]:g}, {full[1, 1]:g}: the camera is not"
            f" calibrated. Calibrate it{load}"
        )
    binning_x, binning_y = max(info.binning_x, 1), max(info.binning_y, 1)
    roi = info.roi
    columns, rows = roi.width or info.width, roi.height or info.height
    columns, rows = columns // binning_x, rows // binning_y
    if (columns, rows) != (width, height):
        instead = ", or give fx, fy, cx, cy of this size as camera_matrix" if has_parameter else ""
        raise ValueError(
            f"camera_info describes {columns}x{rows} pixels, but the image is {width}x{height}:"
            f" take the camera_info beside this very image{instead}"
        )
    matrix = full.copy()
    matrix[0, 2] -= roi.x_offset
    matrix[1, 2] -= roi.y_offset
    # Pixel centres are whole numbers: a bin of n pixels has its centre (n - 1) / 2 further on.
    for axis, binning in ((0, binning_x), (1, binning_y)):
        matrix[axis, 2] = (matrix[axis, 2] + 0.5) / binning - 0.5
        matrix[axis, :2] /= binning
    return matrix
