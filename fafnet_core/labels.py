"""Label sets: the names, colours and ignore index of a network's classes.

NYU40 is the 40-class set of NYU-Depth V2 (Gupta et al., CVPR 2013) in its published order; SUN37
is the set of SUN RGB-D (Song et al., CVPR 2015), the first 37 of the same list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNLABELLED = 255
"""Class id of a pixel without a label, on disk, in training and in ROS images."""

_UNLABELLED_COLOUR = (0, 0, 0)

# Large surfaces are pale, furniture is saturated, small things are bright: neighbours in a room
# differ much in hue. No class is black, the colour of unlabelled pixels.
_NYU40 = (
    ("wall", 0xA3B4C4),
    ("floor", 0xC9A77C),
    ("cabinet", 0xA9643B),
    ("bed", 0xE4596B),
    ("chair", 0x2E9E5B),
    ("sofa", 0x7B3FA0),
    ("table", 0xF29F05),
    ("door", 0x5C7F92),
    ("window", 0x6FD0F2),
    ("bookshelf", 0x8F4F1F),
    ("picture", 0xF2D03B),
    ("counter", 0xC97064),
    ("blinds", 0x9DD9C5),
    ("desk", 0xD9772B),
    ("shelves", 0xB38B4D),
    ("curtain", 0xB4437E),
    ("dresser", 0x7A3B2E),
    ("pillow", 0xF7A6B8),
    ("mirror", 0xBFE8F7),
    ("floor mat", 0x8C6E9E),
    ("clothes", 0x3D6FD9),
    ("ceiling", 0xDCE3E8),
    ("books", 0x1FA3A3),
    ("refrigerator", 0x8FA3AD),
    ("television", 0x3B4CC0),
    ("paper", 0xF3EBCB),
    ("towel", 0x9AD94A),
    ("shower curtain", 0xD66FD6),
    ("box", 0xC4A23A),
    ("whiteboard", 0xF5F5F5),
    ("person", 0xFF2F2F),
    ("night stand", 0x5A2F8A),
    ("toilet", 0xC8F29B),
    ("sink", 0x53B8E0),
    ("lamp", 0xFFE75C),
    ("bathtub", 0x4FD1C0),
    ("bag", 0x5B8C2A),
    ("otherstructure", 0x6E7B5A),
    ("otherfurniture", 0x8A5A83),
    ("otherprop", 0x4F6D7A),
)


@dataclass(frozen=True)
class LabelSet:
    """Names and colours of the classes 0..C-1.

    Attributes:
        name: short name, e.g. ``nyu40``.
        names: C class names; the index is the class id.
        palette: C colours as (red, green, blue), 0..255.
        ignore_index: id of unlabelled pixels; never a class.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int = UNLABELLED

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"label set '{self.name}': {len(self.names)} names but {len(self.palette)} colours;"
                " wanted one for each class"
            )
        if not 1 <= len(self.names) <= UNLABELLED:
            raise ValueError(
                f"label set '{self.name}' has {len(self.names)} classes; wanted 1 to {UNLABELLED}:"
                f" labels are 8-bit images, and {UNLABELLED} means unlabelled"
            )
        if not all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in self.palette):
            raise ValueError(f"label set '{self.name}': a colour is three numbers from 0 to 255")
        if not len(self.names) <= self.ignore_index <= UNLABELLED:
            raise ValueError(
                f"label set '{self.name}': ignore_index is {self.ignore_index}; wanted"
                f" {len(self.names)} to {UNLABELLED}, which are no classes"
            )

    @cached_property
    def _lookup(self) -> NDArray[np.uint8]:
        lookup = np.full((256, 3), _UNLABELLED_COLOUR, np.uint8)
        lookup[: len(self.palette)] = self.palette
        return lookup

    def __len__(self) -> int:
        return len(self.names)

    def colourise(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colour image (H, W, 3) uint8 RGB of class ids (H, W) uint8; others: black."""
        colours: NDArray[np.uint8] = np.take(self._lookup, labels, axis=0)
        return colours

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, as stored in a checkpoint."""
        return {
            "name": self.name,
            "names": list(self.names),
            "palette": [list(colour) for colour in self.palette],
            "ignore_index": self.ignore_index,
        }

    def to_json(self) -> str:
        """Return what `~/label_names` publishes: `to_dict` as JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSet:
        """Return the label set that `to_dict` described.

        Raises:
            ValueError: a key is missing or a value does not fit.
        """
        try:
            return cls(
                name=str(values["name"]),
                names=tuple(str(name) for name in values["names"]),
                palette=tuple((int(r), int(g), int(b)) for r, g, b in values["palette"]),
                ignore_index=int(values["ignore_index"]),
            )
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"not a label set: {error!r} in {values!r:.200}") from error


def _published(name: str, classes: int) -> LabelSet:
    entries = _NYU40[:classes]
    return LabelSet(
        name,
        tuple(class_name for class_name, _ in entries),
        tuple((colour >> 16, colour >> 8 & 255, colour & 255) for _, colour in entries),
    )


NYU40 = _published("nyu40", 40)
SUN37 = _published("sun37", 37)
