"""The parameters of what goes out; all of them may change while the node is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fafnet_ros.outputs.frame import POINT_COLOURS, OutputSettings
from fafnet_ros.parameters import parameter


@dataclass(frozen=True, kw_only=True)
class OutputParameters(OutputSettings):
    """`OutputSettings` as ROS parameters."""

    overlay_opacity: float = parameter(
        0.5, "Opacity of the labels in ~/overlay.", minimum=0.0, maximum=1.0, live=True
    )
    confidence_threshold: float = parameter(
        0.0,
        "Pixels whose confidence is lower become unlabelled (255).",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    output_scale: float = parameter(
        1.0,
        "Size of all images over that of the colour image.",
        minimum=0.05,
        maximum=1.0,
        live=True,
    )
    mask_classes: tuple[str, ...] = parameter(
        (), "Classes with a mask of their own on ~/mask/<name>.", items=str, live=True
    )
    points_stride: int = parameter(
        1, "~/points has every n-th row and column.", minimum=1, maximum=64, live=True
    )
    points_classes: tuple[str, ...] = parameter(
        (), "Classes that ~/points has; empty: all.", items=str, live=True
    )
    points_color: Literal["image", "label"] = parameter(
        "image",
        "What the rgb field of ~/points shows: the colour image, or the labels' colours.",
        choices=POINT_COLOURS,
        live=True,
    )
    points_organized: bool = parameter(
        False,
        "~/points keeps the rows of the image, with NaN where there is no point.",
        live=True,
    )
