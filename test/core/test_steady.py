"""Steady labels: scores carried from frame to frame by depth and the camera's motion."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_network import small_network

from fafnet_core import save_checkpoint
from fafnet_core.camera import Camera
from fafnet_core.cli.main import main
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import HHAStreamConfig
from fafnet_core.inference import Segmenter
from fafnet_core.inference.odometry import STANDS_STILL, CameraPose, RgbdOdometry
from fafnet_core.inference.steady import TemporalFusion, View
from fafnet_core.rooms import Tour, pinhole, render

CAMERA = Camera(fx=40.0, fy=40.0, cx=31.5, cy=23.5, width=64, height=48)
SHAPE = (3, 12, 16)


def view(depth_m: float | NDArray[np.float32] = 2.0, shift_m: float = 0.0, chain: int = 0) -> View:
    """A wall seen by a camera that was moved to the right."""
    matrix = np.eye(4)
    matrix[0, 3] = shift_m
    depth = np.broadcast_to(np.float32(depth_m), CAMERA.size)
    return View(depth, CAMERA, CameraPose(matrix, chain))


def noise(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def test_the_first_frame_stays_as_it_is_and_a_still_camera_averages_them_all() -> None:
    fusion = TemporalFusion()
    frames = [noise(i) for i in range(4)]
    for count, frame in enumerate(frames, 1):
        fused = fusion.fuse(frame, view())
        np.testing.assert_allclose(fused, np.mean(frames[:count], axis=0), atol=1e-5)


def test_the_past_weighs_four_frames_at_most() -> None:
    fusion = TemporalFusion()
    for _ in range(20):
        fusion.fuse(np.zeros(SHAPE, np.float32), view())
    for step in range(1, 4):
        fused = fusion.fuse(np.ones(SHAPE, np.float32), view())
        np.testing.assert_allclose(fused, 1 - 0.8**step, atol=1e-5)


def test_a_known_shift_is_undone() -> None:
    # A map's entry is 63 / 15 = 4.2 pixels, at 2 m and f = 40 px that is 0.21 m of the wall.
    fusion, scores = TemporalFusion(), noise(1)
    fusion.fuse(scores, view())
    moved = np.roll(scores, -1, axis=2)
    fused = fusion.fuse(moved, view(shift_m=0.21))
    # Equal scores of equal places: their mean is what each was. The new column has no past.
    np.testing.assert_allclose(fused, moved, atol=1e-4)


def test_what_came_into_view_or_stands_elsewhere_has_no_past() -> None:
    fusion, new = TemporalFusion(), np.full(SHAPE, 3, np.float32)
    fusion.fuse(np.zeros(SHAPE, np.float32), view())
    depth_m = np.full(CAMERA.size, 2, np.float32)
    depth_m[:, :32] = 1.5  # somebody stepped in
    depth_m[0] = 0  # no depth
    fused = fusion.fuse(new, view(depth_m, shift_m=0.21))
    assert (fused[:, :, :7] == 3).all()
    assert (fused[:, 0] == 3).all()
    assert (fused[:, :, -1] == 3).all()
    np.testing.assert_allclose(fused[:, 1:, 8:-1], 1.5, atol=1e-5)


@pytest.mark.parametrize("nothing", [0.0, np.nan, np.inf])
def test_without_depth_or_in_another_chain_each_frame_is_by_itself(nothing: float) -> None:
    fusion = TemporalFusion()
    for seed in range(3):
        assert (fusion.fuse(noise(seed), view(nothing)) == noise(seed)).all()
    fusion.fuse(noise(5), view())
    assert (fusion.fuse(noise(6), view(chain=1)) == noise(6)).all()
    other = noise(7)[:, :6, :8]  # another size of the network's input
    assert (fusion.fuse(other, view()) == other).all()


def test_odometry_finds_the_motion_of_a_walk() -> None:
    tour, camera = Tour.of(5), pinhole(320, 240)
    odometry, poses, truth = RgbdOdometry(), [], []
    for phase in np.linspace(0, 0.12, 13):
        pose = tour.pose(float(phase))
        seen = render(tour.room.scene, camera, pose)
        poses.append(odometry.update(seen.rgb, seen.depth_m, camera))
        truth.append(pose)
    assert len({pose.chain for pose in poses}) == 1
    length = sum(float(np.linalg.norm(b.position - a.position)) for a, b in pairwise(truth))
    moved = truth[0].axes @ (truth[-1].position - truth[0].position)
    found = poses[-1].to(poses[0])
    assert found is not None
    assert length > 0.1
    assert np.linalg.norm(found[:3, 3] - moved) < 0.15 * length
    turned = truth[0].axes @ truth[-1].axes.T
    apart = np.degrees(np.arccos((np.trace(found[:3, :3] @ turned.T) - 1) / 2))
    assert apart < 0.5


def test_odometry_starts_again_where_it_sees_nothing_to_follow() -> None:
    odometry, camera = RgbdOdometry(), pinhole(64, 48)
    grey = np.full((48, 64, 3), 90, np.uint8)
    depth_m = np.ones((48, 64), np.float32)
    first, second = (odometry.update(grey, depth_m, camera) for _ in range(2))
    assert first.chain != second.chain
    assert second.to(first) is None


def walk(frames: int) -> list[RgbdFrame]:
    """A camera that goes round a little in a room, with noise of its own in each image."""
    tour, camera = Tour.of(4), pinhole(160, 120)
    rng = np.random.default_rng(0)
    found = []
    for index in range(frames):
        seen = render(tour.room.scene, camera, tour.pose(index / 200))
        rgb = np.clip(seen.rgb + rng.normal(0, 12, seen.rgb.shape), 0, 255).astype(np.uint8)
        found.append(RgbdFrame(rgb=rgb, depth_m=seen.depth_m, camera=camera))
    return found


def flicker(segmenter: Segmenter, frames: list[RgbdFrame]) -> float:
    """Share of the pixels that change from frame to frame, the motion included."""
    labels = [segmenter.segment_frame(frame).labels for frame in frames]
    return float(np.mean([(a != b).mean() for a, b in pairwise(labels)]))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.of_model(small_network(40, batches=10), runtime="torch", device="cpu")


def test_a_walk_flickers_less(segmenter: Segmenter) -> None:
    frames = walk(10)
    by_itself = flicker(segmenter.following(), frames)
    assert by_itself > 0.02
    assert flicker(segmenter.following(temporal="camera"), frames) < 0.7 * by_itself


def test_a_still_camera_ends_with_one_picture(segmenter: Segmenter) -> None:
    (frame,) = walk(1)
    each_by_itself = HHAStreamConfig(smoothing_s=0)
    steady = segmenter.following(each_by_itself, temporal="fixed")
    wanted = segmenter.following(each_by_itself).segment_frame(frame)
    for _ in range(3):
        found = steady.segment_frame(frame)
        assert (found.labels == wanted.labels).mean() > 0.999
        assert set(found.seconds) == {"hha", "odometry", "network"}
    assert STANDS_STILL.update(frame.rgb, frame.depth_m, frame.camera).chain == 0


def test_the_segmenter_itself_and_others_that_follow_remember_nothing(segmenter: Segmenter) -> None:
    frames = walk(3)
    steady = segmenter.following(temporal="camera")
    for frame in frames:
        steady.segment_frame(frame)
    alone = segmenter.segment_frame(frames[0]).labels
    fresh = segmenter.following(temporal="camera").segment_frame(frames[0]).labels
    assert (fresh == segmenter.following().segment_frame(frames[0]).labels).all()
    assert (alone == segmenter.segment_frame(frames[0]).labels).all()


def test_another_runtime_goes_on_with_the_frames_before(segmenter: Segmenter) -> None:
    frames, each_by_itself = walk(4), HHAStreamConfig(smoothing_s=0)
    staying = segmenter.following(each_by_itself, temporal="camera")
    moving = segmenter.following(each_by_itself, temporal="camera")
    other = Segmenter.of_model(segmenter.torch.model, runtime="torch", device="cpu")
    for frame in frames[:3]:
        staying.segment_frame(frame)
        moving.segment_frame(frame)
    moved = moving.moved_to(other.runtime)
    assert moved.runtime is other.runtime
    assert moving.runtime is segmenter.runtime
    wanted = staying.segment_frame(frames[3]).labels
    assert (moved.segment_frame(frames[3]).labels == wanted).mean() > 0.999
    alone = segmenter.following(each_by_itself).segment_frame(frames[3]).labels
    assert (alone == wanted).mean() < 0.999


def test_a_file_that_gives_labels_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library)
    net = tmp_path / "net.safetensors"
    save_checkpoint(net, small_network(40, batches=2), input_size=(48, 64))
    for outputs in ("labels", "logits"):
        out = tmp_path / f"{outputs}.onnx"
        assert main(["export", str(net), str(out), "--outputs", outputs]) == 0
    labels = Segmenter.from_checkpoint(tmp_path / "labels.onnx", precision="float32")
    with pytest.raises(ValueError, match="--outputs logits, or set temporal to none"):
        labels.following(temporal="camera")
    logits = Segmenter.from_checkpoint(tmp_path / "logits.onnx", precision="float32")
    steady = logits.following(temporal="fixed")
    for frame in walk(2):
        assert steady.segment_frame(frame).labels.shape == (120, 160)
