"""The node's publishers, and what each of them sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from fafnet_core.labels import LabelSet
from fafnet_core.labels.files import groups_of
from fafnet_core.nearest import unknown_name
from fafnet_ros.images import array_to_image, camera_to_info
from fafnet_ros.outputs.frame import SegmentedFrame
from fafnet_ros.outputs.legend import Legend
from fafnet_ros.outputs.parameters import OutputSettings
from fafnet_ros.outputs.points import PointClouds
from fafnet_ros.outputs.rendering import FrameRendering
from fafnet_ros.qos import IMAGE_QOS

MAX_MASKS = 40
"""Each mask is a topic of its own; more would make the list of topics useless."""

TOPICS = (
    "labels",
    "overlay",
    "color",
    "confidence",
    "hha",
    "camera_info",
    "points",
    "legend",
    "legend_markers",
)
"""The topics below the node's own name that are always there; masks come on request."""

_Make = Callable[[FrameRendering, Header], Any]


@dataclass(frozen=True)
class _Output:
    """One topic that has a message for every frame."""

    publisher: Any
    make: _Make
    needs_labels: bool

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        try:
            return bool(self.publisher.get_subscription_count())
        except InvalidHandle:  # a mask that is being removed
            return False

    def publish(self, rendering: FrameRendering, header: Header) -> None:
        """Make the message and send it."""
        message = self.make(rendering, header)
        with suppress(InvalidHandle):  # removed in another thread
            self.publisher.publish(message)


class Outputs:
    """The node's publishers of images, masks, clouds and the label set.

    Frames may be published from one thread while another calls the rest.
    """

    def __init__(self, node: LifecycleNode, label_set: LabelSet) -> None:
        self._node = node
        self._label_set = label_set
        self._groups = groups_of(label_set)
        self._legend = Legend(node, label_set)
        image = partial(self._create, Image)
        self._frames = (
            image("labels", _labels),
            self._create(CameraInfo, "camera_info", _camera_info, needs_labels=False),
            image("hha", _image("rgb8", lambda r: r.hha), needs_labels=False),
            image("color", _image("rgb8", lambda r: r.colour)),
            image("overlay", _image("rgb8", lambda r: r.overlay)),
            image("confidence", _confidence),
            self._create(PointCloud2, "points", PointClouds(label_set).message),
        )
        self._masks: dict[str, _Output] = {}

    def _create(self, kind: type, topic: str, make: _Make, *, needs_labels: bool = True) -> _Output:
        publisher = self._node.create_lifecycle_publisher(kind, f"~/{topic}", IMAGE_QOS)
        return _Output(publisher, make, needs_labels)

    def destroy(self) -> None:
        """Take the topics away."""
        for output in self._all():
            self._node.destroy_lifecycle_publisher(output.publisher)
        self._masks = {}
        self._legend.destroy()

    def _all(self) -> Iterable[_Output]:
        return (*self._frames, *self._masks.values())

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to what is made of a frame."""
        return any(output.is_wanted for output in self._all()) or self._legend.waits_for_a_frame

    @property
    def wants_labels(self) -> bool:
        """Whether anybody subscribes to what needs the network."""
        return any(output.needs_labels and output.is_wanted for output in self._all())

    def check(self, settings: OutputSettings) -> None:
        """Refuse classes and groups that the label set does not have.

        Raises:
            ValueError: an unknown class or group, or too many masks.
        """
        names = self._label_set.names
        known = {"mask_classes": (*names, *self._groups), "points_classes": names}
        for parameter, allowed in known.items():
            for name in getattr(settings, parameter):
                if name not in allowed:
                    raise ValueError(f"{parameter}: {unknown_name('class', name, allowed)}")
        if len(set(settings.mask_classes)) > MAX_MASKS:
            raise ValueError(
                f"mask_classes has {len(set(settings.mask_classes))} classes; at most {MAX_MASKS}"
                " have a topic of their own: take them out of ~/labels"
            )

    def apply(self, settings: OutputSettings) -> None:
        """Create and remove the topics of masks as the settings say.

        Call it when the node is configured and when settings change, in the thread that makes the
        node's publishers.

        Raises:
            ValueError: as `check`; nothing is changed.
        """
        self.check(settings)
        masks = dict(self._masks)
        for name in settings.mask_classes:
            if name not in masks:
                masks[name] = self._create_mask(name)
        gone = [masks.pop(name) for name in self._masks if name not in settings.mask_classes]
        self._masks = masks  # in one step, for the thread that publishes
        for output in gone:
            self._node.destroy_lifecycle_publisher(output.publisher)

    def _create_mask(self, name: str) -> _Output:
        names = self._label_set.names
        # A class comes before a group of its name.
        members = (name,) if name in names else self._groups[name]
        ids = [names.index(member) for member in members]
        topic = (
            mask_topic(self._label_set, ids[0])
            if name in names
            else group_topic(self._label_set, name)
        )
        make = _image("mono8", lambda rendering: rendering.mask(*ids))
        output = self._create(Image, f"mask/{topic}", make)
        if self._legend.is_active:
            # Activation enables the publishers that exist; this one is made after it.
            output.publisher.on_activate(None)
        return output

    def publish_label_set(self) -> None:
        """Publish names, colours and legend, for present and later subscribers."""
        self._legend.publish()

    def publish(self, segmented: SegmentedFrame, header: Header, settings: OutputSettings) -> None:
        """Publish what somebody subscribes to, under the colour image's own header.

        What needs labels is left out where there are none. Nothing is raised for a context
        that is being shut down.
        """
        rendering = FrameRendering(segmented, settings)
        try:
            for output in self._all():
                if output.is_wanted and not (output.needs_labels and segmented.found is None):
                    output.publish(rendering, header)
            self._legend.place(segmented.frame.camera, header.frame_id)
        except Exception:
            if self._node.context.ok():
                raise


def mask_topic(label_set: LabelSet, index: int) -> str:
    """Return the name of a class's topic below `~/mask/`: letters, digits and underscores."""
    names = [_topic(name) for name in label_set.names]
    name = names[index]
    if not name or name[0].isdigit():  # a topic may not begin with a digit
        return f"class_{index}_{name}".rstrip("_")
    return name if names.count(name) == 1 else f"{name}_{index}"


def group_topic(label_set: LabelSet, group: str) -> str:
    """Return the name of a group's topic below `~/mask/`; no class has the same."""
    topic = _topic(group)
    classes = {mask_topic(label_set, index) for index in range(len(label_set))}
    is_free = topic and not topic[0].isdigit() and topic not in classes
    return topic if is_free else f"group_{topic}".rstrip("_")


def _topic(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")


def _image(encoding: str, picture: Callable[[FrameRendering], Any]) -> _Make:
    return lambda rendering, header: array_to_image(picture(rendering), encoding, header)


def _labels(rendering: FrameRendering, header: Header) -> Image:
    return array_to_image(rendering.label_image, rendering.settings.labels_encoding, header)


def _confidence(rendering: FrameRendering, header: Header) -> Image:
    encoding = rendering.settings.confidence_encoding
    return array_to_image(rendering.confidence_image, encoding, header)


def _camera_info(rendering: FrameRendering, header: Header) -> CameraInfo:
    """Return the camera of the outputs' images, at their size."""
    lens = rendering.segmented.lens
    return camera_to_info(rendering.camera, header, lens.model, lens.coefficients)
