"""The command line of the ablation, and the settings that all runs of a folder share."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_data import AblationData, RealFrames, Rooms
from measuring import at_least, command_line

from fafnet_core.files import written_beside
from fafnet_core.models.ablation import ABLATION

DATA: Mapping[str, type[AblationData]] = {"synthetic": Rooms, "nyuv2": RealFrames}


def read_options(
    description: str, primary: Sequence[str], arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line; what is asked wrongly ends the program."""
    parser = _parser(description, primary)
    options = parser.parse_args(arguments)
    if options.report:
        return options
    if options.data == "nyuv2" and options.root is None:
        parser.error("--data nyuv2 wants --root, the data set's folder")
    try:
        check_settings(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def _parser(description: str, primary: Sequence[str]) -> argparse.ArgumentParser:
    parser = command_line(description)
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and report")
    parser.add_argument("--arms", nargs="+", default=primary, choices=list(ABLATION))
    parser.add_argument("--seeds", type=at_least(1), default=8, help="paired runs of each arm")
    parser.add_argument("--data", choices=list(DATA), default="synthetic")
    parser.add_argument("--preset", default="fafnet-nano")
    parser.add_argument("--pretrained", help="weights of the backbones, the same in all arms")
    parser.add_argument("--iterations", type=at_least(1), default=700)
    parser.add_argument("--batch", type=at_least(1), default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--jobs", type=at_least(1), default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")
    rooms = parser.add_argument_group("--data synthetic")
    rooms.add_argument("--frames", type=at_least(1), default=1500, help="to train on (%(default)s)")
    rooms.add_argument(
        "--tests", type=at_least(1), default=150, help="test frames at each error (%(default)s)"
    )
    rooms.add_argument("--data-seed", type=int, default=100, help="which rooms (%(default)s)")
    real = parser.add_argument_group("--data nyuv2")
    real.add_argument("--root", help="the data set's folder, in any layout")
    real.add_argument(
        "--reduce", type=int, choices=(2, 4, 8), default=4, help="of both sides (4: 160x120)"
    )
    return parser


def data_of(options: argparse.Namespace) -> AblationData:
    """Return the data set that was asked for."""
    cache = Path(options.out) / "frames"
    if options.data == "nyuv2":
        return RealFrames(root=options.root, reduce=options.reduce, cache=cache)
    return Rooms(seed=options.data_seed, frames=options.frames, count=options.tests, cache=cache)


def read_settings(out: Path) -> dict[str, Any]:
    """Return what the runs of a folder have in common; nothing where it has none."""
    path = out / "settings.json"
    if not path.is_file():
        return {}
    # Older ones of synthetic rooms do not name the data.
    return {"data": "synthetic", **json.loads(path.read_text(encoding="utf-8"))}


def check_settings(options: argparse.Namespace) -> None:
    """Note what the runs of a folder have in common, or refuse to mix others with them.

    Raises:
        ValueError: the folder's runs were made with other settings.
    """
    names = ("data", "preset", "pretrained", "iterations", "batch", "rate")
    now = {name: getattr(options, name) for name in (*names, *DATA[options.data].settings)}
    then = read_settings(options.out) or now
    # Another data set has other settings: only the data set is compared then.
    compared = now if then["data"] == options.data else ["data"]
    differ = [
        f"--{name.replace('_', '-')} {then.get(name)}"
        for name in compared
        if then.get(name) != now[name]
    ]
    if differ:
        raise ValueError(
            f"the runs in {options.out} were made with {' '.join(differ)}: go on with that, or take"
            " another --out"
        )
    with written_beside(options.out / "settings.json") as beside:
        beside.write_text(json.dumps(now, indent=1), encoding="utf-8")
