"""Procedural surfaces. Each maker returns a `Texture`: u, v in metres to a factor on the colour.

Some are misleading on purpose, such as a mural of furniture on a flat wall: only depth then tells
the class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fafnet_core.rooms.solids import Array, Texture

Maker = Callable[[np.random.Generator], Texture]


def uneven(rng: np.random.Generator) -> Texture:
    """Paint that is a little uneven."""
    f, p = rng.uniform(1.5, 6, 3), rng.uniform(0, 6.3, 3)
    depth = np.float32(rng.uniform(0.01, 0.06))

    def texture(u: Array, v: Array) -> Array:
        wave = np.sin(_f(f[0]) * u + np.sin(_f(f[1]) * v + _f(p[0])) + _f(p[1]))
        return _array(1 + depth * wave * np.sin(_f(f[2]) * v + _f(p[2])))

    return texture


def planks(rng: np.random.Generator) -> Texture:
    """Boards of different shades with dark joints."""
    width, depth = rng.uniform(0.07, 0.2), _f(rng.uniform(0.1, 0.4))
    across, seed = rng.random() < 0.5, rng.uniform(0, 50)

    def texture(u: Array, v: Array) -> Array:
        along, over = (v, u) if across else (u, v)
        board = np.floor(over / _f(width))
        length = np.floor((along + 3 * _hash(board + _f(seed))) / _f(1.3))
        shade = 1 - depth / 2 + depth * _hash(board + 17 * length + _f(seed))
        return np.where(over / _f(width) - board < 0.07, _f(0.6), shade)

    return texture


def tiles(rng: np.random.Generator) -> Texture:
    """Square tiles, plain or as a chessboard."""
    size, joint = rng.uniform(0.15, 0.6), _f(rng.uniform(0.6, 0.9))
    contrast = _f(rng.choice([0.05, 0.35]))

    def texture(u: Array, v: Array) -> Array:
        a, b = u / _f(size), v / _f(size)
        column, row = np.floor(a), np.floor(b)
        shade = 1 - contrast * np.mod(column + row, 2)
        return np.where(np.minimum(a - column, b - row) < 0.04, joint, shade)

    return texture


def stripes(rng: np.random.Generator) -> Texture:
    """Stripes: wallpaper, sheets, slats."""
    width, contrast = rng.uniform(0.03, 0.25), _f(rng.uniform(0.08, 0.45))
    upright, tint = rng.random() < 0.6, _tint(rng, 0.25)

    def texture(u: Array, v: Array) -> Array:
        stripe = np.mod(np.floor((u if upright else v) / _f(width)), 2)
        return _array((1 - contrast * stripe) * (1 + tint * stripe))

    return texture


def checks(rng: np.random.Generator) -> Texture:
    """Two crossing sets of stripes."""
    one, other = stripes(rng), stripes(rng)
    return lambda u, v: one(u, v) * other(v, u)


def cloth(rng: np.random.Generator) -> Texture:
    """Soft, wide waves of brightness: woven cloth, leather, carpet."""
    f, p = rng.uniform(3, 14, 4), rng.uniform(0, 6.3, 4)
    depth = _f(rng.uniform(0.04, 0.16))

    def texture(u: Array, v: Array) -> Array:
        wave = np.sin(_f(f[0]) * u + _f(f[1]) * v + _f(p[0]))
        return _array(1 + depth * wave * np.sin(_f(f[2]) * u - _f(f[3]) * v + _f(p[1])))

    return texture


def blotches(rng: np.random.Generator) -> Texture:
    """Patches of several colours: an abstract painting, printed cloth."""
    f, p = rng.uniform(2, 11, (3, 3)), rng.uniform(0, 6.3, (3, 3))
    depth = rng.uniform(0.2, 0.55, 3).astype(np.float32)

    def texture(u: Array, v: Array) -> Array:
        waves = [
            np.sin(_f(a) * u + np.sin(_f(b) * v + _f(q)) + _f(r)) * np.sin(_f(c) * v + _f(s))
            for (a, b, c), (q, r, s) in zip(f, p, strict=True)
        ]
        return _array(0.85 + depth[:, None] * np.stack(waves))

    return texture


def patches(rng: np.random.Generator) -> Texture:
    """A patchwork: rectangles of unrelated colours, as in prints, murals and rugs."""
    width, height, seed = rng.uniform(0.15, 0.9), rng.uniform(0.15, 0.9), rng.uniform(0, 50)
    depth = _f(rng.uniform(0.3, 0.9))

    def texture(u: Array, v: Array) -> Array:
        column = np.floor(u / _f(width))
        row = np.floor(v / _f(height) + _hash(column + _f(seed)))
        cell = column + 31 * row + _f(seed)
        return np.stack([1 - depth * _hash(cell + _f(shift)) for shift in (0.0, 0.37, 0.71)])

    return texture


def mural(rng: np.random.Generator) -> Texture:
    """Flat pictures of furniture: upright rectangles with doors and shelves, from the floor up."""
    spacing, seed = rng.uniform(0.7, 1.4), rng.uniform(0, 50)
    lines, tint = rng.uniform(0.25, 0.5), _tint(rng, 0.5)

    def texture(u: Array, v: Array) -> Array:
        column = np.floor(u / _f(spacing))
        across = u / _f(spacing) - column
        tall = _f(0.5) + _f(1.6) * _hash(column + _f(seed))
        wide = _f(0.55) + _f(0.4) * _hash(column + _f(seed + 3))
        there = (v < tall) & (across < wide) & (_hash(column + _f(seed + 5)) < 0.75)
        seam = (np.mod(v, _f(lines)) < 0.025) | (np.abs(across - wide / 2) < 0.012)
        shade = (0.45 + 0.6 * _hash(column + _f(seed + 7))) * np.where(seam, _f(0.55), _f(1))
        return np.where(there, shade * (1 + tint), _f(1))

    return texture


def panels(rng: np.random.Generator) -> Texture:
    """Frames around fields: doors of cupboards, drawers."""
    width, height = rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.9)
    seam = _f(rng.uniform(0.55, 0.85))

    def texture(u: Array, v: Array) -> Array:
        near_edge = (np.mod(u, _f(width)) < 0.02) | (np.mod(v, _f(height)) < 0.02)
        return np.where(near_edge, seam, _f(1))

    return texture


def spines(rng: np.random.Generator) -> Texture:
    """Books side by side, each of another colour."""
    width, seed = rng.uniform(0.025, 0.05), rng.uniform(0, 50)

    def texture(u: Array, v: Array) -> Array:
        book = np.floor(u / _f(width)) + _f(seed)
        colours = [0.35 + 0.9 * _hash(book + _f(shift)) for shift in (0.0, 0.37, 0.71)]
        return np.stack(colours)

    return texture


def slats(rng: np.random.Generator) -> Texture:
    """The slats of blinds."""
    pitch, contrast = rng.uniform(0.04, 0.07), _f(rng.uniform(0.2, 0.45))
    return lambda u, v: 1 - contrast * (np.mod(v / _f(pitch), 1) < 0.35)


def panes(rng: np.random.Generator) -> Texture:
    """What is seen through a window: sky over a darker horizon."""
    horizon, dark = _f(rng.uniform(0.1, 0.8)), _tint(rng, 0.3) + _f(0.55)
    return lambda u, v: np.where(v < horizon + 0.1 * np.sin(4 * u), dark, _f(1))


def handwriting(rng: np.random.Generator) -> Texture:
    """Lines of writing on a board."""
    f, p = rng.uniform(30, 60, 2), rng.uniform(0, 6.3)

    def texture(u: Array, v: Array) -> Array:
        line = np.mod(v, _f(0.14))
        ink = np.abs(line - 0.06 - 0.02 * np.sin(_f(f[0]) * u + _f(p))) < 0.009
        written = (np.sin(_f(3.1) * u + 9 * np.floor(v / _f(0.14))) > -0.2) & (u > 0.1)
        return np.where(ink & written, _f(0.35), _f(1))

    return texture


ANY: tuple[Maker, ...] = (uneven, planks, stripes, checks, cloth, blotches, patches, panels, spines)
"""Textures that any thing may have, so that no texture belongs to one class."""


def _array(values: Any) -> Array:
    array: Array = np.asarray(values, np.float32)
    return array


def _hash(cell: Array) -> Array:
    """Return a repeatable number 0..1 for each cell."""
    return _array(np.mod(np.sin(cell * _f(12.9898)) * _f(4375.85), _f(1)))


def _tint(rng: np.random.Generator, strength: float) -> Array:
    """Return an offset (3, 1) for red, green and blue."""
    return rng.uniform(-strength, strength, (3, 1)).astype(np.float32)


def _f(value: float) -> np.float32:
    return np.float32(value)
