"""Bags: ROS 1 and ROS 2 recordings, read, labelled and written without ROS.

`fafnet segment` is the user's door. The library rosbags is optional: nothing here imports it until
a bag is opened.
"""

from fafnet_core.bags.errors import AskedWrongly, BagError, need_rosbags
from fafnet_core.bags.paths import check_out, is_bag
from fafnet_core.bags.watch import Watch

__all__ = ["AskedWrongly", "BagError", "Watch", "check_out", "is_bag", "need_rosbags"]
