"""Transforms between frames by name: a thin layer over tf2, where tf2_ros is installed.

It is not on PyPI. We subscribe ourselves: tf2's own listener always subscribes to /tf too, which
may have a thousand messages a second, and seldom has the transform between two cameras.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from fafnet_core.registration import Extrinsics

NOT_INSTALLED = "tf2_ros is not installed here (ros-$ROS_DISTRO-tf2-ros-py)"

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
        self._newest_ns = 0
        self._kind = TFMessage
        self._static: Any = self._subscribe(
            "/tf_static", self._buffer.set_transform_static, latched=True
        )
        self._moving: Any = None
        self.listen(dynamic=dynamic)

    def listen(self, *, dynamic: bool) -> None:
        """Start or stop listening to /tf; what was heard is kept. In the executor's thread."""
        if dynamic and self._moving is None:
            self._moving = self._subscribe("/tf", self._buffer.set_transform, latched=False)
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
        target, source = target.lstrip("/"), source.lstrip("/")  # tf2 refuses ROS 1's slashes
        if not target or not source:
            return None
        self._follow_clock(stamp_ns)
        for moment in dict.fromkeys((max(stamp_ns, 0), 0)):
            try:
                found = self._buffer.lookup_transform(target, source, Time(nanoseconds=moment))
            except self._failure:
                continue
            return transform_to_extrinsics(found.transform)
        return None

    def destroy(self) -> None:
        """End the subscriptions."""
        self.listen(dynamic=False)
        if self._static is not None:
            self._node.destroy_subscription(self._static)
            self._static = None

    def _follow_clock(self, stamp_ns: int) -> None:
        """Forget moving transforms when the clock jumps back: tf2 would refuse all older ones."""
        if 0 < stamp_ns < self._newest_ns - _JUMP_NS:
            self._buffer.clear()  # static transforms stay
            self._newest_ns = stamp_ns
        self._newest_ns = max(self._newest_ns, stamp_ns)
