"""The node `/fafnet`: RGB-D topics in, segmentation images and clouds out.

Here are its states, its parameters and its diagnostics; what it does with frames while it is active
is `fafnet_ros.node.activation`.
"""

from __future__ import annotations

import gc
import os
import time
import traceback
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState

from fafnet_core.inference import Segmenter, give_memory_back, keep_memory, use_threads
from fafnet_core.input_size import parse_input_size, size_text
from fafnet_ros.diagnostics.message import (
    Report,
    describe_load,
    describe_memory,
    describe_numbers,
    describe_stamps,
    device_memory,
)
from fafnet_ros.diagnostics.rules import findings, is_recent
from fafnet_ros.diagnostics.state import Finding, FrameState
from fafnet_ros.diagnostics.statistics import SILENT_AFTER, Statistics
from fafnet_ros.node.activation import Activation
from fafnet_ros.node.failures import SEE_LOG
from fafnet_ros.node.lifecycle import SturdyLifecycleNode, transition
from fafnet_ros.node.parameters import SegmentParameters
from fafnet_ros.outputs import Outputs
from fafnet_ros.parameters import declare_parameters, read_parameters

_LOG_EVERY = 10.0
"""Seconds between two log lines about the same kind of fault; each one is counted."""

_TO_ACTIVE = {"unconfigured": "configure", "inactive": "activate"}
"""The next transition on the way to the active state."""

DOUBTFUL = "doubtful"
"""The event of a frame that is labelled, though its depth may not be registered to colour."""


@dataclass(frozen=True)
class RecentText:
    """What was said last of a frame, and the event under which such frames are counted."""

    text: str = ""
    event: str = ""

    def now(self, statistics: Statistics) -> str:
        """Return the text, or none where it no longer holds."""
        return self.text if self.text and is_recent(self.event, statistics) else ""


