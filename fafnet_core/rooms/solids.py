"""The solids of a room: boxes, frustums (cylinders, cones), ellipsoids, and the room's shell.

Each solid has its own frame. A camera ray of depth 1 m is affine in the pixel's coordinates, also
in the solid's frame. `Rays` holds its x, y and z over a window of the image, so that a hit's ray
parameter is its depth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[np.float32]
Texture = Callable[[Array, Array], Array]
"""Factor on a surface's colour at (u, v) in metres: (N,), or (3, N) for each of R, G, B."""

Rays = tuple[Array, Array, Array]
"""The x, y and z of ray directions, three arrays of one shape."""

NEAR = np.float32(0.05)
"""Nothing nearer than this is seen, in metres."""
FAR = np.float32(np.inf)
_TINY = np.float32(1e-12)
_STEEPEST = np.float32(1e12)
_SIGNS = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1)), np.float32).reshape(3, 8)


def plain(u: Array, v: Array) -> Array:
    """One even colour."""
    return np.ones_like(u)


def turn(yaw_deg: float) -> Array:
    """Return the matrix that turns column vectors about z, counter-clockwise from above."""
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


def tilt(pitch_deg: float) -> Array:
    """Return the matrix that turns column vectors about x, from y towards z."""
    c, s = np.cos(np.radians(pitch_deg)), np.sin(np.radians(pitch_deg))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def _coloured(colour: tuple[float, float, float], texture: Texture, u: Array, v: Array) -> Array:
    coloured: Array = np.array(colour, np.float32)[:, None] * texture(u, v)
    return coloured


@dataclass(frozen=True, eq=False)
class Solid(ABC):
    """One convex thing of one class.

    Attributes:
        label: class id.
        colour: R, G, B, 0 to 255, under full light.
        centre: (3,) where its middle is, in metres.
        half: (3,) half its size along its own axes.
        rotation: (3, 3), its own axes as columns in the world.
        texture: factor on the colour.
        glow: its own light, added to the light that falls on it.
        glass: the share of its pixels that a depth camera does not see.
    """

    label: int
    colour: tuple[float, float, float]
    centre: Array
    half: Array
    rotation: Array = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    texture: Texture = plain
    glow: float = 0.0
    glass: float = 0.0

    def moved(self, rotation: Array, offset: Array) -> Self:
        """Turned about the origin, then shifted."""
        return replace(
            self, centre=rotation @ self.centre + offset, rotation=rotation @ self.rotation
        )

    @cached_property
    def corners(self) -> Array:
        """The eight corners (3, 8) of the box around it, in the world."""
        return self.rotation @ (_SIGNS * self.half[:, None]) + self.centre[:, None]

    @abstractmethod
    def cast(self, start: Array, rays: Rays) -> Array:
        """Return the depth of rays from `start` (3,), all in its own frame; FAR: no hit."""

    @abstractmethod
    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """Return normals (3, N), u and v (N,) in metres at points (3, N), in its own frame."""

    def labels(self, points: Array) -> int | NDArray[np.uint8]:
        """The class at points (3, N) on it."""
        return self.label

    def colours(self, points: Array, u: Array, v: Array) -> Array:
        """Its colour (3, N) or (3, 1), 0 to 255, at points (3, N) with u and v (N,)."""
        return _coloured(self.colour, self.texture, u, v)


class Box(Solid):
    """A box."""

    def cast(self, start: Array, rays: Rays) -> Array:
        """See `Solid`."""
        near, far = self._slabs(start, rays)
        return np.where((near <= far) & (near > NEAR), near, FAR)

    def _slabs(self, start: Array, rays: Rays) -> tuple[Array, Array]:
        near: Array | None = None
        far: Array | None = None
        for way, from_middle, half in zip(rays, start, self.half, strict=True):
            # Of a ray that is parallel to a face; an infinite one would make NaN below.
            inverse = np.clip(np.reciprocal(way), -_STEEPEST, _STEEPEST)
            reach = np.abs(inverse)
            reach *= half
            inverse *= -from_middle
            enter, leave = inverse - reach, np.add(inverse, reach, out=inverse)
            near = enter if near is None else np.maximum(near, enter, out=near)
            far = leave if far is None else np.minimum(far, leave, out=far)
        assert near is not None
        assert far is not None
        return near, far

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See `Solid`; u runs along the face's first own axis, v along its second."""
        relative = np.abs(points) / self.half[:, None]
        axis = relative.argmax(axis=0)
        columns = np.arange(points.shape[1])
        normal = np.zeros_like(points)
        normal[axis, columns] = np.sign(points[axis, columns])
        shifted = points + self.half[:, None]
        u: Array = np.where(axis == 0, shifted[1], shifted[0])
        v: Array = np.where(axis == 2, shifted[1], shifted[2])
        return normal, u, v


