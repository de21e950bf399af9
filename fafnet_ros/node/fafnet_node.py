"""The node `/fafnet`: RGB-D topics in, segmentation images and clouds out.

Its states, parameters and diagnostics are here; its work on frames is in
`fafnet_ros.node.activation`.
"""

from __future__ import annotations

import gc
import time
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState

from fafnet_core.inference import free_gpu_cache, give_memory_back
from fafnet_core.input_size import size_text
from fafnet_core.labels import LabelSet
from fafnet_ros.diagnostics.events import DOUBTFUL
from fafnet_ros.diagnostics.message import diagnostics_message
from fafnet_ros.diagnostics.rules import gpu_full_text, why_nothing_pairs
from fafnet_ros.diagnostics.state import REPORT_EVERY, NodeState, SaidOfFrame
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.node.activation import Activation
from fafnet_ros.node.failures import SEE_LOG, one_line
from fafnet_ros.node.lifecycle import SturdyLifecycleNode, transition
from fafnet_ros.node.network import Network
from fafnet_ros.node.parameters import GROUPS, NetworkParameters, StartParameters
from fafnet_ros.node.watchdog import Watchdog
from fafnet_ros.outputs import Outputs, OutputSettings
from fafnet_ros.parameters import declare_parameters, read_parameters

_LOG_EVERY = 10.0
"""Seconds between two log lines about the same kind of fault; each one is counted."""


