"""Ray casting of boxes and upright cylinders: colour, exact depth and exact labels.

Every ray has the length of one metre along the optical axis, so a hit's ray parameter is its
depth. Each solid is tried only against the pixels inside its projected outline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fafnet_core.data.synthetic.camera import PinholeCamera, Pose

Array = NDArray[np.float32]
Texture = Callable[[Array, Array], Array]
"""Brightness factor of a surface at its coordinates (u, v) in metres, about 1."""

_NEAR = np.float32(0.05)
_FAR = np.float32(np.inf)
_TINY = np.float32(1e-9)
_AMBIENT = np.float32(0.5)
_LAMP = np.float32(0.75)
_FALL_OFF = np.float32(0.05)


def plain(u: Array, v: Array) -> Array:
    """One even colour."""
    return np.ones_like(u)


@dataclass(frozen=True)
class _Solid:
    label: int
    colour: tuple[int, int, int]
    position: tuple[float, float, float]
    texture: Texture = field(default=plain, kw_only=True)


@dataclass(frozen=True)
class Box(_Solid):
    """A box that stands at `position` (the middle of its underside) and is turned about z.

    With `inside`, its faces are seen from within: a room.
    """

    size: tuple[float, float, float]
    yaw_deg: float = field(default=0.0, kw_only=True)
    inside: bool = field(default=False, kw_only=True)

    def corners(self) -> Array:
        """The eight corners (3, 8) in the world."""
        signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1)), np.float32).reshape(3, 8)
        return _turn(self.yaw_deg) @ (signs * self._half) + self._centre

    def cast(self, origin: Array, rays: Array) -> Array:
        """Return the depth (N,) of rays (3, N) from an origin (3, 1); infinite: no hit."""
        start, ways = self._into(origin - self._centre), self._into(rays)
        inverse = 1 / np.where(np.abs(ways) < _TINY, _TINY, ways)
        reach = np.abs(inverse) * self._half
        inverse *= -start
        enter, leave = inverse - reach, inverse + reach
        near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
        far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
        depth = far if self.inside else near
        return np.where((near < far) & (depth > _NEAR), depth, _FAR)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """Return the normal (3, N) and the coordinates u, v in metres of points (3, N) on it."""
        local = self._into(points - self._centre)
        axis = (np.abs(local) / self._half).argmax(axis=0)
        columns = np.arange(points.shape[1])
        normal = np.zeros_like(local)
        outwards = np.sign(local[axis, columns])
        normal[axis, columns] = -outwards if self.inside else outwards
        local += self._half
        u: Array = np.where(axis == 0, local[1], local[0])
        v: Array = np.where(axis == 2, local[1], local[2])
        return _turn(self.yaw_deg) @ normal, u, v

    @property
    def _half(self) -> Array:
        return np.array(self.size, np.float32)[:, None] * np.float32(0.5)

    @property
    def _centre(self) -> Array:
        x, y, z = self.position
        return np.array([[x], [y], [z + self.size[2] / 2]], np.float32)

    def _into(self, vectors: Array) -> Array:
        """Turn world vectors (3, N) into the box's own axes."""
        return _turn(-self.yaw_deg) @ vectors if self.yaw_deg else vectors


@dataclass(frozen=True)
class Cylinder(_Solid):
    """An upright cylinder that stands at `position` (the middle of its underside)."""

    radius: float
    height: float

    def corners(self) -> Array:
        """The eight corners (3, 8) of the box around it, in the world."""
        size = (2 * self.radius, 2 * self.radius, self.height)
        return Box(self.label, self.colour, self.position, size).corners()

    def cast(self, origin: Array, rays: Array) -> Array:
        """Return the depth (N,) of rays (3, N) from an origin (3, 1); infinite: no hit."""
        start = origin - self._base
        radius_2 = np.float32(self.radius**2)
        flat = np.maximum(rays[0] ** 2 + rays[1] ** 2, _TINY)
        along = rays[0] * start[0] + rays[1] * start[1]
        spread = along**2 - flat * (start[0] ** 2 + start[1] ** 2 - radius_2)
        side = (-along - np.sqrt(np.maximum(spread, 0))) / flat
        z = start[2] + side * rays[2]
        on_side = (spread > 0) & (side > _NEAR) & (z >= 0) & (z <= self.height)
        rise = np.where(np.abs(rays[2]) < _TINY, _TINY, rays[2])
        cap = (np.where(rise < 0, np.float32(self.height), np.float32(0)) - start[2]) / rise
        at_cap_2 = (start[0] + cap * rays[0]) ** 2 + (start[1] + cap * rays[1]) ** 2
        on_cap = (cap > _NEAR) & (at_cap_2 <= radius_2)
        return np.where(on_side, side, np.where(on_cap, cap, _FAR))

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """Return the normal (3, N) and the coordinates u, v in metres of points (3, N) on it."""
        local = points - self._base
        from_side = np.abs(np.hypot(local[0], local[1]) - np.float32(self.radius))
        from_cap = np.minimum(np.abs(local[2]), np.abs(local[2] - np.float32(self.height)))
        on_side = from_side < from_cap
        upwards = np.where(local[2] > self.height / 2, np.float32(1), np.float32(-1))
        normal = np.where(on_side, local / np.float32(self.radius), np.float32(0))
        normal[2] = np.where(on_side, 0, upwards)
        return normal, np.arctan2(local[1], local[0]) * np.float32(self.radius), local[2]

    @property
    def _base(self) -> Array:
        return np.array(self.position, np.float32)[:, None]


