"""`sensor_msgs/CameraInfo` to the camera of the image that came."""

from __future__ import annotations

import numpy as np

from fafnet_core.camera import Camera, Size
from fafnet_core.messages.errors import NotCalibratedError, OtherSizeError
from fafnet_core.messages.protocols import CameraInfoFields


def camera_of(info: CameraInfoFields, size: Size, *, rectified: bool = False) -> Camera:
    """Return the camera of an image of this size.

    `K` is the matrix of raw images, the left of `P` that of rectified ones. The region of interest
    is subtracted first, then the binning divides (0 means 1; an all-zero region means all).

    An image of another size is refused even where its sides are in proportion: a driver that
    scales or crops its images has changed the matrix in a way that nothing in the message tells.

    Args:
        info: the camera_info.
        size: (height, width) of the image.
        rectified: the image is rectified.

    Raises:
        NotCalibratedError: no focal lengths.
        OtherSizeError: its size is not the image's.
        ValueError: a matrix that no camera has.
    """
    full = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else None
    if full is None or full[0, 0] == 0:
        full = np.array(info.k, np.float64).reshape(3, 3)
    if not (full[0, 0] > 0 and full[1, 1] > 0 and np.isfinite(full).all()):
        raise NotCalibratedError(float(full[0, 0]), float(full[1, 1]))
    binning = max(info.binning_y, 1), max(info.binning_x, 1)
    roi = info.roi
    whole = roi.height or info.height, roi.width or info.width
    described = whole[0] // binning[0], whole[1] // binning[1]
    if described != size:
        raise OtherSizeError(described, size)
    # What the sensor reads, with the rest of its last bin left out.
    read = described[0] * binning[0], described[1] * binning[1]
    camera = Camera.from_matrix(full, (info.height or read[0], info.width or read[1]))
    return camera.cropped(roi.y_offset, roi.x_offset, read).scaled(size)
