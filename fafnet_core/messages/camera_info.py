"""`sensor_msgs/CameraInfo` to the camera of the image that came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera, Size
from fafnet_core.messages.errors import NoSizeError, NotCalibratedError, OtherSizeError
from fafnet_core.messages.protocols import CameraInfoFields
from fafnet_core.registration import Lens


def camera_of(info: CameraInfoFields, size: Size, *, rectified: bool = False) -> Camera:
    """Return the camera of an image of this size.

    `K` is the matrix of raw images, the left of `P` that of rectified ones; where one is empty, the
    other serves. The region of interest is subtracted first, then the binning divides (0 means
    1; an all-zero region means all). A size of 0 is not stated: it is the image's.

    An image of another size is refused even where its sides are in proportion: a driver that
    scales or crops its images has changed the matrix in a way that nothing in the message tells.

    Args:
        info: the camera_info.
        size: (height, width) of the image.
        rectified: the image is rectified.

    Raises:
        NotCalibratedError: no focal lengths.
        OtherSizeError: its size is not the image's.
        NoSizeError: it states none, and cannot be of the image's.
        ValueError: a matrix that no camera has.
    """
    full = stated_matrix(info, rectified=rectified)
    is_matrix = not _is_empty(full) and full[0, 0] > 0 and full[1, 1] > 0
    if not (is_matrix and np.isfinite(full).all()):
        raise NotCalibratedError(float(full[0, 0]), float(full[1, 1]))
    binning = max(info.binning_y, 1), max(info.binning_x, 1)
    roi = info.roi
    whole = roi.height or info.height, roi.width or info.width
    described = whole[0] // binning[0], whole[1] // binning[1]
    if whole == (0, 0):
        described = size
    if described != size:
        raise OtherSizeError(described, size)
    # What the sensor reads, with the rest of its last bin left out.
    read = described[0] * binning[0], described[1] * binning[1]
    camera = Camera.from_matrix(full, (info.height or read[0], info.width or read[1]))
    camera = camera.cropped(roi.y_offset, roi.x_offset, read).scaled(size)
    if whole == (0, 0) and not _is_centred(camera):
        raise NoSizeError((camera.cx, camera.cy), size)
    return camera


def lens_of(info: CameraInfoFields, *, rectified: bool = False) -> Lens | None:
    """Return how the lens of an image distorts; None: it is rectified, or nothing distorts.

    Raises:
        UnknownLensError: a model that is not known here.
    """
    # Who leaves K empty speaks of rectified images alone.
    if rectified or _is_empty(np.array(info.k, np.float64).reshape(3, 3)):
        return None
    return Lens.of(info.distortion_model, info.d)


def stated_matrix(info: CameraInfoFields, *, rectified: bool) -> NDArray[np.float64]:
    """Return the matrix (3, 3) that a camera_info states: K, for rectified images P.

    Some drivers fill in only one of them; the other is zero, or the identity.
    """
    of_raw = np.array(info.k, np.float64).reshape(3, 3)
    of_rectified = np.array(info.p, np.float64).reshape(3, 4)[:, :3]
    wanted, other = (of_rectified, of_raw) if rectified else (of_raw, of_rectified)
    return other if _is_empty(wanted) and not _is_empty(other) else wanted


def _is_empty(matrix: NDArray[np.float64]) -> bool:
    return bool(matrix[0, 0] == 0 or (matrix[0, 0] == 1 and matrix[1, 1] == 1))


def _is_centred(camera: Camera) -> bool:
    """Whether the principal point is where lenses have it, a sixth of the sides about the middle.

    A matrix of images that are half as large again, or a third smaller, has it further away.
    """
    sides = ((camera.cx + 0.5) / camera.width, (camera.cy + 0.5) / camera.height)
    return all(abs(side - 0.5) < 1 / 6 for side in sides)
