"""HHA of a stream: steady, right while the camera turns, itself again after whatever happens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.hha import (
    NO_DEPTH,
    HHAStream,
    HHAStreamConfig,
    encode_hha,
    estimate_gravity,
)

SHAPE = (90, 120)
MATRIX = np.array([[100.0, 0, 59.5], [0, 100.0, 44.5], [0, 0, 1]])
CAMERA = Camera.from_matrix(MATRIX, SHAPE)
STEP_S = 1 / 30
FLOOR_M = 1.4
Image = NDArray[np.float32]
Vector = NDArray[np.float64]
NONE = HHAStreamConfig(smoothing_s=0)


def gravity_of(pitch_deg: float, roll_deg: float = 3.0) -> Vector:
    """Down in the frame of a camera that looks down by the pitch and is rolled."""
    pitch, roll = np.radians((pitch_deg, roll_deg))
    return np.array([np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)])


def room(
    pitch_deg: float = 15.0,
    roll_deg: float = 3.0,
    *,
    seed: int = 0,
    noise: float = 0.002,
    names: tuple[str, ...] = ("floor", "left", "right", "back"),
) -> Image:
    """A floor, two walls and a back, under a camera at 1.4 m, with noise in inverse depth."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    u, v = (x - CAMERA.cx) / CAMERA.fx, (y - CAMERA.cy) / CAMERA.fy
    pitch, roll = np.radians((pitch_deg, roll_deg))
    right = u * np.cos(roll) - v * np.sin(roll)
    below = u * np.sin(roll) + v * np.cos(roll)
    down = below * np.cos(pitch) + np.sin(pitch)
    ahead = np.cos(pitch) - below * np.sin(pitch)
    inverse: dict[str, Vector] = {
        "floor": down / FLOOR_M,
        "left": -right / 1.5,
        "right": right / 2,
        "back": ahead / 3,
    }
    total: Vector = np.max([inverse[name] for name in names], axis=0)
    total += np.random.default_rng(seed).normal(0, noise, SHAPE)
    depth: Image = (1 / np.maximum(total, 0.02)).astype(np.float32)
    return depth


def apart(first: Vector, second: Vector) -> float:
    """Degrees between two unit vectors."""
    return math.degrees(2 * math.asin(min(1.0, float(np.linalg.norm(first - second)) / 2)))


def play(
    stream: HHAStream, image: Callable[[int], Image], count: int, start_s: float = 0
) -> Vector:
    """Encode frames at 30 Hz; return gravity (count, 3)."""
    frames = [
        stream.encode(image(k), CAMERA, stamp_s=start_s + k * STEP_S).gravity for k in range(count)
    ]
    return np.array(frames)


def settled(config: HHAStreamConfig | None = None) -> HHAStream:
    stream = HHAStream(config)
    play(stream, lambda k: room(seed=k), 5)
    return stream


def test_without_smoothing_each_frame_is_one_shot_to_the_last_level() -> None:
    stream = HHAStream(NONE)
    for k in range(4):
        depth = room(5.0 * k, seed=k)
        depth[:20, 30 + k :: 7] = 0
        frame = stream.encode(depth, CAMERA, stamp_s=k * STEP_S)
        np.testing.assert_array_equal(frame.hha, encode_hha(depth, MATRIX))
        np.testing.assert_array_equal(frame.gravity, estimate_gravity(depth, MATRIX))


def test_a_stream_begins_as_one_shot_but_for_the_lowest_points_and_stays_near_that() -> None:
    depth, stream = room(), HHAStream()
    frames = [stream.encode(depth, CAMERA, stamp_s=12 + k * STEP_S) for k in range(40)]
    first, last = frames[0], frames[-1]
    once = encode_hha(depth, MATRIX)
    np.testing.assert_array_equal(first.hha[..., ::2], once[..., ::2])
    np.testing.assert_array_equal(first.gravity, estimate_gravity(depth, MATRIX))
    lower = once[..., 1].astype(int) - first.hha[..., 1]
    assert 0 <= lower.min() <= lower.max() <= 3
    assert first.filled is None
    assert np.abs(last.hha.astype(int) - frames[-2].hha).max() <= 1
    assert apart(last.gravity, frames[-2].gravity) < 0.003
    # The first gravity comes from four times as many normals as the others.
    assert apart(last.gravity, first.gravity) < 0.1
    assert last.ground_m == pytest.approx(first.ground_m, abs=5e-3)


