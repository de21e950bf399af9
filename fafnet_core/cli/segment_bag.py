"""`fafnet segment` of a recording: labels beside all that was recorded, in a new bag."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fafnet_core.bags import AskedWrongly, Watch, need_rosbags

if TYPE_CHECKING:
    from fafnet_core.bags.job import BagJob, BagReport
    from fafnet_core.bags.pairing import Pairs
    from fafnet_core.bags.reading import Stored
    from fafnet_core.bags.streams import Streams
    from fafnet_core.inference import Segmenter

_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
_OPTIONS = (
    *("rgb", "rgb_info", "depth", "depth_info", "slop", "registration", "depth_to_color"),
    *("depth_scale", "outputs", "pair_by", "temporal"),
)


def add_options(parser: argparse.ArgumentParser, *, outputs: bool = True) -> None:
    """Add what only recordings take; None where it is not given.

    Args:
        parser: of a verb that reads recordings.
        outputs: whether a labelled recording is written.
    """
    # Before Python 3.14 argparse takes -1.2e-04, as calibrations have it, for an option.
    parser._negative_number_matcher = _NEGATIVE
    group = parser.add_argument_group(
        "recordings", "what a recording does not say by itself, or what replaces it"
    )
    for option, what in (
        ("--rgb", "colour images"),
        ("--rgb-info", "camera_info of the colour images"),
        ("--depth", "depth images"),
        ("--depth-info", "camera_info of the depth images"),
    ):
        group.add_argument(option, metavar="TOPIC", help=f"topic of the {what}")
    group.add_argument(
        "--slop",
        type=float,
        metavar="S",
        help="largest difference of stamps (default: 0.04 s; of folders 0.02 s)",
    )
    group.add_argument(
        "--pair-by",
        choices=("stamp", "record"),
        help="pair images by their stamps (default), or by the times of recording, where cameras"
        " have different clocks",
    )
    group.add_argument(
        "--registration",
        choices=("auto", "never", "always"),
        help="register depth to colour where it is not (auto, the default), never or always",
    )
    group.add_argument(
        "--depth-to-color",
        type=float,
        nargs=7,
        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="the transform that takes points of the depth camera to the colour camera",
    )
    group.add_argument(
        "--depth-scale",
        type=float,
        metavar="M",
        help="metres of one count of depth (default: as the encoding says)",
    )
    if not outputs:
        return
    group.add_argument(
        "--temporal",
        choices=("none", "fixed", "camera"),
        help="steady labels: what was seen of a place in the last frames counts; fixed, of a camera"
        " that stands still; camera, of one that moves (default: none)",
    )
    group.add_argument(
        "--outputs",
        metavar="LIST",
        help="of labels,overlay,color,confidence,hha (default: labels,overlay,color)",
    )


def refuse_options(arguments: argparse.Namespace, allowed: Collection[str] = ()) -> None:
    """End with status 2 where images are to be labelled and an option for recordings is given."""
    for name in _OPTIONS:
        if name not in allowed and getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            arguments.parser.error(f"--{option} is for recordings (.mcap, .db3, .bag)")


def no_depth(count: int, frames: int) -> str | None:
    """Say how many of the labelled frames have nearly no depth; None where all have some."""
    if not count:
        return None
    return f"{count} of {frames} frames have (nearly) no depth: labels lean on colour alone"


def run(arguments: argparse.Namespace, load: Callable[[], Segmenter]) -> int:
    """Label a recording; what another option would mend ends with 2.

    1 if any frame failed, or the recording does not hold what it says.
    """
    need_rosbags()
    from fafnet_core.bags.job import label_bag

    if arguments.overlay or arguments.show:
        arguments.parser.error("--overlay and --show are for images; recordings take --outputs")
    progress = _Progress()
    try:
        report = label_bag(job_of(arguments), load, progress)
    except AskedWrongly as error:
        arguments.parser.error(str(error))
    finally:
        progress.close()
    _print(arguments, report)
    return 1 if report.tally.failed or report.tally.missing else 0


def job_of(arguments: argparse.Namespace) -> BagJob:
    """Return what the options for recordings ask for."""
    from fafnet_core.bags.job import BagJob
    from fafnet_core.bags.streams import AskedTopics
    from fafnet_core.datasets.frames import read_camera_file
    from fafnet_core.registration import Extrinsics

    given: dict[str, Any] = {"depth_scale": arguments.depth_scale}
    if arguments.slop is not None:
        given["slop_s"] = arguments.slop
    if arguments.pair_by is not None:
        given["pair_by"] = arguments.pair_by
    if arguments.temporal is not None:
        given["temporal"] = arguments.temporal
    if arguments.registration is not None:
        given["registration"] = arguments.registration
    if arguments.outputs is not None:
        given["outputs"] = tuple(each.strip() for each in arguments.outputs.split(","))
    if arguments.camera is not None:
        given["camera"] = read_camera_file(arguments.camera)
    if arguments.depth_to_color is not None:
        try:
            values = arguments.depth_to_color
            given["depth_to_color"] = Extrinsics.from_quaternion(values[:3], values[3:])
        except ValueError as error:
            raise AskedWrongly(f"--depth-to-color: {error}") from error
    return BagJob(
        source=arguments.input[0],
        out=arguments.out,
        overwrite=arguments.overwrite,
        asked=AskedTopics(arguments.rgb, arguments.rgb_info, arguments.depth, arguments.depth_info),
        **given,
    )


class _Progress(Watch):
    """A bar for the stamps, then one for the frames; what is worth saying, above it."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def reading(self, messages: Iterable[Stored], count: int) -> Iterable[Stored]:
        return tqdm(messages, "stamps", count, unit="image", disable=None, leave=False)

    def begins(self, streams: Streams, pairs: Pairs) -> None:
        print(f"fafnet: {streams.rgb.name} with {streams.depth.name}", file=sys.stderr)
        if pairs.hint:
            print(f"fafnet: {pairs.hint}", file=sys.stderr)
        self._bar = tqdm(total=len(pairs.offsets_ns), unit="frame", disable=None)

    def frame(self, failure: str | None) -> None:
        if failure is not None:
            tqdm.write(f"fafnet: not labelled: {failure}", file=sys.stderr)
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def _print(arguments: argparse.Namespace, report: BagReport) -> None:
    if told := no_depth(report.tally.without_depth, report.tally.labelled):
        print(f"fafnet: {told}", file=sys.stderr)
    for doubt, count in report.tally.doubts.items():
        print(f"fafnet: {count} frames: {doubt}", file=sys.stderr)
    for topic, count in report.tally.missing.items():
        told = f"the recording says it has {count} messages more on {topic}, and they are not there"
        print(f"fafnet: {told}", file=sys.stderr)
    for topic, count in report.tally.left_out.items():
        reason = report.tally.reasons[topic]
        print(f"fafnet: left out {topic} ({count} messages): {reason}", file=sys.stderr)
    values = report.to_dict()
    if arguments.json:
        print(json.dumps(values | {"out": str(arguments.out)}))
        return
    registered = ", depth registered here" if report.tally.registered else ""
    print(
        f"{report.counted()}{registered},"
        f" {values['median_ms']:.0f} ms each (median) on {report.device} in {report.precision}"
        f" ({report.runtime}): {arguments.out}"
    )
