"""Ray casting of a room: colour with a shadow, exact depth, exact labels.

In NumPy: each solid is tried only against the pixels inside its projected outline. For about a
hundred solids that is as fast as a library with a tree of triangles, and needs no further package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.labels import UNLABELLED
from fafnet_core.rooms.camera import Pose, pinhole, slopes
from fafnet_core.rooms.solids import FAR, NEAR, Array, Rays, Shell, Solid

_TINY = np.float32(1e-9)
_FALL_OFF = np.float32(0.06)
_SHADOW_PIXELS = 160
_SHADOW_FOV_DEG = 140.0
_SHADOW_BIAS = np.float32(0.05)


@dataclass(frozen=True)
class Lamp:
    """A small lamp under the ceiling, and ambient light.

    Attributes:
        position: (3,) metres.
        strength: of the lamp, at about a metre.
        ambient: of the ambient light; a white surface under light 1 is white in the image.
        tint: factors on red, green and blue of the lamp's light.
    """

    position: tuple[float, float, float]
    strength: float = 0.8
    ambient: float = 0.4
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Scene:
    """Solids under a lamp."""

    solids: tuple[Solid, ...]
    lamp: Lamp


@dataclass(frozen=True)
class Hits:
    """The first hits of a camera's rays.

    Attributes:
        depth_m: (H, W) float32, metres along the optical axis; infinite: no hit.
        solid: (H, W) int16, index into the scene's solids; -1: no hit.
    """

    depth_m: Array
    solid: NDArray[np.int16]


@dataclass(frozen=True)
class RoomView:
    """What a camera sees: rgb (H, W, 3) uint8, depth_m (H, W) float32, labels (H, W) uint8.

    Where nothing is hit the label is 255, the colour black and the depth 0.
    """

    rgb: NDArray[np.uint8]
    depth_m: Array
    labels: NDArray[np.uint8]
    glass: Array
    """(H, W) float32, the share of a surface that a depth camera does not see."""


def cast(solids: Sequence[Solid], camera: Camera, pose: Pose) -> Hits:
    """Cast one ray through the centre of each pixel."""
    depth = np.full((camera.height, camera.width), FAR, np.float32)
    nearest = np.full(depth.shape, -1, np.int16)
    x, y = slopes(camera)
    starts, axes = _in_their_frames(solids, pose)
    windows = _outlines(solids, camera, pose)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for index, (top, bottom, left, right) in enumerate(windows):
            if top >= bottom or left >= right:
                continue
            rows, columns = slice(top, bottom), slice(left, right)
            rays = _rays(axes[index], x[None, columns], y[rows, None])
            found = solids[index].cast(starts[index], rays)
            window = depth[rows, columns]
            nearer = found < window
            np.copyto(window, found, where=nearer)
            np.copyto(nearest[rows, columns], np.int16(index), where=nearer)
    return Hits(depth, nearest)


def look(solids: Sequence[Solid], camera: Camera, pose: Pose) -> tuple[NDArray[np.uint8], Array]:
    """Return the class (H, W) uint8 and the depth (H, W) of each pixel, without any light."""
    hits = cast(solids, camera, pose)
    labels = np.full(hits.depth_m.size, UNLABELLED, np.uint8)
    for solid, pixels, points in _on_solids(solids, hits, camera, pose):
        labels[pixels] = solid.labels(points)
    return labels.reshape(hits.depth_m.shape), hits.depth_m


def render_depth(solids: Sequence[Solid], camera: Camera, pose: Pose) -> tuple[Array, Array]:
    """Return depth (H, W), 0 for none, and glass (H, W) as `RoomView` has it."""
    hits = cast(solids, camera, pose)
    glass = np.array([*(solid.glass for solid in solids), 0.0], np.float32)
    return np.where(hits.solid < 0, np.float32(0), hits.depth_m), glass[hits.solid]


def render(scene: Scene, camera: Camera, pose: Pose) -> RoomView:
    """Cast one ray through the centre of each pixel, and light what it hits."""
    hits = cast(scene.solids, camera, pose)
    count = hits.depth_m.size
    labels = np.full(count, UNLABELLED, np.uint8)
    normals = np.zeros((3, count), np.float32)
    colours = np.zeros((3, count), np.float32)
    glow, glass = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for solid, pixels, points in _on_solids(scene.solids, hits, camera, pose):
        normal, u, v = solid.surface(points)
        labels[pixels] = solid.labels(points)
        normals[:, pixels] = solid.rotation @ normal
        colours[:, pixels] = solid.colours(points, u, v)
        glow[pixels], glass[pixels] = solid.glow, solid.glass
    depth = np.where(hits.solid < 0, np.float32(0), hits.depth_m)
    x, y = slopes(camera)
    right, down, forward = pose.axes[:, :, None, None]
    points = (right * x + down * y[:, None] + forward) * depth + pose.position[:, None, None]
    light = _light(scene, points, normals.reshape(3, *depth.shape))
    light += glow.reshape(depth.shape)
    rgb = np.minimum(light * colours.reshape(light.shape), 255).astype(np.uint8)
    return RoomView(
        np.ascontiguousarray(rgb.transpose(1, 2, 0)),
        depth,
        labels.reshape(depth.shape),
        glass.reshape(depth.shape),
    )


def _on_solids(
    solids: Sequence[Solid], hits: Hits, camera: Camera, pose: Pose
) -> Iterator[tuple[Solid, NDArray[np.intp], Array]]:
    """Yield each visible solid, its pixels, and the points (3, N) there in its own frame."""
    flat = hits.solid.ravel()
    # A stable sort of 16-bit integers is a radix sort: one pass for all solids.
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(len(solids) + 1))
    depth = hits.depth_m.ravel()
    x, y = slopes(camera)
    starts, axes = _in_their_frames(solids, pose)
    for index, solid in enumerate(solids):
        pixels = order[bounds[index] : bounds[index + 1]]
        if pixels.size:
            rows, columns = np.divmod(pixels, camera.width)
            rays = np.stack(_rays(axes[index], x[columns], y[rows]))
            yield solid, pixels, starts[index][:, None] + rays * depth[pixels]


def _in_their_frames(solids: Sequence[Solid], pose: Pose) -> tuple[Array, Array]:
    """Return the camera's positions (N, 3) and axes as columns (N, 3, 3) in the solids' frames."""
    if not solids:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3, 3), np.float32)
    rotations = np.stack([solid.rotation for solid in solids])
    centres = np.stack([solid.centre for solid in solids])
    starts = np.einsum("nij,ni->nj", rotations, pose.position - centres)
    axes: Array = np.swapaxes(pose.axes @ rotations, 1, 2)
    return starts, axes


def _rays(axes: Array, x: Array, y: Array) -> Rays:
    """Return directions; x and y have shapes that broadcast to the pixels'."""
    # A ray that is parallel to a face would divide by zero: it is turned a little.
    one, two, three = (a * x + (b * y + (c + _TINY)) for a, b, c in axes)
    return one, two, three


