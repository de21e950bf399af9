"""The parameters of what goes out; all of them may change while the node is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fafnet_ros.parameters import Parameters, parameter


@dataclass(frozen=True, kw_only=True)
class OutputSettings(Parameters):
    """What goes out, and how."""

    overlay_opacity: Annotated[float, "0 <= x <= 1"] = parameter(
        0.5, "Opacity of the labels in ~/overlay.", live=True
    )
    confidence_threshold: Annotated[float, "0 <= x <= 1"] = parameter(
        0.0, "Pixels whose confidence is lower become unlabelled (255).", live=True
    )
    output_scale: Annotated[float, "0.05 <= x <= 1"] = parameter(
        1.0, "Size of all images over that of the colour image.", live=True
    )
    mask_classes: tuple[str, ...] = parameter(
        (), "Classes and groups of classes with a mask of their own on ~/mask/<name>.", live=True
    )
    points_stride: Annotated[int, "1 <= x <= 64"] = parameter(
        1, "~/points has every n-th row and column.", live=True
    )
    points_classes: tuple[str, ...] = parameter(
        (), "Classes that ~/points has; empty: all.", live=True
    )
    points_color: Literal["image", "label"] = parameter(
        "image",
        "What the rgb field of ~/points shows: the colour image, or the labels' colours.",
        live=True,
    )
    points_organized: bool = parameter(
        False,
        "~/points keeps the rows of the image, with NaN where there is no point.",
        live=True,
    )
