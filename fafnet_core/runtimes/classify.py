"""From a network's coarse logits to the classes of an image's pixels.

The definition is `classify_everywhere`: upsample bilinearly, softmax, the best class. Where every
class has a map of full size, that takes longer than the network, so on a CPU `classify` looks at
cells: what lies between four neighbouring entries of the coarse map, 64 pixels at 640x480. Inside a
cell each score is a weighted mean of its four corners. A class that another one beats in all four
is nowhere the best, and in three cells of four that leaves one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]

_GROUPS = (1, 2, 4, 255)
"""Cells are taken together by how many classes are possible: at most so many."""

_LEAST_REST = 1e-9


def classify(
    logits: Tensor, size: tuple[int, int], seen: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], Floats]:
    """Upsample logits and take the best class with its softmax probability.

    On a CPU the probability is exact in the classes that are possible in a cell; the sum of all
    others is interpolated (as a logarithm): 0.003 off on average on real rooms, 0.1 at most.

    Args:
        logits: (C, h, w), any floating type; their corners are those of what the network saw.
        size: (H, W), the size wanted.
        seen: (height, width) of what the network saw, where that is not `size`: a pixel then gets
            what lies under its centre, in a picture whose edges are those of what was seen.

    Returns:
        Labels (H, W) uint8 and confidence (H, W) float32; where two classes are equal, the first.
        Where a logit is not finite, nor is the confidence.
    """
    if logits.device.type == "cpu":
        return _classify_cells(logits.float().numpy(), size, seen or size)
    labels, confidence = classify_everywhere(logits, size, seen)
    return labels.cpu().numpy(), confidence.cpu().numpy()


def classify_everywhere(
    logits: Tensor, size: tuple[int, int], seen: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """As `classify`, step by step, on the device of the logits."""
    rows, columns = (
        torch.from_numpy(_positions(pixels, saw, entries)).to(logits.device)
        for pixels, saw, entries in zip(size, seen or size, logits.shape[1:], strict=True)
    )
    top, left = rows.floor().long(), columns.floor().long()
    below = (top + 1).clamp(max=logits.shape[1] - 1)
    right = (left + 1).clamp(max=logits.shape[2] - 1)
    x = logits.float()
    x = torch.lerp(x[..., left], x[..., right], (columns - left).float())
    x = torch.lerp(x[:, top], x[:, below], (rows - top).float()[:, None])
    confidence, labels = F.softmax(x, dim=0).max(dim=0)
    return labels.to(torch.uint8), confidence


def _positions(pixels: int, seen: int, entries: int) -> NDArray[np.float64]:
    """Return where on a side of a map each pixel lies, 0 to entries - 1.

    Args:
        pixels: of the side that is wanted.
        seen: pixels of that side as the network saw it; the centres of its first and last one are
            those of the map's entries.
        entries: of the map.
    """
    last = entries - 1
    if pixels == seen:
        return np.linspace(0, last, pixels, dtype=np.float64)
    centre = (np.arange(pixels, dtype=np.float64) + 0.5) * (seen / pixels) - 0.5
    return np.clip(centre * (last / max(seen - 1, 1)), 0.0, float(last))


@dataclass(frozen=True, eq=False)
class _Cells:
    """How pixels lie in the n cells of a map. A cell has room for the most pixels that one has.

    Attributes:
        corners: (4, n): of each cell, the entries of the map above left and right, below left and
            right.
        down, across: (rows, n) and (columns, n) float32, how far inside pixels lie, 0 to 1.
        place: (H, W), of each pixel, among (rows, columns, n).
    """

    corners: Indices
    down: Floats
    across: Floats
    place: Indices


@lru_cache(maxsize=8)
def _cells(shape: tuple[int, int], size: tuple[int, int], seen: tuple[int, int]) -> _Cells:
    (first, second, down, row), (left, right, across, column) = map(_side, size, seen, shape)
    corners = [a[:, None] * shape[1] + b for a in (first, second) for b in (left, right)]
    inside = row[1][:, None] * len(across) + column[1]
    cell = row[0][:, None] * len(left) + column[0]
    return _Cells(
        corners=np.stack(corners).reshape(4, -1),
        down=np.repeat(down, len(left), axis=1),
        across=np.tile(across, len(first)),
        place=inside * (len(first) * len(left)) + cell,
    )


def _side(
    pixels: int, seen: int, entries: int
) -> tuple[Indices, Indices, Floats, tuple[Indices, Indices]]:
    """Return, of the cells along a side, both entries and where pixels lie; of pixels, where."""
    position = _positions(pixels, seen, entries)
    first = np.arange(max(entries - 1, 1))
    cell = np.minimum(position.astype(np.int64), len(first) - 1)
    inside = np.arange(pixels) - np.searchsorted(cell, first)[cell]
    fraction = np.zeros((int(inside.max()) + 1, len(first)), np.float32)
    fraction[inside, cell] = position - cell
    return first, np.minimum(first + 1, entries - 1), fraction, (cell, inside)


# Of values that are not numbers the confidence tells.
@np.errstate(invalid="ignore")
def _classify_cells(
    logits: Floats, size: tuple[int, int], seen: tuple[int, int]
) -> tuple[NDArray[np.uint8], Floats]:
    cells = _cells(logits.shape[1:], size, seen)
    score = logits - logits.max(axis=0)
    chance = np.exp(score)
    total = chance.sum(axis=0)
    score -= np.log(total)
    chance /= total
    # A row of a table for each entry of the map.
    score, chance = (x.reshape(len(logits), -1).T.copy() for x in (score, chance))
    above_left, above_right, below_left, below_right = (score[corner] for corner in cells.corners)
    highest = np.maximum(np.maximum(above_left, above_right), np.maximum(below_left, below_right))
    lowest = np.minimum(np.minimum(above_left, above_right), np.minimum(below_left, below_right))
    possible = highest >= lowest.max(axis=1, keepdims=True)
    count = possible.sum(axis=1)
    shape = (len(cells.down), len(cells.across), len(count))
    # Where a score is not a number no class is possible, and nothing is written below.
    labels, confidence = np.zeros(shape, np.uint8), np.full(shape, np.nan, np.float32)
    fewer = 0
    for most in _GROUPS:
        chosen = np.flatnonzero((count > fewer) & (count <= most))
        fewer = most
        if len(chosen):
            classes = _first_possible(possible[chosen], int(count[chosen].max()))
            ends = _ends(score, chance, cells.corners[:, chosen], classes)
            pixels = _between(ends, cells.down[:, chosen], cells.across[:, chosen])
            labels[..., chosen], confidence[..., chosen] = _best(pixels, classes.astype(np.uint8))
    return labels.reshape(-1)[cells.place], confidence.reshape(-1)[cells.place]


def _first_possible(possible: NDArray[np.bool_], most: int) -> Indices:
    """Return the possible classes (most, n) of n cells, (n, C), and others where there are fewer.

    In the order of their numbers, so that of two equal classes the first one wins.
    """
    if most == 1:
        only: Indices = possible.argmax(axis=1)
        return only[None]
    chosen: Indices = np.argsort(~possible, axis=1, kind="stable")[:, :most].T
    chosen.sort(axis=0)
    return chosen


def _ends(score: Floats, chance: Floats, corners: Indices, classes: Indices) -> Floats:
    """Return the scores at the corners of n cells, (K, 4, n), over that of the first class.

    Those of the K classes but the first, and one for all classes that are not among them.

    Args:
        score: (entries, C), logarithms of probabilities.
        chance: (entries, C), the probabilities.
        corners: (4, n) entries.
        classes: (K, n).
    """
    ends = np.empty((len(classes), *corners.shape), np.float32)
    rest = 1 - chance[corners, classes[0]]
    for end, label in zip(ends, classes[1:], strict=False):
        end[:] = score[corners, label]
        rest -= chance[corners, label]
    np.log(np.maximum(rest, _LEAST_REST), out=ends[-1])
    ends -= score[corners, classes[0]]
    return ends


def _between(ends: Floats, down: Floats, across: Floats) -> Floats:
    """Interpolate values at four corners, (K, 4, n), to (K, rows, columns, n) pixels."""
    above_left, above_right, below_left, below_right = ends.swapaxes(0, 1)[:, :, None]
    left = above_left + (below_left - above_left) * down
    right = above_right + (below_right - above_right) * down
    pixels: Floats = (right - left)[:, :, None] * across
    pixels += left[:, :, None]
    return pixels


def _best(pixels: Floats, classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Floats]:
    """Return the best class of each pixel and its probability, (rows, columns, n) each.

    Args:
        pixels: (K, rows, columns, n), as `_ends`. They are overwritten.
        classes: (K, n).
    """
    best = np.zeros_like(pixels[0])
    labels = np.broadcast_to(classes[0], best.shape).copy()
    for score, label in zip(pixels[:-1], classes[1:], strict=True):
        np.copyto(labels, label, where=score > best)
        np.maximum(best, score, out=best)
    if len(classes) > 1:
        pixels -= best
        np.negative(best, out=best)
    np.exp(pixels, out=pixels)
    total = np.exp(best, out=best)
    for part in pixels:
        total += part
    return labels, np.reciprocal(total, out=total)
