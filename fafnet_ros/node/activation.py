"""What an active node has and an inactive one has not: subscriptions, sources, pipeline, worker.

A frame's way: message -> `Inputs` (pairing) -> mailbox -> worker thread (`Pipeline`) -> `Outputs`.
The executor only receives, pairs and answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from rclpy.lifecycle import LifecycleNode

from fafnet_core.inference import Segmenter
from fafnet_core.messages.synchronizer import Stream
from fafnet_ros.diagnostics.rules import INPUT_SCALE, UNWATCHED, pace
from fafnet_ros.diagnostics.state import InputState, LoadState
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.inputs.extrinsics import extrinsics_source
from fafnet_ros.inputs.gravity import gravity_source
from fafnet_ros.inputs.inputs import NO_INFO, Inputs, Job
from fafnet_ros.inputs.stamps import PairingState
from fafnet_ros.node.failures import one_line
from fafnet_ros.node.load import (
    OVER_AGE,
    OVER_RATE,
    REPLACED,
    RateLimit,
    is_over_age,
)
from fafnet_ros.node.parameters import SegmentParameters
from fafnet_ros.node.pipeline import Pipeline
from fafnet_ros.node.remedies import worded
from fafnet_ros.node.worker import LatestWorker
from fafnet_ros.outputs import Outputs

LEFT = "left at deactivation"
"""The count of pairs that were waiting for the worker when it was stopped."""


class Fault(Protocol):
    """Takes the kind of a fault and what to say of it: counted each time, logged now and then.

    With an exception that nobody foresaw, the log has its traceback too.
    """

    def __call__(self, kind: str, text: str, error: Exception | None = None) -> None:
        """Take one."""
        ...


class Activation:
    """Begins when it is made, ends with `close`.

    Args:
        node: the node.
        settings: its parameters now.
        segmenter: the network.
        outputs: where results go.
        statistics: what is counted and measured.
        fault: see `Fault`; called from the worker's thread too.
        doubt: takes what to say of frames that are labelled but may be wrong; so called as well.

    Raises:
        ValueError: parameters that hold no direction, pose or frame.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: SegmentParameters,
        segmenter: Segmenter,
        outputs: Outputs,
        statistics: Statistics,
        fault: Fault,
        doubt: Callable[[str], None],
    ) -> None:
        self._node = node
        self._outputs = outputs
        self._statistics = statistics
        self._fault = fault
        self._begun = time.monotonic()
        self._limit = RateLimit(settings.max_rate)
        self._settings = settings
        self._depth_info_topic = node.resolve_topic_name("depth/camera_info")
        with ExitStack() as undo:  # a half-begun activation must leave nothing behind
            self._extrinsics = extrinsics_source(node, settings)
            undo.callback(self._extrinsics.destroy)
            self._gravity = gravity_source(node, settings, statistics)
            undo.callback(self._gravity.destroy)
            self._pipeline = Pipeline(
                segmenter,
                settings,
                self._extrinsics,
                self._gravity,
                statistics,
                doubt,
                self._depth_info_topic,
            )
            self._worker: LatestWorker[Job] = LatestWorker(self._work, name="fafnet inference")
            undo.callback(self._stop_worker)
            self.inputs = Inputs(
                node, settings, statistics, self._on_job, lambda text: fault(NO_INFO, text)
            )
            undo.callback(self.inputs.destroy)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Let go of the camera, then finish the frame in hand."""
        self._undo.close()

    def stop_working(self) -> None:
        """End the worker: it must not publish into a context that is gone."""
        self._stop_worker()

    def _stop_worker(self) -> None:
        if self._worker.stop():
            self._statistics.count(LEFT)

    def apply(self, settings: SegmentParameters) -> None:
        """Take what may change while the node is active; begins with the next pair."""
        if settings.max_rate != self._settings.max_rate:
            self._limit = RateLimit(settings.max_rate)
        self._settings = settings
        self.inputs.apply(settings)

    def follow_publishers(self) -> None:
        """Follow what is published now: reliability, and where transforms are; the executor's."""
        self.inputs.follow_publishers()
        self._extrinsics.follow(pace(self._statistics))

    # A frame's way

    def _on_job(self, job: Job) -> None:
        if not self._outputs.wanted:
            self._statistics.count(UNWATCHED)
        elif not self._limit.admits(job.received):
            self._statistics.count(OVER_RATE)
        elif self._worker.put(job):
            self._statistics.count(REPLACED)

    def _work(self, job: Job) -> None:
        begun = time.monotonic()
        if is_over_age(job.received, begun, job.settings.max_latency):
            self._statistics.count(OVER_AGE)
            return
        self._statistics.measure("receive", begun - job.received)
        try:
            self._segment(job)
        except ValueError as error:  # a frame that does not fit: said once in a while, counted
            topics = " and ".join(self.inputs.topic(stream) for stream in Stream)
            self._fault("refused", f"{topics}: {worded(error, self._depth_info_topic)}")
        except Exception as error:
            if self._node.context.ok():  # else: publishing while the process is being shut down
                self._fault("failed", f"a frame failed: {one_line(error)}", error)

    def _segment(self, job: Job) -> None:
        segmented = self._pipeline.run(job, label=self._outputs.wants_labels)
        seen, whole = math.prod(segmented.hha.shape[:2]), math.prod(segmented.frame.size)
        self._statistics.gauge(INPUT_SCALE, math.sqrt(seen / whole))
        labelled = time.monotonic()
        self._outputs.publish(segmented, job.colour.header, job.settings.outputs)
        published = time.monotonic()
        self._statistics.measure("publish", published - labelled)
        self._statistics.measure("total", published - job.received)
        self._statistics.count("published")

    # What diagnostics say

    @property
    def active_s(self) -> float:
        """Seconds since activation."""
        return time.monotonic() - self._begun

    def input_states(self) -> list[InputState]:
        """Return the inputs that have to be heard."""
        needed = {
            event: subscription
            for event, subscription in self.inputs.subscriptions.items()
            if (event != "depth_info" or self._needs_depth_info)
            and (event != "camera_info" or not self.inputs.has_info)  # one is enough
        }
        return [
            subscription.state(is_silent=self._statistics.is_silent(event))
            for event, subscription in needed.items()
        ]

    @property
    def _needs_depth_info(self) -> bool:
        """Whether depth has to be registered, and no camera_info of it has come."""
        if self._statistics.age("depth_info") <= self.active_s:
            return False
        since_missed = time.monotonic() - self._pipeline.depth_info_missed_at
        return self._settings.registration == "always" or since_missed < pace(self._statistics)

    def pairing_state(self) -> PairingState:
        """Return how the stamps of colour and depth lie."""
        unpaired = min(self._statistics.age("paired"), self.active_s)
        return self.inputs.offsets.state(
            self._settings.slop, unpaired, is_by_receipt=self.inputs.is_by_receipt
        )

    def load_state(self) -> LoadState:
        """Return how the load control stands."""
        return LoadState(max_latency_s=self._settings.max_latency)

    def source_findings(self) -> list[str]:
        """Return what the sources of transforms and of gravity miss."""
        within_s = pace(self._statistics)
        found = (self._gravity.finding(within_s), self._extrinsics.finding(within_s))
        return [text for text in found if text]
