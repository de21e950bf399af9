"""What the worker does with a pair: decode, register, HHA, network. Knows no topics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo

from fafnet_core.hha.stream import HHAStream, HHAStreamConfig
from fafnet_core.inference import Segmenter
from fafnet_core.input_size import fitted_size, resized
from fafnet_core.messages.frames import Frame, FrameBuilder, FrameSettings
from fafnet_core.messages.protocols import stamp_ns
from fafnet_ros.diagnostics.events import INVALID_DEPTH, REGISTERED_HERE
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.images import image_to_rgb
from fafnet_ros.inputs.extrinsics import ExtrinsicsSource
from fafnet_ros.inputs.gravity import GravitySource
from fafnet_ros.inputs.inputs import ReceivedPair
from fafnet_ros.outputs import Result


class Pipeline:
    """One activation's way from a pair of messages to a result; one thread at a time uses it.

    Args:
        segmenter: the network.
        frames: how messages become frames.
        hha: how depth becomes HHA.
        extrinsics: where the transform between the cameras comes from.
        gravity: where down comes from.
        statistics: gets the time of each stage.
        doubt: called with what to say of a frame that is labelled but may be wrong.
        depth_info_topic: where depth's camera_info comes from, for messages.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        frames: FrameSettings,
        hha: HHAStreamConfig,
        extrinsics: ExtrinsicsSource,
        gravity: GravitySource,
        statistics: Statistics,
        doubt: Callable[[str], None],
        depth_info_topic: str = "",
    ) -> None:
        self._segmenter = segmenter
        self._rectified = frames.rectified
        self._builder = FrameBuilder(frames, image_to_rgb, depth_info_topic)
        self._extrinsics = extrinsics
        self._gravity = gravity
        on_gpu = segmenter.device if segmenter.device.type == "cuda" else None
        self._stream = HHAStream(hha, device=on_gpu)
        self._statistics = statistics
        self._doubt = doubt

    @property
    def depth_info_missed_at(self) -> float:
        """When a frame last had to do without depth's camera_info; see `FrameBuilder`."""
        return self._builder.depth_info_missed_at

    def run(self, pair: ReceivedPair, *, label: bool) -> Result:
        """Return what is to be published of a pair.

        Args:
            pair: what was received.
            label: False leaves the network out: nobody wants labels.

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
            self._doubt(frame.doubt)
        self._measure(frame)
        header = pair.colour.header
        stamp = stamp_ns(header)
        begun = time.perf_counter()
        height, width = frame.depth_m.shape
        size = fitted_size((height, width), self._segmenter.input_size)
        rgb, depth_m, matrix = resized(frame.rgb, frame.depth_m, frame.camera_matrix, size)
        down = self._gravity.direction(stamp, header.frame_id)
        hha = self._stream.encode(depth_m, matrix, stamp_s=stamp / 1e9, gravity=down).hha
        encoded = time.perf_counter()
        self._statistics.measure("hha", encoded - begun)
        labels = confidence = None
        if label:
            labels, confidence = self._segmenter.predict(rgb, hha, size=(height, width))
            self._statistics.measure("network", time.perf_counter() - encoded)
        return Result(
            rgb=frame.rgb,
            depth_m=frame.depth_m,
            camera_matrix=frame.camera_matrix,
            labels=labels,
            confidence=confidence,
            hha=hha,
            label_set=self._segmenter.label_set,
            **_distortion(pair.colour_info, rectified=self._rectified),
        )

    def _measure(self, frame: Frame) -> None:
        for stage, seconds in frame.seconds.items():
            self._statistics.measure(stage, seconds)
        if frame.registered_here:
            self._statistics.count(REGISTERED_HERE)
        # Invalid is 0, or not finite: a comparison with NaN is false.
        valid = np.count_nonzero((frame.depth_m > 0) & (frame.depth_m < np.inf))
        self._statistics.gauge(INVALID_DEPTH, 1 - valid / frame.depth_m.size)


def _distortion(info: CameraInfo | None, *, rectified: bool) -> dict[str, Any]:
    """Return what the colour image's camera_info says of its lens."""
    if info is None or rectified or not info.distortion_model:
        return {}
    return {"distortion_model": info.distortion_model, "distortion": tuple(info.d)}