class SegmentNode(SturdyLifecycleNode):
    """Segments RGB-D frames; see `docs/node.md` for topics, parameters and states."""

    def __init__(self) -> None:
        super().__init__("fafnet")
        self._statistics = Statistics()
        self._last_logged: dict[str, float] = {}
        self._refusal = SaidOfFrame()
        self._doubt = SaidOfFrame()
        self._network: Network | None = None
        self._outputs: Outputs | None = None
        self._activation: Activation | None = None
        declare_parameters(
            self,
            *GROUPS,
            may_change=lambda: self.state_label == "unconfigured",
            check=self._check,
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: under use_sim_time a ROS timer stands still when /clock does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_EVERY, self._report, clock=steady)
        self.create_timer(0.5, self._follow, clock=steady)
        self._apply_timer = self.create_timer(0.0, self._apply_settings, clock=steady)
        self._apply_timer.cancel()
        self._starting = read_parameters(self, StartParameters).autostart
        if self._starting:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # Parameters

    def _check(self, group: object) -> None:
        """Refuse what does not fit the label set; otherwise have it applied."""
        if self._outputs is not None and isinstance(group, OutputSettings):
            self._outputs.check(group)
        # The values are set after this returns, all of one request at once.
        self._apply_timer.reset()

    def _apply_settings(self) -> None:
        self._apply_timer.cancel()
        if self._outputs is not None:
            before = self._outputs.label_set
            self._outputs.apply(read_parameters(self, OutputSettings))
            if self._outputs.label_set != before:
                self.get_logger().info(
                    f"labels are {_classes(self._outputs.label_set)} from now on"
                )
        if self._activation is not None:
            self._activation.apply()

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
        parameters = read_parameters(self, NetworkParameters)
        self._network = Network(parameters, self._on_gpu_full)
        segmenter = self._network.segmenter
        if segmenter.notice:
            self.get_logger().warning(segmenter.notice)
        self._outputs = Outputs(self, segmenter.label_set)
        try:
            self._outputs.apply(read_parameters(self, OutputSettings))
        except ValueError:
            self._release()  # a half-done configuration must leave nothing behind
            raise
        own, published = segmenter.label_set, self._outputs.label_set
        mapped = f", published as {_classes(published)}" if published != own else ""
        self.get_logger().info(
            f"checkpoint '{parameters.checkpoint}': {_classes(own)}{mapped}, on"
            f" {segmenter.runs_on}, input size {size_text(segmenter.input_size)}"
        )

    @transition
    def on_activate(self, state: LifecycleState) -> None:
        """Subscribe to the camera and begin."""
        if self._network is None or self._outputs is None:
            raise RuntimeError("active without having been configured")
        self._refusal = self._doubt = SaidOfFrame()
        try:
            self._activation = activation = Activation(
                self,
                self._network,
                self._outputs,
                self._statistics,
                self._on_fault,
                self._on_doubt,
            )
            super().on_activate(state)
        except Exception:
            self._stop()  # neither must a half-done activation
            super().on_deactivate(state)
            raise
        self._outputs.publish_label_set()
        topics = ", ".join(entry.topic for entry in activation.inputs.subscriptions.values())
        self.get_logger().info(f"active: waiting for {topics}")

    @transition
    def on_deactivate(self, state: LifecycleState) -> None:
        """Unsubscribe from the camera; finish the frame in work."""
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
        self._outputs = self._network = None
        gc.collect()  # callbacks and their owners refer to each other, and to the network
        give_memory_back()
        free_gpu_cache()

    def close(self) -> None:
        """Stop the worker: it must not publish into a context that is gone."""
        Watchdog.watch_the_end()
        if self._activation is not None:
            self._activation.stop_working()

    # What is said

    def _on_fault(self, kind: str, text: str, error: Exception | None = None) -> None:
        self._statistics.count(kind)
        if error is None:
            self._refusal = SaidOfFrame(text, kind)
            if self._may_log(kind):
                self.get_logger().error(text)
            return
        self._refusal = SaidOfFrame(f"{text}; {SEE_LOG}", kind)
        if self._may_log(f"{kind}: {type(error).__name__}"):
            trace = "".join(traceback.format_exception(error))
            self.get_logger().error(f"{text}\n{trace}")

    def on_exception(self, error: Exception) -> None:
        """Report what was raised while a message was taken or a call answered."""
        self._on_fault("failed", f"receiving failed: {one_line(error)}", error)

    def _on_doubt(self, text: str) -> None:
        self._statistics.count(DOUBTFUL)
        self._doubt = SaidOfFrame(text, DOUBTFUL)
        if self._may_log(DOUBTFUL):
            self.get_logger().warning(text)

    def _on_gpu_full(self, error: Exception) -> None:
        text = gpu_full_text(self.get_fully_qualified_name())
        self.get_logger().warning(f"{text}. {one_line(error)}")

    def _may_log(self, kind: str) -> bool:
        """Tell whether nothing of this kind was logged a moment ago."""
        now = time.monotonic()
        if now - self._last_logged.get(kind, -_LOG_EVERY) < _LOG_EVERY:
            return False
        self._last_logged[kind] = now
        return True

    def _follow(self) -> None:
        if self._activation is not None:
            self._activation.follow()

    def _report(self) -> None:
        if self._starting:  # "unconfigured" would read as a failure
            return
        state = self._state()
        if (why := why_nothing_pairs(state)) and self._may_log("unpaired"):
            self.get_logger().warning(why)
        message = diagnostics_message(state)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _state(self) -> NodeState:
        """Return all that diagnostics read."""
        loaded, figures = self._network, self._statistics.figures()
        network = {"checkpoint": read_parameters(self, NetworkParameters).checkpoint}
        if self._outputs is not None:
            network["label set"] = self._outputs.label_set.name
        active = None
        if self._activation is not None and self.state_label == "active":
            active = self._activation.state(figures, self._refusal, self._doubt)
        return NodeState(
            name=self.get_fully_qualified_name(),
            namesakes=self.get_node_names_and_namespaces().count(
                (self.get_name(), self.get_namespace())
            ),
            lifecycle=self.state_label,
            failure=self.failure,
            network=network,
            device=loaded.segmenter.runs_on if loaded else "none",
            gpu_was_full=loaded is not None and loaded.gpu_was_full,
            figures=figures,
            active=active,
        )


def _classes(label_set: LabelSet) -> str:
    return f"{len(label_set)} classes of {label_set.name}"
