"""`fafnet pick`: the frames of a recording that are worth labelling, ready to be annotated."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fafnet_core.bags import AskedWrongly, Watch, is_bag, need_rosbags
from fafnet_core.cli import segment_bag, segment_folder
from fafnet_core.cli.options import RUNTIMES, add_input_size
from fafnet_core.labels.files import load_label_set, shipped_label_sets
from fafnet_core.labels.mappings import (
    LabelMapping,
    load_mapping,
    mapping_by_name,
    read_mapping,
    shipped_mappings,
)

if TYPE_CHECKING:
    from fafnet_core.bags.frames import BagFrames
    from fafnet_core.bags.reading import Stored
    from fafnet_core.frame import RgbdFrame
    from fafnet_core.labels import LabelSet
    from fafnet_core.picking.job import Picked
    from fafnet_core.picking.source import FrameSource

_EXAMPLES = """\
examples:
  fafnet pick recording.mcap --frames 20 --out picked
  fafnet pick recordings/kitchen --frames 20 --out picked --labels kitchen.yaml
  fafnet pick recording.mcap --out picked --labels kitchen.yaml --mapping to-kitchen.yaml

Takes frames that the network is least sure of, that stand for many others and differ from each
other; none that is blurred or has no depth. DIR gets rgb/, depth/, labels/ (what the network says:
correct it), camera.yaml and classes.yaml, which `fafnet train config/finetune.yaml` reads as they
are; cvat/ with what CVAT imports; and picked.png, a picture of all. docs/own-classes.md has the way
through CVAT and back (`fafnet labels import`).
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "pick",
        help="pick the frames of a recording that are worth labelling",
        description="Pick frames to label, with labels to begin with.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        nargs=1,
        type=Path,
        help="a recording, or a folder with color/, depth/, camera.yaml, or of another --layout",
    )
    segment_folder.add_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--frames", type=_count, default=20, metavar="N", help="(default: 20)")
    parser.add_argument(
        "--labels", metavar="SET", help="the classes of the labels: a name or a file (default: the"
        " network's)",
    )  # fmt: skip
    parser.add_argument(
        "--mapping", type=Path, help="from the network's classes to those (default: one that ships,"
        " else by name)",
    )  # fmt: skip
    parser.add_argument(
        "--interval",
        type=float,
        default=0.5,
        metavar="S",
        help="of a recording, look at frames so many seconds apart (default: 0.5)",
    )
    parser.add_argument("--camera", type=Path, help="camera file (default: the camera.yaml there)")
    parser.add_argument("--checkpoint", default="default", help="safetensors file or name")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--runtime", default="auto", choices=RUNTIMES)
    add_input_size(parser)
    parser.add_argument("--json", action="store_true", help="print what was picked as JSON")
    segment_bag.add_options(parser, outputs=False)
    parser.set_defaults(run=run, parser=parser, overwrite=False, outputs=None, temporal=None)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number, at least 1; got '{text}'")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Pick frames; 1 if none can be."""
    source = arguments.input[0]
    if not source.exists():
        arguments.parser.error(f"there is no {source}")
    if arguments.out.exists() and (not arguments.out.is_dir() or any(arguments.out.iterdir())):
        # Its labels/ may be corrected ones.
        arguments.parser.error(f"{arguments.out} is there already; --out is a new folder")
    if not arguments.interval >= 0:
        arguments.parser.error(f"--interval is {arguments.interval}; wanted seconds, 0 or more")
    # Imports PyTorch: only once the input is there.
    from fafnet_core.inference import Segmenter, keep_memory
    from fafnet_core.picking.folder import PickedFolder
    from fafnet_core.picking.job import pick_frames

    try:
        with _opened(arguments) as frames:
            segmenter = Segmenter.from_checkpoint(
                arguments.checkpoint,
                device=arguments.device,
                runtime=arguments.runtime,
                input_size=arguments.input_size,
            )
            keep_memory()
            if segmenter.notice:
                print(f"fafnet: {segmenter.notice}", file=sys.stderr)
            folder = PickedFolder(arguments.out, _mapping(arguments, segmenter.label_set))
            picked = pick_frames(frames, segmenter, arguments.frames, _bar)
            scores = {score.name: score for score in picked.scores}
            for name, frame in frames.read(scores.keys()):
                if isinstance(frame, str):
                    raise ValueError(f"{name} could be read before, and not again: {frame}")
                folder.add(frame, segmenter.segment_frame(frame), scores[name])
    except AskedWrongly as error:
        arguments.parser.error(str(error))
    report = _report(arguments, picked)
    folder.finish(report, list(picked.scores))
    _print(arguments, picked, folder.label_set)
    return 0


