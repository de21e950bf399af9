"""Frames of two data sets in one training, such as photographs and synthetic rooms."""

from __future__ import annotations

from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset


class MixedFrames(RgbdSegmentationDataset):
    """All frames of an auxiliary data set, and as many of the main one as `share` requires.

    The frames of the main data set repeat where they are too few, all equally often or once less.

    Args:
        main: the data set that the network is for.
        auxiliary: what is mixed in, with the same classes in the same order.
        share: of the frames that come from `auxiliary`, 0 < share < 1.

    Raises:
        ValueError: the classes differ, or one has no frames.
    """

    def __init__(
        self, main: RgbdSegmentationDataset, auxiliary: RgbdSegmentationDataset, share: float
    ) -> None:
        ours, theirs = main.label_set, auxiliary.label_set
        if ours.names != theirs.names:
            raise ValueError(
                f"data sets with the label sets '{ours.name}' ({len(ours)} classes) and"
                f" '{theirs.name}' ({len(theirs)}) cannot be mixed: both have to name the same"
                " classes; auxiliary.label_map brings the second to those of the first"
            )
        if not len(main) or not len(auxiliary):
            raise ValueError("one of the data sets to mix has no frames")
        self.label_set = ours
        self._main, self._auxiliary = main, auxiliary
        self._from_main = max(round(len(auxiliary) * (1 - share) / share), 1)
        main_frames = [index % len(main) for index in range(self._from_main)]
        self.names = [main.names[index] for index in main_frames] + list(auxiliary.names)
        self.sensors = [main.sensors[index] for index in main_frames] + list(auxiliary.sensors)
        self.notices = (*main.notices, *auxiliary.notices)

    def read(self, index: int) -> RgbdSample:
        """Read a frame of either."""
        if index < self._from_main:
            return self._main.read(index % len(self._main))
        return self._auxiliary.read(index - self._from_main)
