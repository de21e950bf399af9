"""From a network's coarse logits to the classes of an image's pixels.

The definition is `classify_everywhere`: upsample bilinearly, softmax, the best class. Where every
class has a map of full size, that takes longer than the network, so on a CPU `classify` looks at
cells: what lies between four neighbouring entries of the coarse map, 64 pixels at 640x480. Inside a
cell each score is a weighted mean of its four corners. A class that another one beats in all four
is nowhere the best, and in four cells of five that leaves one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fafnet_core.camera import Size
from fafnet_core.frame import Classes
from fafnet_core.runtimes import Fusion

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]

_GROUPS = (1, 2, 3, 5, 255)
"""Cells are taken together by how many classes are possible: at most so many."""

_LEAST = 1e-14
"""Of a probability, before its logarithm: below it a difference from 1 is rounding."""


class NotFiniteError(ValueError):
    """A network's values are not all numbers."""

    def __init__(self) -> None:
        super().__init__(
            "the network gave values that are not numbers; try precision float32, and check the"
            " checkpoint with: fafnet info"
        )


def classify(
    logits: Tensor, size: Size, seen: Size | None = None, fuse: Fusion | None = None
) -> Classes:
    """Upsample logits and take the best class with its softmax probability.

    On a CPU the probability is exact in the classes that are possible in a cell; the sum of all
    others is interpolated (as a logarithm): 0.003 off on average on 21 real rooms, 0.16 at most.

    Args:
        logits: (C, h, w), any floating type; their corners are those of what the network saw. They
            must stay as they are: the confidence is computed when it is first asked for.
        size: (H, W), the size wanted.
        seen: (height, width) of what the network saw, where that is not `size`: a pixel then gets
            what lies under its centre, in a picture whose edges are those of what was seen.
        fuse: what the logits go through first.

    Returns:
        Labels (H, W), where two classes are equal the first, and their confidence.

    Raises:
        NotFiniteError: a logit is not a number.
    """
    if fuse is not None:
        values = logits.float().cpu().numpy()
        if not np.isfinite(values).all():  # before the next frames get them
            raise NotFiniteError
        logits = torch.from_numpy(fuse(values))
    if logits.device.type == "cpu":
        values = logits.float().numpy()
        if not np.isfinite(values).all():  # a tenth of the time that PyTorch takes
            raise NotFiniteError
        scores = _CellScores(values, size, seen or size)
        return Classes(scores.labels(), scores.confidence)
    if not bool(torch.isfinite(logits).all()):
        raise NotFiniteError
    labels, confidence = classify_everywhere(logits, size, seen)
    return Classes(labels.cpu().numpy(), lambda: confidence.cpu().numpy())


def classify_everywhere(
    logits: Tensor, size: Size, seen: Size | None = None
) -> tuple[Tensor, Tensor]:
    """Return labels and confidence as `classify`, step by step, on the device of the logits."""
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


@lru_cache(maxsize=4)
def _cells(shape: Size, size: Size, seen: Size) -> _Cells:
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


