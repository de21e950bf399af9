"""The node `/fafnet`: RGB-D topics in, segmentation images out.

A frame's way: message -> synchroniser -> mailbox -> worker thread (NumPy -> HHA -> network) ->
messages with the colour image's own header. The executor only receives, pairs and answers.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image

from fafnet_core.inference import Segmenter, give_memory_back, keep_memory, use_threads
from fafnet_ros.camera_info import camera_matrix
from fafnet_ros.diagnostics import (
    Finding,
    Input,
    Report,
    describe_inputs,
    describe_numbers,
)
from fafnet_ros.images import image_to_depth_m, image_to_rgb
from fafnet_ros.lifecycle import SturdyLifecycleNode, run, transition
from fafnet_ros.outputs import Outputs, Result
from fafnet_ros.parameters import declare_parameters, parameter, read_parameters
from fafnet_ros.statistics import SILENT_AFTER, Statistics
from fafnet_ros.subscription import MatchingSubscription
from fafnet_core.messages.synchronizer import Pair, Stream, Synchronizer
from fafnet_ros.worker import LatestWorker

_LOG_EVERY = 10.0
"""Seconds between two log lines about the same kind of fault; each one is counted."""

_NO_INFO = "without camera_info"


@dataclass(frozen=True)
class SegmentParameters:
    """The parameters of `segment_node`."""

    autostart: bool = parameter(
        True, "Configure and activate by itself; false leaves that to a lifecycle manager."
    )
    checkpoint: str = parameter(
        "default",
        "A safetensors checkpoint, 'default' for the one that ships, or 'untrained:<preset>'.",
    )
    device: str = parameter("auto", "auto (CUDA where there is one), cpu, cuda or cuda:<number>.")
    precision: str = parameter(
        "auto",
        "Arithmetic of the network; auto is the fastest that the device has natively.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    threads: int = parameter(
        0,
        "Processor threads of the network; 0 leaves one core to the camera and to receiving.",
        minimum=0,
        maximum=1024,
    )
    reliability: str = parameter(
        "auto",
        "Reliability of the image subscriptions; auto is reliable where every publisher offers it.",
        choices=("auto", "reliable", "best_effort"),
    )
    slop: float = parameter(
        0.04, "Largest difference in seconds of a pair's stamps.", minimum=0.0, maximum=10.0
    )
    queue_size: int = parameter(
        10, "Images that each stream may keep waiting for a partner.", minimum=1, maximum=1000
    )
    rectified: bool = parameter(
        False, "The colour image is rectified: take the camera matrix from P, not from K."
    )
    overlay_opacity: float = parameter(
        0.5, "Opacity of the labels in ~/overlay.", minimum=0.0, maximum=1.0, live=True
    )


@dataclass(frozen=True)
class Job:
    """A pair on its way to the worker."""

    colour: Image
    depth: Image
    info: CameraInfo
    received: float  # monotonic seconds


class SegmentNode(SturdyLifecycleNode):
    """Segments RGB-D frames; see `docs/node.md` for topics, parameters and states."""

    def __init__(self) -> None:
        super().__init__("fafnet")
        declare_parameters(
            self,
            SegmentParameters,
            may_change=lambda: self.state_label == "unconfigured",
        )
        self._statistics = Statistics()
        self._last_logged: dict[str, float] = {}
        self._last_fault, self._fault_at = "", float("-inf")
        self._activated = 0.0
        self._segmenter: Segmenter | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Job] | None = None
        self._inputs: dict[str, MatchingSubscription] = {}
        self._info: CameraInfo | None = None
        self._uninformed: Pair[Image] | None = None
        self._synchronizer: Synchronizer[Image] = Synchronizer(0)
        self._settings = read_parameters(self, SegmentParameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: under use_sim_time a ROS timer stands still when /clock does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._report, clock=steady)
        self.create_timer(0.5, self._follow_publishers, clock=steady)
        self._starting = self._settings.autostart
        if self._starting:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # States

    def _start(self) -> None:
        self._start_timer.cancel()
        if self.state_label == "unconfigured":
            self.trigger_configure()
        if self.state_label == "inactive":
            self.trigger_activate()
        self._starting = False

    @transition
    def on_configure(self, state: LifecycleState) -> None:
        """Load the network and announce the outputs."""
        self._settings = parameters = read_parameters(self, SegmentParameters)
        # PyTorch's threads wait for each other by spinning. With a thread on every core, any other
        # busy process (there always is one: the camera) stalls all of them, tenfold and more.
        use_threads(parameters.threads or max((os.cpu_count() or 1) - 1, 1))
        self._segmenter = segmenter = Segmenter.from_checkpoint(
            parameters.checkpoint, device=parameters.device, precision=parameters.precision
        )
        keep_memory()
        if segmenter.notice:
            self.get_logger().warning(segmenter.notice)
        self._outputs = Outputs(self, segmenter.label_set)
        self.get_logger().info(
            f"checkpoint '{parameters.checkpoint}': {len(segmenter.label_set)} classes of"
            f" {segmenter.label_set.name}, on {segmenter.device} in {segmenter.precision}"
        )

    @transition
    def on_activate(self, state: LifecycleState) -> None:
        """Subscribe to the camera and begin."""
        try:
            self._begin()
            super().on_activate(state)
        except Exception:
            self._stop()  # a half-begun activation must leave nothing behind
            super().on_deactivate(state)
            raise
        if self._outputs is not None:
            self._outputs.publish_label_set()
        topics = ", ".join(entry.topic for entry in self._inputs.values())
        self.get_logger().info(f"active: waiting for {topics}")

    def _begin(self) -> None:
        settings = self._settings
        self._synchronizer = Synchronizer(round(settings.slop * 1e9), settings.queue_size)
        self._activated = time.monotonic()
        self._last_fault, self._fault_at = "", float("-inf")
        self._worker = LatestWorker(self._work, name="fafnet inference")
        on_colour, on_depth = (partial(self._on_image, stream) for stream in Stream)
        for name, kind, topic, callback in (
            ("camera_info", CameraInfo, "rgb/camera_info", self._on_camera_info),
            ("colour", Image, "rgb/image", on_colour),
            ("depth", Image, "depth/image", on_depth),
        ):
            self._inputs[name] = MatchingSubscription(
                self, kind, topic, callback, settings.reliability
            )

    @transition
    def on_deactivate(self, state: LifecycleState) -> None:
        """Let go of the camera; finish the frame in hand."""
        self._stop()
        super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> None:
        """Free the network and take the outputs away."""
        self._release()

    @transition
    def on_shutdown(self, state: LifecycleState) -> None:
        """As deactivating and cleaning up, from any state."""
        self._release()

    def _stop(self) -> None:
        for subscription in self._inputs.values():
            subscription.destroy()
        self._inputs = {}
        if self._worker is not None:
            self._worker.stop()
        self._worker = self._info = self._uninformed = None

    def _release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._segmenter = None
        give_memory_back()

    def close(self) -> None:
        """Stop the worker: it must not publish into a context that is gone."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    # A frame's way

    def _on_camera_info(self, info: CameraInfo) -> None:
        self._statistics.count("camera_info")
        self._info = info
        if self._uninformed is not None:
            pair, self._uninformed = self._uninformed, None
            self._hand_over(pair)

    def _on_image(self, stream: Stream, image: Image) -> None:
        self._statistics.count(stream.value)
        stamp = Time.from_msg(image.header.stamp).nanoseconds
        pair = self._synchronizer.add(stream, stamp, image)
        if pair is not None:
            self._statistics.count("paired")
            self._statistics.measure("stamp offset", abs(pair.offset_ns) / 1e9)
            self._hand_over(pair)

    def _hand_over(self, pair: Pair[Image]) -> None:
        if self._worker is None or self._outputs is None:
            return
        if self._info is None:
            self._keep_uninformed(pair)
        elif not self._outputs.wanted:
            self._statistics.count("unwatched")
        elif self._worker.put(Job(pair.colour, pair.depth, self._info, time.monotonic())):
            self._statistics.count("replaced by a newer one")

    def _keep_uninformed(self, pair: Pair[Image]) -> None:
        """Keep a pair that came before the first camera_info; it is a fault only if that lasts."""
        replaced, self._uninformed = self._uninformed, pair
        if replaced is None:
            return
        if time.monotonic() - self._activated < SILENT_AFTER:
            self._statistics.count(_NO_INFO)
        else:
            topic = self._inputs["camera_info"].topic
            self._fault(_NO_INFO, f"images come, but no camera_info on {topic}: remap it")

    def _work(self, job: Job) -> None:
        try:
            self._segment(job)
        except ValueError as error:  # a frame that does not fit: said once in a while, counted
            self._fault("refused", str(error))
        except Exception:
            if self.context.ok():  # else: publishing while the process is being shut down
                self._fault("failed", traceback.format_exc())

    def _segment(self, job: Job) -> None:
        segmenter, outputs = self._segmenter, self._outputs
        if segmenter is None or outputs is None:
            return
        begun = time.monotonic()
        self._check_frames(job)
        rgb, depth_m = image_to_rgb(job.colour), image_to_depth_m(job.depth)
        matrix = camera_matrix(
            job.info, job.colour.width, job.colour.height, rectified=self._settings.rectified
        )
        decoded = time.monotonic()
        segmentation = segmenter.segment(rgb, depth_m, matrix)
        segmented = time.monotonic()
        opacity = self.get_parameter("overlay_opacity").value
        outputs.publish(Result(rgb, segmentation, segmenter.label_set, opacity), job.colour.header)
        published = time.monotonic()
        measure = self._statistics.measure
        measure("wait", begun - job.received)
        measure("decode", decoded - begun)
        for stage, seconds in segmentation.seconds.items():
            measure(stage, seconds)
        measure("publish", published - segmented)
        measure("pair to published", published - job.received)
        self._statistics.count("published")

    def _check_frames(self, job: Job) -> None:
        """Say so where depth is of another frame than colour: it may not be registered at all."""
        colour, depth = job.colour.header.frame_id, job.depth.header.frame_id
        if colour != depth:
            self._fault(
                "depth of another frame",
                f"depth is in frame '{depth}', colour in '{colour}': labels are right only if depth"
                " is registered to colour (RealSense: align_depth.enable:=true, Orbbec:"
                " depth_registration:=true)",
            )

    def _fault(self, kind: str, text: str) -> None:
        """Count a fault; log it unless one of its kind was logged a moment ago."""
        self._statistics.count(kind)
        self._last_fault, self._fault_at = text, time.monotonic()
        now = self._fault_at
        if now - self._last_logged.get(kind, -_LOG_EVERY) >= _LOG_EVERY:
            self._last_logged[kind] = now
            self.get_logger().error(text)

    # Once in a while

    def _follow_publishers(self) -> None:
        for subscription in self._inputs.values():
            subscription.refresh()

    def _report(self) -> None:
        if self._starting:  # "unconfigured" would read as a failure
            return
        segmenter = self._segmenter
        device = f"{segmenter.device} {segmenter.precision}" if segmenter else "none"
        report = Report(f"{self.get_fully_qualified_name()}: segmentation", device)
        report.values = {"state": self.state_label, "checkpoint": self._settings.checkpoint}
        report.values |= describe_numbers(self._statistics, self._synchronizer.counts)
        report.findings = self._findings()
        message = report.to_message()
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _findings(self) -> list[Finding]:
        if self.state_label != "active":
            return [Finding("WARN", f"{self.state_label}: not segmenting until it is active")]
        findings = []
        if time.monotonic() - self._fault_at < SILENT_AFTER:
            findings.append(Finding("ERROR", self._last_fault))
        since_activation = time.monotonic() - self._activated
        if since_activation < SILENT_AFTER:
            return findings
        inputs = [
            Input(event, subscription.topic, subscription.offers, subscription.is_heard)
            for event, subscription in self._inputs.items()
            if event != "camera_info" or self._info is None  # one of those is enough
        ]
        silent = describe_inputs(inputs, self._statistics)
        findings += silent
        if not silent and min(self._statistics.age("paired"), since_activation) > SILENT_AFTER:
            text = (
                "colour and depth come, but their stamps do not pair: compare them with ros2 topic"
                f" echo --field header.stamp; 'slop' is {self._settings.slop:g} s"
            )
            findings.append(Finding("WARN", text))
        return findings


def main() -> int:
    """Run the node."""
    return run(SegmentNode)


if __name__ == "__main__":
    sys.exit(main())
