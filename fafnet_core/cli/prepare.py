"""`fafnet prepare`: from a data set's original files to a folder that training reads quickly."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from fafnet_core.datasets.prepare import Preparation

_EXAMPLES = """\
examples:
  fafnet prepare nyuv2 downloads/nyuv2 --out nyuv2
  fafnet prepare sunrgbd downloads/sunrgbd --out sunrgbd --jobs 8
  fafnet prepare synthetic --out rooms --frames 100 --seed 1

Writes rgb/, depth/ (16 bits, millimetres), hha/, labels/ (255 = unlabelled) and, where it is known
which depth is in-painted, missing/, all as NAME.png; train.txt, test.txt, and manifest.json with
cameras. After any interruption the same command goes on.
"""

_NO_CONTENT = {"validation", "cache"}
_PRINTED = 20
"""Settings of a data set that do not change what its official splits hold."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "prepare",
        help="turn the original files of a data set into a folder for training",
        description="Prepare a data set: PNGs with ready HHA, on all cores.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(title="what", metavar="<what>", required=True)
    nyuv2 = _add(kinds, "nyuv2", "NYU-Depth V2: nyu_depth_v2_labeled.mat and its two small files")
    nyuv2.add_argument("originals", type=Path, help="folder of the downloaded files")
    nyuv2.add_argument(
        "--crop", action="store_true", help="without the white border (most figures are with it)"
    )
    sunrgbd = _add(kinds, "sunrgbd", "SUN RGB-D: SUNRGBD/ and SUNRGBDtoolbox/")
    sunrgbd.add_argument("originals", type=Path, help="folder of the unpacked downloads")
    synthetic = _add(kinds, "synthetic", "synthetic rooms, for trials")
    synthetic.add_argument("--frames", type=int, help="training frames")
    synthetic.add_argument("--seed", type=int, help="another seed, other rooms")


def _add(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to make or go on with")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    parser.add_argument("--json", action="store_true", help="print counts as JSON")
    parser.set_defaults(parser=parser, what=name, run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Prepare a data set; 1 if any frame failed."""
    if arguments.jobs is not None and arguments.jobs < 1:
        arguments.parser.error(f"--jobs is {arguments.jobs}; wanted at least 1")
    if arguments.out.exists() and not arguments.out.is_dir():
        arguments.parser.error(f"--out is a file, {arguments.out}; wanted a folder")
    config = _config(arguments)
    # Imports OpenCV and the readers of original files: only once the question makes sense.
    from fafnet_core.datasets.prepare import prepare

    try:
        with _terminated_as_interrupted():
            result = prepare(
                {"train": config.open("train"), "test": config.open("test")},
                arguments.out,
                source=_source(arguments.what, config),
                jobs=arguments.jobs,
                progress=sys.stderr.isatty(),
                warn=_first_failures(),
            )
    except KeyboardInterrupt:
        print(
            "fafnet: interrupted; what is done is kept, the same command goes on", file=sys.stderr
        )
        return 1
    _report(arguments, result)
    return 1 if result.failed else 0


def _config(arguments: argparse.Namespace) -> Any:
    """Return the data set's settings; exit status 2 if they are not allowed."""
    from fafnet_core.datasets.catalogue import DATA_SETS

    values: dict[str, Any] = {}
    if arguments.what == "synthetic":
        given = {"frames": arguments.frames, "seed": arguments.seed}
        values = {name: value for name, value in given.items() if value is not None}
    else:
        originals: Path = arguments.originals
        if not originals.is_dir():
            arguments.parser.error(f"there is no folder {originals}")
        values = {"root": str(originals), "layout": "original", "validation": 0.0}
        if arguments.what == "nyuv2":
            values["crop"] = arguments.crop
    try:
        return DATA_SETS[arguments.what](**values)
    except ValueError as error:
        arguments.parser.error(str(error))


def _source(name: str, config: Any) -> dict[str, Any]:
    """Return the settings that differ from their defaults.

    Not all: folders that were made before a later version adds a setting still fit then.
    """
    return {"data": name} | {
        field.name: value
        for field in fields(config)
        if field.default is not MISSING and field.name not in _NO_CONTENT
        if (value := getattr(config, field.name)) != field.default
    }


def _first_failures() -> Callable[[str], None]:
    """Print a line about each of the first frames that fail, above the bar."""
    numbers = count(1)

    def warn(text: str) -> None:
        number = next(numbers)
        if number <= _PRINTED:
            tqdm.write(f"fafnet prepare: {text}", file=sys.stderr)
        elif number == _PRINTED + 1:
            tqdm.write("fafnet prepare: and more; --json has them all", file=sys.stderr)

    return warn


def _report(arguments: argparse.Namespace, result: Preparation) -> None:
    from fafnet_core.datasets.checks import name_some

    out: Path = arguments.out
    size = tqdm.format_sizeof(result.bytes, "B")
    if arguments.json:
        report = {
            "frames": result.frames,
            "written": result.written,
            "kept": result.kept,
            "failed": result.failed,
            "bytes": result.bytes,
            "seconds": round(result.seconds, 3),
            "out": str(out),
        }
        print(json.dumps(report))
        return
    if result.failed:
        print(
            f"{out} is not complete: {len(result.failed)} of {result.frames} frames failed"
            f" ({name_some(list(result.failed))}). The others are kept: repair these originals and"
            " run it again",
            file=sys.stderr,
        )
    elif not result.written:
        print(f"{out} is complete, nothing to do: {result.frames} frames, {size}")
    else:
        kept = f", {result.kept} of them there already" if result.kept else ""
        print(f"{out}: {result.frames} frames{kept}, {size}, in {result.seconds:.0f} s")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, without half-written files."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
