"""Recordings as drivers and recorders really make them: each kind is read, counted or named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA,
    CAMERA_INFO,
    IMAGE,
    MS,
    START,
    STRING,
    TF,
    Message,
    camera_info,
    image,
    make,
    millimetres,
    room,
    static_transforms,
    transform,
    write_ros2,
)

from fafnet_core.bags import BagError
from fafnet_core.bags.job import BagJob, BagReport, label_bag
from fafnet_core.inference import Segmenter

COLOUR, ALIGNED = "/camera/color/", "/camera/aligned_depth_to_color/"
PERIOD = 33 * MS
DEPTHS_CAMERA = replace(CAMERA, fx=0.6 * CAMERA.fx, fy=0.6 * CAMERA.fy)


@cache
def network() -> Segmenter:
    return Segmenter.from_checkpoint(
        "untrained:fafnet-nano", device="cpu", precision="float32", runtime="torch"
    )


def recording(depth_topic: str = ALIGNED, depth_info: Any = None) -> list[Message]:
    """Two frames of a camera whose driver aligns depth, and a topic that is none of ours."""
    messages = [Message("/talk", STRING, START, make(STRING, data="hello"))]
    for i, seen in enumerate(room()[:2]):
        time = START + i * PERIOD
        depth = image(millimetres(seen.depth_m), "16UC1", time, "camera")
        of_depth = depth_info or camera_info(CAMERA, time)
        messages += [
            Message(f"{COLOUR}camera_info", CAMERA_INFO, time, camera_info(CAMERA, time)),
            Message(f"{COLOUR}image_raw", IMAGE, time, image(seen.rgb, "rgb8", time)),
            Message(f"{depth_topic}camera_info", CAMERA_INFO, time, of_depth),
            Message(f"{depth_topic}image_raw", IMAGE, time, depth),
        ]
    return messages


def label(source: Path, **options: Any) -> BagReport:
    out = source.with_name("out.mcap")
    return label_bag(BagJob(source=source, out=out, overwrite=True, **options), network)


# Registration


@pytest.mark.parametrize(("depth_topic", "registered"), [(ALIGNED, 0), ("/camera/depth/", 2)])
def test_aligned_depth_with_depths_own_matrix_is_taken_as_its_topic_says(
    depth_topic: str, registered: int, tmp_path: Path
) -> None:
    tf = {("base", "camera"): transform((1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))}
    messages = recording(depth_topic, camera_info(DEPTHS_CAMERA, START))
    messages.append(Message("/tf_static", TF, START, static_transforms(tf)))
    report = label(write_ros2(tmp_path / "in.mcap", messages))
    assert report.tally.registered == registered
    [(doubt, count)] = report.tally.doubts.items()
    assert "matri" in doubt
    assert "--registration never" in doubt
    assert count == 2
    settled = label(tmp_path / "in.mcap", registration="never")
    assert (settled.tally.registered, settled.tally.doubts) == (0, {})


def test_a_transform_that_loses_all_depth_is_an_error(tmp_path: Path) -> None:
    tf = {("camera", "depth"): transform((15.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))}
    messages = recording("/camera/depth/", camera_info(DEPTHS_CAMERA, START, "depth"))
    for each in messages:
        if each.topic == "/camera/depth/image_raw":
            each.message.header.frame_id = "depth"
    messages.append(Message("/tf_static", TF, START, static_transforms(tf)))
    source = write_ros2(tmp_path / "in.mcap", messages)
    with pytest.raises(BagError, match=r"left depth in 0\.0 %.*--depth-to-color in metres"):
        label(source)
    assert label(source, registration="never").tally.labelled == 2