class SegmentNode(SturdyLifecycleNode):
    """Segments RGB-D frames; see `docs/node.md` for topics, parameters and states."""

    def __init__(self) -> None:
        super().__init__("fafnet")
        self._statistics = Statistics()
        self._last_logged: dict[str, float] = {}
        self._fault = RecentText()
        self._doubt = RecentText()
        self._segmenter: Segmenter | None = None
        self._outputs: Outputs | None = None
        self._activation: Activation | None = None
        declare_parameters(
            self,
            SegmentParameters,
            may_change=lambda: self.state_label == "unconfigured",
            check=self._check,
        )
        self._settings = read_parameters(self, SegmentParameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: under use_sim_time a ROS timer stands still when /clock does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._report, clock=steady)
        self.create_timer(0.5, self._follow_publishers, clock=steady)
        self._apply_timer = self.create_timer(0.0, self._apply_settings, clock=steady)
        self._apply_timer.cancel()
        self._starting = self._settings.autostart
        if self._starting:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # Parameters

    def _check(self, settings: SegmentParameters) -> None:
        """Refuse what does not fit the label set; where it fits, have it applied."""
        if self._outputs is not None:
            self._outputs.check(settings.outputs)
        # Only when this returns are the values set, all of one request at once.
        self._apply_timer.reset()

    def _apply_settings(self) -> None:
        self._apply_timer.cancel()
        self._settings = settings = read_parameters(self, SegmentParameters)
        if self._outputs is not None:
            self._outputs.apply(settings.outputs)
        if self._activation is not None:
            self._activation.apply(settings)

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
            parameters.checkpoint,
            device=parameters.device,
            precision=parameters.precision,
            input_size=parse_input_size(parameters.input_size),
        )
        keep_memory()
        if segmenter.notice:
            self.get_logger().warning(segmenter.notice)
        self._outputs = Outputs(self, segmenter.label_set)
        try:
            self._outputs.apply(parameters.outputs)
        except ValueError:
            self._release()  # a half-done configuration must leave nothing behind
            raise
        self.get_logger().info(
            f"checkpoint '{parameters.checkpoint}': {len(segmenter.label_set)} classes of"
            f" {segmenter.label_set.name}, on {segmenter.device} in {segmenter.precision},"
            f" input size {size_text(segmenter.input_size)}"
        )

    @transition
    def on_activate(self, state: LifecycleState) -> None:
        """Subscribe to the camera and begin."""
        if self._segmenter is None or self._outputs is None:
            raise RuntimeError("active without having been configured")
        self._fault, self._doubt = RecentText(), RecentText()
        try:
            self._activation = activation = Activation(
                self,
                self._settings,
                self._segmenter,
                self._outputs,
                self._statistics,
                self._on_fault,
                self._on_doubt,
            )
            super().on_activate(state)
        except Exception:
            self._stop()  # nor must a half-begun activation
            super().on_deactivate(state)
            raise
        self._outputs.publish_label_set()
        topics = ", ".join(entry.topic for entry in activation.inputs.subscriptions.values())
        self.get_logger().info(f"active: waiting for {topics}")

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
        if self._activation is not None:
            self._activation.close()
        self._activation = None

    def _release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._segmenter = None
        gc.collect()  # callbacks and what they belong to hold each other, and the network with them
        give_memory_back()

    def close(self) -> None:
        """Stop the worker: it must not publish into a context that is gone."""
        if self._activation is not None:
            self._activation.stop_working()

    # Once in a while

    def _on_fault(self, kind: str, text: str, error: Exception | None = None) -> None:
        self._statistics.count(kind)
        if error is None:
            self._fault = RecentText(text, kind)
            if self._may_log(kind):
                self.get_logger().error(text)
            return
        self._fault = RecentText(f"{text}; {SEE_LOG}", kind)
        if self._may_log(f"{kind}: {type(error).__name__}"):
            trace = "".join(traceback.format_exception(error))
            self.get_logger().error(f"{text}\n{trace}")

    def _on_doubt(self, text: str) -> None:
        self._statistics.count(DOUBTFUL)
        self._doubt = RecentText(text, DOUBTFUL)
        if self._may_log(DOUBTFUL):
            self.get_logger().warning(text)

    def _may_log(self, kind: str) -> bool:
        """Tell whether nothing of this kind was logged a moment ago."""
        now = time.monotonic()
        if now - self._last_logged.get(kind, -_LOG_EVERY) < _LOG_EVERY:
            return False
        self._last_logged[kind] = now
        return True

    def _how_to_activate(self) -> str:
        state, name = self.state_label, self.get_fully_qualified_name()
        text = f"{state}: not segmenting until it is active"
        if state not in _TO_ACTIVE:
            return text
        return f"{text}; ros2 lifecycle set {name} {_TO_ACTIVE[state]}"

    def _follow_publishers(self) -> None:
        if self._activation is not None:
            self._activation.follow_publishers()

    def _report(self) -> None:
        if self._starting:  # "unconfigured" would read as a failure
            return
        segmenter = self._segmenter
        device = f"{segmenter.device} {segmenter.precision}" if segmenter else "none"
        report = Report(f"{self.get_fully_qualified_name()}: segmentation", device)
        report.values = {"state": self.state_label, "checkpoint": self._settings.checkpoint}
        if segmenter is not None:
            report.values["label set"] = segmenter.label_set.name
        activation = self._activation
        if activation is None or self.state_label != "active":
            report.findings = [Finding("WARN", self._how_to_activate())]
            if self.failure:
                report.findings.append(Finding("ERROR", self.failure))
        else:
            self._describe(activation, report)
        message = report.to_message()
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _describe(self, activation: Activation, report: Report) -> None:
        """Add what an active node has to say."""
        pairing, load = activation.pairing_state(), activation.load_state()
        memory = device_memory(str(self._segmenter.device)) if self._segmenter else None
        report.values |= describe_numbers(self._statistics, activation.inputs.synchronizer.counts)
        report.values |= describe_stamps(pairing)
        report.values |= describe_load(load)
        report.values |= describe_memory(memory)
        report.findings += findings(
            activation.input_states(),
            self._statistics,
            pairing,
            active_s=activation.active_s,
            frame=FrameState(
                refusal=self._fault.now(self._statistics), doubt=self._doubt.now(self._statistics)
            ),
            load=load,
            memory=memory,
        )
        if activation.active_s >= SILENT_AFTER:
            report.findings += [Finding("WARN", text) for text in activation.source_findings()]
