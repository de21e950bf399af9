"""The `transform:` section of a configuration: how a training sample is varied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fafnet_core.labels import UNLABELLED
from fafnet_core.settings import FieldError, check_fields

Padding = Literal["mean", "black"]
Share = Annotated[float, "0 <= x <= 1"]
Strength = Annotated[float, "0 <= x"]
Side = Annotated[int, "1 <= x"]
Factor = Annotated[float, "0.1 <= x <= 10"]
Metres = Annotated[float, "0 < x"]


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Largest changes of the colour image; each is drawn uniformly, 0 changes nothing.

    Attributes:
        brightness: factor of all channels, from 1 - brightness to 1 + brightness; 0 to 1.
        contrast: the same for the distance to the image's mean grey; 0 to 1.
        saturation: the same for the distance to a pixel's own grey; 0 to 1.
        hue: turn of the hue to either side, as a share of the whole circle; 0 to 0.5.
    """

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, "0 <= x <= 0.5"] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class TransformConfig:
    """What `TrainTransform` does. The defaults are the paper's (section 4.2; crop for NYUv2).

    Strengths of faults are largest values: each sample draws its own, uniformly from 0.

    Attributes:
        input_size: (height, width) that the network will see: a frame is first brought to about
            this many pixels, and HHA is made of the resized depth, as in inference; `scale` comes
            on top. None: frames at their own size.
        scale: smallest and largest factor of the size, drawn uniformly.
        crop: (height, width) of every sample, at a random place; None: no crop, and a batch then
            needs frames of one size and `scale: [1, 1]`.
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
        depth_limit_m: smallest and largest limit, in metres, beyond which depth is lost; None: no
            limit. Needs metric depth.
        no_depth: share of the samples that lose all depth.
        no_colour: share of the others whose colour is black.
        misalignment_px: shift of depth against colour, pixels at an image width of 640.
        misalignment_deg: turn of depth against colour about the image's middle, degrees.
        misalignment_scale: change of the size of depth against colour, as a share.
    """

    input_size: tuple[Side, Side] | None = None
    scale: tuple[Factor, Factor] = (0.5, 2.0)
    crop: tuple[Side, Side] | None = (464, 464)
    flip: Share = 0.5
    pad: Padding = "mean"
    pad_label: Annotated[int, "0 <= x <= 255"] = UNLABELLED
    colour_jitter: ColourJitter = ColourJitter()
    fault_probability: Share = 1.0
    depth_dropout: Share = 0.0
    edge_dropout_px: Strength = 0.0
    depth_noise: Strength = 0.0
    depth_limit_m: tuple[Metres, Metres] | None = None
    no_depth: Share = 0.0
    no_colour: Share = 0.0
    misalignment_px: Strength = 0.0
    misalignment_deg: Annotated[float, "0 <= x <= 180"] = 0.0
    misalignment_scale: Annotated[float, "0 <= x <= 0.5"] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("scale", "depth_limit_m"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise FieldError(
                    name, f"{name} is {limits}; wanted the smaller number first, then the larger"
                )
