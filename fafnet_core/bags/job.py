"""From a recording to a labelled one: what `fafnet segment recording.mcap` does.

report = label_bag(BagJob(source=Path("a.mcap"), out=Path("b.mcap")), Segmenter.from_checkpoint)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fafnet_core.bags.errors import AskedWrongly, BagError
from fafnet_core.bags.pairing import Pairs, find_pairs
from fafnet_core.bags.paths import check_out
from fafnet_core.bags.reading import Bag
from fafnet_core.bags.streams import OUR_PREFIX, AskedTopics, Streams, find_streams
from fafnet_core.bags.transforms import BagExtrinsics
from fafnet_core.bags.watch import Watch
from fafnet_core.bags.writing import written_bag
from fafnet_core.camera import Size
from fafnet_core.datasets.frames import CameraFile
from fafnet_core.frame import RgbdFrame
from fafnet_core.messages.frames import (
    FrameBuilder,
    FrameSettings,
    Registration,
)
from fafnet_core.messages.image_pair import name_says_registered
from fafnet_core.nearest import unknown_name
from fafnet_core.registration import Extrinsics

if TYPE_CHECKING:
    from fafnet_core.bags.labelling import Tally
    from fafnet_core.inference import Segmenter, Temporal

OUTPUTS = ("labels", "overlay", "color", "confidence", "hha")
"""The images that can be written, each to /fafnet/NAME."""


@dataclass(frozen=True, kw_only=True)
class BagJob:
    """What is to be done.

    Attributes:
        source: the recording, a file or a folder.
        out: the new bag; its suffix says which kind (see `check_out`).
        overwrite: whether a bag at `out` may be replaced.
        asked: topics that the user names.
        slop_s: the largest difference of the stamps of a pair.
        pair_by: what is compared: the headers' stamps, or the times of recording.
        registration: as in `FrameSettings`.
        depth_scale: metres of one count of depth; None: by its encoding, or as librealsense's
            recorder states it.
        depth_to_color: from the depth camera to the colour camera; None: what the bag says.
        camera: replaces the camera_info of the colour image.
        temporal: whether frames count in those after them, as of `Segmenter.following`.
        outputs: of `OUTPUTS`.

    Raises:
        AskedWrongly: a number out of range, or an unknown output.
    """

    source: Path
    out: Path
    overwrite: bool = False
    asked: AskedTopics = field(default_factory=AskedTopics)
    slop_s: float = 0.04
    pair_by: Literal["stamp", "record"] = "stamp"
    registration: Registration = "auto"
    depth_scale: float | None = None
    depth_to_color: Extrinsics | None = None
    camera: CameraFile | None = None
    temporal: Temporal = "none"
    outputs: tuple[str, ...] = ("labels", "overlay", "color")

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slop_s) and self.slop_s >= 0):
            raise AskedWrongly(f"--slop is {self.slop_s}; it is a time in seconds, 0 or more")
        scale = self.depth_scale
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise AskedWrongly(f"--depth-scale is {scale}; it is the metres of one count, above 0")
        for name in self.outputs:
            if name not in OUTPUTS:
                raise AskedWrongly(f"--outputs: {unknown_name('output', name, OUTPUTS)}")
        if not self.outputs or len(set(self.outputs)) < len(self.outputs):
            raise AskedWrongly(f"--outputs: name at least one of {','.join(OUTPUTS)}, each once")


@dataclass(frozen=True)
class BagReport:
    """What was done: the topics, the pairs, what became of them, and what the network ran on."""

    streams: Streams
    pairs: Pairs
    tally: Tally
    slop_s: float
    device: str
    precision: str
    runtime: str
    input_size: Size | None = None

    def counted(self) -> str:
        """Return how many of the colour images are labelled, and why the others are not."""
        labelled, alone = self.tally.labelled, self.pairs.unmatched_colour
        failed = self.tally.failed.total()
        text = f"{labelled} of {labelled + failed + alone} colour images labelled"
        why = [f"{alone} have no depth within {self.slop_s:g} s"] if alone else []
        why += [f"{failed} failed"] if failed else []
        return "; ".join([text, ", ".join(why)]) if why else text

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for `--json`; times in milliseconds, medians."""
        median_ms = self.tally.median_ms()
        offsets = np.abs(self.pairs.offsets_ns)
        return {
            "frames": self.tally.labelled,
            "pairs": len(self.pairs.offsets_ns),
            "unmatched": {"rgb": self.pairs.unmatched_colour, "depth": self.pairs.unmatched_depth},
            "failed": dict(self.tally.failed),
            "doubts": dict(self.tally.doubts),
            "without_depth": self.tally.without_depth,
            "registered_here": self.tally.registered,
            "stamp_offset_ms": float(np.median(offsets)) / 1e6,
            "median_ms": sum(median_ms[stage] for stage in ("hha", "network")),
            "median_ms_by_stage": median_ms,
            "kept_messages": self.tally.kept,
            "missing_messages": self.tally.missing,
            "left_out": {
                topic: {"messages": count, "reason": self.tally.reasons[topic]}
                for topic, count in self.tally.left_out.items()
            },
            "topics": {
                "rgb": self.streams.rgb.name,
                "rgb_info": self.streams.rgb_info,
                "depth": self.streams.depth.name,
                "depth_info": self.streams.depth_info,
            },
            "device": self.device,
            "precision": self.precision,
            "runtime": self.runtime,
            "input_size": self.input_size,
        }


