"""`fafnet segment`: labels for a pair of images, for a folder of them, or for a recording."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fafnet_core.bags import is_bag
from fafnet_core.cli import segment_bag, segment_folder
from fafnet_core.cli.options import RUNTIMES, add_input_size
from fafnet_core.datasets.frames import find_camera_file, read_camera_file, read_frame
from fafnet_core.files import write_png, written_beside

if TYPE_CHECKING:
    from fafnet_core.frame import RgbdFrame, Segmentation
    from fafnet_core.inference import Segmenter

_EXAMPLES = """\
examples:
  fafnet segment color/0001.png depth/0001.png --out labelled --overlay
  fafnet segment recordings/kitchen --out labelled --overlay --checkpoint nyu.safetensors
  fafnet segment rgbd_dataset_freiburg1_desk --out labelled
  fafnet segment recording.mcap --out labelled.mcap
  fafnet segment recording.mcap --out labelled.mcap --label-map nyu13

Folders are read as TUM RGB-D, ScanNet, Record3D, Open3D and RealSense's tools write them, too; what
was found is said first (--layout).

Of images it writes labels/NAME.png (8 bits, class ids, 255 = unlabelled) and label_names.json;
with --overlay also overlay/NAME.png, the labels' colours over the image with a legend beside it;
with --show flow also flow/NAME.png, what each flow alignment module of the network moved, and
where to.