Solid = Box | Cylinder


@dataclass(frozen=True)
class Scene:
    """Solids and a lamp, in metres."""

    solids: tuple[Solid, ...]
    lamp: tuple[float, float, float]


@dataclass(frozen=True)
class Rendering:
    """What a camera sees: rgb (H, W, 3) uint8, depth_m (H, W) float32, labels (H, W) uint8."""

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    labels: NDArray[np.uint8]


def render(scene: Scene, camera: PinholeCamera, pose: Pose) -> Rendering:
    """Cast one ray through the centre of each pixel.

    Pixels that no solid covers get label 255, black colour and depth 0.
    """
    height, width = camera.height, camera.width
    matrix = camera.camera_matrix.astype(np.float32)
    rays = _rays(camera, matrix, pose)
    origin = pose.position[:, None]
    depth = np.full((height, width), _FAR, np.float32)
    nearest = np.full((height, width), -1, np.int16)
    windows = [_outline(solid, camera, matrix, pose) for solid in scene.solids]
    for index, (solid, window) in enumerate(zip(scene.solids, windows, strict=True)):
        within = rays[(slice(None), *window)]
        found = solid.cast(origin, within.reshape(3, -1)).reshape(within.shape[1:])
        nearer = found < depth[window]
        np.copyto(depth[window], found, where=nearer)
        nearest[window][nearer] = index
    rgb = np.zeros((height, width, 3), np.uint8)
    labels = np.full((height, width), 255, np.uint8)
    for index, (solid, window) in enumerate(zip(scene.solids, windows, strict=True)):
        rows, columns = np.nonzero(nearest[window] == index)
        seen = rows + window[0].start, columns + window[1].start
        points = origin + rays[:, seen[0], seen[1]] * depth[seen]
        normal, u, v = solid.surface(points)
        light = _light(scene, points, normal) * solid.texture(u, v)
        labels[seen] = solid.label
        rgb[seen] = np.minimum(light[:, None] * np.array(solid.colour, np.float32), 255)
    return Rendering(rgb, np.where(nearest < 0, np.float32(0), depth), labels)


def _rays(camera: PinholeCamera, matrix: Array, pose: Pose) -> Array:
    """Return the ray through each pixel's centre, (3, H, W), one metre along the optical axis."""
    x = (np.arange(camera.width, dtype=np.float32) - matrix[0, 2]) / matrix[0, 0]
    y = (np.arange(camera.height, dtype=np.float32) - matrix[1, 2]) / matrix[1, 1]
    right, down, forward = pose.axes[:, :, None, None]
    rays: Array = right * x + down * y[:, None] + forward
    return rays


def _light(scene: Scene, points: Array, normals: Array) -> Array:
    """Lambert's law under one lamp, whose light falls off gently, over an even ambient light."""
    towards = np.array(scene.lamp, np.float32)[:, None] - points
    distance_2 = np.maximum(np.einsum("in,in->n", towards, towards), _TINY)
    facing = np.maximum(np.einsum("in,in->n", towards, normals), 0) / np.sqrt(distance_2)
    light: Array = _AMBIENT + _LAMP * facing / (1 + _FALL_OFF * distance_2)
    return light


def _outline(solid: Solid, camera: PinholeCamera, matrix: Array, pose: Pose) -> tuple[slice, slice]:
    """Return the rows and columns around a solid's projection; all where it reaches behind."""
    seen = pose.axes @ (solid.corners() - pose.position[:, None])
    if (seen[2] < _NEAR).all():
        return slice(0, 0), slice(0, 0)
    if (seen[2] < _NEAR).any():
        return slice(0, camera.height), slice(0, camera.width)
    columns = seen[0] / seen[2] * matrix[0, 0] + matrix[0, 2]
    rows = seen[1] / seen[2] * matrix[1, 1] + matrix[1, 2]
    return _between(rows, camera.height), _between(columns, camera.width)


def _between(values: Array, size: int) -> slice:
    low, high = max(int(values.min()), 0), min(int(np.ceil(values.max())) + 1, size)
    return slice(min(low, size), max(high, 0))


def _turn(yaw_deg: float) -> Array:
    """Return the matrix that turns column vectors about z, counter-clockwise from above."""
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
