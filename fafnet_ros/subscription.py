"""A subscription whose reliability follows what the publishers offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

DEPTH = 5


def input_qos(reliability: ReliabilityPolicy) -> QoSProfile:
    """Return the profile of an image subscription."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=DEPTH,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )


class MatchingSubscription:
    """Subscribes RELIABLE where every publisher offers it, otherwise BEST_EFFORT.

    BEST_EFFORT hears any publisher, but one lost fragment of a large image loses the whole frame;
    RELIABLE hears nothing at all of a BEST_EFFORT publisher.

    Args:
        node: the node that subscribes.
        message_type: the ROS message class.
        topic: the name before remapping.
        callback: called with each message, in the executor.
        reliability: `auto`, `reliable` or `best_effort`.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        reliability: str,
    ) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._callback = callback
        self._reliability = reliability
        # Until a publisher is there: most offer it, and changing over would lose the first frames.
        self._subscribed = ReliabilityPolicy.RELIABLE
        self._subscribe(self._wanted())

    @property
    def topic(self) -> str:
        """The full name after remapping."""
        name: str = self._subscription.topic_name
        return name

    @property
    def offers(self) -> list[ReliabilityPolicy]:
        """The reliability that each present publisher offers."""
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        return [publisher.qos_profile.reliability for publisher in publishers]

    @property
    def is_heard(self) -> bool:
        """Tell whether the present subscription can hear every publisher there is."""
        reliable = self._subscribed == ReliabilityPolicy.RELIABLE
        return not reliable or all(offer == ReliabilityPolicy.RELIABLE for offer in self.offers)

    def refresh(self) -> None:
        """Subscribe anew if the publishers that are there now ask for it."""
        wanted = self._wanted()
        if wanted != self._subscribed:
            self.destroy()
            self._subscribe(wanted)

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _wanted(self) -> ReliabilityPolicy:
        if self._reliability != "auto":
            return ReliabilityPolicy[self._reliability.upper()]
        offers = self.offers
        if not offers:
            return self._subscribed
        if all(offer == ReliabilityPolicy.RELIABLE for offer in offers):
            return ReliabilityPolicy.RELIABLE
        return ReliabilityPolicy.BEST_EFFORT

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._subscribed = reliability
        self._subscription = self._node.create_subscription(
            self._message_type, self._topic, self._callback, input_qos(reliability)
        )
