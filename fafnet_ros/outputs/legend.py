"""The legend: a picture of the classes' colours and names, and the names as markers in RViz."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header, String

from fafnet_core.camera import Camera
from fafnet_core.inference import class_key
from fafnet_core.labels import LabelSet
from fafnet_ros.images import array_to_image
from fafnet_ros.qos import LATCHED_QOS

_ROWS = 20
"""Names in one column of markers; they share the height of the view."""
_MARGIN = 0.1
"""Between the view's edge and the names, and between columns, in metres at one metre."""
_LETTER = 0.6
"""Width of a letter over its height, about, in RViz's font."""
_LINE = 0.7
"""Height of a letter over that of a row."""


class Legend:
    """The names and colours of a label set: sent when it is new, and to later subscribers."""

    def __init__(self, node: LifecycleNode, label_set: LabelSet) -> None:
        self._node = node
        self._label_set = label_set
        self._names = node.create_lifecycle_publisher(String, "~/label_names", LATCHED_QOS)
        self._picture = node.create_lifecycle_publisher(Image, "~/legend", LATCHED_QOS)
        self._info = _label_info_publisher(node)
        self._markers = _markers_publisher(node)
        self._placed: tuple[Any, ...] | None = None

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self._names, self._picture, self._info, self._markers):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    @property
    def waits_for_a_frame(self) -> bool:
        """Whether somebody wants the markers, whose place the first frame determines."""
        return (
            self._markers is not None
            and self._placed is None
            and self._markers.get_subscription_count() > 0
        )

    @property
    def is_active(self) -> bool:
        """Whether the node publishes now."""
        return bool(self._names.is_activated)

    def change(self, label_set: LabelSet) -> None:
        """Take another label set; an active node publishes it at once."""
        self._label_set = label_set
        if self.is_active:
            self.publish()

    def publish(self) -> None:
        """Publish what depends on nothing but the label set."""
        self._names.publish(String(data=self._label_set.to_json()))
        self._picture.publish(array_to_image(class_key(self._label_set), "rgb8", Header()))
        if self._info is not None:
            self._info.publish(_label_info(self._label_set))
        self._placed = None

    def place(self, camera: Camera, frame_id: str) -> None:
        """Put the markers beside this camera's view, unless that is where they are."""
        place = (frame_id, camera)
        if self._markers is not None and self._placed != place:
            self._markers.publish(markers(self._label_set, camera, frame_id))
            self._placed = place


def markers(label_set: LabelSet, camera: Camera, frame_id: str) -> Any:
    """Return the class names in their colours as a visualization_msgs/MarkerArray.

    They are in columns to the right of the view, one metre ahead of the camera, and face the
    viewer. The first marker removes those of an earlier legend.

    Args:
        label_set: whose names.
        camera: of the colour image.
        frame_id: of the colour camera's optical frame.
    """
    from visualization_msgs.msg import Marker, MarkerArray

    header = Header(frame_id=frame_id)  # stamp 0: wherever the camera is now
    row = camera.height / camera.fy / _ROWS
    letters = _LINE * row
    names = label_set.names
    column = max(map(len, names)) * _LETTER * letters + _MARGIN
    left = (camera.width - 0.5 - camera.cx) / camera.fx + _MARGIN
    top = (-0.5 - camera.cy) / camera.fy
    texts = [Marker(header=header, ns="legend", action=Marker.DELETEALL)]
    for index, (name, colour) in enumerate(zip(names, label_set.palette, strict=True)):
        text = Marker(header=header, ns="legend", id=index, text=name)
        text.type, text.action = Marker.TEXT_VIEW_FACING, Marker.ADD
        text.frame_locked = True
        position = text.pose.position  # of the text's middle
        position.x = float(left + column * (index // _ROWS + 0.5))
        position.y = float(top + row * (index % _ROWS + 0.5))
        position.z = 1.0
        text.scale.z = float(letters)
        red, green, blue = (value / 255 for value in colour)
        text.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        texts.append(text)
    return MarkerArray(markers=texts)


def _markers_publisher(node: LifecycleNode) -> Any:
    try:
        from visualization_msgs.msg import MarkerArray
    except ImportError:
        node.get_logger().info(
            "visualization_msgs is not installed: no ~/legend_markers; ~/legend shows the same"
        )
        return None
    return node.create_lifecycle_publisher(MarkerArray, "~/legend_markers", LATCHED_QOS)


def _label_info_publisher(node: LifecycleNode) -> Any:
    try:
        from vision_msgs.msg import LabelInfo
    except ImportError:  # not on PyPI; `~/label_names` says the same
        return None
    return node.create_lifecycle_publisher(LabelInfo, "~/label_info", LATCHED_QOS)


def _label_info(label_set: LabelSet) -> Any:
    from vision_msgs.msg import LabelInfo, VisionClass

    entries = [*enumerate(label_set.names), (label_set.ignore_index, "unlabelled")]
    classes = [VisionClass(class_id=index, class_name=name) for index, name in entries]
    return LabelInfo(class_map=classes, threshold=0.0)
