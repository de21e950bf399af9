"""The node's subscriptions: images, paired by stamp, with the camera_infos that go with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fafnet_core.messages.camera_infos import CameraInfos
from fafnet_core.messages.frames import FrameSettings
from fafnet_core.messages.protocols import stamp_ns
from fafnet_core.messages.synchronizer import Pair, Stream, Synchronizer
from fafnet_ros.diagnostics.events import CALIBRATION_CHANGED, NO_INFO
from fafnet_ros.diagnostics.statistics import SILENT_AFTER, Statistics
from fafnet_ros.inputs.calibrations import Calibrations
from fafnet_ros.inputs.parameters import InputParameters
from fafnet_ros.inputs.stamps import StampOffsets
from fafnet_ros.inputs.subscription import MatchingSubscription

_LOG_EVERY = 10.0
"""Seconds: a calibration that changes all the time is not logged each time."""

AnyImage: TypeAlias = Any  # Image or CompressedImage; ROS 2 ships no type information


@dataclass(frozen=True)
class Arrived:
    """An image and when it came, in monotonic seconds."""

    message: AnyImage
    received: float

    @property
    def received_ns(self) -> int:
        """When it came, in nanoseconds."""
        return round(1e9 * self.received)


@dataclass(frozen=True)
class ReceivedPair:
    """A pair on its way to the worker.

    Attributes:
        colour: the colour image.
        depth: the depth image.
        colour_info: None where the parameter camera_matrix takes its place.
        depth_info: None where none has come.
        received: when the earlier of both came, monotonic seconds.
    """

    colour: AnyImage
    depth: AnyImage
    colour_info: CameraInfo | None
    depth_info: CameraInfo | None
    received: float


class Inputs:
    """Subscribes, pairs, and hands over.

    Args:
        on_pair: called in the executor with each pair, once there is a camera_info.
        on_uninformed: called in the executor, with the remedy, for a pair whose camera_info did not
            come in time.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        node: Node,
        parameters: InputParameters,
        frames: FrameSettings,
        statistics: Statistics,
        on_pair: Callable[[ReceivedPair], None],
        on_uninformed: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._log = node.get_logger()
        self._statistics = statistics
        self._on_pair = on_pair
        self._on_uninformed = on_uninformed
        self._uninformed_since = clock()
        self._uninformed: Pair[Arrived] | None = None
        self._last_stamps: dict[Stream, int] = {}
        self._unstamped = dict.fromkeys(Stream, False)
        self._has_matrix = bool(frames.camera_matrix)
        self.offsets = StampOffsets()
        self.synchronizer: Synchronizer[Arrived] = Synchronizer(0, parameters.queue_size)
        self.apply(parameters)
        self._change_logged: dict[Stream, float] = {}
        self._calibrations = Calibrations(rectified=frames.rectified)
        self._infos: dict[Stream, CameraInfos[CameraInfo]] = {s: CameraInfos() for s in Stream}
        on_colour, on_depth = (partial(self._on_image, stream) for stream in Stream)
        on_colour_info, on_depth_info = (partial(self._on_info, stream) for stream in Stream)
        # As image_transport names them.
        wanted: list[tuple[str, type, str, Callable[[Any], None]]] = [
            ("colour", CompressedImage, "rgb/image/compressed", on_colour)
            if parameters.transport == "compressed"
            else ("colour", Image, "rgb/image", on_colour),
            ("depth", CompressedImage, "depth/image/compressedDepth", on_depth)
            if parameters.reads_compressed_depth
            else ("depth", Image, "depth/image", on_depth),
        ]
        if frames.registration != "never":
            wanted.insert(0, ("depth_info", CameraInfo, "depth/camera_info", on_depth_info))
        if not self._has_matrix:
            wanted.insert(0, ("camera_info", CameraInfo, "rgb/camera_info", on_colour_info))
        # Camera_infos first, so that they are there when the images come.
        self.subscriptions: dict[str, MatchingSubscription] = {}
        try:
            for name, kind, topic, callback in wanted:
                self.subscriptions[name] = MatchingSubscription(
                    node,
                    kind,
                    topic,
                    callback,
                    parameters.reliability,
                    name,
                    wants_last=kind is CameraInfo,
                )
        except Exception:  # one topic cannot have two types
            self.destroy()
            raise
        # Kept: the worker may still need the names after the subscriptions have ended.
        self._topics = {s: self.subscriptions[s.value].topic for s in Stream}

    def destroy(self) -> None:
        """End all subscriptions; a pair that still waits for its camera_info is lost."""
        if self._uninformed is not None:
            self._uninformed = None
            self._statistics.count(NO_INFO)
        for subscription in self.subscriptions.values():
            subscription.destroy()
        self.subscriptions = {}

    def apply(self, parameters: InputParameters) -> None:
        """Take what may change while the node is active."""
        self.synchronizer.slop_ns = round(parameters.slop * 1e9)

    def topic(self, stream: Stream) -> str:
        """Return the full name of a stream's topic."""
        return self._topics[stream]

    def follow_publishers(self) -> None:
        """Subscribe again where the present publishers need another reliability."""
        for subscription in self.subscriptions.values():
            subscription.refresh()

    @property
    def has_info(self) -> bool:
        """Whether the colour camera's matrix is known."""
        return self._has_matrix or bool(self._infos[Stream.COLOUR])

    @property
    def is_by_receipt(self) -> bool:
        """Whether images are paired by time of receipt: a stream's stamps are 0."""
        return any(self._unstamped.values())

    def _on_info(self, stream: Stream, info: CameraInfo) -> None:
        name = "camera_info" if stream is Stream.COLOUR else "depth_info"
        self._statistics.count(name)
        self._infos[stream].add(info)
        if stream is Stream.COLOUR and self._uninformed is not None:
            pair, self._uninformed = self._uninformed, None
            self._hand_over(pair)

    def _on_image(self, stream: Stream, image: AnyImage) -> None:
        received = self._clock()
        self._statistics.count(stream.value)
        stamp = stamp_ns(image.header)  # rclpy's Time refuses a clock that runs below 0
        self.offsets.add(stream.value, stamp, received)
        by_receipt = self.is_by_receipt
        self._unstamped[stream] = stamp == 0
        if self.is_by_receipt != by_receipt:
            self._change_clock(stream, stamp)
        arrived = Arrived(image, received)
        if self.is_by_receipt:  # both, for two clocks do not compare
            stamp = arrived.received_ns
        else:
            self._last_stamps[stream] = stamp
        pair = self.synchronizer.add(stream, stamp, arrived, arrived.received_ns)
        if pair is not None:
            self._statistics.count("paired")
            self._statistics.measure("stamp offset", abs(pair.offset_ns) / 1e9)
            self._hand_over(pair)

    def _change_clock(self, stream: Stream, stamp: int) -> None:
        """Pair by receipt from now on, or by stamps; images that wait are kept."""
        if self.is_by_receipt:
            self.synchronizer.restamp(lambda waiting: waiting.received_ns)
            return
        self.synchronizer.restamp(lambda waiting: stamp_ns(waiting.message.header) or None)
        if stamp < self._last_stamps.get(stream, stamp):  # a simulation that began again at 0
            self.synchronizer.counts["jumps"] += 1

    def _hand_over(self, pair: Pair[Arrived]) -> None:
        colour, depth = pair.colour, pair.depth
        if not self.has_info:
            self._keep_uninformed(pair)
            return
        colour_info = self._infos[Stream.COLOUR].of(colour.message.header)
        depth_info = self._infos[Stream.DEPTH].of(depth.message.header)
        self._note_calibration(Stream.COLOUR, colour_info)
        self._note_calibration(Stream.DEPTH, depth_info)
        self._on_pair(
            ReceivedPair(
                colour.message,
                depth.message,
                colour_info,
                depth_info,
                min(colour.received, depth.received),
            )
        )

    def _note_calibration(self, stream: Stream, info: CameraInfo | None) -> None:
        change = self._calibrations.change(stream, info)
        if change is None:
            return
        self._statistics.count(CALIBRATION_CHANGED)
        now = self._clock()
        if now - self._change_logged.get(stream, -_LOG_EVERY) >= _LOG_EVERY:
            self._change_logged[stream] = now
            self._log.warning(f"{self.topic(stream)}: another camera_info from now on: {change}")

    def _keep_uninformed(self, pair: Pair[Arrived]) -> None:
        """Keep a pair that came before the first camera_info; it is a fault only if that lasts."""
        replaced, self._uninformed = self._uninformed, pair
        if replaced is None:
            self._uninformed_since = self._clock()
            return
        if self._clock() - self._uninformed_since < SILENT_AFTER:
            self._statistics.count(NO_INFO)
        else:
            topic = self.subscriptions["camera_info"].topic
            self._on_uninformed(
                f"images come, but no camera_info on {topic}: remap it, or set camera_matrix to"
                " [fx, fy, cx, cy]"
            )
