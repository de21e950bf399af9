"""The `transform:` section of a configuration: how a training sample is varied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from fafnet_core.labels import UNLABELLED
from fafnet_core.settings import require_field

Padding = Literal["mean", "black"]

_SMALLEST_SCALE, _LARGEST_SCALE = 0.1, 10.0


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Largest changes of the colour image; each is drawn uniformly, 0 changes nothing.

    Attributes:
        brightness: factor of all channels, from 1 - brightness to 1 + brightness; 0 to 1.
        contrast: the same for the distance to the image's mean grey; 0 to 1.
        saturation: the same for the distance to a pixel's own grey; 0 to 1.
        hue: turn of the hue to either side, as a share of the whole circle; 0 to 0.5.

    Raises:
        ValueError: a number is outside its range.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = 0.5 if name == "hue" else 1.0
            if not 0 <= value <= most:
                raise ValueError(f"{name} is {value!r}; it has to be 0 to {most}")


@dataclass(frozen=True, kw_only=True)
class TransformConfig:
    """What `TrainTransform` does. The defaults are the paper's (section 4.2; crop for NYUv2).

    Strengths of faults are largest values: each sample draws its own, uniformly from 0.

    Attributes:
        input_size: (height, width) that the network is for: a frame is first brought to about so
            many pixels, and its HHA is made of its depth there, as inference does; `scale` is a
            factor on top. None: frames at their own size.
        scale: smallest and largest factor of the size, drawn uniformly.
        crop: (height, width) that every sample gets, at a random place; None: none, and frames of
            one size make a batch only with `scale: [1, 1]`.
        flip: probability of a mirrored sample.
        pad: what fills a crop that is larger than the image. "mean", which is 0 after
            normalisation; "black", level 0 before it, as the release has it.
        pad_label: the label of that padding. 255 does not count in the loss. The release gives it
            0, and so trains padding as class 0, which is a wall: a defect.
        colour_jitter: changes of the colour image.
        fault_probability: share of the samples whose depth gets the faults below.
        depth_dropout: share of the image, 0 to 1, that loses its depth in blobs and rectangles.
        edge_dropout_px: width of the seam without depth along depth edges, pixels at an image
            width of 640; needs metric depth.
        depth_noise: deviation of depth at 1 m, in metres, growing with the square of the depth;
            a Kinect's is 0.0014. Needs metric depth.
        depth_limit_m: nearest and farthest place of a limit, in metres, beyond which depth is lost;
            null: none. Needs metric depth.
        no_depth: share of the samples that lose all depth, so that colour alone has to do.
        no_colour: share of the others whose colour is black.
        misalignment_px: shift of depth against colour, pixels at an image width of 640.
        misalignment_deg: turn of depth against colour about the image's middle, degrees.
        misalignment_scale: change of the size of depth against colour, as a share.

    Raises:
        ValueError: a field has a value that is not allowed; the message says what is.
    """

    input_size: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.5, 2.0)
    crop: tuple[int, int] | None = (464, 464)
    flip: float = 0.5
    pad: Padding = "mean"
    pad_label: int = UNLABELLED
    colour_jitter: ColourJitter = ColourJitter()
    fault_probability: float = 1.0
    depth_dropout: float = 0.0
    edge_dropout_px: float = 0.0
    depth_noise: float = 0.0
    depth_limit_m: tuple[float, float] | None = None
    no_depth: float = 0.0
    no_colour: float = 0.0
    misalignment_px: float = 0.0
    misalignment_deg: float = 0.0
    misalignment_scale: float = 0.0

    def __post_init__(self) -> None:
        low, high = _SMALLEST_SCALE, _LARGEST_SCALE
        in_order = len(self.scale) == 2 and low <= self.scale[0] <= self.scale[1] <= high
        require_field(
            self, "scale", in_order, f"a smallest and a largest factor, {low} to {high:g}"
        )
        for name in ("input_size", "crop"):
            size = getattr(self, name)
            require_field(
                self,
                name,
                size is None
                or (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)),
                "a height and a width in pixels, or null",
            )
        choices = get_args(Padding)
        require_field(self, "pad", self.pad in choices, f"one of {', '.join(choices)}")
        require_field(self, "pad_label", self.pad_label in range(256), "a whole number, 0 to 255")
        for name in ("flip", "fault_probability", "depth_dropout", "no_depth", "no_colour"):
            require_field(self, name, 0 <= getattr(self, name) <= 1, "0 to 1")
        for name in ("edge_dropout_px", "depth_noise", "misalignment_px"):
            require_field(self, name, 0 <= getattr(self, name) < math.inf, "0 or more")
        require_field(self, "misalignment_deg", 0 <= self.misalignment_deg <= 180, "0 to 180")
        require_field(self, "misalignment_scale", 0 <= self.misalignment_scale <= 0.5, "0 to 0.5")
        limit = self.depth_limit_m
        require_field(
            self,
            "depth_limit_m",
            limit is None or (len(limit) == 2 and 0 < limit[0] <= limit[1] < math.inf),
            "a nearest and a farthest limit in metres, or null",
        )