def label_bag(job: BagJob, load: Callable[[], Segmenter], watch: Watch | None = None) -> BagReport:
    """Label a recording.

    Args:
        job: what is to be done.
        load: gives the segmenter; called when everything else is known to be there.
        watch: is told how it goes.

    Raises:
        AskedWrongly: another option would do; the message names it.
        BagError: the recording cannot be read, or none of its frames can be labelled. Nothing is
            written then.
    """
    watch = watch or Watch()
    check_out(job.out, job.source, overwrite=job.overwrite)
    with Bag(job.source, by_record=job.pair_by == "record") as bag:
        streams, pairs, frame_of = find_frames(job, bag, watch)
        segmenter = load().following(temporal=job.temporal)
        watch.begins(streams, pairs)
        from fafnet_core.bags.labelling import Labelling  # imports PyTorch

        with written_bag(job.out, bag) as writer:
            labelling = Labelling(bag, streams, pairs, frame_of, segmenter, writer, job.outputs)
            tally = labelling.run(watch.frame)
            if not tally.labelled:
                reason, count = tally.failed.most_common(1)[0]
                raise BagError(f"no frame could be labelled, {count} of them because: {reason}")
    return BagReport(
        streams,
        pairs,
        tally,
        job.slop_s,
        segmenter.device,
        segmenter.precision,
        segmenter.runtime.name,
        segmenter.input_size,
    )


def find_frames(
    job: BagJob, bag: Bag, watch: Watch
) -> tuple[Streams, Pairs, Callable[[Any, Any, Any, Any], RgbdFrame]]:
    """Return the topics of an open recording, the pairs of their images, and what makes frames.

    Raises:
        AskedWrongly: another option would do, or the recording is a labelled one.
        BagError: it has no frames.
    """
    _check_unlabelled(bag)
    streams = find_streams(bag, job.asked, has_camera_file=job.camera is not None)
    counts = bag.counts()
    images = counts[streams.rgb.name] + counts[streams.depth.name]
    pairs = find_pairs(bag, streams, job.slop_s, lambda messages: watch.reading(messages, images))
    return streams, pairs, _frame_maker(job, bag, streams)


def _frame_maker(
    job: BagJob, bag: Bag, streams: Streams
) -> Callable[[Any, Any, Any, Any], RgbdFrame]:
    """Return what makes a frame of two images and their camera_infos, or raises ValueError."""
    camera = job.camera
    extrinsics = BagExtrinsics(bag, streams, job.depth_to_color)
    builder = FrameBuilder(
        FrameSettings(
            rectified="rect" in streams.rgb.words,
            depth_rectified="rect" in streams.rgb.words | streams.depth.words,
            camera_matrix=(camera.fx, camera.fy, camera.cx, camera.cy) if camera else (),
            depth_scale=job.depth_scale or _recorder_scale(bag, streams.depth.name),
            registration=job.registration,
            says_registered=name_says_registered(streams.depth.name),
        )
    )

    def build(colour: Any, depth: Any, colour_info: Any, depth_info: Any) -> RgbdFrame:
        frame = builder.build(colour, depth, colour_info, depth_info, extrinsics)
        if camera is not None:
            camera.camera(frame.rgb, Path(streams.rgb.name))  # refuses another size
        return frame

    return build


def _recorder_scale(bag: Bag, depth_topic: str) -> float | None:
    """Return the metres of one count where librealsense recorded them beside the stream."""
    if not depth_topic.endswith("/image/data"):
        return None
    sensor = depth_topic.rsplit("/", 3)[0]
    topic = f"{sensor}/option/Depth Units/value"
    if topic not in bag.topics("std_msgs/msg/Float32"):
        return None
    # Stored in 32 bits: 0.001 would come out as 0.0010000000474974513.
    scale = float(str(np.float32(bag.first(topic).data)))
    return scale if math.isfinite(scale) and scale > 0 else None


def _check_unlabelled(bag: Bag) -> None:
    """Refuse a recording that has our topics: two sets of labels could not be told apart."""
    taken = sorted(name for name in bag.counts() if name.startswith(OUR_PREFIX))
    if taken:
        raise AskedWrongly(
            f"{bag.path} has {', '.join(taken)} already: it is a labelled bag, so give the"
            " recording that it was made from"
        )
