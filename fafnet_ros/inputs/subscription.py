"""A subscription that follows what publishers offer, and can say why it receives nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from fafnet_ros.diagnostics.state import InputState, PublisherState
from fafnet_ros.inputs.senders import Senders

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    SubscriptionEventCallbacks = None

_DEPTH = 5

_HAS_NUMBERS = hasattr(Subscription, "CallbackType")
"""Whether rclpy tells callbacks the numbers of messages; Humble does not."""


def type_name(message_type: type) -> str:
    """Return a message class's name as ROS tools write it, e.g. `sensor_msgs/msg/Image`."""
    package = message_type.__module__.partition(".")[0]
    return f"{package}/msg/{message_type.__name__}"


def _full_name(info: Any) -> str:
    """Return the name of the node that an endpoint belongs to; empty where it has told none yet."""
    if "UNKNOWN" in info.node_name:
        return ""
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


class MatchingSubscription:
    """Subscribes RELIABLE where every publisher offers it, otherwise BEST_EFFORT.

    BEST_EFFORT hears any publisher, but one lost fragment of a large image loses the whole frame;
    RELIABLE hears nothing at all of a BEST_EFFORT publisher.

    Where the last message is wanted, it is TRANSIENT_LOCAL if every publisher offers that: a driver
    that publishes its camera_info once keeps it so for those who come later. VOLATILE hears every
    publisher, TRANSIENT_LOCAL only its like.

    Args:
        topic: the name before remapping.
        reliability: `auto`, `reliable` or `best_effort`.
        event: the name under which its messages are counted; None: the topic as given.
        wants_last: whether what was published before counts too.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        reliability: str,
        event: str | None = None,
        *,
        wants_last: bool = False,
    ) -> None:
        self._node = node
        self._wants_last = wants_last
        self._message_type = message_type
        self._type_name = type_name(message_type)
        self._topic = topic
        self._callback = callback
        self._reliability = reliability
        self._event = topic if event is None else event
        # When a publisher of our type was first there to be heard, in monotonic seconds.
        self._published_since: float | None = None
        self._senders = Senders()
        # Until a publisher is there: most offer it, and a change would lose the first frames.
        self._subscribed = ReliabilityPolicy.RELIABLE
        self._durability = DurabilityPolicy.VOLATILE
        self._subscribe(*self._wanted())

    @property
    def topic(self) -> str:
        """The full name after remapping."""
        name: str = self._subscription.topic_name
        return name

    def state(self, *, is_silent: bool = True) -> InputState:
        """Return what the graph says of this input now.

        Args:
            is_silent: also look for topics of the same type that have publishers, which costs a
                walk over the whole graph; a topic that is heard needs none.
        """
        infos = self._publishers()
        publishers = tuple(
            PublisherState(
                node=_full_name(info),
                reliability=info.qos_profile.reliability.name.lower(),
                type_name=info.topic_type,
            )
            for info in infos
        )
        return InputState(
            event=self._event,
            name=self._topic,
            topic=self.topic,
            type_name=self._type_name,
            reliability=self._subscribed.name.lower(),
            publishers=publishers,
            is_deaf=self._is_deaf(publishers),
            are_several_heard=self._senders.are_several,
            same_type_topics=self._same_type_topics() if is_silent else (),
            published_s=self._follow(infos),
        )

    def refresh(self) -> None:
        """Subscribe again if the present publishers need another reliability or durability."""
        wanted = self._wanted()
        if wanted != (self._subscribed, self._durability):
            self.destroy()
            self._subscribe(*wanted)
            self._published_since = None
        self._follow(self._publishers())

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _publishers(self) -> list[Any]:
        infos: list[Any] = self._node.get_publishers_info_by_topic(self._topic)
        return infos

    def _follow(self, infos: list[Any]) -> float:
        """Return for how many seconds a publisher of our type has been there."""
        if not any(info.topic_type == self._type_name for info in infos):
            self._published_since = None
            return 0.0
        now = time.monotonic()
        if self._published_since is None:
            self._published_since = now
        return now - self._published_since

    def _wanted(self) -> tuple[ReliabilityPolicy, DurabilityPolicy]:
        # Publishers of another type cannot be heard anyway.
        offers = [
            info.qos_profile for info in self._publishers() if info.topic_type == self._type_name
        ]
        if self._reliability != "auto":
            reliability = ReliabilityPolicy[self._reliability.upper()]
        elif not offers:
            reliability = self._subscribed
        elif all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers):
            reliability = ReliabilityPolicy.RELIABLE
        else:
            reliability = ReliabilityPolicy.BEST_EFFORT
        if not offers:
            return reliability, self._durability
        # What was published before is sent again to reliable readers only.
        is_kept = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        if self._wants_last and is_kept and reliability == ReliabilityPolicy.RELIABLE:
            return reliability, DurabilityPolicy.TRANSIENT_LOCAL
        return reliability, DurabilityPolicy.VOLATILE

    def _is_deaf(self, publishers: tuple[PublisherState, ...]) -> bool:
        """Tell whether a publisher of our type cannot be heard."""
        if self._reliability == "auto":  # it changes over
            return False
        offers = {entry.reliability for entry in publishers if entry.type_name == self._type_name}
        return self._subscribed == ReliabilityPolicy.RELIABLE and "best_effort" in offers

    def _same_type_topics(self) -> tuple[str, ...]:
        """Return other topics of our type with publishers, but none that this node uses itself."""
        used = {entry.topic_name for entry in self._node.subscriptions}
        used |= {entry.topic_name for entry in self._node.publishers}
        return tuple(
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if self._type_name in types
            and topic not in used
            and self._node.count_publishers(topic) > 0
        )

    def _subscribe(self, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> None:
        self._subscribed, self._durability = reliability, durability
        options = {}
        if SubscriptionEventCallbacks is not None:
            # rclpy's own warning would make `auto` seem a fault; diagnostics say what is one.
            options["event_callbacks"] = SubscriptionEventCallbacks(
                incompatible_qos=lambda event: None
            )
        callback = self._on_numbered if _HAS_NUMBERS else self._callback
        profile = QoSProfile(depth=_DEPTH, reliability=reliability, durability=durability)
        self._subscription = self._node.create_subscription(
            self._message_type, self._topic, callback, profile, **options
        )

    def _on_numbered(self, message: Any, info: Any) -> None:
        self._senders.add(info.get("publication_sequence_number"))
        self._callback(message)
