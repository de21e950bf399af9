"""Input normalisation: what turns 8-bit colour and HHA images into what a network was trained on.

It travels in the checkpoint, so nobody has to remember it: x = (image / 255 - mean) / deviation.
Training, evaluation and inference all take it from `Normalisation.affine`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Stream = Literal["rgb", "hha"]

_Triple = tuple[float, float, float]

_IMAGENET_MEAN: _Triple = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION: _Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation of each channel, as fractions of 255.

    The defaults are ImageNet's for both streams: the depth stream starts from the same ImageNet
    weights as the colour stream, so its stem expects the same range.
    """

    rgb_mean: _Triple = _IMAGENET_MEAN
    rgb_deviation: _Triple = _IMAGENET_DEVIATION
    hha_mean: _Triple = _IMAGENET_MEAN
    hha_deviation: _Triple = _IMAGENET_DEVIATION

    def __post_init__(self) -> None:
        for name, values in asdict(self).items():
            whole = len(values) == 3 and all(math.isfinite(value) for value in values)
            if not whole or ("deviation" in name and min(values) <= 0):
                raise ValueError(
                    f"normalisation {name} is {values}; it takes three finite numbers, and a"
                    " deviation has to be above zero"
                )

    def affine(self, stream: Stream) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and offset, (3,) float64 each: levels 0..255 are scaled, then moved."""
        mean = np.array(self.rgb_mean if stream == "rgb" else self.hha_mean)
        deviation = np.array(self.rgb_deviation if stream == "rgb" else self.hha_deviation)
        return 1 / (255 * deviation), -mean / deviation

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain lists, as stored in a checkpoint."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Normalisation:
        """Return the normalisation that `to_dict` described; ValueError where it does not fit."""
        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != known:
            raise ValueError(f"not a normalisation: {values!r:.200}; it has {sorted(known)}")
        try:
            triples: dict[str, Any] = {
                name: tuple(float(value) for value in triple) for name, triple in values.items()
            }
            return cls(**triples)
        except TypeError as error:
            raise ValueError(f"not a normalisation: {values!r:.200} ({error})") from error
