"""The message types of ROS 2 Jazzy, in which everything is decoded and written."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore


@cache
def jazzy() -> Typestore:
    """Return Jazzy's types, made once; add none. sensor_msgs are the same since Foxy."""
    return get_typestore(Stores.ROS2_JAZZY)
