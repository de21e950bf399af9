"""Two data sets in one training: how often each frame comes, and what cannot be mixed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fafnet_core.datasets.mixed import MixedFrames
from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset


class Frames(RgbdSegmentationDataset):
    """Frames that are their number."""

    def __init__(self, name: str, count: int, label_set: LabelSet = NYU40) -> None:
        self.label_set = label_set
        self.names = [f"{name}{index}" for index in range(count)]
        self.sensors = [name] * count
        self.notices = (f"notice of {name}",)

    def read(self, index: int) -> RgbdSample:
        empty = np.zeros((2, 2), np.uint8)
        return RgbdSample(np.zeros((2, 2, 3), np.uint8), empty, name=self.names[index])


@pytest.mark.parametrize(("main", "auxiliary", "share"), [(3, 8, 0.25), (40, 6, 0.2), (7, 7, 0.5)])
def test_frames_come_by_their_share_and_evenly(main: int, auxiliary: int, share: float) -> None:
    mixed = MixedFrames(Frames("a", main), Frames("b", auxiliary), share)
    names = [mixed.read(index).name for index in range(len(mixed))]
    assert names == list(mixed.names)
    counts = Counter(names)
    of_main = [counts[f"a{index}"] for index in range(main)]
    assert [counts[f"b{index}"] for index in range(auxiliary)] == [1] * auxiliary
    assert max(of_main) - min(of_main) <= 1
    assert auxiliary / len(names) == pytest.approx(share, abs=0.5 / len(names))
    assert mixed.sensors == [name[0] for name in names]
    assert mixed.notices == ("notice of a", "notice of b")


def test_other_classes_and_empty_sets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"nyu40.*sun37"):
        MixedFrames(Frames("a", 2), Frames("b", 2, SUN37), 0.5)
    with pytest.raises(ValueError, match="no frames"):
        MixedFrames(Frames("a", 2), Frames("b", 0), 0.5)
