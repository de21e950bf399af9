"""Input normalisation: what turns 8-bit colour and HHA images into what a network was trained on.

It travels in the checkpoint, so nobody has to remember it: x = (image / 255 - mean) / deviation.
Training, evaluation and inference all take it from `Normalisation.affine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.settings import check_fields, field_types, plain_values

Stream = Literal["rgb", "hha"]

_Positive = Annotated[float, "0 < x"]
_Mean = tuple[float, float, float]
_Deviation = tuple[_Positive, _Positive, _Positive]

_IMAGENET_MEAN: _Mean = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION: _Deviation = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation of each channel, as fractions of 255.

    The defaults are ImageNet's for both streams: the depth stream starts from the same ImageNet
    weights as the colour stream, so its stem expects the same range.
    """

    rgb_mean: _Mean = _IMAGENET_MEAN
    rgb_deviation: _Deviation = _IMAGENET_DEVIATION
    hha_mean: _Mean = _IMAGENET_MEAN
    hha_deviation: _Deviation = _IMAGENET_DEVIATION

    def __post_init__(self) -> None:
        check_fields(self)

    def affine(self, stream: Stream) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and offset, (3,) float64 each: levels 0..255 are scaled, then moved."""
        mean = np.array(self.rgb_mean if stream == "rgb" else self.hha_mean)
        deviation = np.array(self.rgb_deviation if stream == "rgb" else self.hha_deviation)
        return 1 / (255 * deviation), -mean / deviation

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain lists, as stored in a checkpoint."""
        values: dict[str, list[float]] = plain_values(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Normalisation:
        """Return the normalisation that `to_dict` described; ValueError where it does not fit."""
        known = field_types(cls).keys()
        if not isinstance(values, Mapping) or values.keys() != known:
            raise ValueError(f"not a normalisation: {values!r:.200}; it has {sorted(known)}")
        return cls(**values)
