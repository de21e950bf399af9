"""HHA once more, in float64 and in the plainest way: what the fast encoder is measured against.

Nothing is shared with `fafnet_core.hha`. The fit is the textbook one, in rays and not in pixels:
over the valid pixels of a window, the n that makes sum (n.r - 1/Z)^2 least, r = (u, v, 1), by its
3x3 normal equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def rays(camera_matrix: Floats, shape: tuple[int, ...]) -> Floats:
    """(H, W, 3): the ray (u, v, 1) through each pixel, counted from 0."""
    height, width = shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    u = (x - camera_matrix[0, 2]) / camera_matrix[0, 0]
    v = (y - camera_matrix[1, 2]) / camera_matrix[1, 1]
    return np.stack([u, v, np.ones(shape)], axis=-1)


def _windows(image: NDArray[Any], radius: int) -> NDArray[Any]:
    """(H, W, window pixels): each pixel's window, zero outside of the image."""
    side = 2 * radius + 1
    windows = sliding_window_view(np.pad(image, radius), (side, side))
    return windows.reshape(*image.shape, side * side)


def spans_plane(valid: Mask, radius: int) -> Mask:
    """(H, W): whether each window has three valid pixels that are not on one line.

    The determinant of the integer Gram matrix of (i, j, 1) is a sum of squares of areas, taken
    here in whole numbers: 0 on a line, at least 1 elsewhere.
    """
    j, i = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    offsets = np.stack([i, j, np.ones_like(i)])
    products = np.einsum("ak,bk->kab", offsets, offsets).reshape(-1, 9).astype(np.float64)
    result = np.empty(valid.shape, np.bool_)
    for row, windows in enumerate(_windows(valid.astype(np.float64), radius)):
        gram = (windows @ products).round().astype(np.int64).reshape(-1, 3, 3)
        determinant = np.sum(gram[:, 0] * np.cross(gram[:, 1], gram[:, 2]), axis=-1)
        result[row] = determinant > 0
    return result


def normals(depth_m: Floats, valid: Mask, camera_matrix: Floats, radius: int) -> Floats:
    """(H, W, 3) unit normals with n.P >= 0; NaN where the valid pixels span no plane."""
    ray = rays(camera_matrix, depth_m.shape)
    inverse = np.where(valid, 1.0 / np.where(valid, depth_m, 1.0), 0.0)
    ray_windows = [_windows(ray[..., axis], radius) for axis in range(3)]
    inverse_windows, valid_windows = _windows(inverse, radius), _windows(valid * 1.0, radius)
    spans = spans_plane(valid, radius)
    result = np.full(ray.shape, np.nan)
    for row in range(depth_m.shape[0]):
        columns = np.flatnonzero(spans[row])
        r = np.stack([windows[row, columns] for windows in ray_windows], axis=-1)
        weighted = r * valid_windows[row, columns, :, None]
        matrix = np.swapaxes(weighted, -1, -2) @ r
        right_side = np.swapaxes(weighted, -1, -2) @ inverse_windows[row, columns, :, None]
        n = np.linalg.solve(matrix, right_side)[..., 0]
        n /= np.linalg.norm(n, axis=-1, keepdims=True)
        away = np.sum(n * ray[row, columns], axis=-1, keepdims=True) >= 0
        result[row, columns] = np.where(away, n, -n)
    return result


def gravity(normal_image: Floats) -> Floats:
    """(3,) the direction that most normals are parallel or perpendicular to."""
    n = normal_image[np.isfinite(normal_image[..., 0])]
    down = np.array([0.0, 1.0, 0.0])
    for degrees in [45] * 5 + [15] * 5:
        cosine = np.abs(n @ down)
        floor = n[cosine > np.cos(np.radians(degrees))]
        wall = n[cosine < np.sin(np.radians(degrees))]
        direction = np.linalg.eigh(wall.T @ wall - floor.T @ floor)[1][:, 0]
        down = direction * np.sign(direction @ down)
    return down


def encode(
    depth_m: NDArray[np.floating[Any]],
    camera_matrix: Floats,
    missing: Mask | None = None,
    down: Floats | None = None,
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: disparity, height, angle."""
    depth: Floats = np.asarray(depth_m, np.float64)
    has_depth = np.isfinite(depth) & (depth > 0)
    valid = has_depth if missing is None else has_depth & ~missing
    if down is None:
        down = gravity(normals(depth, valid, camera_matrix, radius=10))
    centimetres = np.where(has_depth, depth, 1.0) * 100
    disparity = 31000 / np.maximum(centimetres, 100)

    tilt = np.degrees(np.arccos(np.clip(down[1], -1, 1)))
    upright = down if tilt > 0.1 else np.array([0.0, 1.0, 0.0])
    height = -centimetres * (rays(camera_matrix, depth.shape) @ upright)
    lowest = height[has_depth].min() if has_depth.any() else 0.0
    height = height - (lowest if lowest <= -90 else -130)

    cosine = normals(depth, valid, camera_matrix, radius=3) @ down
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    angle = np.where(np.isnan(angle), 180, angle) + 38

    hha = np.stack([disparity, height, angle], axis=-1)
    hha[~has_depth] = 0
    levels: NDArray[np.uint8] = np.clip(np.rint(hha), 0, 255).astype(np.uint8)
    return levels
