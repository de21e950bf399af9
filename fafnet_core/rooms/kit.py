"""What furniture is made of: colours, textures, pieces, and three kinds of solids.

Classes differ in shape, not in colour: all colours come from one palette.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fafnet_core.labels import NYU40
from fafnet_core.rooms import textures
from fafnet_core.rooms.solids import Array, Box, Ellipsoid, Frustum, Solid, Texture, turn

if TYPE_CHECKING:
    from typing_extensions import Unpack

Colour = tuple[float, float, float]

PALETTE: tuple[int, ...] = (
    0xEDE9E0, 0xD8CFC0, 0xB9B4AA, 0x8C8A86, 0x55534F, 0x2F2E2D, 0xC49A6C, 0x9C6B3F,
    0x6E4525, 0x4A2E1B, 0x7E8F6A, 0x4D6B57, 0x5F7F9E, 0x34506E, 0xA65A4A, 0x7A2E36,
    0xC9A23F, 0x8E6C8A, 0xB7C4CE, 0xD6B59A,
)  # fmt: skip
"""The colours of all things in a room."""


def label(name: str) -> int:
    """Return the id of a class of NYU40."""
    return NYU40.names.index(name)


@dataclass
class Piece:
    """Solids that belong together, with the floor they take.

    Attributes:
        width: along x, in metres; `depth` along y; `height` up to its top.
        top: height of a surface that small things can lie on, or None.
    """

    solids: list[Solid]
    width: float
    depth: float
    height: float
    top: float | None = None

    def placed(self, x: float, y: float, z: float, yaw_deg: float) -> list[Solid]:
        """Return its solids turned about z and moved into the room."""
        rotation, offset = turn(yaw_deg), np.array([x, y, z], np.float32)
        return [solid.moved(rotation, offset) for solid in self.solids]


@dataclass
class Kit:
    """Makes solids with colours and textures drawn from one generator."""

    rng: np.random.Generator
    lies: float = 0.5
    """The share of surfaces whose texture is drawn from all textures."""

    def colour(self) -> Colour:
        """Draw a colour of the palette, made a little lighter or darker."""
        value = PALETTE[self.rng.integers(len(PALETTE))]
        shade = self.rng.uniform(0.8, 1.15)
        red, green, blue = (min(255.0, shade * (value >> s & 255)) for s in (16, 8, 0))
        return red, green, blue

    def texture(self, *fitting: textures.Maker) -> Texture:
        """Draw a texture: one of those that fit, or any."""
        makers: Sequence[textures.Maker] = fitting
        if not fitting or self.rng.random() < self.lies:
            makers = textures.ANY
        return makers[int(self.rng.integers(len(makers)))](self.rng)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Draw yes or no."""
        return bool(self.rng.random() < probability)


class Surface(TypedDict, total=False):
    """See `Solid`."""

    texture: Texture
    rotation: Array
    glow: float
    glass: float


def box(
    name: str, colour: Colour, foot: ArrayLike, size: ArrayLike, **surface: Unpack[Surface]
) -> Box:
    """A box of `size` (x, y, z), turned about its middle; unturned, it stands on `foot`."""
    return Box(label(name), colour, *_middle(foot, size), **surface)


def pair(
    name: str,
    colour: Colour,
    foot: tuple[float, float, float],
    size: ArrayLike,
    **surface: Unpack[Surface],
) -> list[Solid]:
    """Two boxes side by side: on `foot`, and on its mirror image at -x, which comes first."""
    x, y, z = foot
    return [box(name, colour, (side * x, y, z), size, **surface) for side in (-1, 1)]


def tube(
    name: str,
    colour: Colour,
    foot: ArrayLike,
    radius: float | tuple[float, float],
    height: float,
    **surface: Unpack[Surface],
) -> Frustum:
    """A round column with one radius, or with one at the bottom and one at the top."""
    bottom, top = radius if isinstance(radius, tuple) else (radius, radius)
    widest = 2 * max(bottom, top)
    centre, half = _middle(foot, (widest, widest, height))
    return Frustum(label(name), colour, centre, half, bottom=bottom, top=top, **surface)


def blob(
    name: str, colour: Colour, foot: ArrayLike, size: ArrayLike, **surface: Unpack[Surface]
) -> Ellipsoid:
    """An ellipsoid that fills a box of `size`."""
    return Ellipsoid(label(name), colour, *_middle(foot, size), **surface)


def _middle(foot: ArrayLike, size: ArrayLike) -> tuple[Array, Array]:
    half: Array = np.asarray(size, np.float32) / np.float32(2)
    return np.asarray(foot, np.float32) + half * np.array([0, 0, 1], np.float32), half
