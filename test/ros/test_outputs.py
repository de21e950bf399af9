"""What the node publishes: exact values, over real DDS, and only while somebody subscribes."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="rclpy is not installed")

import rclpy
from conftest import Ros
from output_frames import CAMERA, HEIGHT, WIDTH, frame, unlabelled
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header, String

from fafnet_core.inference.pictures import class_key
from fafnet_core.labels import NYU40, LabelSet
from fafnet_ros.node.lifecycle import SturdyLifecycleNode
from fafnet_ros.outputs import (
    LATCHED_QOS,
    POINT,
    TOPICS,
    FrameRendering,
    Lens,
    Outputs,
    OutputSettings,
)
from fafnet_ros.outputs.legend import markers
from fafnet_ros.outputs.publishers import MAX_MASKS, group_topic, mask_topic

CHAIR = np.s_[:, WIDTH // 2 :]


def header(frame_id: str = "optical") -> Header:
    message = Header(frame_id=frame_id)
    message.stamp.sec, message.stamp.nanosec = 7, 250_000_000
    return message


def pixels(image: Image) -> NDArray[Any]:
    dtype, channels = {"mono8": ("u1", 1), "rgb8": ("u1", 3), "32FC1": ("f4", 1)}[image.encoding]
    shape = (image.height, image.width, channels)[: 2 + (channels > 1)]
    return np.frombuffer(image.data, dtype).reshape(shape)


@dataclass(frozen=True)
class CountingLabelSet(LabelSet):
    """Counts how often somebody wants colours."""

    asked: list[int] = field(default_factory=list)

    def colourise(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.asked.append(labels.size)
        return super().colourise(labels)


class Publishing(SturdyLifecycleNode):
    """A lifecycle node that has outputs and nothing else."""

    def __init__(self, context: Any, label_set: LabelSet) -> None:
        super().__init__("fafnet", context=context)
        self.outputs = Outputs(self, label_set)
        self.trigger_configure()

    def publisher_count(self) -> int:
        return len(list(self.publishers))

    def is_watched(self, *topics: str) -> bool:
        """Tell whether somebody subscribes to each of these."""
        publishers = {publisher.topic_name: publisher for publisher in self.publishers}
        return all(publishers[f"/fafnet/{t}"].get_subscription_count() for t in topics)


@pytest.fixture
def node(ros: Ros) -> Publishing:
    return made(ros)


def made(ros: Ros, *, active: bool = True, label_set: LabelSet = NYU40) -> Publishing:
    """Return a node in a participant of its own, which ends with the domain."""
    node: Publishing = ros.participant(make=Publishing, label_set=label_set)
    if active:
        node.trigger_activate()
    return node


# The images of a frame


def test_weak_pixels_are_unlabelled_in_every_image() -> None:
    rendering = FrameRendering(
        frame(), OutputSettings(confidence_threshold=0.5, overlay_opacity=1.0)
    )
    assert (rendering.labels[CHAIR] == 255).all()
    assert (rendering.labels[:, : WIDTH // 2] == 1).all()
    assert (rendering.colour[CHAIR] == 0).all()
    np.testing.assert_array_equal(rendering.overlay[CHAIR], frame().frame.rgb[CHAIR])
    np.testing.assert_array_equal(rendering.overlay[0, 0], NYU40.palette[1])
    assert not rendering.mask(4).any()
    np.testing.assert_array_equal(rendering.confidence[CHAIR], np.float32(0.4))
    # The threshold itself is enough; and a label set may have another id for unlabelled.
    label_set = LabelSet("two", ("wall", "floor"), ((1, 1, 1), (2, 2, 2)), ignore_index=2)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    edge = frame(labels=labels, confidence=labels + np.float32(0.7), label_set=label_set)
    for threshold, label in ((0.7, 0), (0.71, 2)):
        found = FrameRendering(edge, OutputSettings(confidence_threshold=threshold)).labels
        assert set(found.ravel().tolist()) == {label}


def under_centres(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The values that lie under the pixels' centres of an image of this size."""
    rows, columns = (
        ((np.arange(count) + 0.5) * whole / count).astype(int)
        for count, whole in zip(size, values.shape[:2], strict=True)
    )
    found: NDArray[Any] = values[rows[:, None], columns]
    return found


