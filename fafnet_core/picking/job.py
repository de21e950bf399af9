"""From frames to those worth labelling: every one is scored, the best are picked together."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fafnet_core.frame import NEARLY_NO_DEPTH
from fafnet_core.inference import Segmenter
from fafnet_core.picking.choice import choose_frames
from fafnet_core.picking.score import FrameScore, score_frame
from fafnet_core.picking.source import FrameSource

BLURRED = 0.1
"""How much more blurred than the median a frame may be: motion of about 9 pixels of 640."""

MOST_FRAMES = 4000
"""Frames that are compared with each other; of more, those the network is least sure of."""

Watch = Callable[[Iterable[Any], int], Iterable[Any]]
"""Given the frames as they are read and how many they are, gives them on: a progress bar."""


@dataclass(frozen=True)
class Picked:
    """What was picked, and why the others were not.

    Attributes:
        scores: of the picked frames, the most valuable first.
        seen: frames that the network has seen.
        blurred: names of those that are too blurred.
        without_depth: names of those that have nearly no depth.
        failed: frames that could not be made, by reason.
    """

    scores: Sequence[FrameScore]
    seen: int
    blurred: Sequence[str]
    without_depth: Sequence[str]
    failed: Counter[str]


def pick_frames(
    source: FrameSource,
    segmenter: Segmenter,
    count: int,
    watch: Watch = lambda frames, total: frames,
) -> Picked:
    """Score all frames of a source and pick some.

    Args:
        source: the frames.
        segmenter: the network; each frame is taken by itself.
        count: how many are wanted.
        watch: sees the frames pass.

    Raises:
        ValueError: no frame can be picked; the message says why.
    """
    scores: list[FrameScore] = []
    failed: Counter[str] = Counter()
    for name, frame in watch(source.read(source.names), len(source.names)):
        if isinstance(frame, str):
            failed[frame] += 1
            continue
        try:
            scores.append(score_frame(name, frame, segmenter.segment_frame(frame)))
        except ValueError as error:
            failed[str(error)] += 1
    if not scores:
        reason, times = failed.most_common(1)[0]
        raise ValueError(f"no frame could be read, {times} of them because: {reason}")
    limit = statistics.median(score.blur for score in scores) + BLURRED
    without_depth = [score.name for score in scores if score.depth_share < NEARLY_NO_DEPTH]
    blurred = [score.name for score in scores if score.blur > limit]
    left_out = {*without_depth, *blurred}
    usable = [score for score in scores if score.name not in left_out]
    if not usable:
        raise ValueError(
            f"none of {len(scores)} frames can be picked: {len(without_depth)} have nearly no"
            f" depth, {len(blurred)} are blurred"
        )
    usable.sort(key=lambda score: (-score.uncertainty, score.name))
    usable = usable[:MOST_FRAMES]
    chosen = [usable[index] for index in choose_frames(usable, count)]
    return Picked(chosen, len(scores), blurred, without_depth, failed)
