"""A furnished room in NYU-40 classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.data.labels import NYU40
from fafnet_core.data.synthetic.scene import Box, Cylinder, Scene, Solid, Texture, plain

Array = NDArray[np.float32]

_WIDTH, _LENGTH, _HEIGHT = 5.0, 6.0, 2.6


def studio() -> Scene:
    """Return a one-room flat of 5 x 6 x 2.6 m with some thirty pieces of furniture.

    The camera is meant to stand near y = 0.5 and to look along +y.
    """
    return Scene((*_shell(), *_sleeping(), *_working(), *_living()), lamp=(0.0, 2.4, 2.45))


def _label(name: str) -> int:
    return NYU40.names.index(name)


def _box(
    name: str,
    colour: int,
    position: tuple[float, float, float],
    size: tuple[float, float, float],
    *,
    texture: Texture = plain,
    yaw_deg: float = 0.0,
) -> Box:
    rgb = (colour >> 16, colour >> 8 & 255, colour & 255)
    return Box(_label(name), rgb, position, size, yaw_deg=yaw_deg, texture=texture)


def _shell() -> list[Solid]:
    middle = (0.0, _LENGTH / 2, 0.0)
    size = (_WIDTH, _LENGTH, _HEIGHT)
    back = _LENGTH - 0.02
    return [
        Box(_label("wall"), (206, 202, 190), middle, size, inside=True, texture=plaster),
        _box("floor", 0xA97B50, (0, 3, -0.05), (5, 6, 0.06), texture=planks),
        _box("ceiling", 0xEDEBE6, (0, 3, 2.59), (5, 6, 0.05)),
        _box("door", 0x7C5A3C, (2.48, 1.6, 0.01), (0.04, 0.9, 2.05), texture=panels),
        _box("window", 0xBFE0F5, (-0.1, back, 0.95), (1.5, 0.04, 1.25), texture=panels),
        _box("curtain", 0x8E3B4A, (-1.05, back - 0.05, 0.3), (0.4, 0.1, 2.1), texture=folds),
        _box("curtain", 0x8E3B4A, (0.85, back - 0.05, 0.3), (0.4, 0.1, 2.1), texture=folds),
        _box("picture", 0xD9A441, (-2.47, 2.3, 1.35), (0.04, 0.9, 0.6), texture=waves),
        _box("picture", 0x4F86A8, (1.7, back, 1.45), (0.7, 0.04, 0.5), texture=waves),
        _box("floor mat", 0x7F3F5C, (0, 2.9, 0.012), (1.8, 1.2, 0.012), texture=rug),
    ]


def _sleeping() -> list[Solid]:
    return [
        _box("bed", 0x5F7FA8, (-1.45, 4.7, 0.0), (1.6, 2.1, 0.5), texture=quilt),
        _box("bed", 0x6B4A2F, (-1.45, 5.86, 0.0), (1.7, 0.1, 1.05), texture=planks),
        _box("pillow", 0xF1EBDD, (-1.8, 5.5, 0.5), (0.6, 0.4, 0.14), yaw_deg=4),
        _box("pillow", 0xE3C9C0, (-1.1, 5.52, 0.5), (0.6, 0.38, 0.15), yaw_deg=-6),
        _box("night stand", 0x80583A, (-0.35, 5.7, 0.0), (0.45, 0.45, 0.5), texture=panels),
        Cylinder(_label("lamp"), (240, 220, 150), (-0.35, 5.7, 0.5), 0.03, 0.25),
        Cylinder(_label("lamp"), (255, 236, 170), (-0.35, 5.7, 0.72), 0.13, 0.2),
    ]


def _working() -> list[Solid]:
    legs = [(x, y, 0.0) for x in (1.2, 2.3) for y in (4.95, 5.55)]
    return [
        _box("desk", 0xC08A52, (1.75, 5.25, 0.7), (1.25, 0.75, 0.05), texture=planks),
        *(_box("desk", 0x6E4B2D, leg, (0.05, 0.05, 0.7)) for leg in legs),
        _box("television", 0x23262B, (1.75, 5.45, 0.85), (0.75, 0.05, 0.45)),
        _box("television", 0x33363B, (1.75, 5.45, 0.75), (0.2, 0.15, 0.1)),
        _box("books", 0xB5483A, (1.3, 5.2, 0.75), (0.2, 0.27, 0.09), yaw_deg=15),
        _box("chair", 0x2F6F5E, (1.6, 4.45, 0.42), (0.46, 0.46, 0.07), yaw_deg=20),
        _box("chair", 0x2F6F5E, (1.7, 4.23, 0.49), (0.46, 0.06, 0.5), yaw_deg=20),
        Cylinder(_label("chair"), (70, 72, 76), (1.6, 4.45, 0.0), 0.04, 0.42),
        Cylinder(_label("chair"), (60, 62, 66), (1.6, 4.45, 0.0), 0.26, 0.04),
        _box("bookshelf", 0x7A5230, (2.3, 3.3, 0.0), (0.38, 1.2, 1.9), texture=books),
    ]


def _living() -> list[Solid]:
    table_legs = [(x, y, 0.0) for x in (-0.4, 0.4) for y in (2.7, 3.2)]
    return [
        _box("sofa", 0x5B6B43, (-2.0, 2.35, 0.0), (0.85, 1.8, 0.42), texture=quilt),
        _box("sofa", 0x52613C, (-2.37, 2.35, 0.42), (0.2, 1.8, 0.42)),
        _box("sofa", 0x52613C, (-2.0, 1.55, 0.42), (0.85, 0.2, 0.2)),
        _box("sofa", 0x52613C, (-2.0, 3.15, 0.42), (0.85, 0.2, 0.2)),
        _box("pillow", 0xD98E3F, (-2.1, 2.85, 0.42), (0.3, 0.36, 0.34), yaw_deg=12),
        _box("table", 0xB58556, (0, 2.95, 0.42), (1.0, 0.65, 0.04), texture=planks),
        *(_box("table", 0x77552F, leg, (0.05, 0.05, 0.42)) for leg in table_legs),
        _box("books", 0x356A9C, (0.2, 2.9, 0.46), (0.26, 0.2, 0.07), yaw_deg=-20),
        Cylinder(_label("otherprop"), (200, 90, 70), (-0.25, 3.0, 0.46), 0.05, 0.12),
        _box("box", 0xB89563, (0.55, 4.55, 0.0), (0.5, 0.4, 0.38), yaw_deg=28),
        _box("refrigerator", 0xD9DEE1, (2.15, 2.2, 0.0), (0.65, 0.65, 1.7), texture=panels),
        _box("bag", 0x3E4F8A, (1.05, 3.55, 0.0), (0.32, 0.22, 0.42), yaw_deg=-35),
    ]


def plaster(u: Array, v: Array) -> Array:
    """Faint unevenness of a painted wall."""
    return _factor(1 + 0.02 * np.sin(7.1 * u + 2 * np.sin(3.3 * v)) * np.sin(5.7 * v))


def planks(u: Array, v: Array) -> Array:
    """Boards of 12 cm, each of another shade, with dark joints."""
    board = np.floor(u / 0.12)
    shade = 0.9 + 0.2 * _hash(board)
    grain = 1 + 0.05 * np.sin(90 * u + 6 * np.sin(2 * v + 5 * _hash(board)))
    joint = np.where(u / 0.12 - board < 0.06, 0.6, 1.0)
    return _factor(shade * grain * joint)


def panels(u: Array, v: Array) -> Array:
    """A frame around fields of half a metre."""
    near_edge = np.minimum(np.mod(u, 0.5), np.mod(v, 0.62)) < 0.04
    return _factor(np.where(near_edge, 0.78, 1.0))


def folds(u: Array, v: Array) -> Array:
    """Hanging cloth."""
    return _factor(0.85 + 0.2 * np.sin(75 * u))


def waves(u: Array, v: Array) -> Array:
    """An abstract painting."""
    return _factor(0.8 + 0.35 * np.sin(12 * u + 4 * np.sin(9 * v)))


def rug(u: Array, v: Array) -> Array:
    """Concentric rectangles."""
    ring = np.minimum(np.minimum(u, 1.8 - u), np.minimum(v, 1.2 - v))
    return _factor(np.where(np.mod(ring, 0.16) < 0.05, 1.45, 1.0))


def quilt(u: Array, v: Array) -> Array:
    """Stitched squares."""
    return _factor(0.92 + 0.1 * np.sin(24 * u) * np.sin(24 * v))


def books(u: Array, v: Array) -> Array:
    """Shelves of 32 cm with spines of different shades."""
    spine = _hash(np.floor(u / 0.045) + 57 * np.floor(v / 0.32))
    board = np.mod(v, 0.32) < 0.03
    return _factor(np.where(board, 0.8, 0.55 + 1.1 * spine))


def _hash(cell: Array) -> Array:
    """Return a repeatable number 0..1 for each cell."""
    return _factor(np.mod(np.sin(cell * 12.9898) * 43758.5, 1))


def _factor(values: Any) -> Array:
    factor: Array = np.asarray(values, np.float32)
    return factor
