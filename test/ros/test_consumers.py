"""`for:=<consumer>`: what Nav2, Hydra, nvblox and RTAB-Map read of the outputs, field by field.

What each reads is said in docs/robots.md, with the source. Their code is C++ that is not here:
these tests read the messages as it does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import PROJECT, Ros
from output_frames import frame
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from fafnet_core.labels import NYU40
from fafnet_core.resampling import sampled
from fafnet_ros.outputs import POINT, TOPICS, FrameRendering, OutputSettings
from fafnet_ros.outputs.consumers import Consumer, read_consumers

CONSUMERS = read_consumers(PROJECT / "config" / "consumers.yaml")
SIZE = (48, 64)


def written(consumer: Consumer) -> dict[str, Any]:
    """Parameters as a command line has them."""
    return {name: str(value).replace("'", "") for name, value in consumer.parameters.items()}


def start(ros: Ros, consumer: Consumer, **parameters: Any) -> None:
    remap = {f"~/{topic}": name for topic, name in consumer.topics.items()}
    ros.start("segment_node", remap=remap, **{**written(consumer), **parameters})
    ros.start("synthetic_camera", width=128, height=96, frames=4, rate=3.0)


def same_moment(ros: Ros, *received: list[Any]) -> list[Any]:
    """One message of each list, all of one stamp."""
    found: list[Any] = []

    def complete() -> bool:
        for first in received[0]:
            stamp = first.header.stamp
            of = [next((m for m in each if m.header.stamp == stamp), None) for each in received]
            if all(of):
                found[:] = of
                return True
        return False

    ros.wait_for(complete, "messages of one stamp")
    return found


@pytest.mark.parametrize("name", CONSUMERS)
def test_what_a_consumer_sets_is_there_to_set(name: str) -> None:
    consumer = CONSUMERS[name]
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in consumer.parameters.items()
    }
    settings = OutputSettings(**values)
    known = {*TOPICS, *(f"mask/{c.replace(' ', '_')}" for c in settings.mask_classes)}
    assert set(consumer.topics) <= known
    assert set(settings.mask_classes) <= set(NYU40.names)


def test_nav2_gets_mask_confidence_and_cloud_pixel_for_pixel(ros: Ros) -> None:
    # As its layer subscribes: what it does not get in time it does without.
    kinds = {"labels": Image, "confidence": Image, "points": PointCloud2, "camera_info": CameraInfo}
    received = [ros.collect(k, f"fafnet/{t}", qos_profile_sensor_data) for t, k in kinds.items()]
    start(ros, CONSUMERS["nav2"], confidence_threshold=0.05)
    mask, confidence, cloud, info = same_moment(ros, *received)
    pixels = SIZE[0] * SIZE[1]
    for image in (mask, confidence):
        # It reads bytes, and asks for neither encoding nor step.
        assert (image.encoding, image.height, image.width) == ("mono8", *SIZE)
        assert len(image.data) == image.step * image.height == pixels
    assert (cloud.height, cloud.width, len(cloud.data)) == (*SIZE, pixels * POINT.itemsize)
    assert cloud.header == mask.header == confidence.header
    points = np.frombuffer(cloud.data, POINT).reshape(SIZE)
    labels = np.frombuffer(mask.data, np.uint8).reshape(SIZE)
    np.testing.assert_array_equal(points["label"], labels)
    levels = np.frombuffer(confidence.data, np.uint8).reshape(SIZE)
    assert np.abs(255 * points["confidence"] - levels).max() <= 0.5
    seen = np.isfinite(points["z"])
    assert seen.mean() > 0.5
    # A pixel without a label would win a tile and cost nothing.
    assert not seen[labels == NYU40.ignore_index].any()
    rows, columns = np.indices(SIZE)
    u = info.k[0] * points["x"] / points["z"] + info.k[2]
    v = info.k[4] * points["y"] / points["z"] + info.k[5]
    # A point is that of the pixel of the whole image which lies under the mask's pixel.
    assert np.abs(u - columns)[seen].max() <= 0.5
    assert np.abs(v - rows)[seen].max() <= 0.5


def test_nav2s_file_has_every_class_once() -> None:
    path = PROJECT / "config" / "nav2_costmap.yaml"
    costmap = yaml.safe_load(path.read_text())["local_costmap"]["local_costmap"]["ros__parameters"]
    layer = costmap["semantic_layer"]
    source = layer[layer["observation_sources"]]
    types = [source[name] for name in source["class_types"]]
    classes = [name for kind in types for name in kind["classes"]]
    # A class of LabelInfo that stands nowhere is an error of the layer, which drops it.
    assert sorted(classes) == sorted([*NYU40.names, "unlabelled"])
    keys = {
        *("classes", "base_cost", "max_cost", "mark_confidence"),
        *("samples_to_max_cost", "dominant_priority"),
    }
    assert all(set(kind) == keys for kind in types)
    # Topics of a node without a namespace.
    read = [source[f"{kind}_topic"] for kind in ("segmentation", "confidence", "pointcloud")]
    assert read == ["/fafnet/labels", "/fafnet/confidence", "/fafnet/points"]


def test_hydra_gets_signed_labels_of_which_minus_1_is_none(ros: Ros) -> None:
    labels = ros.collect(Image, "semantic/image_raw")
    colours = ros.collect(Image, "semantic_color/image_raw")
    start(ros, CONSUMERS["hydra"], confidence_threshold=1.0)
    image, colour = same_moment(ros, labels, colours)
    assert (image.encoding, image.height, image.width, image.step) == ("16SC1", 96, 128, 256)
    assert image.is_bigendian == (sys.byteorder == "big")
    assert set(np.frombuffer(image.data, np.int16).tolist()) == {-1}
    assert colour.encoding == "rgb8"


@pytest.mark.parametrize(("encoding", "kind"), [("16SC1", np.int16), ("32SC1", np.int32)])
def test_signed_labels_are_those_of_mono8(encoding: Any, kind: Any) -> None:
    labels = np.arange(192, dtype=np.uint8).reshape(12, 16) % 40
    labels[3, 4] = 255
    rendering = FrameRendering(frame(labels=labels), OutputSettings(labels_encoding=encoding))
    wanted = labels.astype(kind)
    wanted[3, 4] = -1
    assert rendering.label_image.dtype == kind
    np.testing.assert_array_equal(rendering.label_image, wanted)


def test_confidence_in_bytes_is_rounded() -> None:
    confidence = np.linspace(0, 1, 192, dtype=np.float32).reshape(12, 16)
    settings = OutputSettings(confidence_encoding="mono8", output_scale=0.5)
    got = FrameRendering(frame(confidence=confidence), settings).confidence_image
    assert got.dtype == np.uint8
    assert np.abs(255 * sampled(confidence, (6, 8)) - got).max() <= 0.5


def test_nvblox_gets_the_mask_of_people_with_its_camera(ros: Ros) -> None:
    masks = ros.collect(Image, "camera_0/mask/image", qos_profile_sensor_data)
    infos = ros.collect(CameraInfo, "camera_0/mask/camera_info", qos_profile_sensor_data)
    start(ros, CONSUMERS["nvblox"])
    mask, info = same_moment(ros, masks, infos)
    # Rows are taken as packed; every pixel but 0 is a person.
    assert (mask.encoding, mask.step, len(mask.data)) == ("mono8", 128, 128 * 96)
    assert (info.width, info.height) == (mask.width, mask.height) == (128, 96)
    assert set(bytes(mask.data)) <= {0, 255}


def test_a_consumer_file_with_a_mistake_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "consumers.yaml"
    file.write_text("mine:\n  parameters: {}\n  topic: {labels: mine}\n")
    with pytest.raises(ValueError, match=r"consumers.yaml.*3.*topic.*topics"):
        read_consumers(file)


FOXGLOVE = json.loads((PROJECT / "config" / "foxglove.json").read_text())
KINDS = {
    "imageTopic": "sensor_msgs/msg/Image",
    "calibrationTopic": "sensor_msgs/msg/CameraInfo",
    "topicToRender": "diagnostic_msgs/msg/DiagnosticArray",
}
"""The keys of its panels that name a topic."""


def panels(layout: Any) -> list[str]:
    """The panels of a layout: one, or two beside or above each other."""
    if isinstance(layout, str):
        return [layout]
    assert layout["direction"] in ("row", "column")
    return panels(layout["first"]) + panels(layout["second"])


def test_foxgloves_layout_has_every_panel_once() -> None:
    shown = panels(FOXGLOVE["layout"])
    for panel in list(shown):
        for tab in FOXGLOVE["configById"][panel].get("tabs", []):
            shown += panels(tab["layout"])
    assert sorted(shown) == sorted(FOXGLOVE["configById"])
    assert {panel.split("!")[0] for panel in shown} == {"3D", "DiagnosticSummary", "Image", "Tab"}


def test_foxglove_finds_every_topic_and_a_cloud_in_the_colours_of_the_labels(ros: Ros) -> None:
    wanted = {
        "/fafnet/points": "sensor_msgs/msg/PointCloud2",
        "/fafnet/legend_markers": "visualization_msgs/msg/MarkerArray",
    }
    for panel in FOXGLOVE["configById"].values():
        places = panel | panel.get("imageMode", {})
        wanted |= {places[key]: kind for key, kind in KINDS.items() if key in places}
    topics = FOXGLOVE["configById"]["3D!points"]["topics"]
    assert set(topics) <= set(wanted)
    clouds = ros.collect(PointCloud2, "fafnet/points")
    start(ros, CONSUMERS["foxglove"])

    def lacking() -> set[tuple[str, str]]:
        there = dict(ros.node.get_topic_names_and_types())
        return {(name, kind) for name, kind in wanted.items() if kind not in there.get(name, [])}

    ros.wait_for(lambda: not lacking(), "all topics of the layout")
    ros.wait_for(lambda: clouds, "a cloud")
    points = np.frombuffer(clouds[0].data, POINT)
    field = topics["/fafnet/points"]["colorField"]
    palette = np.array([*NYU40.palette, (0, 0, 0)]) @ (1 << 16, 1 << 8, 1)
    shown = palette[np.minimum(points["label"], len(NYU40))]
    np.testing.assert_array_equal(points[field], shown)