@pytest.mark.parametrize("scale", [1.0, 0.75, 0.5, 0.3, 0.05])
def test_scaled_images_hold_values_that_were_there(scale: float) -> None:
    rng = np.random.default_rng(3)
    labels = rng.choice(np.array([0, 7, 39, 255], np.uint8), (HEIGHT, WIDTH))
    # The network saw three quarters of both sides.
    hha = rng.integers(0, 256, (HEIGHT * 3 // 4, WIDTH * 3 // 4, 3), np.uint8)
    result = frame(labels=labels, hha=hha)
    rendering = FrameRendering(result, OutputSettings(output_scale=scale))
    size = max(round(HEIGHT * scale), 1), max(round(WIDTH * scale), 1)
    labels = under_centres(labels, size)
    np.testing.assert_array_equal(rendering.labels, labels)
    np.testing.assert_array_equal(rendering.hha, under_centres(hha, size))
    assert result.found is not None
    confidence = under_centres(result.found.confidence, size)
    np.testing.assert_array_equal(rendering.confidence, confidence)
    np.testing.assert_array_equal(rendering.colour, NYU40.colourise(labels))
    assert rendering.overlay.shape == (*size, 3)
    np.testing.assert_array_equal(rendering.mask(7), 255 * (labels == 7))
    np.testing.assert_array_equal(rendering.mask(7, 4), 255 * np.isin(labels, (7, 4)))


def test_the_picture_under_a_scaled_overlay_is_averaged() -> None:
    rendering = FrameRendering(frame(), OutputSettings(output_scale=0.5, overlay_opacity=0.0))
    blocks = frame().frame.rgb.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).astype(float).mean((1, 3))
    assert np.abs(rendering.overlay - blocks).max() <= 0.5


def test_a_scaled_camera_sees_the_same_directions() -> None:
    half = FrameRendering(frame(), OutputSettings(output_scale=0.5)).camera
    assert half.matrix.tolist() == [[10, 0, 3.5], [0, 12.5, 2.5], [0, 0, 1]]
    # Each axis by its own ratio where the size is rounded.
    odd = FrameRendering(frame(), OutputSettings(output_scale=0.3))
    assert odd.camera == CAMERA.scaled(odd.size)


def test_masks_have_topics_that_ros_allows() -> None:
    names = ("night stand", "TV/monitor", "3d print", "floor", "floor!", "Tür", "??")
    label_set = LabelSet("odd", names, ((0, 0, 0),) * len(names))
    topics = [mask_topic(label_set, index) for index in range(len(names))]
    assert topics == [
        "night_stand", "TV_monitor", "class_2_3d_print", "floor_3", "floor_4", "T_r", "class_6"
    ]  # fmt: skip
    plain = [mask_topic(NYU40, index) for index in range(40)]
    assert plain == [name.replace(" ", "_") for name in NYU40.names]
    assert group_topic(label_set, "can pass") == "can_pass"
    assert group_topic(label_set, "night-stand") == "group_night_stand"
    assert group_topic(label_set, "2 m") == "group_2_m"


# The legend


def test_the_key_has_every_class_in_its_colour() -> None:
    key = class_key(NYU40)
    shown = {tuple(colour) for colour in np.unique(key.reshape(-1, 3), axis=0).tolist()}
    assert set(NYU40.palette) | {(0, 0, 0)} <= shown
    # 41 entries in two columns, and one column where they fit.
    assert key.shape[0] == 8 + 21 * 22
    assert class_key(NYU40, rows=41).shape == (8 + 41 * 22, key.shape[1] // 2, 3)
    long = LabelSet("long", ("a class with a name that goes on and on",), ((9, 9, 9),))
    assert class_key(long).shape[1] > key.shape[1] // 2


def test_markers_stand_beside_the_view_and_apart() -> None:
    pytest.importorskip("visualization_msgs", reason="visualization_msgs is not installed")
    clear, *texts = markers(NYU40, CAMERA, "optical").markers
    assert clear.action == clear.DELETEALL
    assert [text.text for text in texts] == list(NYU40.names)
    assert [text.id for text in texts] == list(range(40))
    right_edge = (WIDTH - 0.5 - CAMERA.cx) / CAMERA.fx
    top, bottom = ((edge - 0.5 - CAMERA.cy) / CAMERA.fy for edge in (0, HEIGHT))
    boxes = []
    for text, colour in zip(texts, NYU40.palette, strict=True):
        assert (text.type, text.action) == (text.TEXT_VIEW_FACING, text.ADD)
        assert (text.header.frame_id, text.header.stamp.sec) == ("optical", 0)
        shown = [text.color.r, text.color.g, text.color.b]
        np.testing.assert_allclose(shown, np.array(colour) / 255, atol=1e-7)
        assert text.color.a == 1
        half_width = 0.3 * text.scale.z * len(text.text)
        position = text.pose.position
        assert position.z == 1
        boxes.append(
            (position.x - half_width, position.x + half_width,
             position.y - text.scale.z / 2, position.y + text.scale.z / 2)
        )  # fmt: skip
    for i, (left, right, above, below) in enumerate(boxes):
        assert left > right_edge
        assert top <= above < below <= bottom
        for other in boxes[:i]:
            assert left > other[1] or right < other[0] or above > other[3] or below < other[2]


def test_legend_and_names_reach_those_who_come_late(ros: Ros, node: Publishing) -> None:
    node.outputs.publish_label_set()
    names = ros.collect(String, "fafnet/label_names", LATCHED_QOS)
    pictures = ros.collect(Image, "fafnet/legend", LATCHED_QOS)
    ros.wait_for(lambda: names and pictures, "names and legend")
    assert json.loads(names[0].data)["names"] == list(NYU40.names)
    np.testing.assert_array_equal(pixels(pictures[0]), class_key(NYU40))
    assert not node.outputs.wanted  # nobody needs a frame for this


def test_markers_come_with_the_first_frame_and_with_another_camera(
    ros: Ros, node: Publishing
) -> None:
    messages = pytest.importorskip(
        "visualization_msgs.msg", reason="visualization_msgs is not installed"
    )
    outputs = node.outputs
    outputs.publish_label_set()
    arrays = ros.collect(messages.MarkerArray, "fafnet/legend_markers", LATCHED_QOS)
    ros.wait_for(lambda: outputs.wanted, "the subscription")
    assert not outputs.wants_labels
    result = unlabelled()
    for _ in range(3):
        outputs.publish(result, header("left"))
    ros.wait_for(lambda: arrays, "markers")
    assert not outputs.wanted  # they are there; no frame is needed any more
    outputs.publish(result, header("right"))
    ros.wait_for(lambda: len(arrays) > 1, "markers of the other camera")
    ros.spin(0.2)
    assert [array.markers[1].header.frame_id for array in arrays] == ["left", "right"]


def test_without_visualization_msgs_all_else_is_there(
    ros: Ros, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Python makes of a package that is not installed.
    monkeypatch.setitem(sys.modules, "visualization_msgs", None)
    monkeypatch.setitem(sys.modules, "visualization_msgs.msg", None)
    node = made(ros)
    topics = {publisher.topic_name for publisher in node.publishers}
    expected = {f"/fafnet/{topic}" for topic in (*TOPICS, "label_names")}
    assert expected - topics == {"/fafnet/legend_markers"}
    pictures = ros.collect(Image, "fafnet/legend", LATCHED_QOS)
    node.outputs.publish_label_set()
    node.outputs.publish(frame(), header())
    ros.wait_for(lambda: pictures, "the legend")


# Over DDS


def test_every_topic_carries_the_images_of_the_frame(ros: Ros, node: Publishing) -> None:
    settings = OutputSettings(output_scale=0.5, confidence_threshold=0.5)
    kinds = {"camera_info": CameraInfo, "points": PointCloud2}
    per_frame = [topic for topic in TOPICS if not topic.startswith("legend")]
    received = {
        topic: ros.collect(kinds.get(topic, Image), f"fafnet/{topic}") for topic in per_frame
    }
    ros.wait_for(lambda: node.is_watched(*per_frame), "all subscriptions")
    node.outputs.apply(settings)
    result = frame(lens=Lens("rational_polynomial", (0.1, 0.2, 0.3)))
    node.outputs.publish(result, header())
    ros.wait_for(lambda: all(received.values()), "one of each")
    for topic, messages in received.items():
        assert messages[0].header == header(), topic
    rendering = FrameRendering(result, settings)
    for topic, picture in (
        ("labels", rendering.labels),
        ("overlay", rendering.overlay),
        ("color", rendering.colour),
        ("confidence", rendering.confidence),
        ("hha", rendering.hha),
    ):
        np.testing.assert_array_equal(pixels(received[topic][0]), picture)
    info = received["camera_info"][0]
    assert (info.width, info.height) == (WIDTH // 2, HEIGHT // 2)
    assert info.k.tolist() == [10, 0, 3.5, 0, 12.5, 2.5, 0, 0, 1]
    assert info.p.tolist() == [10, 0, 3.5, 0, 0, 12.5, 2.5, 0, 0, 0, 1, 0]
    assert (info.distortion_model, list(info.d)) == ("rational_polynomial", [0.1, 0.2, 0.3])
    assert received["points"][0].width == HEIGHT // 2 * WIDTH // 2


def test_nothing_is_made_that_nobody_subscribes_to(ros: Ros) -> None:
    label_set = CountingLabelSet(NYU40.name, NYU40.names, NYU40.palette)
    node = made(ros, label_set=label_set)
    outputs, result = node.outputs, frame(label_set=label_set)
    label_set.asked.clear()  # the cloud's own table
    assert not outputs.wanted
    outputs.publish(result, header())
    labels = ros.collect(Image, "fafnet/labels")
    ros.wait_for(lambda: outputs.wanted, "the subscription")
    assert outputs.wants_labels
    outputs.publish(result, header())
    ros.wait_for(lambda: labels, "labels")
    assert label_set.asked == []
    # Two images that need the colours; they are made once.
    both = [ros.collect(Image, f"fafnet/{topic}") for topic in ("color", "overlay")]
    ros.wait_for(lambda: node.is_watched("color", "overlay"), "subscriptions")
    outputs.publish(result, header())
    ros.wait_for(lambda: all(both), "both images")
    assert label_set.asked == [HEIGHT * WIDTH]


def test_hha_alone_needs_no_labels(ros: Ros, node: Publishing) -> None:
    hha = ros.collect(Image, "fafnet/hha")
    ros.wait_for(lambda: node.outputs.wanted, "the subscription")
    assert not node.outputs.wants_labels
    # Somebody comes for labels while the frame is on its way, which has none.
    labels = ros.collect(Image, "fafnet/labels")
    ros.wait_for(lambda: node.outputs.wants_labels, "the second subscription")
    node.outputs.publish(unlabelled(), header())
    ros.wait_for(lambda: hha, "HHA")
    ros.spin(0.2)
    assert labels == []


def test_masks_come_and_go_with_the_setting(ros: Ros, node: Publishing) -> None:
    outputs = node.outputs
    before = node.publisher_count()
    settings = OutputSettings(mask_classes=("chair", "night stand", "chair"))
    outputs.apply(settings)
    assert node.publisher_count() == before + 2
    chairs = ros.collect(Image, "fafnet/mask/chair")
    stands = ros.collect(Image, "fafnet/mask/night_stand")
    ros.wait_for(lambda: node.is_watched("mask/chair", "mask/night_stand"), "the subscriptions")
    assert outputs.wants_labels
    outputs.publish(frame(), header())
    ros.wait_for(lambda: chairs and stands, "both masks")
    assert chairs[0].header == header()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[CHAIR] = 255
    np.testing.assert_array_equal(pixels(chairs[0]), expected)
    assert not pixels(stands[0]).any()
    # Whoever listens to a mask that stays loses nothing.
    outputs.apply(OutputSettings(mask_classes=("floor", "chair")))
    assert node.is_watched("mask/chair")
    ros.wait_for(lambda: ros.node.count_publishers("/fafnet/mask/floor") == 1, "the new mask")
    ros.wait_for(lambda: ros.node.count_publishers("/fafnet/mask/night_stand") == 0, "its end")
    outputs.apply(OutputSettings())
    assert node.publisher_count() == before
    assert not outputs.wanted


def test_a_group_of_classes_has_a_mask_too(ros: Ros) -> None:
    # A checkpoint of before knows no groups: those of the set that ships are taken.
    plain = LabelSet(NYU40.name, NYU40.names, NYU40.palette)
    own = LabelSet("own", NYU40.names, NYU40.palette, groups={"seats": ("chair", "sofa")})
    made(ros, label_set=plain).outputs.check(OutputSettings(mask_classes=("traversable",)))
    node = made(ros, label_set=own)
    settings = OutputSettings(mask_classes=("seats",))
    node.outputs.apply(settings)
    seats = ros.collect(Image, "fafnet/mask/seats")
    ros.wait_for(lambda: node.is_watched("mask/seats"), "the subscription")
    node.outputs.publish(frame(), header())
    ros.wait_for(lambda: seats, "the mask")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[CHAIR] = 255
    np.testing.assert_array_equal(pixels(seats[0]), expected)
    with pytest.raises(ValueError, match="points_classes: unknown class 'seats'"):
        node.outputs.check(OutputSettings(points_classes=("seats",)))


OURS = "names: [ground, seat]\ngroups: {traversable: [ground]}\n"


def write_mapping(folder: Path, **classes: str) -> str:
    """Write a mapping of nyu40 to the classes `OURS`, and return its path."""
    (folder / "ours.yaml").write_text(OURS)
    lines = [f"  {name}: {classes.get(name, 'null')}" for name in NYU40.names]
    path = folder / "to-ours.yaml"
    path.write_text("\n".join(["to_set: ours.yaml", "classes:", *lines]))
    return str(path)


def test_other_classes_are_published_from_one_frame_to_the_next(
    ros: Ros, node: Publishing, tmp_path: Path
) -> None:
    outputs, groups = node.outputs, ("traversable",)
    plain = OutputSettings(mask_classes=groups, points_color="label")
    outputs.apply(plain)
    names = ros.collect(String, "fafnet/label_names", LATCHED_QOS)
    topics = ("labels", "color", "confidence", "mask/traversable")
    received = {topic: ros.collect(Image, f"fafnet/{topic}") for topic in topics}
    clouds = ros.collect(PointCloud2, "fafnet/points")
    ros.wait_for(lambda: node.is_watched(*topics, "points"), "the subscriptions")
    mapped = replace(plain, label_map=write_mapping(tmp_path, chair="seat"))
    outputs.check(mapped)
    outputs.apply(mapped)
    assert outputs.label_set.names == ("ground", "seat")
    assert node.is_watched(*topics)  # whoever listened loses nothing
    outputs.publish(frame(), header())
    ros.wait_for(lambda: all([*received.values(), clouds, names]), "one of each")
    labels = np.full((HEIGHT, WIDTH), 255)
    labels[CHAIR] = 1
    np.testing.assert_array_equal(pixels(received["labels"][0]), labels)
    shown = outputs.label_set.colourise(labels.astype(np.uint8))
    np.testing.assert_array_equal(pixels(received["color"][0]), shown)
    found = frame().found
    assert found is not None
    np.testing.assert_array_equal(pixels(received["confidence"][0]), found.confidence)
    assert not pixels(received["mask/traversable"][0]).any()  # floor is no class of ours here
    points = np.frombuffer(clouds[0].data, POINT)
    assert set(points["label"].tolist()) == {1, 255}
    red, green, blue = outputs.label_set.palette[1]
    assert set(points["rgb"][points["label"] == 1].tolist()) == {red << 16 | green << 8 | blue}
    assert json.loads(names[-1].data)["names"] == ["ground", "seat"]
    # The file is another now; given once more, it is read again.
    write_mapping(tmp_path, chair="seat", floor="ground")
    outputs.check(mapped)
    outputs.apply(mapped)
    outputs.publish(frame(), header())
    ros.wait_for(lambda: len(received["mask/traversable"]) == 2, "the second frame")
    np.testing.assert_array_equal(pixels(received["mask/traversable"][1]) == 255, labels == 255)
    # Other settings do not need the file any more.
    (tmp_path / "to-ours.yaml").unlink()
    weaker = replace(mapped, overlay_opacity=0.2)
    outputs.check(weaker)
    outputs.apply(weaker)
    outputs.apply(plain)
    outputs.publish(frame(), header())
    ros.wait_for(lambda: len(received["labels"]) == 3, "the third frame")
    assert set(np.unique(pixels(received["labels"][2])).tolist()) == {1, 4}
    ros.wait_for(lambda: len(names) > 1, "names")
    assert json.loads(names[-1].data)["names"] == list(NYU40.names)


def test_a_mapping_that_does_not_fit_is_refused_and_changes_nothing(
    ros: Ros, node: Publishing, tmp_path: Path
) -> None:
    outputs, path = node.outputs, write_mapping(tmp_path, chair="seat")
    outputs.apply(OutputSettings(mask_classes=("chair",)))
    for changes, message in (
        ({"label_map": "nyu31"}, "label_map: there is no file 'nyu31'; .*: ade20k"),
        ({"label_map": path, "mask_classes": ("chair",)}, "class 'chair'.*classes are those of"),
        ({"label_map": path, "points_classes": ("floor",)}, "points_classes: .*atomically"),
    ):
        for refuse in (outputs.check, outputs.apply):
            with pytest.raises(ValueError, match=message):
                refuse(OutputSettings(**changes))
    assert outputs.label_set is NYU40
    outputs.apply(OutputSettings(mask_classes=("chair",), overlay_opacity=0.1))
    assert outputs.label_set is NYU40
    Path(path).write_text("from_set: sun37\nclasses: {floor mat: floor}\n")
    with pytest.raises(ValueError, match="the mapping is for 'sun37'"):
        outputs.check(OutputSettings(label_map=path))


def test_what_no_label_set_has_is_refused_and_changes_nothing(ros: Ros, node: Publishing) -> None:
    outputs = node.outputs
    outputs.apply(OutputSettings(mask_classes=("chair",)))
    before = node.publisher_count()
    for settings, message in (
        (OutputSettings(mask_classes=("bed", "chiar")), "mask_classes: .*did you mean 'chair'"),
        (OutputSettings(points_classes=("night_stand",)), "points_classes: .*'night stand'"),
    ):
        for refuse in (outputs.check, outputs.apply):
            with pytest.raises(ValueError, match=message):
                refuse(settings)
    outputs.check(OutputSettings(mask_classes=NYU40.names, points_classes=NYU40.names))
    assert node.publisher_count() == before
    names = tuple(f"class {i}" for i in range(MAX_MASKS + 1))
    label_set = LabelSet("many", names, ((1, 2, 3),) * len(names))
    many = made(ros, label_set=label_set)
    with pytest.raises(ValueError, match=f"has {MAX_MASKS + 1} classes; at most {MAX_MASKS}"):
        many.outputs.check(OutputSettings(mask_classes=label_set.names))


def test_an_inactive_node_publishes_nothing_and_its_masks_wake_with_it(ros: Ros) -> None:
    node = made(ros, active=False)
    settings = OutputSettings(mask_classes=("chair",))
    node.outputs.apply(settings)
    received = [ros.collect(Image, f"fafnet/{topic}") for topic in ("labels", "mask/chair")]
    ros.wait_for(lambda: node.outputs.wanted, "the subscription")
    ros.spin(0.2)
    node.outputs.publish(frame(), header())
    ros.spin(0.3)
    assert received == [[], []]
    node.trigger_activate()
    node.outputs.publish(frame(), header())
    ros.wait_for(lambda: all(received), "images of the active node")


def test_made_and_taken_away_many_times_leaves_nothing(ros: Ros) -> None:
    node = made(ros, active=False)
    node.outputs.destroy()
    publishers, entities = node.publisher_count(), len(node._managed_entities)
    for _ in range(30):
        outputs = Outputs(node, NYU40)
        outputs.apply(OutputSettings(mask_classes=("chair", "floor")))
        assert node.publisher_count() > publishers
        outputs.destroy()
        outputs.destroy()  # twice is once
    assert node.publisher_count() == publishers
    assert len(node._managed_entities) == entities

    def topics() -> list[str]:
        mine = ros.node.get_publisher_names_and_types_by_node("fafnet", "/")
        return [name for name, _ in mine if name.startswith("/fafnet/")]

    ros.wait_for(lambda: topics() == ["/fafnet/transition_event"], "the end of all topics")


def test_masks_may_change_while_another_thread_publishes(ros: Ros, node: Publishing) -> None:
    outputs, faults = node.outputs, list[BaseException]()
    ros.collect(Image, "fafnet/mask/chair")
    settings = OutputSettings(mask_classes=("chair", "floor"))
    stop = threading.Event()

    def publish() -> None:
        try:
            while not stop.is_set():
                outputs.publish(frame(), header())
                assert outputs.wants_labels in (True, False)
        except BaseException as fault:
            faults.append(fault)

    worker = threading.Thread(target=publish)
    worker.start()
    for _ in range(50):
        outputs.apply(settings)
        ros.spin(0.002)
        outputs.apply(OutputSettings())
    stop.set()
    worker.join()
    assert faults == []


def test_a_context_that_shuts_down_is_no_fault(ros: Ros, node: Publishing) -> None:
    ros.collect(Image, "fafnet/labels")
    ros.wait_for(lambda: node.outputs.wanted, "the subscription")
    rclpy.shutdown(context=node.context)
    node.outputs.publish(frame(), header())


def test_a_frame_that_cannot_be_shown_is_a_fault(ros: Ros, node: Publishing) -> None:
    ros.collect(Image, "fafnet/confidence")
    ros.wait_for(lambda: node.outputs.wanted, "the subscription")
    wrong: Any = np.zeros((HEIGHT, WIDTH), np.float64)
    with pytest.raises(ValueError, match="float32"):
        node.outputs.publish(frame(confidence=wrong), header())