def test_noise_moves_gravity_and_ground_of_a_still_camera_a_fifth_as_much() -> None:
    moves: list[Vector] = []
    for stream in (HHAStream(), HHAStream(NONE)):
        results: list[tuple[float, ...]] = []
        for k in range(30):
            frame = stream.encode(room(seed=k, noise=0.02), CAMERA, stamp_s=k * STEP_S)
            results.append((*frame.gravity, frame.ground_m))
        moves.append(np.diff(results, axis=0))
    steady, raw = moves
    for part in (np.s_[:, :3], np.s_[:, 3:]):
        assert np.linalg.norm(steady[part], axis=1).mean() < 0.2 * (
            np.linalg.norm(raw[part], axis=1).mean()
        )


@pytest.mark.parametrize("every", [1, 6])
def test_gravity_is_within_two_degrees_while_the_camera_turns_at_60_degrees_a_second(
    every: int,
) -> None:
    stream = HHAStream()
    for k in range(0, 48, every):
        time_s = k * STEP_S
        pitch = 10 + 20 * math.sin(3 * time_s)
        frame = stream.encode(room(pitch, seed=k), CAMERA, stamp_s=time_s)
        assert apart(frame.gravity, gravity_of(pitch)) < 2.0


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(-30, 3), (-20, 3), (15, 33), (25, -25)])
def test_a_camera_that_jumps_is_followed_at_the_second_frame_or_after_a_pause_at_once(
    pitch_deg: float, roll_deg: float
) -> None:
    for start_s, frames in ((5 * STEP_S, 2), (30.0, 1)):
        stream = settled()
        found = play(stream, lambda k: room(pitch_deg, roll_deg, seed=k), frames, start_s)
        assert apart(found[-1], gravity_of(pitch_deg, roll_deg)) < 1.0


def test_one_frame_of_another_direction_is_not_followed() -> None:
    stream = settled()
    odd = stream.encode(room(15, 20, seed=9), CAMERA, stamp_s=5 * STEP_S)
    assert apart(odd.gravity, gravity_of(15)) < 0.5
    after = stream.encode(room(15, 3, seed=10), CAMERA, stamp_s=6 * STEP_S)
    assert apart(after.gravity, gravity_of(15)) < 0.5


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("interval_s", [STEP_S, 2.5, 10.0])
def test_a_bare_wall_keeps_the_roll_that_it_says_nothing_of(
    interval_s: float, halved: bool
) -> None:
    stream, once = HHAStream(), 0.0
    for k in range(40):
        depth, camera = room(seed=k), CAMERA
        if k >= 5:
            depth = room(seed=k, names=("back",))
            once = max(once, apart(estimate_gravity(depth, MATRIX), gravity_of(15)))
        if k >= 10 and halved:  # the same view in fewer pixels goes on
            depth, camera = depth[1::2, 1::2], CAMERA.scaled((SHAPE[0] // 2, SHAPE[1] // 2))
        frame = stream.encode(depth, camera, stamp_s=k * interval_s)
        assert frame.hha.shape[:2] == depth.shape
        assert apart(frame.gravity, gravity_of(15)) < 3.0
    assert once > 20


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_later_frames_find_gravity_as_the_first_does_whatever_is_missing(share: float) -> None:
    stream, dust = HHAStream(), np.random.default_rng(3)
    for k in range(60):
        depth = room(seed=k, noise=0.0)
        depth[dust.random(SHAPE) < share] = 0
        frame = stream.encode(depth, CAMERA, stamp_s=k * STEP_S)
        assert apart(frame.gravity, gravity_of(15)) < 0.3


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (3, 3), (7, 4)])
def test_a_stream_of_the_smallest_images_goes_on(shape: tuple[int, int]) -> None:
    stream, depth = HHAStream(), np.full(shape, 2.0, np.float32)
    camera = Camera.from_matrix(MATRIX, shape)
    frames = [stream.encode(depth, camera, stamp_s=k * STEP_S) for k in range(3)]
    np.testing.assert_array_equal(frames[2].hha, frames[0].hha)


