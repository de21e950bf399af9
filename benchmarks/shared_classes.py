"""The 16 classes that NYU-Depth V2 shares with the 31 commonest of ADE20K, and scores over them.

Networks that people use on a CPU instead know ADE20K's classes, not NYU's 40. What maps to none of
the 16 is "other": as a prediction it misses the class that is there; as a target it is no class,
but a prediction of one of the 16 is wrong there. So a whiteboard called wall is a false wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.evaluation.metrics import ConfusionMatrix, Scores, finite_or_none
from fafnet_core.labels import NYU40, UNLABELLED


@dataclass(frozen=True)
class SharedClass:
    """A class of both data sets.

    Attributes:
        name: in tables.
        nyu: the names that NYU40 has for it.
        ade: its id among ADE20K's 31 commonest, counted from 1.
    """

    name: str
    nyu: tuple[str, ...]
    ade: int


SHARED = (
    SharedClass("wall", ("wall",), 1),
    SharedClass("floor", ("floor",), 4),
    SharedClass("cabinet", ("cabinet",), 11),
    SharedClass("bed", ("bed",), 8),
    SharedClass("chair", ("chair",), 20),
    SharedClass("sofa", ("sofa",), 24),
    SharedClass("table", ("table",), 16),
    SharedClass("door", ("door",), 15),
    SharedClass("window", ("window",), 9),
    # ADE20K has one class for what NYU calls by two names.
    SharedClass("bookshelf, shelves", ("bookshelf", "shelves"), 25),
    SharedClass("picture", ("picture",), 23),
    SharedClass("curtain", ("curtain",), 19),
    SharedClass("mirror", ("mirror",), 28),
    SharedClass("floor mat", ("floor mat",), 29),
    SharedClass("ceiling", ("ceiling",), 6),
    SharedClass("person", ("person",), 13),
)
OTHER = len(SHARED)
"""Id of everything else."""


def _table(pairs: list[tuple[int, int]]) -> NDArray[np.uint8]:
    table = np.full(256, OTHER, np.uint8)
    for source, target in pairs:
        table[source] = target
    table.setflags(write=False)
    return table


_FROM_NYU = _table(
    [(NYU40.names.index(name), i) for i, shared in enumerate(SHARED) for name in shared.nyu]
    + [(UNLABELLED, UNLABELLED)]
)
_FROM_ADE = _table([(shared.ade, i) for i, shared in enumerate(SHARED)])


def shared_from_nyu(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ids 0..15, `OTHER` or 255 of NYU40's 0..39 and 255; any shape."""
    return _FROM_NYU[labels]


def shared_from_ade(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ids 0..15 or `OTHER` of ADE20K's 0..31, where 0 is none of the 31; any shape."""
    return _FROM_ADE[labels]


@dataclass(frozen=True, eq=False)
class SharedScores:
    """Scores over the 16 classes, as fractions; NaN where there is nothing to divide by.

    Attributes:
        mean_iou: mean of `iou`; a class that is in neither target nor prediction is left out.
        recall: share of the pixels of the 16 classes that got their class.
        iou: (16,) float64, over every labelled pixel.
        pixels: (16,) int64, of each class in the target.
    """

    mean_iou: float
    recall: float
    iou: NDArray[np.float64]
    pixels: NDArray[np.int64]

    @classmethod
    def of(cls, scores: Scores) -> SharedScores:
        """Take the 16 classes out of scores that have "other" as their last."""
        iou, pixels = scores.iou[:OTHER], scores.pixels[:OTHER]
        known = ~np.isnan(iou)
        right = np.nansum(scores.accuracy[:OTHER] * pixels)
        return cls(
            mean_iou=float(iou[known].mean()) if known.any() else np.nan,
            recall=float(right / pixels.sum()) if pixels.any() else np.nan,
            iou=iou,
            pixels=pixels,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON: NaN becomes None."""
        return {
            "mean_iou": finite_or_none(self.mean_iou),
            "recall": finite_or_none(self.recall),
            "iou": {
                shared.name: finite_or_none(iou)
                for shared, iou in zip(SHARED, self.iou, strict=True)
            },
        }


class SharedConfusion:
    """Counts pixels of the shared classes."""

    def __init__(self) -> None:
        self._counts = ConfusionMatrix(len(SHARED) + 1)

    def update(self, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Count a frame: `prediction` (H, W) of shared ids, `target` (H, W) of NYU40's."""
        self._counts.update(prediction, shared_from_nyu(target))

    def compute(self) -> SharedScores:
        """Return the scores of what has been counted so far."""
        return SharedScores.of(self._counts.compute())