def _light(scene: Scene, points: Array, normals: Array) -> Array:
    """Return ambient light plus the lamp's by Lambert's law, falling off with distance."""
    lamp = scene.lamp
    towards = np.array(lamp.position, np.float32)[:, None, None] - points
    distance_2 = np.maximum(np.einsum("ihw,ihw->hw", towards, towards), _TINY)
    direct = np.maximum(np.einsum("ihw,ihw->hw", towards, normals), 0) / np.sqrt(distance_2)
    direct *= np.float32(lamp.strength) / (1 + _FALL_OFF * distance_2)
    direct *= _lit(scene, points)
    # More ambient light comes from above than from below.
    even = np.float32(lamp.ambient) * (np.float32(0.85) + np.float32(0.15) * normals[2])
    light: Array = even + direct * np.array(lamp.tint, np.float32)[:, None, None]
    return light


def _lit(scene: Scene, points: Array) -> Array:
    """Return 1 where the lamp is seen, 0 in shadow, (H, W), softened by a pixel."""
    lamp = np.array(scene.lamp.position, np.float32)
    down = Pose(lamp, np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]], np.float32))
    camera = pinhole(_SHADOW_PIXELS, _SHADOW_PIXELS, _SHADOW_FOV_DEG)
    casting = [solid for solid in scene.solids if not isinstance(solid, Shell) and not solid.glow]
    first = cast(casting, camera, down).depth_m
    depth = np.maximum(lamp[2] - points[2], NEAR)
    focal, middle = np.float32(camera.fx), np.float32((_SHADOW_PIXELS - 1) / 2)
    columns = (points[0] - lamp[0]) / depth * focal + middle
    rows = (lamp[1] - points[1]) / depth * focal + middle
    reached = cv2.remap(
        first, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=np.inf
    )
    lit = (depth <= reached + _SHADOW_BIAS).astype(np.float32)
    softened: Array = cv2.blur(lit, (3, 3))
    return softened


def _outlines(solids: Sequence[Solid], camera: Camera, pose: Pose) -> list[list[int]]:
    """Return top, bottom, left and right (half open) around each solid's projection.

    The whole image for a solid that is partly behind the camera, nothing for one that is behind it.
    """
    if not solids:
        return []
    height, width = camera.height, camera.width
    corners = np.stack([solid.corners for solid in solids])
    seen = pose.axes @ (corners - pose.position[:, None])
    behind = seen[:, 2] < NEAR
    ahead = np.maximum(seen[:, 2], NEAR)
    matrix = camera.matrix
    columns = seen[:, 0] / ahead * matrix[0, 0] + matrix[0, 2]
    rows = seen[:, 1] / ahead * matrix[1, 1] + matrix[1, 2]
    windows = np.stack(
        [rows.min(axis=1), rows.max(axis=1) + 1, columns.min(axis=1), columns.max(axis=1) + 1],
        axis=1,
    )
    windows[:, 0::2] = np.floor(windows[:, 0::2])
    windows[:, 1::2] = np.ceil(windows[:, 1::2])
    windows[behind.any(axis=1)] = (0, height, 0, width)
    windows[behind.all(axis=1)] = 0
    limits = np.array([height, height, width, width])
    outlines: list[list[int]] = np.clip(windows, 0, limits).astype(int).tolist()
    return outlines
