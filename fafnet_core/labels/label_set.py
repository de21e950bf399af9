"""A label set: the names, colours and ignore index of a network's classes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.nearest import unknown_name

UNLABELLED = 255
"""Class id of a pixel without a label, on disk, in training and in ROS images."""

Colour = tuple[int, int, int]
"""Red, green and blue, each 0..255."""

_UNLABELLED_COLOUR = (0, 0, 0)
_LEVELS = (30, 62, 95, 127, 160, 192, 224, 255)
"""Of the colours that are chosen: 8 of red, of green and of blue make 512 colours."""


@dataclass(frozen=True)
class LabelSet:
    """Names and colours of the classes 0..C-1.

    Attributes:
        name: short name, e.g. ``nyu40``.
        names: C class names; the index is the class id.
        palette: C colours as (red, green, blue), 0..255.
        ignore_index: id of unlabelled pixels; never a class.
        groups: names for several classes together, such as "traversable".
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int = UNLABELLED
    # Not part of what makes two sets equal: the same ids mean the same classes.
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

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
        for group, members in self.groups.items():
            for member in members:
                if member not in self.names:
                    raise ValueError(
                        f"label set '{self.name}', group '{group}':"
                        f" {unknown_name('class', member, self.names)}"
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
        values: dict[str, Any] = {
            "name": self.name,
            "names": list(self.names),
            "palette": [list(colour) for colour in self.palette],
            "ignore_index": self.ignore_index,
        }
        if self.groups:
            values["groups"] = {group: list(members) for group, members in self.groups.items()}
        return values

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
                groups={
                    str(group): tuple(str(member) for member in members)
                    for group, members in values.get("groups", {}).items()
                },
            )
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"not a label set: {error!r} in {values!r:.200}") from error


def choose_colours(count: int, taken: Sequence[Colour] = ()) -> list[Colour]:
    """Return colours that differ from each other, from those that are taken, and from black.

    Each is the one of 512 that is farthest from all before it.

    Args:
        count: how many, 0..255.
        taken: colours that are in use.
    """
    candidates = np.array(list(itertools.product(_LEVELS, repeat=3)))
    distances = np.full(len(candidates), np.inf)
    chosen: list[Colour] = []
    for red, green, blue in (_UNLABELLED_COLOUR, *taken):
        distances = np.minimum(distances, _distances(candidates, (red, green, blue)))
    for _ in range(count):
        red, green, blue = candidates[distances.argmax()].tolist()
        chosen.append((red, green, blue))
        distances = np.minimum(distances, _distances(candidates, chosen[-1]))
    return chosen


def _distances(candidates: NDArray[np.int64], colour: Colour) -> NDArray[np.float64]:
    difference = candidates - np.array(colour)
    return np.asarray((difference**2).sum(axis=1), np.float64)
