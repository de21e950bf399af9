"""`fafnet benchmark`: how long networks and the stages of a frame take on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fafnet_core.camera import Size
from fafnet_core.cli.options import RUNTIMES
from fafnet_core.cli.tables import columns
from fafnet_core.files import written_beside
from fafnet_core.input_size import parse_input_size
from fafnet_core.nearest import unknown_name

if TYPE_CHECKING:
    from fafnet_core.benchmark.machine import Machine
    from fafnet_core.benchmark.rows import Contender, LeftOut, Row

T = TypeVar("T")

# fafnet-mobile is the network of default; the others take a second and more a frame.
_NETWORKS = ("default", "fafnet-nano", "fafnet-lite")
_RUNTIMES = tuple(name for name in RUNTIMES if name != "auto")
_SIZES: tuple[Size, ...] = ((240, 320), (360, 480), (480, 640))
_CAMERA: Size = (480, 640)
_MOST_THREADS = 1024

_EXAMPLES = """\
examples:
  fafnet benchmark                                     two minutes on two cores
  fafnet benchmark --quick                             the default, one size, one thread
  fafnet benchmark --plot times.png --json times.json
  fafnet benchmark --networks default,fafnet-r34 --sizes 320x240 --threads 2 --busy
  fafnet benchmark --networks runs/nyu/best.safetensors --runtimes torch,openvino