def _bar(frames: Iterable[Any], total: int) -> Iterable[Any]:
    return tqdm(frames, "scoring", total, unit="frame", disable=None)


def _mapping(arguments: argparse.Namespace, network: LabelSet) -> LabelMapping:
    """Return the mapping from the network's classes to those that the labels have."""
    asked = None if arguments.labels is None else load_label_set(arguments.labels)
    if arguments.mapping is not None:
        mapping = read_mapping(arguments.mapping, network)
        if asked is not None and mapping.to_set.names != asked.names:
            raise ValueError(
                f"--mapping {arguments.mapping} leads to '{mapping.to_set.name}', not to --labels"
                f" {arguments.labels}; set its to_set, or leave --labels out"
            )
        return mapping
    if asked is None:
        return LabelMapping(network, network, {name: name for name in network.names})
    pair = (network.name, asked.name)
    if pair in shipped_mappings() and all(
        load_label_set(each.name).names == each.names
        for each in (network, asked)
        if each.name in shipped_label_sets()
    ):
        return load_mapping(*pair)
    mapping = mapping_by_name(network, asked)
    if not any(mapping.classes.values()):
        print(
            f"fafnet: no class of '{asked.name}' has the name of one of the network's, so the"
            " labels are empty; --mapping says which becomes which",
            file=sys.stderr,
        )
    return mapping


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[FrameSource]:
    source: Path = arguments.input[0]
    if not is_bag(source):
        segment_bag.refuse_options(arguments, segment_folder.OPTIONS)
        from fafnet_core.picking.source import FolderSource

        yield FolderSource(segment_folder.open_folder(arguments))
        return
    segment_folder.refuse_options(arguments)
    need_rosbags()
    from fafnet_core.bags.frames import open_frames

    with open_frames(segment_bag.job_of(arguments), _Stamps()) as frames:
        yield _BagSource(frames, source, arguments.interval)


class _Stamps(Watch):
    """A bar for the stamps."""

    def reading(self, messages: Iterable[Stored], count: int) -> Iterable[Stored]:
        return tqdm(messages, "stamps", count, unit="image", disable=None, leave=False)


class _BagSource:
    """The frames of a recording, each named by the recording and its stamp in nanoseconds."""

    def __init__(self, frames: BagFrames, path: Path, interval_s: float) -> None:
        self._frames = frames
        stem = re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-") or "frame"
        self._key_of = {f"{stem}_{key[0]}": key for key in frames.apart(interval_s)}
        self.names: Sequence[str] = list(self._key_of)

    def read(self, names: Collection[str]) -> Iterator[tuple[str, RgbdFrame | str]]:
        """Yield these frames."""
        name_of = {self._key_of[name]: name for name in names}
        for key, frame in self._frames.read(name_of.keys()):
            yield name_of[key], frame


def _report(arguments: argparse.Namespace, picked: Picked) -> dict[str, Any]:
    return {
        "source": str(arguments.input[0]),
        "checkpoint": arguments.checkpoint,
        "seen": picked.seen,
        "blurred": len(picked.blurred),
        "without_depth": len(picked.without_depth),
        "failed": dict(picked.failed),
    }


def _print(arguments: argparse.Namespace, picked: Picked, label_set: LabelSet) -> None:
    if len(picked.scores) < arguments.frames:
        print(f"fafnet: only {len(picked.scores)} frames can be picked", file=sys.stderr)
    for reason, times in picked.failed.items():
        print(f"fafnet: {times} frames left out: {reason}", file=sys.stderr)
    if arguments.json:
        frames = [
            {"name": each.name, "uncertainty": round(each.uncertainty, 4)} for each in picked.scores
        ]
        report = {**_report(arguments, picked), "frames": frames, "out": str(arguments.out)}
        print(json.dumps(report))
        return
    print(
        f"{len(picked.scores)} of {picked.seen} frames picked ({len(picked.blurred)} blurred,"
        f" {len(picked.without_depth)} without depth left out), labelled with"
        f" '{label_set.name}': {arguments.out}\n"
        f"  correct them in CVAT, then: fafnet labels import annotations.zip --into {arguments.out}"
    )
