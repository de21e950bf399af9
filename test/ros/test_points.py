"""The cloud of `~/points`: every field against its exact value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from output_frames import CAMERA, HEIGHT, WIDTH, frame
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from fafnet_core.labels import NYU40
from fafnet_core.resampling import sampled
from fafnet_ros.outputs import POINT, FrameRendering, OutputSettings, PointClouds, SegmentedFrame


def cloud(result: SegmentedFrame | None = None, **settings: Any) -> PointCloud2:
    rendering = FrameRendering(result or frame(), OutputSettings(**settings))
    return PointClouds(NYU40).message(rendering, Header(frame_id="optical"))


def points(message: PointCloud2) -> Any:
    """The points as NumPy reads them by the message's own fields, (height, width)."""
    kinds = {PointField.FLOAT32: np.float32, PointField.UINT32: np.uint32}
    layout = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [kinds[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    assert message.row_step == message.width * message.point_step
    assert len(message.data) == message.height * message.row_step
    return np.frombuffer(message.data, layout).reshape(message.height, message.width)


def expected_xyz(stride: int = 1) -> Any:
    """Of the plane at 2 m, in float32, (h, w, 3)."""
    v, u = np.mgrid[0:HEIGHT:stride, 0:WIDTH:stride]
    fx, fy, cx, cy = CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy
    x, y = ((u - cx) / fx).astype(np.float32), ((v - cy) / fy).astype(np.float32)
    return np.stack([2 * x, 2 * y, np.full(x.shape, 2, np.float32)], axis=2)


def xyz(of: Any) -> Any:
    return np.stack([of["x"], of["y"], of["z"]], axis=-1)


@pytest.mark.parametrize("organized", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_plane_has_the_exact_points_of_its_pixels(organized: bool, stride: int) -> None:
    message = cloud(points_organized=organized, points_stride=stride)
    wanted = expected_xyz(stride)
    height, width = wanted.shape[:2]
    assert (message.height, message.width) == (
        (height, width) if organized else (1, height * width)
    )
    got = points(message)
    np.testing.assert_array_equal(xyz(got).reshape(-1, 3), wanted.reshape(-1, 3))
    result = frame()
    every = (slice(None, None, stride),) * 2
    assert result.found is not None
    np.testing.assert_array_equal(got["label"].ravel(), result.found.labels[every].ravel())
    confidence = result.found.confidence[every]
    np.testing.assert_array_equal(got["confidence"].ravel(), confidence.ravel())
    assert message.header.frame_id == "optical"
    assert message.is_dense == (not organized)


def test_fields_are_those_that_rviz_and_pcl_read_in_place() -> None:
    message = cloud(points_organized=True)
    float32, uint32 = PointField.FLOAT32, PointField.UINT32
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ("x", 0, float32, 1),
        ("y", 4, float32, 1),
        ("z", 8, float32, 1),
        ("rgb", 12, float32, 1),
        ("label", 16, uint32, 1),  # the type of PCL's PointXYZRGBL
        ("confidence", 20, float32, 1),
    ]
    assert POINT.itemsize == message.point_step == 24


def unpacked(of: Any) -> Any:
    """Return colours (N, 3) as RViz and PCL unpack them: 0x00RRGGBB, whatever the byte order."""
    numbers = np.ascontiguousarray(of["rgb"]).ravel().view(np.uint32)
    assert not (numbers >> 24).any()
    return np.stack([numbers >> 16 & 255, numbers >> 8 & 255, numbers & 255], axis=1)


def test_colours_are_those_of_the_image_or_of_the_labels() -> None:
    np.testing.assert_array_equal(unpacked(points(cloud())), frame().frame.rgb.reshape(-1, 3))
    labels = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 40
    labels[0, 0] = 255
    got = unpacked(points(cloud(frame(labels=labels), points_color="label")))
    np.testing.assert_array_equal(got, NYU40.colourise(labels).reshape(-1, 3))
    assert not got[0].any()


HOLES = [(0, 0, 0.0), (1, 3, np.nan), (2, 15, np.inf), (11, 4, -1.0), (5, 5, -np.inf)]


def test_pixels_without_depth_are_nan_in_rows_and_left_out_of_a_list() -> None:
    depth_m = frame().frame.depth_m.copy()
    for row, column, value in HOLES:
        depth_m[row, column] = value
    holes = np.zeros(depth_m.shape, np.bool_)
    holes[tuple(zip(*[hole[:2] for hole in HOLES], strict=True))] = True
    message = cloud(frame(depth_m=depth_m), points_organized=True)
    organised = points(message)
    assert not message.is_dense
    np.testing.assert_array_equal(np.isnan(xyz(organised)).all(axis=2), holes)
    np.testing.assert_array_equal(np.isnan(xyz(organised)).any(axis=2), holes)
    # What is known of such a pixel stays: an organised cloud is also an image.
    assert set(organised["label"][holes].tolist()) == {1, 4}
    unordered = cloud(frame(depth_m=depth_m))
    assert unordered.is_dense
    assert (unordered.height, unordered.width) == (1, HEIGHT * WIDTH - len(HOLES))
    np.testing.assert_array_equal(points(unordered)[0], organised[~holes])


def test_a_frame_without_any_depth_is_an_empty_list() -> None:
    message = cloud(frame(depth_m=np.zeros((HEIGHT, WIDTH), np.float32)))
    assert (message.height, message.width, len(message.data)) == (1, 0, 0)


def test_only_the_wanted_classes_are_there() -> None:
    got = points(cloud(points_classes=("chair",)))
    assert got.shape == (1, HEIGHT * WIDTH // 2)
    assert set(got["label"].ravel().tolist()) == {4}
    organised = points(cloud(points_classes=("chair",), points_organized=True))
    np.testing.assert_array_equal(np.isnan(organised["z"]), organised["label"] == 1)
    both = points(cloud(points_classes=("chair", "floor")))
    assert both.shape == (1, HEIGHT * WIDTH)
    assert points(cloud(points_classes=("wall",))).size == 0


def test_points_below_the_threshold_are_unlabelled_and_of_no_class() -> None:
    got = points(cloud(confidence_threshold=0.5))
    assert set(got["label"].ravel().tolist()) == {1, 255}
    assert got.shape == (1, HEIGHT * WIDTH)
    assert points(cloud(confidence_threshold=0.5, points_classes=("chair",))).size == 0
    # The confidence itself stays, so that others can draw their own line.
    assert got["confidence"][got["label"] == 255].max() == np.float32(0.4)


def test_another_camera_size_or_stride_gives_its_own_points() -> None:
    clouds = PointClouds(NYU40)

    def first(result: SegmentedFrame, **settings: Any) -> Any:
        rendering = FrameRendering(result, OutputSettings(points_organized=True, **settings))
        return clouds.points(rendering)

    np.testing.assert_array_equal(xyz(first(frame())), expected_xyz())
    np.testing.assert_array_equal(xyz(first(frame(), points_stride=3)), expected_xyz(3))
    shifted = xyz(first(frame(camera=replace(CAMERA, cx=CAMERA.cx - 1))))
    np.testing.assert_array_equal(shifted[:, :-1], expected_xyz()[:, 1:])
    np.testing.assert_array_equal(xyz(first(frame())), expected_xyz())


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("scale", [1.0, 0.75, 0.5, 0.3])
def test_a_cloud_lies_on_the_labels_pixel_for_pixel(scale: float, stride: int) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 40, (HEIGHT, WIDTH), np.uint8)
    depth_m = rng.uniform(1, 3, (HEIGHT, WIDTH)).astype(np.float32)
    settings: dict[str, Any] = {"output_scale": scale, "points_stride": stride}
    result = frame(labels=labels, depth_m=depth_m)
    got = points(cloud(result, points_organized=True, **settings))
    rendering = FrameRendering(result, OutputSettings(**settings))
    every = (slice(None, None, stride),) * 2
    np.testing.assert_array_equal(got["label"], rendering.labels[every])
    np.testing.assert_array_equal(got["z"], sampled(depth_m, rendering.size)[every])
    # Each point is where its own pixel of the whole image looks.
    v, u = (sampled(which, rendering.size)[every] for which in np.indices((HEIGHT, WIDTH)))
    fx, fy, cx, cy = CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy
    np.testing.assert_allclose(got["x"], (u - cx) / fx * got["z"], rtol=1e-6)
    np.testing.assert_allclose(got["y"], (v - cy) / fy * got["z"], rtol=1e-6)


def test_pixels_without_a_label_can_be_left_out() -> None:
    weak: dict[str, Any] = {"confidence_threshold": 0.5, "points_unlabelled": False}
    got = points(cloud(**weak))
    assert got.shape == (1, HEIGHT * WIDTH // 2)
    assert set(got["label"].ravel().tolist()) == {1}
    organised = points(cloud(points_organized=True, **weak))
    np.testing.assert_array_equal(np.isnan(organised["z"]), organised["label"] == 255)


def test_a_read_only_view_is_as_good() -> None:
    wide = np.zeros((HEIGHT, WIDTH + 3, 3), np.uint8)
    wide[:, :WIDTH] = frame().frame.rgb
    wide.setflags(write=False)
    got = points(cloud(frame(rgb=wide[:, :WIDTH]), points_organized=True))
    pixels = CAMERA.matrix @ xyz(got).reshape(-1, 3).T
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    np.testing.assert_allclose(pixels[:2] / pixels[2], [u.ravel(), v.ravel()], atol=1e-5)
    np.testing.assert_array_equal(got["rgb"], points(cloud(points_organized=True))["rgb"])