class _CellScores:
    """The classes that are possible in each cell, and what they have at its corners.

    Args:
        logits: (C, h, w).
        size: (H, W), of the results.
        seen: (height, width) of what the network saw.
    """

    def __init__(self, logits: Floats, size: Size, seen: Size) -> None:
        self._cells = _cells((logits.shape[1], logits.shape[2]), size, seen)
        self._scores = logits.reshape(len(logits), -1)
        possible = _possible(logits).reshape(len(logits), -1).T.copy()
        self._shape = (len(self._cells.down), len(self._cells.across), len(possible))
        self._first = possible.argmax(axis=1).astype(np.uint8)
        self._groups = list(_groups(possible, self._first))

    def labels(self) -> NDArray[np.uint8]:
        """Return the best class of each pixel, (H, W)."""
        labels = np.broadcast_to(self._first, self._shape).copy()
        for cells, classes in self._groups:
            if len(classes) > 1:
                ends = _ends(self._scores, self._cells.corners[:, cells], classes)
                labels[..., cells] = _best(self._between(ends, cells), classes)
        return labels.reshape(-1)[self._cells.place]

    def confidence(self) -> Floats:
        """Return the probability of the best class, (H, W)."""
        highest = self._scores.max(axis=0)
        # Doubles: what is left of 1 is small, and its logarithm is wanted.
        chances = np.exp(self._scores - highest).astype(np.float64)
        total = chances.sum(axis=0)
        chances /= total
        # The logarithm of the sum over all classes.
        all_classes = highest + np.log(total).astype(np.float32)
        confidence = np.empty(self._shape, np.float32)
        for cells, classes in self._groups:
            corners = self._cells.corners[:, cells]
            # The other classes as one more, over the first as all are.
            rest = 1 - chances[classes[0], corners]
            for label in classes[1:]:
                rest -= chances[label, corners]
            of_first = self._scores[classes[0], corners] - all_classes[corners]
            others = np.log(np.maximum(rest, _LEAST)).astype(np.float32) - of_first
            ends = _ends(self._scores, corners, classes)
            pixels = self._between(np.concatenate([ends, others[None]]), cells)
            best = pixels[:-1].max(axis=0, initial=0)
            pixels -= best
            np.exp(pixels, out=pixels)
            inverse = np.exp(-best)  # the first class itself
            for part in pixels:
                inverse += part
            confidence[..., cells] = np.reciprocal(inverse)
        return confidence.reshape(-1)[self._cells.place]

    def _between(self, ends: Floats, cells: Indices) -> Floats:
        """Interpolate values at four corners, (K, 4, n), to (K, rows, columns, n) pixels."""
        above_left, above_right, below_left, below_right = ends.swapaxes(0, 1)[:, :, None]
        down, across = self._cells.down[:, cells], self._cells.across[:, cells]
        left = above_left + (below_left - above_left) * down
        right = above_right + (below_right - above_right) * down
        pixels: Floats = (right - left)[:, :, None] * across
        pixels += left[:, :, None]
        return pixels


def _possible(logits: Floats) -> NDArray[np.bool_]:
    """Say of each cell which classes the best one of its middle does not beat in all corners.

    Args:
        logits: (C, h, w).

    Returns:
        (C, h - 1, w - 1); a side of a single entry has one cell.
    """
    above, below = (slice(None, -1), slice(1, None)) if logits.shape[1] > 1 else (slice(None),) * 2
    left, right = (slice(None, -1), slice(1, None)) if logits.shape[2] > 1 else (slice(None),) * 2
    rows = logits[:, above] + logits[:, below]
    middle = (rows[:, :, left] + rows[:, :, right]).argmax(axis=0)[None]
    possible = np.zeros((len(logits), *middle.shape[1:]), bool)
    for corner in (logits[:, i, j] for i in (above, below) for j in (left, right)):
        possible |= corner >= np.take_along_axis(corner, middle, axis=0)
    return possible


def _groups(
    possible: NDArray[np.bool_], first: NDArray[np.uint8]
) -> Iterator[tuple[Indices, NDArray[np.uint8]]]:
    """Give cells that have about as many possible classes, with those classes, (K, cells).

    The classes are in the order of their numbers, so that of two equal ones the first wins.

    Args:
        possible: (n, C).
        first: (n,), the first possible class of each cell.
    """
    count = possible.sum(axis=1, dtype=np.uint8)
    fewer = 0
    for most in _GROUPS:
        cells = np.flatnonzero((count > fewer) & (count <= most))
        alike = most == fewer + 1
        fewer = most
        if most == 1:
            yield cells, first[cells][None]
        elif alike:
            yield cells, np.nonzero(possible[cells])[1].reshape(-1, most).T.astype(np.uint8)
        elif len(cells):
            # Where a cell has fewer, others fill up: they do not win.
            order = np.argsort(~possible[cells], axis=1, kind="stable")[:, : count[cells].max()]
            yield cells, np.sort(order.T, axis=0).astype(np.uint8)


def _ends(scores: Floats, corners: Indices, classes: NDArray[np.uint8]) -> Floats:
    """Return by how much each class but the first is above the first at the corners, (K - 1, 4, n).

    Args:
        scores: (C, entries).
        corners: (4, n) entries.
        classes: (K, n).
    """
    ends = np.empty((len(classes) - 1, *corners.shape), np.float32)
    for end, label in zip(ends, classes[1:], strict=True):
        end[:] = scores[label, corners]
    ends -= scores[classes[0], corners]
    return ends


def _best(pixels: Floats, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the best class of pixels, (rows, columns, n).

    Args:
        pixels: (K - 1, rows, columns, n), of each class but the first, over the first.
        classes: (K, n).
    """
    labels = np.broadcast_to(classes[0], pixels[0].shape).copy()
    best: Floats = np.zeros_like(pixels[0])
    for score, label in zip(pixels, classes[1:], strict=True):
        np.copyto(labels, label, where=score > best)
        np.maximum(best, score, out=best)
    return labels
