"""`fafnet segment` of a folder: which layout it has, what was found in it, what was assumed."""

from __future__ import annotations

import argparse
import sys

from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.datasets.frame_layouts import AUTO, layout_names
from fafnet_core.registration import Extrinsics

OPTIONS = ("slop", "depth_scale", "depth_to_color")
"""Options for recordings that folders take too."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only folders take; None where it is not given."""
    parser.add_argument(
        "--layout",
        choices=layout_names(),
        help=f"how frames lie in the folder (default: {AUTO}, as the files in it tell)",
    )


def refuse_options(arguments: argparse.Namespace) -> None:
    """End with status 2 where something else is to be labelled and --layout is given."""
    if arguments.layout is not None:
        arguments.parser.error("--layout is for folders of images")


def open_folder(arguments: argparse.Namespace) -> FrameFolder:
    """Open the folder, and say what was found.

    Raises:
        OSError, ValueError: see `FrameFolder`.
    """
    given = arguments.depth_to_color
    folder = FrameFolder(
        arguments.input[0],
        arguments.camera,
        layout=arguments.layout or AUTO,
        slop_s=arguments.slop,
        depth_unit_m=arguments.depth_scale,
        depth_to_colour=given and Extrinsics.from_quaternion(given[:3], given[3:]),
    )
    lines = [folder.found, *folder.notes]
    for one, other, names in (
        ("colour", "depth", folder.without_depth),
        ("depth", "colour", folder.without_colour),
    ):
        if names:
            told = f"{len(names)} {one} images have no {other} image {folder.partner}"
            lines.append(f"{told} ('{names[0]}', ...): left out")
    for line in lines:
        print(f"fafnet: {line}", file=sys.stderr)
    return folder
