"""The parameters of what goes out; all of them may change while the node is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fafnet_ros.parameters import Parameters, parameter


@dataclass(frozen=True, kw_only=True)
class OutputSettings(Parameters):
    """What goes out, and how."""

    label_map: str = parameter(
        "",
        "Publish other classes than the network's: the file of a mapping, or a label set to which"
        " one ships, such as nyu13. Empty: the network's own. Set again, a file is read again.",
        live=True,
    )
    overlay_opacity: Annotated[float, "0 <= x <= 1"] = parameter(
        0.5, "Opacity of the labels in ~/overlay.", live=True
    )
    confidence_threshold: Annotated[float, "0 <= x <= 1"] = parameter(
        0.0, "Pixels whose confidence is lower become unlabelled (255).", live=True
    )
    output_scale: Annotated[float, "0.05 <= x <= 1"] = parameter(
        1.0, "Size of all images, and of the grid of ~/points, over the colour image's.", live=True
    )
    labels_encoding: Literal["mono8", "16SC1", "32SC1"] = parameter(
        "mono8",
        "Encoding of ~/labels: unlabelled is 255 in mono8, -1 in the signed ones.",
        live=True,
    )
    confidence_encoding: Literal["32FC1", "mono8"] = parameter(
        "32FC1", "Encoding of ~/confidence: 0 to 1 in 32FC1, 0 to 255 in mono8.", live=True
    )
    mask_classes: tuple[str, ...] = parameter(
        (),
        "Classes and groups of classes with a mask of their own on ~/mask/<name>; of those that are"
        " published (label_map).",
        live=True,
    )
    points_stride: Annotated[int, "1 <= x <= 64"] = parameter(
        1, "~/points has every n-th row and column of ~/labels.", live=True
    )
    points_classes: tuple[str, ...] = parameter(
        (), "Classes that ~/points has; empty: all.", live=True
    )
    points_unlabelled: bool = parameter(
        True, "~/points has pixels without a label too, with label 255.", live=True
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
