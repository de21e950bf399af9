"""Where frames come from: anything that gives frames by name, twice alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.frame import RgbdFrame


class FrameSource(Protocol):
    """Frames by name.

    Attributes:
        names: of the frames that may be picked.
    """

    @property
    def names(self) -> Sequence[str]:
        """The frames that may be picked."""
        ...

    def read(self, names: Collection[str]) -> Iterator[tuple[str, RgbdFrame | str]]:
        """Yield these frames; in place of one that cannot be made, why."""
        ...


class FolderSource:
    """The frames of a folder of images."""

    def __init__(self, folder: FrameFolder) -> None:
        self._folder = folder
        self.names: Sequence[str] = folder.names

    def read(self, names: Collection[str]) -> Iterator[tuple[str, RgbdFrame | str]]:
        """Yield these frames, in the order of the folder."""
        for index, name in enumerate(self.names):
            if name in names:
                try:
                    yield name, self._folder[index]
                except (ValueError, OSError) as error:
                    yield name, str(error)
