"""What only an active node has: subscriptions, sources, pipeline, worker.

A frame's way: message -> `Inputs` (pairing) -> mailbox -> `Pipeline.encode` in a thread -> mailbox
-> `Pipeline.label` in another -> `Outputs`. The executor only receives, pairs and answers.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol, TypeVar

from rclpy.lifecycle import LifecycleNode

from fafnet_core.camera import Size
from fafnet_core.messages.image_pair import name_says_registered
from fafnet_core.messages.synchronizer import Stream
from fafnet_ros.diagnostics.events import (
    INPUT_SCALE,
    LEFT,
    NO_INFO,
    OVER_AGE,
    OVER_RATE,
    REPLACED,
    UNWATCHED,
)
from fafnet_ros.diagnostics.memory import device_memory
from fafnet_ros.diagnostics.state import ActiveState, FrameInWork, InputState, SaidOfFrame
from fafnet_ros.diagnostics.statistics import Figures, Statistics
from fafnet_ros.inputs.extrinsics import extrinsics_source
from fafnet_ros.inputs.gravity import gravity_source
from fafnet_ros.inputs.inputs import Inputs, ReceivedPair
from fafnet_ros.inputs.parameters import ExtrinsicsParameters, GravityParameters, InputParameters
from fafnet_ros.node.failures import one_line
from fafnet_ros.node.load import RateLimit
from fafnet_ros.node.network import Network
from fafnet_ros.node.parameters import (
    FrameParameters,
    HHAParameters,
    LoadParameters,
    TemporalParameters,
)
from fafnet_ros.node.pipeline import EncodedPair, Pipeline
from fafnet_ros.node.remedies import worded
from fafnet_ros.node.watchdog import Watchdog
from fafnet_ros.node.worker import LatestWorker
from fafnet_ros.outputs import Outputs
from fafnet_ros.parameters import read_parameters

T = TypeVar("T")


class OnFault(Protocol):
    """Takes the kind of a fault and the sentence about it: counted each time, logged now and then.

    For an unexpected exception the log has its traceback too.
    """

    def __call__(self, kind: str, text: str, error: Exception | None = None) -> None:
        """Take one."""
        ...


class Activation:
    """Begins when it is made, ends with `close`.

    Args:
        node: the node; each part gets its own group of the parameters.
        network: what it runs.
        on_fault: see `OnFault`; called from the worker's thread too.
        on_doubt: takes the sentence about frames that are labelled but may be wrong.

    Raises:
        ValueError: a parameter that is no direction, rotation, frame or camera matrix.
    """

    def __init__(
        self,
        node: LifecycleNode,
        network: Network,
        outputs: Outputs,
        statistics: Statistics,
        on_fault: OnFault,
        on_doubt: Callable[[str], None],
    ) -> None:
        self._node = node
        self._network = network
        self._outputs = outputs
        self._statistics = statistics
        self._on_fault = on_fault
        self._begun = time.monotonic()
        self._load = read_parameters(node, LoadParameters)
        self._limit = RateLimit(self._load.max_rate)
        self._watchdog = Watchdog(self._load.watchdog)
        self._labelled: set[tuple[str, Size]] = set()
        self._last_size: Size | None = None
        inputs = read_parameters(node, InputParameters)
        self._slop_s = inputs.slop
        suffix = "/compressedDepth" if inputs.reads_compressed_depth else ""
        depth_topic = node.resolve_topic_name(f"depth/image{suffix}")
        frames = read_parameters(node, FrameParameters).settings
        frames = replace(
            frames,
            depth_rectified=frames.rectified or "rect" in re.split(r"[/_]", depth_topic),
            says_registered=name_says_registered(depth_topic),
        )
        self._registers_always = frames.registration == "always"
        self._depth_info_topic = node.resolve_topic_name("depth/camera_info")
        with ExitStack() as undo:  # a half-begun activation must leave nothing behind
            self._extrinsics = extrinsics_source(node, read_parameters(node, ExtrinsicsParameters))
            undo.callback(self._extrinsics.destroy)
            gravity = read_parameters(node, GravityParameters)
            self._gravity = gravity_source(node, gravity, statistics)
            undo.callback(self._gravity.destroy)
            self._pipeline = Pipeline(
                network,
                frames,
                read_parameters(node, HHAParameters).settings,
                read_parameters(node, TemporalParameters).temporal,
                self._extrinsics,
                self._gravity,
                statistics,
                on_doubt,
                self._depth_info_topic,
            )
            undo.callback(self._watchdog.rest)  # once the workers have ended
            self._labelling = LatestWorker(self._handler(self._label), name="fafnet labels")
            self._encoding = LatestWorker(self._handler(self._encode), name="fafnet hha")
            undo.callback(self.stop_working)
            self.inputs = Inputs(
                node,
                inputs,
                frames,
                statistics,
                self._on_pair,
                lambda text: on_fault(NO_INFO, text),
            )
            undo.callback(self.inputs.destroy)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Unsubscribe from the camera, then finish the frame in work."""
        self._undo.close()

    def stop_working(self) -> None:
        """End the workers: they must not publish into a context that is gone."""
        for worker in (self._encoding, self._labelling):
            if worker.stop():
                self._statistics.count(LEFT)

    def apply(self) -> None:
        """Read again the parameters that may change while the node is active."""
        load = read_parameters(self._node, LoadParameters)
        if load.max_rate != self._load.max_rate:
            self._limit = RateLimit(load.max_rate)
        self._watchdog.limit_s = load.watchdog
        self._load = load
        inputs = read_parameters(self._node, InputParameters)
        self._slop_s = inputs.slop
        self.inputs.apply(inputs)

    def follow(self) -> None:
        """Feed the watchdog, and follow what is published now: reliability and transforms.

        Called now and then in the executor's thread.
        """
        self._watchdog.feed(self._in_work())
        self.inputs.follow_publishers()
        self._extrinsics.follow(self._statistics.figures().pace_s)

    # A frame's way

    def _on_pair(self, pair: ReceivedPair) -> None:
        if not self._outputs.wanted:
            self._statistics.count(UNWATCHED)
        elif not self._limit.admits(pair.received):
            self._statistics.count(OVER_RATE)
        elif self._encoding.put(pair):
            self._statistics.count(REPLACED)

    def _encode(self, pair: ReceivedPair) -> None:
        begun = time.monotonic()
        # By time of receipt, because the camera's clock may not be the computer's.
        if 0 < self._load.max_latency < begun - pair.received:
            self._statistics.count(OVER_AGE)
            return
        self._statistics.measure("receive", begun - pair.received)
        if self._labelling.put(self._pipeline.encode(pair)):
            self._statistics.count(REPLACED)

    def _label(self, encoded: EncodedPair) -> None:
        size = (encoded.seen.rgb.shape[0], encoded.seen.rgb.shape[1])
        self._last_size = size
        segmented = self._pipeline.label(encoded, wanted=self._outputs.wants_labels)
        if segmented.found is not None:
            self._labelled.add((self._network.segmenter.device, size))
        labelled = time.monotonic()
        self._outputs.publish(segmented, encoded.pair.colour.header)
        published = time.monotonic()
        seen, whole = math.prod(segmented.hha.shape[:2]), math.prod(segmented.frame.size)
        self._statistics.gauge(INPUT_SCALE, math.sqrt(seen / whole))
        self._statistics.measure("publish", published - labelled)
        self._statistics.measure("total", published - encoded.pair.received)
        self._statistics.count("published")

    def _in_work(self) -> FrameInWork:
        """Return the frame that has been in work longest."""
        network_s, hha_s = self._labelling.busy_s, self._encoding.busy_s
        is_network = network_s >= hha_s
        size, device = self._last_size, self._network.segmenter.device
        is_of_new_size = size is not None and (device, size) not in self._labelled
        is_first = self._network.is_moving or (is_network and is_of_new_size)
        return FrameInWork(
            stage="network" if is_network else "hha",
            seconds=max(network_s, hha_s),
            limit_s=self._watchdog.limit_of(is_first=is_first),
        )

    def _handler(self, work: Callable[[T], None]) -> Callable[[T], None]:
        """Return what does this work and reports what goes wrong in it."""

        def handle(job: T) -> None:
            try:
                work(job)
            except ValueError as error:  # a frame that does not fit
                topics = " and ".join(self.inputs.topic(stream) for stream in Stream)
                self._on_fault("refused", f"{topics}: {worded(error, self._depth_info_topic)}")
            except Exception as error:
                if self._node.context.ok():  # else: publishing while the process is shut down
                    self._on_fault("failed", f"a frame failed: {one_line(error)}", error)

        return handle

    # What diagnostics read

    def state(self, figures: Figures, refusal: SaidOfFrame, doubt: SaidOfFrame) -> ActiveState:
        """Return what only an active node has."""
        sources = (self._gravity, self._extrinsics)
        missing = (source.finding(figures.pace_s) for source in sources)
        return ActiveState(
            active_s=time.monotonic() - self._begun,
            inputs=self._input_states(figures),
            stamps=self.inputs.offsets.state(),
            slop_s=self._slop_s,
            pairing_counts=dict(self.inputs.synchronizer.counts),
            refusal=refusal,
            doubt=doubt,
            missing=tuple(text for text in missing if text),
            max_latency_s=self._load.max_latency,
            in_work=self._in_work(),
            memory=device_memory(self._network.segmenter.device),
        )

    def _input_states(self, figures: Figures) -> tuple[InputState, ...]:
        """Return the inputs that have to be heard."""
        needed = {
            event: subscription
            for event, subscription in self.inputs.subscriptions.items()
            if (event != "depth_info" or self._needs_depth_info(figures))
            and (event != "camera_info" or not self.inputs.has_info)  # one is enough
        }
        return tuple(
            subscription.state(is_silent=figures.event(event).is_silent)
            for event, subscription in needed.items()
        )

    def _needs_depth_info(self, figures: Figures) -> bool:
        """Tell whether depth has to be registered, and no camera_info of it has come."""
        now = time.monotonic()
        if figures.event("depth_info").age_s <= now - self._begun:
            return False
        since_missed = now - self._pipeline.depth_info_missed_at
        return self._registers_always or since_missed < figures.pace_s
