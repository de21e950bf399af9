"""The transform from the depth camera to the colour camera, as a bag may hold it.

In this order: the RealSense driver's `extrinsics/depth_to_color`, the transforms of librealsense's
own recordings, `/tf_static` and `/tf`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from fafnet_core.bags.errors import BagError
from fafnet_core.bags.reading import Bag
from fafnet_core.bags.streams import Streams
from fafnet_core.registration import Extrinsics

_TRANSFORM = "geometry_msgs/msg/Transform"
_TF_TYPES = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")
_TF_MESSAGES = 2000
"""So many messages of /tf are looked at: a camera's own transforms are repeated all the time."""

Tree = dict[str, dict[str, Extrinsics]]
"""From a frame to its neighbours, and the transform that takes points there."""


class BagExtrinsics:
    """Answers `FrameBuilder` from what the bag holds, which is read here, once.

    Args:
        bag: an open bag, which nobody else reads at this moment.
        streams: the topics that are labelled.
        given: what the user states; nothing is looked for then.

    Raises:
        BagError: the camera's own transform is invalid.
    """

    def __init__(self, bag: Bag, streams: Streams, given: Extrinsics | None = None) -> None:
        self._of_camera = given
        if given is None:
            self._of_camera = driver_extrinsics(bag, streams.depth.name)
        if self._of_camera is None:
            self._of_camera = recorder_extrinsics(bag, streams.depth.name, streams.rgb.name)
        self._tree = transform_tree(bag) if self._of_camera is None else {}
        self._found: dict[tuple[str, str], Extrinsics | None] = {}

    def __call__(self, depth_frame: str, colour_frame: str) -> Extrinsics | None:
        """Return the transform from depth to colour, None where the bag does not have it."""
        if self._of_camera is not None:
            return self._of_camera
        if depth_frame == colour_frame:
            return None  # no transform says whether there are two cameras in one frame
        frames = (depth_frame, colour_frame)
        if frames not in self._found:
            self._found[frames] = path(self._tree, *frames)
        return self._found[frames]


def driver_extrinsics(bag: Bag, depth_topic: str) -> Extrinsics | None:
    """Return what realsense2_camera's `extrinsics/depth_to_color` says.

    The type is the driver's own, in ROS 1 with a header before: its last twelve numbers are the
    rotation, column by column, and the translation.
    """
    topics = [name for name in bag.counts() if name.endswith("/extrinsics/depth_to_color")]
    topics = [name for name in topics if depth_topic.startswith(name.split("extrinsics/")[0])]
    for stored in bag.messages(topics) if topics else ():
        if len(stored.data) < 96:
            continue
        big = not bag.is_ros1 and stored.data[1] == 0
        numbers = np.frombuffer(stored.data[-96:], ">f8" if big else "<f8")
        try:
            return Extrinsics(numbers[:9].reshape(3, 3).T, numbers[9:])
        except ValueError as error:
            raise _no_transform(stored.topic, error) from error
    return None


def recorder_extrinsics(bag: Bag, depth_topic: str, rgb_topic: str) -> Extrinsics | None:
    """Return what a recording of librealsense itself says.

    Such a bag has topics /device_N/sensor_N/STREAM_N/image/data, and beside each image/ a tf/N:
    the transform that takes points of the reference stream N to the stream (shown on a D435: depth
    edges fall on colour edges that way, and not the other way round).
    """
    found: list[dict[str, Extrinsics]] = []
    for topic in (depth_topic, rgb_topic):
        match = re.fullmatch(r"(.*)/image/data", topic)
        names = [
            name
            for name in (bag.topics(_TRANSFORM) if match else ())
            if match and re.fullmatch(rf"{re.escape(match[1])}/tf/\d+", name)
        ]
        found.append({name.rpartition("/")[2]: _extrinsics(bag.first(name)) for name in names})
    for reference, to_depth in found[0].items():
        if reference in found[1]:
            return found[1][reference] @ to_depth.inverse()
    return None


def transform_tree(bag: Bag) -> Tree:
    """Return the frames that the bag's TF messages connect; what came first stays."""
    tree: Tree = {}
    topics = bag.topics(*_TF_TYPES)
    for topic in sorted(topics, key=lambda name: not name.endswith("tf_static")):
        for message in islice(_decoded(bag, topic), _TF_MESSAGES):
            for each in message.transforms:
                parent = each.header.frame_id.lstrip("/")
                child = each.child_frame_id.lstrip("/")
                if parent in tree.get(child, {}):
                    continue
                try:
                    # TF states where the child stands in the parent: that takes points up to it.
                    up = _extrinsics(each.transform)
                except BagError:  # of other parts of the robot, as a rule
                    continue
                tree.setdefault(child, {})[parent] = up
                tree.setdefault(parent, {})[child] = up.inverse()
    return tree


def path(tree: Tree, start: str, goal: str) -> Extrinsics | None:
    """Return the transform that takes points of frame `start` to `goal`, None if none does."""
    start, goal = start.lstrip("/"), goal.lstrip("/")
    reached = {start: Extrinsics.identity()}
    waiting = deque([start] if start in tree else [])
    while waiting and goal not in reached:
        frame = waiting.popleft()
        for near, transform in tree[frame].items():
            if near not in reached:
                reached[near] = transform @ reached[frame]
                waiting.append(near)
    return reached.get(goal) if goal in tree and start in tree else None


def _decoded(bag: Bag, topic: str) -> Iterable[Any]:
    for stored in bag.messages([topic]):
        yield bag.decode(stored)


def _extrinsics(transform: Any) -> Extrinsics:
    """Return a geometry_msgs/Transform."""
    offset, turn = transform.translation, transform.rotation
    try:
        return Extrinsics.from_quaternion(
            (offset.x, offset.y, offset.z), (turn.x, turn.y, turn.z, turn.w)
        )
    except ValueError as error:
        raise _no_transform("the bag", error) from error


def _no_transform(what: str, error: ValueError) -> BagError:
    return BagError(f"{what} holds an invalid transform: {error}; give --depth-to-color")
