"""What becomes of a pair: decode, register, HHA; then the network. Knows no topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from sensor_msgs.msg import CameraInfo

from fafnet_core.frame import RgbdFrame
from fafnet_core.hha.stream import HHAStreamConfig
from fafnet_core.inference import (
    NetworkInput,
    Segmenter,
    Temporal,
    free_gpu_cache,
    is_gpu_full,
)
from fafnet_core.messages.frames import FrameBuilder, FrameSettings
from fafnet_ros.diagnostics.events import INVALID_DEPTH, REGISTERED_HERE
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.images import image_to_rgb
from fafnet_ros.inputs.extrinsics import ExtrinsicsSource
from fafnet_ros.inputs.gravity import GravitySource
from fafnet_ros.inputs.inputs import ReceivedPair
from fafnet_ros.node.network import Network
from fafnet_ros.node.remedies import worded
from fafnet_ros.outputs import Lens, SegmentedFrame

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class EncodedPair:
    """A pair that is ready for the network.

    Attributes:
        pair: as it came.
        frame: what it makes.
        seen: that, as the network sees it.
    """

    pair: ReceivedPair
    frame: RgbdFrame
    seen: NetworkInput


class Pipeline:
    """Makes results of pairs of messages while the node is active.

    `encode` is for one thread and `label` for another: HHA of a frame is made while the network
    has the frame before.

    Args:
        doubt: called with the sentence about a frame that is labelled but may be wrong.
        depth_info_topic: where depth's camera_info comes from, for that sentence.
    """

    def __init__(
        self,
        network: Network,
        frames: FrameSettings,
        hha: HHAStreamConfig,
        temporal: Temporal,
        extrinsics: ExtrinsicsSource,
        gravity: GravitySource,
        statistics: Statistics,
        doubt: Callable[[str], None],
        depth_info_topic: str,
    ) -> None:
        self._network = network
        self._segmenter = network.segmenter.following(hha, temporal)
        self._rectified = frames.rectified
        self._builder = FrameBuilder(frames, image_to_rgb)
        self._depth_info_topic = depth_info_topic
        self._extrinsics = extrinsics
        self._gravity = gravity
        self._statistics = statistics
        self._doubt = doubt

    @property
    def depth_info_missed_at(self) -> float:
        """When a frame last lacked depth's camera_info; see `FrameBuilder`."""
        return self._builder.depth_info_missed_at

    def encode(self, pair: ReceivedPair) -> EncodedPair:
        """Return a pair as the network sees it.

        Raises:
            ValueError: the pair makes no frame; the message says what to do.
        """
        frame = self._builder.build(
            pair.colour,
            pair.depth,
            pair.colour_info,
            pair.depth_info,
            self._extrinsics.depth_to_color,
        )
        if frame.doubt is not None:
            self._doubt(worded(frame.doubt, self._depth_info_topic))
        self._measure(frame)
        down = self._gravity.direction(frame.stamp_ns, frame.frame_id)
        upright = replace(frame, gravity=down)
        return EncodedPair(pair, frame, self._run(lambda segmenter: segmenter.encode(upright)))

    def label(self, encoded: EncodedPair, *, wanted: bool) -> SegmentedFrame:
        """Return what is to be published of a pair.

        Args:
            encoded: the pair.
            wanted: False: nobody wants labels, and the network does not run.

        Raises:
            ValueError: the network gave no labels; the message says what to do.
        """
        seen = encoded.seen
        found = self._run(lambda segmenter: segmenter.label(seen)) if wanted else None
        for stage, seconds in (found or seen).seconds.items():
            self._statistics.measure(stage, seconds)
        lens = _lens(encoded.pair.colour_info, rectified=self._rectified)
        return SegmentedFrame(frame=encoded.frame, hha=seen.hha, found=found, lens=lens)

    def _run(self, work: Callable[[Segmenter], T]) -> T:
        """Do some work; where the GPU's memory is full, once more, and then on the CPU.

        At once and not after some frames: whoever has that memory keeps it for longer.
        """
        segmenter = self._segmenter
        for _ in range(2):
            try:
                return work(segmenter)
            except Exception as error:
                if segmenter.device == "cpu" or not is_gpu_full(error):
                    raise
                full = error.with_traceback(None)  # its frames hold what fills the GPU
            free_gpu_cache()
        self._segmenter = segmenter = segmenter.moved_to(self._network.on_cpu(full).runtime)
        free_gpu_cache()
        return work(segmenter)

    def _measure(self, frame: RgbdFrame) -> None:
        for stage, seconds in frame.seconds.items():
            self._statistics.measure(stage, seconds)
        if frame.was_registered:
            self._statistics.count(REGISTERED_HERE)
        # Invalid is 0, or not finite: a comparison with NaN is false.
        valid = np.count_nonzero((frame.depth_m > 0) & (frame.depth_m < np.inf))
        self._statistics.gauge(INVALID_DEPTH, 1 - valid / frame.depth_m.size)


def _lens(info: CameraInfo | None, *, rectified: bool) -> Lens:
    """Return what the colour image's camera_info says of its lens."""
    if info is None or rectified or not info.distortion_model:
        return Lens()
    return Lens(info.distortion_model, tuple(info.d))
