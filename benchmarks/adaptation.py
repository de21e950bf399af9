"""What 5, 10 and 20 labelled frames of a new place bring: kitchens that a network never saw.

python benchmarks/adaptation.py --nyuv2 data/nyuv2 --scenes scenes.txt --out output/kitchens
python benchmarks/adaptation.py --nyuv2 data/nyuv2 --scenes scenes.txt --out output/kitchens \\
    --base runs/without-kitchens/last.safetensors

The first command writes the list of training frames without kitchens and says how a base network is
trained on them. --scenes has the type of scene of each frame, one a line, as `0139 kitchen`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adaptation_data import divide, read_scenes, write_folder
from measuring import command_line

WITHOUT = "without"


def _parser() -> argparse.ArgumentParser:
    parser = command_line(__doc__)
    parser.add_argument("--nyuv2", type=Path, required=True, help="its folder, in ESANet's layout")
    parser.add_argument("--scenes", type=Path, required=True, help="the type of each frame's scene")
    parser.add_argument("--out", type=Path, required=True, help="folder of frames, runs and report")
    parser.add_argument(
        "--types",
        nargs="+",
        default=["kitchen", "office_kitchen"],
        metavar="TYPE",
        help="of the scenes that the base network never saw (%(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the list of frames for the base network."""
    options = _parser().parse_args(arguments)
    try:
        scenes = divide(options.nyuv2, read_scenes(options.scenes), options.types)
        folder = options.out / WITHOUT
        write_folder(folder, options.nyuv2, scenes.other_train, scenes.other_test)
    except (OSError, ValueError) as error:
        print(f"adaptation: {error}", file=sys.stderr)
        return 1
    print(
        f"{len(scenes.other_train)} frames to train the base network on, without"
        f" {len(scenes.train)} of {', '.join(options.types)}:\n"
        f"  fafnet train config/nyuv2-mobile.yaml --set data.root={folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