@pytest.mark.parametrize("wrong", [(1, 0, 0), (0, -1, 0), (0, 0, 1)])
def test_a_wrong_direction_is_given_up_within_two_seconds(wrong: tuple[float, ...]) -> None:
    stream = HHAStream()
    stream.encode(room(), CAMERA, stamp_s=0.0, gravity=wrong)
    found = play(stream, lambda k: room(seed=k % 4), 60, start_s=STEP_S)
    assert apart(found[-1], gravity_of(15)) < 1.0


def test_a_given_gravity_is_used_as_it_is_and_the_estimate_goes_on_from_it() -> None:
    stream, given = settled(), (0.3, 2.0, -0.4)
    depth = room(seed=7)
    frame = stream.encode(depth, CAMERA, stamp_s=5 * STEP_S, gravity=given)
    unit = np.array(given) / np.linalg.norm(given)
    np.testing.assert_allclose(frame.gravity, unit, rtol=1e-14)
    once = encode_hha(depth, MATRIX, gravity=given)
    np.testing.assert_array_equal(frame.hha[..., ::2], once[..., ::2])
    stream = HHAStream()
    stream.encode(depth, CAMERA, stamp_s=0.0, gravity=gravity_of(16))
    after = stream.encode(depth, CAMERA, stamp_s=STEP_S)
    assert 0.5 < apart(after.gravity, gravity_of(15)) < 1.0  # on its way


def test_frames_without_any_depth_leave_everything_as_it_was() -> None:
    stream, empty = settled(), np.zeros(SHAPE, np.float32)
    before = stream.encode(room(seed=5), CAMERA, stamp_s=5 * STEP_S)
    for k in range(6, 30):
        frame = stream.encode(empty, CAMERA, stamp_s=k * STEP_S)
        assert np.all(frame.hha == NO_DEPTH)
        np.testing.assert_array_equal(frame.gravity, before.gravity)
        assert frame.ground_m == before.ground_m
    after = stream.encode(room(seed=6), CAMERA, stamp_s=30 * STEP_S)
    assert apart(after.gravity, before.gravity) < 0.2


@pytest.mark.parametrize("filled", [False, True])
def test_a_stream_that_begins_without_depth_begins_at_its_first_frame_with_some(
    filled: bool,
) -> None:
    config = HHAStreamConfig(fill_holes=filled)
    stream, fresh, depth = HHAStream(config), HHAStream(config), room(seed=3)
    first = stream.encode(np.zeros(SHAPE, np.float32), CAMERA, stamp_s=0.0)
    assert np.all(first.hha == NO_DEPTH)
    np.testing.assert_array_equal(first.gravity, (0, 1, 0))
    assert first.ground_m == -1.3
    second = stream.encode(depth, CAMERA, stamp_s=STEP_S)
    np.testing.assert_array_equal(second.hha, fresh.encode(depth, CAMERA, stamp_s=0.0).hha)


def begins_anew(stream: HHAStream, depth: Image, stamp_s: float, camera: Camera = CAMERA) -> bool:
    frame = stream.encode(depth, camera, stamp_s=stamp_s)
    first = HHAStream().encode(depth, camera, stamp_s=0.0)
    return frame.ground_m == first.ground_m and np.array_equal(frame.gravity, first.gravity)


def test_it_begins_anew_after_a_reset_a_jump_of_stamps_and_with_another_camera() -> None:
    depth, last = room(17, seed=8), 4 * STEP_S
    assert not begins_anew(settled(), depth, last + STEP_S)
    assert not begins_anew(settled(), depth, last - 0.49)
    assert begins_anew(settled(), depth, last - 0.51)
    assert not begins_anew(settled(), depth, last + 59.99)
    assert begins_anew(settled(), depth, last + 60.01)
    assert begins_anew(settled(), depth, last - 60.0)
    assert not begins_anew(settled(), depth, last + STEP_S, replace(CAMERA, cx=59.5 + 0.0009 * 120))
    assert begins_anew(settled(), depth, last + STEP_S, replace(CAMERA, cx=59.5 + 0.0011 * 120))
    assert begins_anew(settled(), depth, last + STEP_S, replace(CAMERA, fx=110.0, fy=110.0))
    smaller = np.ascontiguousarray(depth[:80, :100])
    assert begins_anew(settled(), smaller, last + STEP_S, CAMERA.cropped(0, 0, (80, 100)))
    stream = settled()
    stream.reset()
    assert begins_anew(stream, depth, last + STEP_S)