Every row has a process of its own, and rows of a size and a number of threads take turns. ms and
95 % are median and 95th percentile of the wall clock time; of the first, the median of the ratios
to the first row beside it; labels equal, with those of PyTorch in float32; MB, the most resident
memory of the process, compiling included. The stages are those of the first network on a camera's
frame, seen at the size of its checkpoint, in the runtime that a node would take (or the only one of
--runtimes). Presets have random weights.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "benchmark",
        help="measure how long networks take here, in every runtime",
        description="Time networks in every runtime, and the stages of a frame, on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--networks",
        type=_list_of(str),
        metavar="LIST",
        help=f"checkpoints and presets, with commas (default: {','.join(_NETWORKS)})",
    )
    parser.add_argument(
        "--runtimes",
        type=_list_of(_runtime),
        default=_RUNTIMES,
        metavar="LIST",
        help=f"of {','.join(_RUNTIMES)} (default: all)",
    )
    parser.add_argument(
        "--precisions",
        type=_list_of(_precision),
        metavar="LIST",
        help="as in float32,bfloat16 (default: those that are native)",
    )
    parser.add_argument(
        "--sizes",
        type=_list_of(_size),
        metavar="LIST",
        help="WIDTHxHEIGHT of the networks' input (default: 320x240,480x360,640x480)",
    )
    parser.add_argument("--threads", type=_list_of(_threads), metavar="LIST", help="(default: 1,2)")
    parser.add_argument(
        "--camera", type=_size, default=_CAMERA, metavar="WIDTHxHEIGHT", help="(default: 640x480)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument(
        "--rounds", type=_positive("--rounds", 100_000), metavar="N", help="turns of each row"
    )
    parser.add_argument(
        "--busy", action="store_true", help="measure again beside a process that keeps a core busy"
    )
    parser.add_argument("--quick", action="store_true", help="some 20 s: one network, size, thread")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write all figures, processor and versions as JSON; without FILE, print them instead",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the networks' times")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and report; 1 if nothing could be measured."""
    _fill_in(arguments)
    for network in arguments.networks:
        _check_network(network, arguments.parser)
    for option in ("json", "plot"):
        path = getattr(arguments, option)
        if path not in (None, "-") and Path(path).is_dir():
            arguments.parser.error(f"--{option} is a folder, {path}; wanted a file")
    # Imports PyTorch: only once the question makes sense.
    from fafnet_core.benchmark.harness import Effort, measure
    from fafnet_core.benchmark.machine import this_machine
    from fafnet_core.benchmark.picture import draw
    from fafnet_core.benchmark.rows import NETWORK
    from fafnet_core.evaluation.confusion_picture import require_matplotlib

    if arguments.plot:
        require_matplotlib()  # now, not when everything is measured
    machine = this_machine()
    effort = Effort(rounds=arguments.rounds, busy=arguments.busy)
    rows, left_out = measure(_groups(arguments), effort)
    if not any(row.what == NETWORK for row in rows):
        raise ValueError(f"no network could be measured: {left_out[0].reason}")
    report = json.dumps(
        {
            "machine": dataclasses.asdict(machine),
            "rows": [row.to_dict() for row in rows],
            "left_out": [one.to_dict() for one in left_out],
        }
    )
    print(report if arguments.json == "-" else _text(machine, rows, left_out), flush=True)
    if arguments.json not in (None, "-"):
        with written_beside(arguments.json) as beside:
            beside.write_text(report, encoding="utf-8")
    if arguments.plot:
        draw(rows, machine.words, arguments.plot)
    return 0


def _fill_in(arguments: argparse.Namespace) -> None:
    """Put what was not asked for to what --quick or the default means."""
    quick: bool = arguments.quick
    usual = {
        "networks": _NETWORKS[:1] if quick else _NETWORKS,
        "sizes": _SIZES[:1] if quick else _SIZES,
        "threads": (1,) if quick else (1, 2),
        "rounds": 5 if quick else 7,
    }
    for name, value in usual.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def _check_network(name: str, parser: argparse.ArgumentParser) -> None:
    """End with exit status 2 where there is no such network."""
    from fafnet_core.checkpoints.location import named_repository
    from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT
    from fafnet_core.inference import UNTRAINED
    from fafnet_core.models import PRESETS

    try:
        known = [*PRESETS, DEFAULT_CHECKPOINT]
        if name.startswith(UNTRAINED):
            name, known = name.removeprefix(UNTRAINED), list(PRESETS)
        elif named_repository(name) is not None or (name and Path(name).exists()):
            return
    except ValueError as error:
        parser.error(str(error))
    if name not in known:
        parser.error(f"--networks: {unknown_name('network', name, known)}; or the path of a file")


def _groups(arguments: argparse.Namespace) -> list[list[Contender]]:
    """Return what is measured, those side by side together."""
    from fafnet_core.benchmark.contenders import open_network, precisions_of, stages
    from fafnet_core.benchmark.rows import Contender
    from fafnet_core.runtimes.devices import choose_device

    device = str(choose_device(arguments.device))
    networks = [
        [
            Contender(network, runtime, precision, device, threads, size, open_network)
            for network in arguments.networks
            for runtime in arguments.runtimes
            for precision in arguments.precisions or precisions_of(runtime, device)
        ]
        for size in arguments.sizes
        for threads in arguments.threads
    ]
    first = arguments.networks[0]
    only = arguments.runtimes[0] if len(arguments.runtimes) == 1 else "auto"
    frames = [stages(first, arguments.camera, count, device, only) for count in arguments.threads]
    return [*networks, *frames]


def _text(machine: Machine, rows: Sequence[Row], left_out: Sequence[LeftOut]) -> str:
    from fafnet_core.benchmark.rows import NETWORK, table

    load = "" if machine.load is None else f"; load {machine.load:.1f}"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    parts = [f"{machine.words}{load}\n{versions}\n{machine.date}"]
    networks = [row for row in rows if row.what == NETWORK]
    frames = [row for row in rows if row.what != NETWORK]
    if networks:
        parts.append(columns(table(networks), "<<<>>"))
    if frames:
        parts.append(f"a frame of {frames[0].network}:\n{columns(table(frames), '<<<>>')}")
    reasons: dict[str, dict[str, None]] = {}
    for one in left_out:
        kind = f"{one.contender.runtime} {one.contender.precision}"
        reasons.setdefault(one.reason, {})[kind] = None
    parts += [f"left out: {', '.join(kinds)}: {reason}" for reason, kinds in reasons.items()]
    return "\n\n".join(parts)


# What the options take


def _list_of(kind: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def read(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(kind(part.strip()) for part in text.split(",")))

    return read


def _runtime(name: str) -> str:
    if name not in _RUNTIMES:
        raise argparse.ArgumentTypeError(unknown_name("runtime", name, _RUNTIMES))
    return name


def _precision(name: str) -> str:
    known = ("float32", "bfloat16", "float16", "int8")
    if name not in known:
        raise argparse.ArgumentTypeError(unknown_name("precision", name, known))
    return name


def _size(text: str) -> Size:
    try:
        size = parse_input_size(text)
    except ValueError:
        size = None
    if not isinstance(size, tuple):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; wanted WIDTHxHEIGHT, as 320x240")
    return size


def _threads(text: str) -> int:
    return _positive("--threads", _MOST_THREADS)(text)


def _positive(option: str, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{option} is '{text:.20}'; wanted a whole number, 1 to {most}"
            )
        return int(text)

    return read
