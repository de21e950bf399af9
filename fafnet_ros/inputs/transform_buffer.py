"""Transforms between frames by name: a thin layer over tf2, where tf2_ros is installed.

It is not on PyPI. We subscribe ourselves: tf2's own listener always subscribes to /tf too, which
may have a thousand messages a second, and seldom has the transform between two cameras.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from fafnet_core.messages.protocols import stamp_ns as stamp_of
from fafnet_core.registration import Extrinsics

NOT_INSTALLED = "tf2_ros is not installed here (ros-$ROS_DISTRO-tf2-ros-py)"

STOPPED_AFTER_S = 3.0
"""Seconds after which a moving transform without a newer one is not to be trusted."""

_DEPTH = 100
_JUMP_NS = 1_000_000_000


def open_transforms(node: Node, *, dynamic: bool) -> TransformBuffer | None:
    """Return a buffer that fills while the node spins, or None where tf2_ros is not installed.

    Args:
        node: the node that subscribes.
        dynamic: listen to /tf too, not only to /tf_static.
    """
    try:
        return TransformBuffer(node, dynamic=dynamic)
    except ImportError:
        return None


def echo(target: str, source: str) -> str:
    """Return the command that shows what TF has between two frames."""
    return f"ros2 run tf2_ros tf2_echo {target.lstrip('/')} {source.lstrip('/')}"


def transform_to_extrinsics(transform: Any) -> Extrinsics:
    """Return a `geometry_msgs/Transform` as what takes points of its child frame to its parent's.

    Raises:
        ValueError: a number that is not finite, or a quaternion of zeros.
    """
    position, turn = transform.translation, transform.rotation
    return Extrinsics.from_quaternion(
        (position.x, position.y, position.z), (turn.x, turn.y, turn.z, turn.w)
    )


class TransformBuffer:
    """What /tf_static, and /tf while wanted, have said; lookups may come from another thread.

    Raises:
        ImportError: tf2_ros or tf2_msgs is not installed.
    """

    def __init__(self, node: Node, *, dynamic: bool) -> None:
        import tf2_ros
        from tf2_msgs.msg import TFMessage

        self._node = node
        self._failure = tf2_ros.TransformException
        self._buffer: Any = tf2_ros.Buffer()
        self._newest_ns = 0  # of the images that were asked for
        self._heard_ns: dict[str, int] = {}  # the newest of each frame that moves
        self._latest: tuple[tuple[str, str], int] | None = None
        self._latest_since = 0.0
        self._kind = TFMessage
        self._static: Any = self._subscribe(
            "/tf_static", self._buffer.set_transform_static, latched=True
        )
        self._moving: Any = None
        self.listen(dynamic=dynamic)

    def listen(self, *, dynamic: bool) -> None:
        """Start or stop listening to /tf; what was heard is kept. In the executor's thread."""
        if dynamic and self._moving is None:
            self._moving = self._subscribe("/tf", self._set_moving, latched=False)
        elif not dynamic and self._moving is not None:
            self._node.destroy_subscription(self._moving)
            self._moving = None

    def _subscribe(self, topic: str, take: Any, *, latched: bool) -> Any:
        def on_transforms(message: Any) -> None:
            for transform in message.transforms:
                take(transform, "default_authority")

        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        return self._node.create_subscription(self._kind, topic, on_transforms, profile)

    def lookup(self, target: str, source: str, stamp_ns: int = 0) -> Extrinsics | None:
        """Return what takes points of `source` to `target`, or None where that is not known.

        At the stamp (0: the latest); where the buffer does not reach that far, the latest.
        """
        self._follow_clock(stamp_ns)
        for moment in dict.fromkeys((max(stamp_ns, 0), 0)):
            found = self._find(target, source, moment)
            if found is None:
                continue
            try:
                return transform_to_extrinsics(found.transform)
            except ValueError:  # tf2 refuses NaN, but infinity makes it on the way
                return None
        return None

    def has_stopped(self, target: str, source: str) -> bool:
        """Tell whether the latest transform moves, and has been the latest for too long.

        By its stamp, and from the first call that saw it: the clocks need not be the same.
        """
        if target == source:  # tf2 gives the frame's own stamp then
            return False
        found = self._find(target, source, 0)
        newest_ns = 0 if found is None else stamp_of(found.header)
        if newest_ns == 0:  # so of /tf_static alone
            return False
        now = time.monotonic()
        latest = (target, source), newest_ns
        if latest != self._latest:
            self._latest, self._latest_since = latest, now
        return now - self._latest_since > STOPPED_AFTER_S

    def unheard(self) -> str | None:
        """Return which publisher of /tf_static nobody hears, TF's own listeners neither."""
        if self._static is None:
            return None
        topic = self._static.topic_name
        for publisher in self._node.get_publishers_info_by_topic(topic):
            if publisher.qos_profile.durability == DurabilityPolicy.VOLATILE:
                return f"{publisher.node_name} publishes {topic} volatile; wanted transient local"
        return None

    def destroy(self) -> None:
        """End the subscriptions."""
        self.listen(dynamic=False)
        if self._static is not None:
            self._node.destroy_subscription(self._static)
            self._static = None

    def _find(self, target: str, source: str, moment_ns: int) -> Any:
        """Return tf2's own message, or None."""
        target, source = target.lstrip("/"), source.lstrip("/")  # tf2 refuses ROS 1's slashes
        if not target or not source:
            return None
        try:
            return self._buffer.lookup_transform(target, source, Time(nanoseconds=moment_ns))
        except self._failure:
            return None

    def _set_moving(self, transform: Any, authority: str) -> None:
        """Take a transform of /tf; where the frame's clock has jumped back, what was is forgotten.

        The images may jump before or after it, and say nothing of what is still under way.
        """
        frame, moment_ns = transform.child_frame_id, stamp_of(transform.header)
        if moment_ns < self._heard_ns.get(frame, moment_ns) - _JUMP_NS:
            self._forget()
        self._heard_ns[frame] = max(moment_ns, self._heard_ns.get(frame, moment_ns))
        self._buffer.set_transform(transform, authority)

    def _follow_clock(self, stamp_ns: int) -> None:
        if 0 < stamp_ns < self._newest_ns - _JUMP_NS:
            self._forget()
        self._newest_ns = max(self._newest_ns, stamp_ns)

    def _forget(self) -> None:
        """Forget moving transforms when the clock jumps back: tf2 would refuse all older ones."""
        self._buffer.clear()  # static transforms stay
        self._heard_ns.clear()
        self._newest_ns = 0