@dataclass(frozen=True, eq=False)
class Shell(Box):
    """The inside of a box: four walls, a floor and a ceiling, each with colour and texture.

    Attributes:
        floor: label, colour and texture of the floor; `ceiling` likewise. The walls have the
            solid's own.
    """

    floor: tuple[int, tuple[float, float, float], Texture] = (1, (128.0, 128.0, 128.0), plain)
    ceiling: tuple[int, tuple[float, float, float], Texture] = (21, (230.0, 230.0, 230.0), plain)

    def cast(self, start: Array, rays: Rays) -> Array:
        """See `Solid`."""
        far = self._slabs(start, rays)[1]
        return np.where(far > NEAR, far, FAR)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See `Solid`; normals point into the room."""
        normal, u, v = super().surface(points)
        return -normal, u, v

    def labels(self, points: Array) -> NDArray[np.uint8]:
        """See `Solid`."""
        level = self.level(points)
        return np.array([self.floor[0], self.label, self.ceiling[0]], np.uint8)[level + 1]

    def colours(self, points: Array, u: Array, v: Array) -> Array:
        """See `Solid`."""
        level = self.level(points)
        colours = _coloured(self.colour, self.texture, u, v)
        for face, (_, colour, texture) in ((-1, self.floor), (1, self.ceiling)):
            here = level == face
            colours[:, here] = _coloured(colour, texture, u[here], v[here])
        return colours

    def level(self, points: Array) -> NDArray[np.int8]:
        """-1 on the floor, 1 on the ceiling, 0 on a wall."""
        flat = (np.abs(points) / self.half[:, None]).argmax(axis=0) == 2
        level: NDArray[np.int8] = (flat * np.sign(points[2])).astype(np.int8)
        return level


@dataclass(frozen=True, eq=False)
class Frustum(Solid):
    """A round column along its own z: a cylinder, or a cone cut off.

    Attributes:
        bottom, top: its radii; the larger is half[0] and half[1].
    """

    bottom: float = 0.0
    top: float = 0.0

    def cast(self, start: Array, rays: Rays) -> Array:
        """See `Solid`."""
        (dx, dy, dz), (ox, oy, oz) = rays, start
        height = self.half[2]
        # The radius at z is mean + slope z; x^2 + y^2 = (mean + slope z)^2 is quadratic in depth.
        mean, slope = self._profile()
        at_start = mean + slope * oz
        a = dx * dx + dy * dy
        a -= (slope * slope) * (dz * dz)
        b = dx * ox + dy * oy
        b -= (at_start * slope) * dz
        c = ox * ox + oy * oy - at_start * at_start
        root = np.sqrt(np.maximum(b * b - a * c, 0))
        side = (-b - root) / np.where(np.abs(a) < _TINY, _TINY, a)
        z = oz + side * dz
        hit = (b * b > a * c) & (side > NEAR) & (np.abs(z) <= height)
        best = np.where(hit, side, FAR)
        for sign, radius in ((-1, self.bottom), (1, self.top)):
            if sign * oz <= height:  # the lid is seen from within or behind
                continue
            lid = (sign * height - oz) / dz
            x, y = ox + lid * dx, oy + lid * dy
            on_lid = (x * x + y * y <= np.float32(radius * radius)) & (lid > NEAR)
            best = np.where(on_lid, np.minimum(best, lid), best)
        return best

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See `Solid`; u runs around it."""
        height = self.half[2]
        mean, slope = self._profile()
        radius = mean + slope * points[2]
        distance = np.hypot(points[0], points[1])
        on_side = np.abs(distance - radius) < height - np.abs(points[2])
        normal = np.zeros_like(points)
        around = np.maximum(distance, _TINY)
        normal[:2] = np.where(on_side, points[:2] / around, 0)
        normal[2] = np.where(on_side, -slope, np.sign(points[2]))
        normal /= np.linalg.norm(normal, axis=0)
        u = np.arctan2(points[1], points[0]) * self.half[0]
        return normal, u, points[2] + height

    def _profile(self) -> tuple[np.float32, np.float32]:
        """Return the radius in the middle and its growth with z."""
        mean = np.float32((self.top + self.bottom) / 2)
        return mean, np.float32((self.top - self.bottom) / 2) / self.half[2]


class Ellipsoid(Solid):
    """An ellipsoid: cushions, heads, bags."""

    def cast(self, start: Array, rays: Rays) -> Array:
        """See `Solid`."""
        origin = start / self.half
        dx, dy, dz = (way / half for way, half in zip(rays, self.half, strict=True))
        a = dx * dx + dy * dy + dz * dz
        b = dx * origin[0] + dy * origin[1] + dz * origin[2]
        spread = b * b - a * (origin @ origin - np.float32(1))
        depth = (-b - np.sqrt(np.maximum(spread, 0))) / a
        return np.where((spread > 0) & (depth > NEAR), depth, FAR)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See `Solid`."""
        normal = points / (self.half**2)[:, None]
        normal /= np.maximum(np.linalg.norm(normal, axis=0), _TINY)
        return normal, points[0] + self.half[0], points[1] + self.half[1]
