"""What the worker does with a pair: decode, register, HHA, network. Knows no topics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.stream import HHAStream
from fafnet_core.inference import Segmenter
from fafnet_core.messages.frames import Frame, FrameBuilder
from fafnet_core.messages.protocols import stamp_ns
from fafnet_ros.extrinsics import ExtrinsicsSource
from fafnet_ros.gravity import GravitySource
from fafnet_ros.health import INVALID_DEPTH, REGISTERED_HERE
from fafnet_ros.images import image_to_rgb
from fafnet_ros.inputs import Job
from fafnet_ros.load import reduced_size
from fafnet_ros.outputs import Result
from fafnet_ros.segment_parameters import SegmentParameters
from fafnet_ros.statistics import Statistics


class Pipeline:
    """One activation's way from a pair of messages to a result; one thread at a time uses it.

    Args:
        segmenter: the network.
        settings: the parameters; those that may change come with each job.
        extrinsics: where the transform between the cameras comes from.
        gravity: where down comes from.
        statistics: gets the time of each stage.
        doubt: called with what to say of a frame that is labelled but may be wrong.
        depth_info_topic: where depth's camera_info comes from, for messages.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        settings: SegmentParameters,
        extrinsics: ExtrinsicsSource,
        gravity: GravitySource,
        statistics: Statistics,
        doubt: Callable[[str], None],
        depth_info_topic: str = "",
    ) -> None:
        self._segmenter = segmenter
        self._builder = FrameBuilder(settings.frames, image_to_rgb, depth_info_topic)
        self._extrinsics = extrinsics
        self._gravity = gravity
        on_gpu = segmenter.device if segmenter.device.type == "cuda" else None
        self._stream = HHAStream(settings.hha, device=on_gpu)
        self._statistics = statistics
        self._doubt = doubt

    @property
    def depth_info_missed_at(self) -> float:
        """When a frame last had to do without depth's camera_info; see `FrameBuilder`."""
        return self._builder.depth_info_missed_at

    def run(self, job: Job, scale: float, *, label: bool) -> Result:
        """Return what is to be published of a pair.

        Args:
            job: the pair.
            scale: of the network's input over the colour image, at most 1.
            label: False leaves the network out: nobody wants labels.

        Raises:
            ValueError: the pair makes no frame; the message says what to do.
        """
        frame = self._builder.build(
            job.colour,
            job.depth,
            job.colour_info,
            job.depth_info,
            self._extrinsics.depth_to_color,
        )
        if frame.doubt is not None:
            self._doubt(frame.doubt)
        self._measure(frame)
        header = job.colour.header
        stamp = stamp_ns(header)
        begun = time.perf_counter()
        rgb, depth_m, matrix = reduced(frame.rgb, frame.depth_m, frame.camera_matrix, scale)
        down = self._gravity.direction(stamp, header.frame_id)
        hha = self._stream.encode(depth_m, matrix, stamp_s=stamp / 1e9, gravity=down).hha
        encoded = time.perf_counter()
        self._statistics.measure("hha", encoded - begun)
        labels = confidence = None
        height, width = frame.rgb.shape[:2]
        if label:
            labels, confidence = self._segmenter.predict(rgb, hha, size=(height, width))
            self._statistics.measure("network", time.perf_counter() - encoded)
        if hha.shape != frame.rgb.shape:
            hha = cv2.resize(hha, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        return Result(
            rgb=frame.rgb,
            depth_m=frame.depth_m,
            camera_matrix=frame.camera_matrix,
            labels=labels,
            confidence=confidence,
            hha=hha,
            label_set=self._segmenter.label_set,
            **_distortion(job),
        )

    def _measure(self, frame: Frame) -> None:
        for stage, seconds in frame.seconds.items():
            self._statistics.measure(stage, seconds)
        if frame.registered_here:
            self._statistics.count(REGISTERED_HERE)
        # Invalid is 0, or not finite: a comparison with NaN is false.
        valid = np.count_nonzero((frame.depth_m > 0) & (frame.depth_m < np.inf))
        self._statistics.gauge(INVALID_DEPTH, 1 - valid / frame.depth_m.size)


def _distortion(job: Job) -> dict[str, Any]:
    """Return what the colour image's camera_info says of its lens."""
    info = job.colour_info
    if info is None or job.settings.rectified or not info.distortion_model:
        return {}
    return {"distortion_model": info.distortion_model, "distortion": tuple(info.d)}


def reduced(
    rgb: NDArray[np.uint8],
    depth_m: NDArray[np.float32],
    camera_matrix: NDArray[np.float64],
    scale: float,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]:
    """Return a frame made smaller, with the camera matrix of its new size.

    Depth takes the nearest pixel: a mean over an edge would be a surface that is not there.

    Args:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32 metres.
        camera_matrix: (3, 3), pixel centres at whole numbers.
        scale: of both sides; 1 returns everything as it is. See `reduced_size`.
    """
    rows, columns = depth_m.shape
    height, width = reduced_size(rows, columns, scale)
    if (height, width) == (rows, columns):
        return rgb, depth_m, camera_matrix
    small: NDArray[np.uint8] = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    # The centres of the small image's pixels, in whole pixels of the large one.
    row = ((np.arange(height) + 0.5) * rows / height).astype(np.intp)
    column = ((np.arange(width) + 0.5) * columns / width).astype(np.intp)
    matrix = camera_matrix.copy()
    for axis, ratio in ((0, width / columns), (1, height / rows)):
        matrix[axis, 2] = (matrix[axis, 2] + 0.5) * ratio - 0.5
        matrix[axis, :2] *= ratio
    return small, depth_m[row[:, None], column], matrix
