"""Registering depth to colour: each depth pixel is moved to where the colour camera sees its point.

What a driver's "aligned depth" does: a point goes through the transform between the cameras, and
where several land on one pixel the nearest stays. What only one of the cameras sees is a hole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NONE = np.float32(np.inf)
_OVERLAP = 1.15
"""Each square is larger by this: steps of a sensor's depth would leave cracks between them."""
_NEARER = 2
"""A square grows at most by this: a point that comes closer than half its depth leaves gaps."""


def register_depth(
    depth_m: NDArray[np.floating[Any]],
    depth_camera_matrix: ArrayLike,
    camera_matrix: ArrayLike,
    rotation: ArrayLike,
    translation: ArrayLike,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Return the depth image that the colour camera would have.

    A depth pixel is a small square: it covers every colour pixel whose centre lies in its image,
    so a depth image that is coarser than the colour image (up to twice) leaves no grid of holes.
    Depth is not interpolated: on a slanted plane it is that of a point up to half a pixel away, and
    as squares overlap and the nearest stays, 0.075 pixels nearer on average along each axis.

    Args:
        depth_m: (h, w) metres; zero, negative, NaN or infinite: none.
        depth_camera_matrix: (3, 3) of the depth camera; pixel centres at whole numbers.
        camera_matrix: (3, 3) of the colour camera.
        rotation: (3, 3), with `translation` (3,) in metres: a point p of the depth camera's frame
            is rotation @ p + translation in the colour camera's frame.
        translation: see `rotation`.
        shape: (H, W) of the colour image.

    Returns:
        (H, W) float32 metres along the colour camera's optical axis; 0 where there is none.

    Raises:
        ValueError: the colour image is more than twice as fine as the depth image.
    """
    height, width = shape
    source = np.asarray(depth_camera_matrix, np.float64)
    target = np.asarray(camera_matrix, np.float64)
    turned = np.asarray(rotation, np.float64)
    scale = float(max(target[0, 0] / source[0, 0], target[1, 1] / source[1, 1]))
    if scale > 2:
        raise ValueError(
            f"the colour image is {scale:.1f} times as fine as the depth image; at most 2 times is"
            " registered without holes: take a larger depth image or a smaller colour image"
        )
    rows, columns = np.nonzero((depth_m > 0) & np.isfinite(depth_m))
    depth = depth_m[rows, columns].astype(np.float32)
    # K' R K^-1, in which the depth factors out: p' = depth * (H [u, v, 1]) + K' t.
    homography = (target @ turned @ np.linalg.inv(source)).astype(np.float32)
    shift = (target @ np.asarray(translation, np.float64)).astype(np.float32)
    x, y, z = (
        (homography[i, 0] * columns + (homography[i, 1] * rows + homography[i, 2])) * depth
        + shift[i]
        for i in range(3)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        # Half of the square's side in the colour image.
        half = np.float32(_OVERLAP * scale / 2) * np.minimum(depth / z, _NEARER)
        u, v = x / z, y / z
    ahead = (z > 0) & np.isfinite(u) & np.isfinite(v)
    ahead &= (u > -width) & (u < 2 * width) & (v > -height) & (v < 2 * height)
    u, v, half = u[ahead], v[ahead], half[ahead]
    z = z[ahead].astype(np.float32)  # the result's own type: its minimum is found quicker
    left, right = np.ceil(u - half).astype(np.int32), np.ceil(u + half).astype(np.int32)
    above, below = np.ceil(v - half).astype(np.int32), np.ceil(v + half).astype(np.int32)
    registered = np.full(height * width, _NONE, np.float32)
    for down in range(int((below - above).max(initial=0))):
        for aside in range(int((right - left).max(initial=0))):
            row, column = above + down, left + aside
            covered = (row < below) & (column < right) & (row >= 0) & (row < height)
            covered &= (column >= 0) & (column < width)
            np.minimum.at(registered, row[covered] * width + column[covered], z[covered])
    registered[np.isinf(registered)] = 0
    return registered.reshape(height, width)
