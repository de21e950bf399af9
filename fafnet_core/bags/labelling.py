"""Labels a recording: reads it once in order, writes it on, and labels each pair on the way.

A message waits only while a colour image before it waits for its depth image, so that the new bag
is in order of record times too.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fafnet_core.bags.errors import BagError
from fafnet_core.bags.pairing import Pairs
from fafnet_core.bags.reading import Bag, Key, Stored
from fafnet_core.bags.results import Results
from fafnet_core.bags.streams import Streams
from fafnet_core.bags.writing import BagWriter
from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.inference import Segmenter
from fafnet_core.messages.camera_infos import CameraInfos
from fafnet_core.messages.errors import (
    ColoursMatrix,
    DepthLostError,
    DepthNotRegisteredError,
    ForeignCameraInfo,
    MaybeUnregistered,
    NoCameraInfoError,
    NoSizeError,
    NotCalibratedError,
    OtherSizeError,
    SaidRegistered,
    TwoCamerasInOneFrame,
    UnmodelledLens,
)
from fafnet_core.messages.images import UnknownEncodingError

_REMEDIES: dict[type, str] = {
    NoCameraInfoError: "name its topic with --rgb-info, or give --camera",
    NotCalibratedError: "give --camera",
    OtherSizeError: "name the topic beside this very image with --rgb-info, or give --camera",
    NoSizeError: "give --camera",
    UnmodelledLens: "rectify the images first",
    DepthNotRegisteredError: "name what is missing with --depth-info and --depth-to-color",
    MaybeUnregistered: "name what is missing with --depth-info and --depth-to-color; if depth is"
    " registered to colour, give --registration never",
    TwoCamerasInOneFrame: "if they are apart, give --depth-to-color; if depth is registered to"
    " colour, --registration never",
    SaidRegistered: "if that is so, give --registration never; if not, always",
    ColoursMatrix: "if that is so, give --registration always; if the driver has registered depth,"
    " never",
    DepthLostError: "give --depth-to-color in metres, and depth's own camera_info with"
    " --depth-info; if depth is registered to colour already, --registration never",
    ForeignCameraInfo: "name depth's own camera_info with --depth-info",
    UnknownEncodingError: "name another topic with --rgb or --depth",
}


def worded(fault: object) -> str:
    """Return a fault or a doubt in words, with the option of `fafnet segment` that mends it."""
    remedy = _REMEDIES.get(type(fault))
    return f"{fault}: {remedy}" if remedy else str(fault)


@dataclass
class Tally:
    """What happened.

    Attributes:
        labelled: frames that were labelled.
        registered: those whose depth was registered here.
        failed: how many frames could not be labelled, by reason.
        doubts: how many frames' depth may not be registered, by reason.
        without_depth: labelled frames that have nearly no depth.
        kept: messages of the recording that were written on.
        left_out: how many messages were not, by topic.
        missing: how many messages the recording says it holds and does not, by topic.
        reasons: why, by topic.
        seconds: of each labelled frame, by stage.
    """

    labelled: int = 0
    registered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    without_depth: int = 0
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    missing: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, frame: RgbdFrame, found: Segmentation) -> None:
        """Count a frame that was labelled."""
        self.labelled += 1
        self.registered += frame.was_registered
        self.without_depth += not frame.has_depth
        if frame.doubt:
            self.doubts[worded(frame.doubt)] += 1
        for stage, took in {**frame.seconds, **found.seconds}.items():
            self.seconds.setdefault(stage, []).append(took)

    def median_ms(self) -> dict[str, float]:
        """The median of each stage in milliseconds."""
        return {stage: 1e3 * statistics.median(took) for stage, took in self.seconds.items()}


class Labelling:
    """Labels the pairs of one bag.

    Args:
        bag: an open bag.
        streams: its topics.
        pairs: what goes together.
        frame_of: makes a frame of two images and their camera_infos, or raises ValueError.
        segmenter: labels frames, in their order.
        writer: of the new bag.
        outputs: as for `Results`.
    """

    def __init__(
        self,
        bag: Bag,
        streams: Streams,
        pairs: Pairs,
        frame_of: Callable[[Any, Any, Any, Any], RgbdFrame],
        segmenter: Segmenter,
        writer: BagWriter,
        outputs: Sequence[str],
    ) -> None:
        self._bag = bag
        self._streams = streams
        self._depth_of = pairs.depth_of
        self._wanted = set(pairs.depth_of.values())
        self._frame_of = frame_of
        self._segmenter = segmenter
        self._writer = writer
        self._results = Results(writer, outputs, segmenter.label_set, bag.begin_ns)
        self._depths: dict[Key, Stored] = {}
        self._infos: dict[str, CameraInfos[Any]] = {
            topic: CameraInfos() for topic in (streams.rgb_info, streams.depth_info) if topic
        }
        self._tally = Tally()

    def run(self, on_frame: Callable[[str | None], None]) -> Tally:
        """Write the whole recording and its labels.

        Args:
            on_frame: called after each pair, with what failed the first time it does, else None.

        Raises:
            BagError: the recording cannot be read to its end.
        """
        for topic, infos in self._infos.items():  # an image may come before the first of them
            infos.add(self._bag.first(topic))
        waiting: deque[tuple[Stored, Key | None]] = deque()
        read: Counter[str] = Counter()
        for stored in self._bag.messages():
            read[stored.topic] += 1
            waiting.append((stored, self._receive(stored)))
            while waiting and (waiting[0][1] is None or waiting[0][1] in self._depths):
                kept, depth = waiting.popleft()
                self._keep(kept)
                if depth is not None:
                    on_frame(self._label(kept, self._depths.pop(depth)))
        if waiting:
            raise BagError(f"{self._bag.path} changed while it was read: is it being recorded?")
        self._tally.reasons = dict(self._writer.left_out)
        said = self._bag.said().items()
        self._tally.missing = {name: n - read[name] for name, n in said if n > read[name]}
        return self._tally

    def _receive(self, stored: Stored) -> Key | None:
        """Take in what a frame needs; return the depth that a colour image has to wait for."""
        if stored.topic in self._infos:
            self._infos[stored.topic].add(self._bag.decode(stored))
        elif stored.topic == self._streams.depth.name:
            key = self._bag.key(stored)
            if key in self._wanted:
                self._depths[key] = stored
        elif stored.topic == self._streams.rgb.name:
            return self._depth_of.pop(self._bag.key(stored), None)
        return None

    def _keep(self, stored: Stored) -> None:
        if self._writer.keep(stored):
            self._tally.kept += 1
        else:
            self._tally.left_out[stored.topic] += 1

    def _label(self, stored: Stored, stored_depth: Stored) -> str | None:
        """Label a pair; return what failed if it is the first to fail so."""
        try:
            colour, depth = self._bag.decode(stored), self._bag.decode(stored_depth)
            topics = (self._streams.rgb_info, self._streams.depth_info)
            infos = (
                topic and self._infos[topic].of(image.header)
                for topic, image in zip(topics, (colour, depth), strict=True)
            )
            # The bag's record time where the header has no stamp.
            stamp_ns = self._bag.stamp_ns(stored)
            frame = replace(self._frame_of(colour, depth, *infos), stamp_ns=stamp_ns)
            found = self._segmenter.segment_frame(frame)
        except ValueError as error:
            reason = worded(error)
            self._tally.failed[reason] += 1
            return reason if self._tally.failed[reason] == 1 else None
        self._results.write(frame, found, colour.header, stored.time)
        self._tally.add(frame, found)
        return None
