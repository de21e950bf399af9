"""The node's publishers, and what each of them sends."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from fafnet_core.labels import LabelMapping, LabelSet
from fafnet_core.labels.files import groups_of
from fafnet_core.labels.mappings import chosen_mapping
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
        self.publisher.publish(self.make(rendering, header))


class Outputs:
    """The node's publishers of images, masks, clouds and the label set.

    Frames may be published from one thread while another calls the rest. A frame goes out as the
    settings were before a change or as they are after it, in all its topics.

    Args:
        node: whose publishers they are.
        label_set: the classes of the frames; what goes out is of others with `label_map`.
    """

    def __init__(self, node: LifecycleNode, label_set: LabelSet) -> None:
        self._node = node
        self._found_set = label_set
        self._settings = OutputSettings()
        self._mapping: LabelMapping | None = None
        # The `label_map` that was read last, and what it says.
        self._read: tuple[str, LabelMapping | None] = ("", None)
        self._legend = Legend(node, label_set)
        self._clouds = PointClouds(label_set)
        image = partial(self._create, Image)
        self._frames = (
            image("labels", _labels),
            self._create(CameraInfo, "camera_info", _camera_info, needs_labels=False),
            image("hha", _image("rgb8", lambda r: r.hha), needs_labels=False),
            image("color", _image("rgb8", lambda r: r.colour)),
            image("overlay", _image("rgb8", lambda r: r.overlay)),
            image("confidence", _confidence),
            self._create(PointCloud2, "points", lambda r, header: self._clouds.message(r, header)),
        )
        self._masks: dict[str, _Output] = {}  # by topic
        self._going_out = threading.Lock()

    @property
    def label_set(self) -> LabelSet:
        """The classes of what is published."""
        return _of(self._mapping, self._found_set)

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
        """Refuse a mapping that does not fit, and classes and groups that are not published.

        A file that `label_map` names is read where it is another than before, or where the same
        settings are given once more.

        Raises:
            ValueError: no such mapping, an unknown class or group, or too many masks.
        """
        if settings.label_map != self._settings.label_map or settings == self._settings:
            self._read = settings.label_map, self._mapping_of(settings.label_map)
        _check_names(settings, _of(self._chosen(settings), self._found_set))

    def _mapping_of(self, label_map: str) -> LabelMapping | None:
        if not label_map:
            return None
        try:
            return chosen_mapping(self._found_set, label_map)
        except (ValueError, OSError) as error:
            raise ValueError(f"label_map: {error}") from error

    def _chosen(self, settings: OutputSettings) -> LabelMapping | None:
        """Return the mapping of settings that were checked."""
        label_map, mapping = self._read
        return mapping if label_map == settings.label_map else self._mapping

    def apply(self, settings: OutputSettings) -> None:
        """Take settings: from the next frame on it is published as they say.

        Call it when the node is configured and when settings change, in the thread that makes the
        node's publishers. With other classes their names and colours are published first.

        Raises:
            ValueError: as `check`; nothing is changed.
        """
        if settings.label_map not in (self._read[0], self._settings.label_map):
            self._read = settings.label_map, self._mapping_of(settings.label_map)
        mapping = self._chosen(settings)
        label_set = _of(mapping, self._found_set)
        _check_names(settings, label_set)
        with self._going_out:
            if mapping is not self._mapping:
                self._mapping = mapping
                self._clouds = PointClouds(label_set)
                self._legend.change(label_set)
            self._settings = settings
            before = self._masks
            masks: dict[str, _Output] = {}
            for name in dict.fromkeys(settings.mask_classes):
                topic, make = _mask(label_set, name)
                # Whoever listens to a topic that stays loses nothing.
                there = before.get(topic)
                masks[topic] = (
                    replace(there, make=make) if there else self._create_mask(topic, make)
                )
            self._masks = masks  # in one step, for who asks what is wanted
            for topic in before.keys() - masks.keys():
                self._node.destroy_lifecycle_publisher(before[topic].publisher)

    def _create_mask(self, topic: str, make: _Make) -> _Output:
        output = self._create(Image, topic, make)
        if self._legend.is_active:
            # Activation enables the publishers that exist; this one is made after it.
            output.publisher.on_activate(None)
        return output

    def publish_label_set(self) -> None:
        """Publish names, colours and legend, for present and later subscribers."""
        self._legend.publish()

    def publish(self, segmented: SegmentedFrame, header: Header) -> None:
        """Publish what somebody subscribes to, under the colour image's own header.

        What needs labels is left out where there are none. Nothing is raised for a context
        that is being shut down.
        """
        with self._going_out:
            found, mapping = segmented.found, self._mapping
            if found is not None and mapping is not None:
                segmented = replace(segmented, found=found.mapped(mapping))
            rendering = FrameRendering(segmented, self._settings)
            try:
                for output in self._all():
                    if output.is_wanted and not (output.needs_labels and found is None):
                        output.publish(rendering, header)
                self._legend.place(segmented.frame.camera, header.frame_id)
            except Exception:
                if self._node.context.ok():
                    raise


def _of(mapping: LabelMapping | None, label_set: LabelSet) -> LabelSet:
    """Return the classes after a mapping."""
    return label_set if mapping is None else mapping.result_set


def _check_names(settings: OutputSettings, label_set: LabelSet) -> None:
    names = label_set.names
    known = {"mask_classes": (*names, *groups_of(label_set)), "points_classes": names}
    for parameter, allowed in known.items():
        for name in getattr(settings, parameter):
            if name not in allowed:
                text = f"{parameter}: {unknown_name('class', name, allowed)}"
                if settings.label_map:
                    text += (
                        f" (label_map is '{settings.label_map}', so classes are those of"
                        f" '{label_set.name}'; what has to change together is set by one"
                        " set_parameters_atomically)"
                    )
                raise ValueError(text)
    if len(set(settings.mask_classes)) > MAX_MASKS:
        raise ValueError(
            f"mask_classes has {len(set(settings.mask_classes))} classes; at most {MAX_MASKS}"
            " have a topic of their own: take them out of ~/labels"
        )


def _mask(label_set: LabelSet, name: str) -> tuple[str, _Make]:
    """Return the topic of a class's or a group's mask, and what makes its messages."""
    names = label_set.names
    is_class = name in names  # it comes before a group of its name
    members = (name,) if is_class else groups_of(label_set)[name]
    ids = [names.index(member) for member in members]
    topic = mask_topic(label_set, ids[0]) if is_class else group_topic(label_set, name)
    return f"mask/{topic}", _image("mono8", lambda rendering: rendering.mask(*ids))


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
