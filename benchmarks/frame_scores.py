"""Scores of a `Segmenter` on labelled frames, through its public methods.

`Segmenter.segment` gets colour, metric depth and the camera matrix of each frame, single scale, and
gives labels of the frame's own size. Every labelled pixel counts once.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from frame_faults import WHOLE, Fault
from numpy.typing import NDArray
from shared_classes import SharedConfusion, SharedScores, shared_from_nyu
from tqdm import tqdm

from fafnet_core.benchmark.timing import timed
from fafnet_core.evaluation.metrics import ConfusionMatrix, Scores, finite_or_none
from fafnet_core.inference import Segmenter
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset

Labelled = tuple[RgbdSample, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class FrameScores:
    """Scores of a network on frames with one fault, or with none.

    Attributes:
        name: of the frames.
        scores: over the classes of NYU40.
        shared: over the classes that NYU shares with ADE20K.
        frames: how many were scored.
        no_depth: mean share of a frame's pixels without depth, 0 to 1.
        milliseconds: median processor time of `segment`, HHA included.
        kept: the first frames with their predicted labels.
    """

    name: str
    scores: Scores
    shared: SharedScores
    frames: int
    no_depth: float
    milliseconds: float
    kept: Sequence[Labelled] = field(default=(), repr=False)

    @property
    def mean_iou_of_occurring(self) -> float:
        """Mean IoU of the classes that occur in the frames.

        `scores.mean_iou` also counts a class that is only predicted, with 0. Many classes never
        occur in the synthetic rooms: one wrong pixel of them would weigh as much as the floor.
        """
        return float(np.mean(self.scores.iou[self.scores.pixels > 0]))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, as fractions."""
        return {
            "frames": self.frames,
            "pixels_without_depth": self.no_depth,
            **self.scores.to_dict(),
            "mean_iou_of_occurring": finite_or_none(self.mean_iou_of_occurring),
            "milliseconds": self.milliseconds,
        }


class _Tally:
    """Counts over the frames with one fault."""

    def __init__(self, fault: Fault, classes: int, keep: int) -> None:
        self._fault, self._keep = fault, keep
        self._confusion, self._shared = ConfusionMatrix(classes), SharedConfusion()
        self._no_depth: list[float] = []
        self._seconds: list[float] = []
        self._kept: list[Labelled] = []

    def add(self, segmenter: Segmenter, sample: RgbdSample, index: int) -> None:
        sample = self._fault.planted(sample, index)
        assert sample.depth_m is not None
        assert sample.camera is not None
        matrix = sample.camera.matrix
        found, took = timed(partial(segmenter.segment, sample.rgb, sample.depth_m, matrix))
        labels = found.labels
        self._seconds.append(took)
        self._confusion.update(labels, sample.label)
        self._shared.update(shared_from_nyu(labels), sample.label)
        self._no_depth.append(1 - float(np.mean(sample.depth_m > 0)))
        if len(self._kept) < self._keep:
            self._kept.append((sample, labels))

    def compute(self, name: str) -> FrameScores:
        return FrameScores(
            name,
            self._confusion.compute(),
            self._shared.compute(),
            len(self._seconds),
            statistics.mean(self._no_depth),
            1e3 * statistics.median(self._seconds),
            self._kept,
        )


def measure(
    segmenter: Segmenter,
    dataset: RgbdSegmentationDataset,
    indices: Sequence[int],
    faults: Sequence[Fault] = (WHOLE,),
    *,
    name: str = "",
    keep: int = 0,
) -> list[FrameScores]:
    """Label these frames with each fault, and score them.

    Args:
        segmenter: the network; its classes are NYU40.
        dataset: labelled frames of NYU40 with metric depth.
        indices: of the frames, at least one.
        faults: what is planted; each gives one result, in this order.
        name: comes before the fault's name in the name of each result.
        keep: how many frames to keep with their labels.

    Raises:
        ValueError: a frame is damaged, or has no metric depth.
    """
    tallies = {fault: _Tally(fault, len(segmenter.label_set), keep) for fault in faults}
    for index in tqdm(indices, unit="frame", desc=name or None, disable=None):
        sample = dataset.read(index)
        if sample.depth_m is None or sample.camera is None:
            raise ValueError(
                f"{sample.name or 'a frame'} has no metric depth or no camera matrix; wanted frames"
                " with both"
            )
        for tally in tallies.values():
            tally.add(segmenter, sample, index)
    return [
        tally.compute(f"{name}, {fault.name}" if name else fault.name)
        for fault, tally in tallies.items()
    ]