A recording (.mcap, .db3, .bag, or the folder of a ROS 2 bag) becomes a new one: all that was
recorded, and /fafnet/labels, /fafnet/overlay, /fafnet/color and /fafnet/label_names. No ROS needed.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "segment",
        help="label a pair of colour and depth images, a folder of them, or a recording",
        description="Label RGB-D frames.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        nargs="+",
        type=Path,
        help="a folder with color/, depth/, camera.yaml, or of another --layout; a colour and a"
        " depth image; a recording",
    )
    segment_folder.add_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the results; of a recording, a new one"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--camera", type=Path, help="camera file (default: the camera.yaml there)")
    parser.add_argument("--checkpoint", default="default", help="safetensors file or name")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "float32", "bfloat16", "float16")
    )
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=RUNTIMES,
        help="what runs the network; auto: on a CPU OpenVINO where it is installed, else PyTorch",
    )
    add_input_size(parser)
    parser.add_argument(
        "--label-map",
        metavar="MAP",
        help="labels of other classes: the file of a mapping, or a label set to which one ships,"
        " such as nyu13 (docs/own-classes.md)",
    )
    parser.add_argument("--overlay", action="store_true", help="write overlays with a legend too")
    parser.add_argument(
        "--show",
        action="append",
        choices=("flow",),
        default=[],
        help="draw what happens inside the network too: flow, the alignment of its features",
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    segment_bag.add_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Label what was asked for; 1 if any frame failed."""
    for path in arguments.input:
        if not path.exists():
            arguments.parser.error(f"there is no {path}")
    if len(arguments.input) > 1 or not arguments.input[0].is_dir() or is_bag(arguments.input[0]):
        segment_folder.refuse_options(arguments)
    if len(arguments.input) == 1 and is_bag(arguments.input[0]):
        return segment_bag.run(arguments, partial(_load, arguments))
    if any(is_bag(path) for path in arguments.input):
        arguments.parser.error("one recording at a time")
    asked = _frames(arguments)
    _check_results(arguments, asked.reads)
    segmenter = _load(arguments)
    from fafnet_core.inference import find_alignments

    if "flow" in arguments.show:
        find_alignments(segmenter.torch.model)  # none: says so before the first frame
    with written_beside(arguments.out / "label_names.json") as names:
        names.write_text(segmenter.label_set.to_json(), encoding="utf-8")
    done = _Done()
    for name, read in tqdm(asked.reads.items(), unit="frame", disable=None):
        try:
            frame = read()
            begun = time.perf_counter()
            result = segmenter.segment_frame(frame)
            took = time.perf_counter() - begun
            _write(arguments, name, frame, result, segmenter)
            done.seconds.append(took)
            done.without_depth += not frame.has_depth
        except (ValueError, OSError) as error:
            done.failed[name] = str(error)
            tqdm.write(f"fafnet: {name}: {error}", file=sys.stderr)
    _report(arguments, segmenter, asked, done)
    return 1 if done.failed else 0


@dataclass(frozen=True)
class _Asked:
    """What is to be labelled.

    Attributes:
        reads: how to read each frame, by name.
        without_depth: names of colour images that have no depth image.
        without_colour: names of depth images that have no colour image.
        partner: what makes a pair: "of the same name".
    """

    reads: Mapping[str, Callable[[], RgbdFrame]]
    without_depth: Sequence[str] = ()
    without_colour: Sequence[str] = ()
    partner: str = "of the same name"


@dataclass
class _Done:
    """What became of the frames: seconds of those that are labelled, and why others are not."""

    seconds: list[float] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    without_depth: int = 0


def _check_results(arguments: argparse.Namespace, frames: Iterable[str]) -> None:
    """End with status 2 where labels of these frames are there already."""
    there = [name for name in frames if (arguments.out / "labels" / f"{name}.png").exists()]
    if there and not arguments.overwrite:
        arguments.parser.error(
            f"{arguments.out} has labels of {len(there)} of these frames ({there[0]}.png):"
            " give another --out, or --overwrite"
        )


def _load(arguments: argparse.Namespace) -> Segmenter:
    """Return the network; imports PyTorch, so it is called once the input is there."""
    from fafnet_core.inference import Segmenter, keep_memory

    segmenter = Segmenter.from_checkpoint(
        arguments.checkpoint,
        device=arguments.device,
        precision=arguments.precision,
        runtime="torch" if "flow" in arguments.show else arguments.runtime,
        input_size=arguments.input_size,
    )
    keep_memory()
    if segmenter.notice:
        print(f"fafnet: {segmenter.notice}", file=sys.stderr)
    if arguments.label_map is None:
        return segmenter
    try:
        return segmenter.mapped(arguments.label_map)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"--label-map: {error}") from error


def _frames(arguments: argparse.Namespace) -> _Asked:
    """Return how to read each frame; ends with exit status 2 if that cannot be told."""
    inputs: list[Path] = arguments.input
    if len(inputs) == 1 and inputs[0].is_dir():
        if arguments.out.resolve() == inputs[0].resolve():
            arguments.parser.error("--out is the input itself; its labels/ may hold ground truth")
        segment_bag.refuse_options(arguments, segment_folder.OPTIONS)
        folder = segment_folder.open_folder(arguments)
        reads = {name: partial(folder.__getitem__, i) for i, name in enumerate(folder.names)}
        return _Asked(reads, folder.without_depth, folder.without_colour, folder.partner)
    segment_bag.refuse_options(arguments)
    if len(inputs) != 2 or not all(path.is_file() for path in inputs):
        unpack = "; unzip an .r3d first" if inputs[0].suffix.lower() == ".r3d" else ""
        arguments.parser.error(
            f"give one folder, or one colour and one depth image, or a recording{unpack}"
        )
    colour, depth = inputs
    camera = read_camera_file(arguments.camera or find_camera_file(depth))
    return _Asked({colour.stem: partial(read_frame, colour, depth, camera)})


def _write(
    arguments: argparse.Namespace,
    name: str,
    frame: RgbdFrame,
    result: Segmentation,
    segmenter: Segmenter,
) -> None:
    from fafnet_core.inference import alignment_sheet, legend, overlay, record_alignments, strip

    out: Path = arguments.out
    write_png(out / "labels" / f"{name}.png", result.labels)
    if arguments.overlay:
        mixed = overlay(frame.rgb, result.labels, result.label_set)
        key = legend(result.label_set, result.labels, mixed.shape[0])
        write_png(out / "overlay" / f"{name}.png", strip([(name, mixed), ("labels", key)]))
    if "flow" in arguments.show:
        seen = frame.scaled((result.hha.shape[0], result.hha.shape[1])).rgb
        # A pass of its own: recording takes time that is not the network's.
        with record_alignments(segmenter.torch.model) as alignments:
            segmenter.predict(seen, result.hha)
        sheet = alignment_sheet(seen, list(alignments.values()), name)
        write_png(out / "flow" / f"{name}.png", sheet)


def _report(
    arguments: argparse.Namespace,
    segmenter: Segmenter,
    asked: _Asked,
    done: _Done,
) -> None:
    labelled, alone = len(done.seconds), len(asked.without_depth)
    if told := segment_bag.no_depth(done.without_depth, labelled):
        print(f"fafnet: {told}", file=sys.stderr)
    median_ms = 1e3 * statistics.median(done.seconds) if done.seconds else None
    if arguments.json:
        report = {
            "frames": labelled,
            "unmatched": {"rgb": alone, "depth": len(asked.without_colour)},
            "without_depth": done.without_depth,
            "failed": done.failed,
            "median_ms": median_ms,
            "device": str(segmenter.device),
            "precision": segmenter.precision,
            "runtime": segmenter.runtime.name,
            "input_size": segmenter.input_size,
            "out": str(arguments.out),
        }
        print(json.dumps(report))
    elif median_ms is not None:
        why = [f"{alone} have no depth image {asked.partner}"] if alone else []
        why += [f"{len(done.failed)} failed"] if done.failed else []
        print(
            f"{labelled} of {len(asked.reads) + alone} colour images labelled"
            f"{'; ' if why else ''}{', '.join(why)}, {median_ms:.0f} ms each (median) on"
            f" {segmenter.runs_on}: {arguments.out}"
        )
