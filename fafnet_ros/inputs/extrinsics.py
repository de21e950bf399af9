"""Where the depth camera stands beside the colour camera: a parameter, a topic, or TF."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy

from fafnet_core.registration import Extrinsics
from fafnet_ros.diagnostics.statistics import SILENT_AFTER
from fafnet_ros.inputs.parameters import ExtrinsicsParameters
from fafnet_ros.inputs.transform_buffer import NOT_INSTALLED, echo, open_transforms
from fafnet_ros.qos import LATCHED_QOS

TOPIC = "depth_to_color"
"""Before remapping. A RealSense has it as <camera>/extrinsics/depth_to_color."""

_UNIT_WITHIN = 0.01
_LISTEN_FOR = 5.0
_PAUSE = 15.0
"""Seconds for which /tf is listened to, and then is not: it may have a thousand messages a second,
and whoever sends the transform there repeats it more often than this."""


class ExtrinsicsSource:
    """Knows the transform between the two cameras, or says what is missing."""

    def depth_to_color(self, depth_frame: str, color_frame: str) -> Extrinsics | None:
        """Return what takes points of the depth camera's frame to the colour camera's.

        None: not known. May be called from another thread than the executor's.
        """
        return None

    def finding(self, within_s: float = SILENT_AFTER) -> str | None:
        """Return what is missing now, with the remedy; None: nothing.

        Args:
            within_s: seconds for which what the last frame lacked counts as now.
        """
        return None

    def follow(self, within_s: float = SILENT_AFTER) -> None:
        """Listen where the transform may be; called twice a second, in the executor's thread.

        Args:
            within_s: as of `finding`.
        """

    def destroy(self) -> None:
        """End the subscriptions."""


def extrinsics_source(node: Node, parameters: ExtrinsicsParameters) -> ExtrinsicsSource:
    """Return the parameter's transform if it is set, else what the topic or TF says.

    Raises:
        ValueError: the parameter depth_to_color holds no rotation.
    """
    pose = parameters.depth_to_color
    if pose:
        quaternion = unit_quaternion("depth_to_color", pose[3:])
        return FixedExtrinsics(Extrinsics.from_quaternion(pose[:3], quaternion))
    return HeardExtrinsics(node)


def unit_quaternion(name: str, values: Sequence[float]) -> Sequence[float]:
    """Return a parameter's quaternion x, y, z, w once it is checked.

    Raises:
        ValueError: its length is not 1, to 1 %.
    """
    length = math.hypot(*values)
    if abs(length - 1.0) > _UNIT_WITHIN:
        raise ValueError(
            f"{name} has the quaternion {list(values)} of length {length:.3g}; wanted x, y, z, w of"
            " length 1, and w comes last: no rotation is 0, 0, 0, 1"
        )
    return values


def message_to_extrinsics(message: Any) -> Extrinsics:
    """Return a `realsense2_camera_msgs/Extrinsics` as a transform.

    Its nine numbers of rotation run down the columns.

    Raises:
        ValueError: the numbers are not a rotation.
    """
    rotation = np.reshape(np.asarray(message.rotation, np.float64), (3, 3), order="F")
    return Extrinsics(rotation, np.asarray(message.translation, np.float64))


class Turns:
    """Takes turns between work that costs and pauses, as long as the work is wanted.

    Args:
        work_s: seconds of work.
        pause_s: seconds from its end to the next.
    """

    def __init__(self, work_s: float, pause_s: float) -> None:
        self._work_s = work_s
        self._pause_s = pause_s
        self._begun = -math.inf

    def at(self, now: float, *, wanted: bool) -> bool:
        """Tell whether to work now, in seconds.

        The first turn comes at once. A turn that is not wanted any more ends, and counts in full.
        """
        if wanted and now - self._begun >= self._work_s + self._pause_s:
            self._begun = now
        return wanted and now - self._begun < self._work_s


class FixedExtrinsics(ExtrinsicsSource):
    """The transform that a parameter states, whatever the frames are called."""

    def __init__(self, extrinsics: Extrinsics) -> None:
        self._extrinsics = extrinsics

    def depth_to_color(self, depth_frame: str, color_frame: str) -> Extrinsics:
        """Return it."""
        return self._extrinsics


class HeardExtrinsics(ExtrinsicsSource):
    """The transform of the driver's latched topic; where none comes, that of TF.

    In TF it is /tf_static's as a rule. /tf is listened to only while there is none: cameras are
    taken to keep their places, so that what it says once is enough.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._told: Extrinsics | None = None
        self._refusal: str | None = None
        # The frames whose transform was not known, and when.
        self._missed: tuple[tuple[str, str], float] | None = None
        self._turns = Turns(_LISTEN_FOR, _PAUSE)
        self._topic: str = node.resolve_topic_name(TOPIC)
        self._subscription = self._subscribe()
        self._transforms = open_transforms(node, dynamic=False)

    def depth_to_color(self, depth_frame: str, color_frame: str) -> Extrinsics | None:
        """Return the transform, or None where neither the topic nor TF has it."""
        told = self._told
        if told is not None:
            self._missed = None
            return told
        if depth_frame == color_frame:
            return None
        transforms = self._transforms
        found = None if transforms is None else transforms.lookup(color_frame, depth_frame)
        missed = (depth_frame, color_frame), time.monotonic()
        self._missed = missed if found is None else None
        return found

    def finding(self, within_s: float = SILENT_AFTER) -> str | None:
        """Return what is missing for the frames that were asked for a moment ago."""
        missed = self._missed_within(within_s)
        if missed is None:
            return None
        depth_frame, color_frame = missed[0]
        return (
            f"the transform from depth (frame '{depth_frame}') to colour (frame '{color_frame}')"
            " is not known: set depth_to_color to [x, y, z, qx, qy, qz, qw], or remap the topic"
            f" depth_to_color to the driver's extrinsics ({self._silence()}), or publish the"
            f" transform ({self._absence(depth_frame, color_frame)})"
        )

    def follow(self, within_s: float = SILENT_AFTER) -> None:
        """Listen to /tf, in turns, while frames miss their transform."""
        if self._transforms is not None:
            is_missed = self._missed_within(within_s) is not None
            self._transforms.listen(dynamic=self._turns.at(time.monotonic(), wanted=is_missed))

    def _missed_within(self, seconds: float) -> tuple[tuple[str, str], float] | None:
        missed = self._missed
        return missed if missed is not None and time.monotonic() - missed[1] <= seconds else None

    def destroy(self) -> None:
        """End the subscriptions."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        if self._transforms is not None:
            self._transforms.destroy()
            self._transforms = None

    def _subscribe(self) -> Any:
        try:
            from realsense2_camera_msgs.msg import Extrinsics as ExtrinsicsMessage
        except ImportError:  # not on PyPI; parameter and TF serve without it
            return None
        return self._node.create_subscription(
            ExtrinsicsMessage, TOPIC, self.on_extrinsics, LATCHED_QOS
        )

    def on_extrinsics(self, message: Any) -> None:
        """Take the driver's message; one that is no rotation is named in `finding`."""
        try:
            self._told = message_to_extrinsics(message)
            self._refusal = None
        except ValueError as error:
            self._refusal = str(error)

    def _silence(self) -> str:
        """Return why the topic says nothing."""
        if self._subscription is None:
            return "realsense2_camera_msgs is not installed here"
        if self._refusal is not None:
            return f"what {self._topic} said is refused: {self._refusal}"
        offers = [
            publisher.qos_profile.durability
            for publisher in self._node.get_publishers_info_by_topic(self._topic)
        ]
        if not offers:
            return f"{self._topic} has no publisher"
        if DurabilityPolicy.TRANSIENT_LOCAL not in offers:
            return f"the publisher of {self._topic} is volatile; wanted transient local"
        return f"{self._topic} has a publisher but is silent"

    def _absence(self, depth_frame: str, color_frame: str) -> str:
        """Return why TF does not have it."""
        if self._transforms is None:
            return NOT_INSTALLED
        absence = self._transforms.unheard() or "neither /tf_static nor /tf has it"
        return f"{absence}; see: {echo(color_frame or '<colour>', depth_frame or '<depth>')}"
