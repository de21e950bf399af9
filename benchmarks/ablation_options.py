"""The command line of the ablation, and the settings that all runs of a folder share."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_data import AblationData, RealFrames, Rooms

from fafnet_core.files import written_beside
from fafnet_core.models.ablation import ABLATION

DATA: Mapping[str, type[AblationData]] = {"synthetic": Rooms, "nyuv2": RealFrames}
_OWN: Mapping[str, Mapping[str, Any]] = {
    "synthetic": {"frames": 1500, "tests": 150, "data_seed": 100},
    "nyuv2": {"root": None, "reduce": 4, "pretrained": None},
}
"""Options that only one data set has, with their defaults."""


def read_options(
    description: str, primary: Sequence[str], arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line; what is asked wrongly ends the program."""
    parser = _parser(description, primary)
    options = parser.parse_args(arguments)
    for data, own in _OWN.items():
        for name, default in own.items():
            if data != options.data and getattr(options, name) is not None:
                parser.error(f"--{name.replace('_', '-')} is an option of --data {data} only")
            if data == options.data and getattr(options, name) is None:
                setattr(options, name, default)
    for name in ("seeds", "iterations", "batch", "frames", "tests", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; wanted at least 1")
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
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and report")
    parser.add_argument("--arms", nargs="+", default=primary, choices=list(ABLATION))
    parser.add_argument("--seeds", type=int, default=8, help="paired runs of each arm")
    parser.add_argument("--data", choices=list(DATA), default="synthetic")
    parser.add_argument("--preset", default="fafnet-nano")
    parser.add_argument("--iterations", type=int, default=700)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")
    rooms = parser.add_argument_group("--data synthetic")
    rooms.add_argument("--frames", type=int, help="training frames (1500)")
    rooms.add_argument("--tests", type=int, help="test frames at each error (150)")
    rooms.add_argument("--data-seed", type=int, help="which rooms (100)")
    real = parser.add_argument_group("--data nyuv2")
    real.add_argument("--root", help="the data set's folder, in any layout")
    real.add_argument("--reduce", type=int, choices=(2, 4, 8), help="of both sides (4: 160x120)")
    real.add_argument("--pretrained", help="weights of the backbones, the same in all arms")
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
    settings: dict[str, Any] = {}
    if path.is_file():
        settings = json.loads(path.read_text(encoding="utf-8"))
    return settings


def check_settings(options: argparse.Namespace) -> None:
    """Note what the runs of a folder have in common, or refuse to mix others with them.

    Raises:
        ValueError: the folder's runs were made with other settings.
    """
    now = {name: getattr(options, name) for name in DATA[options.data].common}
    then = read_settings(options.out) or now
    # Other data sets have other settings: what they are says nothing then.
    names = list(now) if data_name(then) == options.data else ["data"]
    before = {**then, "data": data_name(then)}
    differ = [f"--{name.replace('_', '-')} {before.get(name)}" for name in names
              if before.get(name) != getattr(options, name)]  # fmt: skip
    if differ:
        raise ValueError(
            f"the runs in {options.out} were made with {' '.join(differ)}: go on with that, or take"
            " another --out"
        )
    with written_beside(options.out / "settings.json") as beside:
        beside.write_text(json.dumps(now, indent=1), encoding="utf-8")


def data_name(settings: Mapping[str, Any]) -> str:
    """Return the data set of a folder's settings; those of synthetic rooms do not name it."""
    return str(settings.get("data", "synthetic"))
