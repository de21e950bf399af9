"""The frames that are worth labelling together: unsure ones that stand for many, and differ.

Facility location, weighted by uncertainty: each frame of the recording is served by the picked one
that is most like it, and counts as much as the network is unsure of it. Greedy picks are within
1 - 1/e of the best (Nemhauser, Wolsey and Fisher, 1978; for active learning: Wei, Iyer and Bilmes,
"Submodularity in Data Subset Selection and Active Learning", ICML 2015). A frame like one that is
picked brings little, however unsure; so does one that is like no other, however different.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fafnet_core.picking.score import FrameScore


def choose_frames(scores: Sequence[FrameScore], count: int) -> list[int]:
    """Return the indices of the frames to label, the most valuable first.

    The same frames in another order give the same choice, and fewer are the first of more.

    Args:
        scores: of all frames that may be chosen.
        count: how many are wanted; all, if there are no more.
    """
    if not scores:
        return []
    # By name: which of two equal frames is taken does not depend on their order.
    order = sorted(range(len(scores)), key=lambda index: scores[index].name)
    similarity = _similarity(np.stack([scores[index].descriptor for index in order]))
    weights = np.array([scores[index].uncertainty for index in order], np.float64)
    served: NDArray[np.float64] = np.zeros(len(order))
    chosen: list[int] = []
    for _ in range(min(count, len(order))):
        gains = weights @ np.maximum(similarity - served[:, None], 0)
        gains[chosen] = -1
        best = int(gains.argmax())
        chosen.append(best)
        np.maximum(served, similarity[:, best], out=served)
    return [order[index] for index in chosen]


def _similarity(descriptors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 for equal frames, 0 for those that differ most, (N, N)."""
    points = descriptors.astype(np.float64)
    squares = (points**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    farthest = float(distances.max())
    return 1 - distances / farthest if farthest else np.ones_like(distances)