@pytest.mark.parametrize("step_s", [0.0, -0.001])
def test_stamps_that_stand_still_count_as_30_hz(step_s: float) -> None:
    stuck, usual = HHAStream(), HHAStream()
    for k in range(20):
        depth = room(15 if k < 5 else 16, seed=k)
        first = stuck.encode(depth, CAMERA, stamp_s=k * step_s)
        second = usual.encode(depth, CAMERA, stamp_s=k * STEP_S)
    np.testing.assert_allclose(first.gravity, second.gravity, atol=1e-9)
    assert first.ground_m == pytest.approx(second.ground_m)


def test_filled_holes_have_hha_and_stay_out_of_the_normals() -> None:
    depth = room()
    depth[10:30, 40:70] = np.nan
    frame = HHAStream(HHAStreamConfig(fill_holes=True)).encode(depth, CAMERA, stamp_s=0.0)
    assert frame.filled is not None
    np.testing.assert_array_equal(frame.filled, np.isnan(depth))
    assert np.all(frame.hha[frame.filled][:, 0] > 0)
    plain = HHAStream().encode(depth, CAMERA, stamp_s=0.0)
    np.testing.assert_array_equal(frame.hha[~frame.filled], plain.hha[~frame.filled])
    np.testing.assert_array_equal(frame.gravity, plain.gravity)


def test_a_refused_frame_leaves_the_stream_as_it_was() -> None:
    stream, other = settled(), settled()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (room(), {"stamp_s": math.nan}, "stamp_s"),
        (room(), {"gravity": (0, 0, 0)}, "gravity"),
        (np.ones(SHAPE, np.uint16), {}, "uint16"),
        (room()[None], {}, r"\(1, 90, 120\)"),
        (room() * 1000, {}, "Millimetres"),
    ]
    stream.encode(room(), CAMERA, stamp_s=4.5 * STEP_S).gravity[:] = np.nan  # the caller's own
    other.encode(room(), CAMERA, stamp_s=4.5 * STEP_S)
    for depth, options, message in wrong:
        with pytest.raises(ValueError, match=message):
            stream.encode(depth, CAMERA, **({"stamp_s": 5 * STEP_S} | options))
    frames = [s.encode(room(seed=9), CAMERA, stamp_s=6 * STEP_S) for s in (stream, other)]
    np.testing.assert_array_equal(frames[0].hha, frames[1].hha)


@pytest.mark.parametrize("smoothing_s", [-0.1, math.nan, math.inf])
def test_a_time_constant_that_is_none_is_refused(smoothing_s: float) -> None:
    with pytest.raises(ValueError, match="smoothing_s is"):
        HHAStreamConfig(smoothing_s=smoothing_s)


def test_torch_gives_what_numpy_gives() -> None:
    pytest.importorskip("torch")
    numpy_way, torch_way = HHAStream(), HHAStream(device="cpu")
    for k in range(6):
        depth = room(15 + k, seed=k)
        depth[:10, :30] = 0
        first = numpy_way.encode(depth, CAMERA, stamp_s=k * STEP_S)
        second = torch_way.encode(depth, CAMERA, stamp_s=k * STEP_S)
        assert apart(first.gravity, second.gravity) < 0.05
        assert first.ground_m == pytest.approx(second.ground_m, abs=2e-3)
        assert np.abs(first.hha.astype(int) - second.hha).max() <= 1


def test_a_real_moving_camera_is_steadier(shared_data: Path) -> None:
    folder = shared_data / "kinect-v1-sequence"
    camera = read_camera_file(folder / "camera.yaml")
    moves = []
    for config in (HHAStreamConfig(), NONE):
        stream, results = HHAStream(config), []
        for k in range(10):
            depth = read_depth(folder / "depth" / f"{k:04d}.png", camera.depth_unit_m)
            view = Camera.from_matrix(camera.camera_matrix, depth.shape)
            frame = stream.encode(depth, view, stamp_s=k * STEP_S)
            results.append((*frame.gravity, frame.ground_m))
        # Second differences: a steady turn of the camera is no jitter.
        second = np.diff(results, 2, axis=0)
        moves.append((np.linalg.norm(second[:, :3], axis=1).mean(), np.abs(second[:, 3]).mean()))
        assert apart(frame.gravity, estimate_gravity(depth, camera.camera_matrix)) < 1.0
    (gravity, ground), (raw_gravity, raw_ground) = moves
    assert gravity < raw_gravity / 2
    assert ground < raw_ground / 5
