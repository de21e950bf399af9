"""Frames whose classes are merged, dropped, or those of another label set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fafnet_core.labels.mappings import LabelMapping
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset


class MappedFrames(RgbdSegmentationDataset):
    """The frames of a data set with the labels of another label set.

    Args:
        frames: the frames, with labels of `mapping.from_set`.
        mapping: the new class of every old one.
    """

    def __init__(self, frames: RgbdSegmentationDataset, mapping: LabelMapping) -> None:
        self._frames, self._mapping = frames, mapping
        self.label_set = mapping.to_set
        self.names = frames.names
        self.sensors = frames.sensors
        self.layout = frames.layout
        self.scenes: Sequence[str] = getattr(frames, "scenes", ())
        before, after = mapping.from_set, mapping.to_set
        dropped = sum(new is None for new in mapping.classes.values())
        self.notices = (
            *frames.notices,
            f"label_map: {len(before)} classes of '{before.name}' become {len(after)} of"
            f" '{after.name}', {dropped} become unlabelled",
        )

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        sample = self._frames.read(index)
        return replace(sample, label=self._mapping.apply(sample.label))
