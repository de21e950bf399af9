"""Options that several verbs have."""

from __future__ import annotations

import argparse

from fafnet_core.input_size import CHECKPOINT, AnyInputSize, parse_input_size

RUNTIMES = ("auto", "torch", "openvino", "onnxruntime", "tensorrt")
"""What --runtime takes; `fafnet_core.runtimes` imports PyTorch, which --help need not wait for."""


def add_input_size(parser: argparse.ArgumentParser) -> None:
    """Add --input-size, which is a size, None (the image's own) or `CHECKPOINT`."""
    parser.add_argument(
        "--input-size",
        type=input_size,
        default=CHECKPOINT,
        metavar="WIDTHxHEIGHT",
        help="size at which the network sees the frames, as 320x240; image: their own; checkpoint:"
        " that of its training (default)",
    )


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Add --set, whose values `read_settings` takes as `arguments.overrides`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help=f"change one setting, as in {example}; the value in YAML; as often as needed",
    )


def input_size(text: str) -> AnyInputSize:
    """As `parse_input_size`, with the error that argparse shows."""
    try:
        return parse_input_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
