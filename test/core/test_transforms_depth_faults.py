"""Holes, noise and misalignment of depth: how much, where, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.augmentation import (
    DepthFaults,
    TransformConfig,
    add_depth_noise,
    drop_depth,
    drop_depth_edges,
    limit_depth,
    misalign_depth,
)
from fafnet_core.camera import Camera
from fafnet_core.samples import RgbdSample, SampleError

SIZE = HEIGHT, WIDTH = 240, 320  # half the reference width: a pixel here is two there
CAMERA = Camera(fx=260.0, fy=260.0, cx=159.5, cy=119.5, width=WIDTH, height=HEIGHT)


def sample_of(depth_m: NDArray[Any] | float = 2.0) -> RgbdSample:
    rng = np.random.default_rng(0)
    return RgbdSample(
        rgb=rng.integers(0, 256, (*SIZE, 3), np.uint8),
        label=rng.integers(0, 40, SIZE).astype(np.uint8),
        depth_m=np.broadcast_to(depth_m, SIZE).astype(np.float32),
        camera=CAMERA,
        name="room",
    )


def depth_of(sample: RgbdSample) -> NDArray[np.float32]:
    assert sample.depth_m is not None
    return sample.depth_m


def two_walls() -> RgbdSample:
    """2 m left of column 160, 3 m from there on; a hole of 10 x 10 in the left one."""
    depth_m = np.full(SIZE, 2.0)
    depth_m[:, 160:] = 3.0
    depth_m[20:30, 20:30] = 0
    return sample_of(depth_m)


@pytest.mark.parametrize("metres", [0.8, 2.0, 5.0])
def test_noise_grows_with_the_square_of_depth(metres: float) -> None:
    noisy = depth_of(add_depth_noise(sample_of(metres), 0.0014, np.random.default_rng(1)))
    # Noise of one deviation, and rounding to steps of two of them: 1 + 4 / 12.
    expected = 0.0014 * metres**2 * (1 + 4 / 12) ** 0.5
    assert noisy.std() == pytest.approx(expected, rel=0.15)
    assert noisy.mean() == pytest.approx(metres, abs=0.0014 * metres**2)


def test_noisy_disparity_comes_in_steps() -> None:
    noisy = depth_of(add_depth_noise(two_walls(), 0.0014, np.random.default_rng(1)))
    steps = 1 / noisy[noisy > 0] / (2 * 0.0014)
    assert np.abs(steps - steps.round()).max() < 1e-3
    assert len(np.unique(steps.round())) > 5


def test_noise_makes_no_depth_where_there_is_none_and_ends_the_range() -> None:
    depth_m = np.full(SIZE, 1000.0)  # less disparity than half a step
    depth_m[:100] = [0, np.nan, np.inf, -1] * (WIDTH // 4)
    noisy = depth_of(add_depth_noise(sample_of(depth_m), 0.0014, np.random.default_rng(1)))
    assert np.isfinite(noisy).all()
    assert not noisy[:100].any()
    assert 0.2 < (noisy[100:] == 0).mean() < 0.9


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_dropout_takes_the_share_that_was_asked_for(share: float) -> None:
    first, second = (
        depth_of(drop_depth(sample_of(), share, np.random.default_rng(seed))) for seed in (0, 1)
    )
    assert (first == 0).mean() == pytest.approx(share, abs=0.01)
    assert (second == 0).mean() == pytest.approx(share, abs=0.01)
    assert share == 1 or not np.array_equal(first, second)


def test_dropout_comes_in_pieces_not_in_grains() -> None:
    for seed in range(8):
        dropped = depth_of(drop_depth(sample_of(), 0.2, np.random.default_rng(seed)))
        count, _, stats, _ = cv2.connectedComponentsWithStats((dropped == 0).astype(np.uint8))
        assert 1 <= count - 1 <= 150
        assert stats[1:, cv2.CC_STAT_AREA].max() > 100


def test_edges_lose_their_depth_and_the_rest_keeps_it() -> None:
    sample = two_walls()
    dropped = depth_of(drop_depth_edges(sample, 12.0))  # six pixels at this width
    lost = (dropped == 0) & (depth_of(sample) > 0)
    columns = np.flatnonzero(lost.any(axis=0))
    assert lost[:, columns].all()
    assert 5 <= len(columns) <= 8
    assert columns.mean() == pytest.approx(159.5, abs=1)
    # The border of a hole is no depth edge.
    np.testing.assert_array_equal(dropped[:, :150], depth_of(sample)[:, :150])


@pytest.mark.parametrize("width", [640, 320, 160])
def test_a_slanted_floor_has_no_edges_at_any_size(width: int) -> None:
    height = width * 3 // 4
    focal = width * 520 / 640
    floor = 1.4 * focal / (np.arange(height)[:, None] - (height - 1) / 2)
    depth_m = np.where((floor > 0) & (floor < 8), floor, 8.0) * np.ones(width)
    for turned in (depth_m, np.ascontiguousarray(depth_m.T)):
        sample = replace(sample_of(), depth_m=turned.astype(np.float32))
        assert not (depth_of(drop_depth_edges(sample, 12.0)) == 0).any()


def test_noise_makes_no_edges() -> None:
    faults = DepthFaults(TransformConfig(depth_noise=0.003, edge_dropout_px=12))
    for seed in range(4):
        assert depth_of(faults(sample_of(8.0), np.random.default_rng(seed))).all()


def test_a_shift_moves_depth_and_its_mask_but_not_colour_or_labels() -> None:
    rng = np.random.default_rng(0)
    sample = replace(
        sample_of(rng.uniform(1, 5, SIZE)), missing=rng.random(SIZE) < 0.3, hha=sample_of().rgb
    )
    moved = misalign_depth(sample, shift_px=(10, -4))  # 5 to the right and 2 up at this width
    np.testing.assert_array_equal(depth_of(moved)[:-2, 5:], depth_of(sample)[2:, :-5])
    assert not depth_of(moved)[-2:].any()
    assert not depth_of(moved)[:, :5].any()
    assert moved.missing is not None
    assert sample.missing is not None
    assert moved.missing.dtype == np.bool_
    np.testing.assert_array_equal(moved.missing[:-2, 5:], sample.missing[2:, :-5])
    assert moved.rgb is sample.rgb
    assert moved.label is sample.label
    assert moved.hha is None  # to be made from what the depth is now


def test_a_turn_and_a_scale_are_about_the_middle() -> None:
    depth_m = np.full(SIZE, 1.0)
    depth_m[119:121, 200:260] = 2.0  # a bar to the right of the middle
    turned = depth_of(misalign_depth(sample_of(depth_m), turn_deg=90))
    rows, columns = np.nonzero(turned == 2)
    assert (rows.min(), rows.max()) == (160, 219)  # now below it: clockwise
    assert columns.mean() == pytest.approx(159.5, abs=0.6)
    grown = depth_of(misalign_depth(sample_of(depth_m), scale=1.1))
    columns = np.nonzero(grown == 2)[1]
    assert columns.min() == pytest.approx(159.5 + 1.1 * 40, abs=1)
    assert columns.max() == pytest.approx(159.5 + 1.1 * 100, abs=1)


def test_strengths_of_zero_change_nothing() -> None:
    sample, rng = two_walls(), np.random.default_rng(0)
    assert add_depth_noise(sample, 0, rng) is sample
    assert drop_depth(sample, 0, rng) is sample
    assert drop_depth_edges(sample, 0) is sample
    assert misalign_depth(sample) is sample


def test_ready_hha_can_be_moved_and_lose_places_but_has_no_metres() -> None:
    sample = replace(sample_of(), depth_m=None, camera=None)
    sample = replace(sample, hha=np.maximum(sample.rgb, 1))
    assert sample.hha is not None
    moved = misalign_depth(sample, shift_px=(20, 0)).hha
    assert moved is not None
    np.testing.assert_array_equal(moved[:, 10:], sample.hha[:, :-10])
    assert not moved[:, :10].any()
    dropped = drop_depth(sample, 0.3, np.random.default_rng(0)).hha
    assert dropped is not None
    assert (dropped == 0).all(axis=-1).mean() == pytest.approx(0.3, abs=0.01)
    with pytest.raises(SampleError, match="room: noise needs metric depth"):
        add_depth_noise(sample, 0.001, np.random.default_rng(0))
    with pytest.raises(SampleError, match="room: dropout along depth edges needs metric depth"):
        drop_depth_edges(sample, 3)
    with pytest.raises(SampleError, match="room: a limit of depth needs metric depth"):
        limit_depth(sample, 2)


def test_the_sample_given_is_left_as_it_was() -> None:
    sample = two_walls()
    before = depth_of(sample).copy()
    config = TransformConfig(
        depth_dropout=0.5, edge_dropout_px=9, depth_noise=0.01, misalignment_px=20
    )
    changed = DepthFaults(config)(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(depth_of(sample), before)
    assert (depth_of(changed) != before).any()


def test_faults_are_drawn_for_their_share_of_the_samples() -> None:
    faults = DepthFaults(TransformConfig(misalignment_px=40, fault_probability=0.25))
    sample = two_walls()
    changed = [faults(sample, np.random.default_rng(seed)) is not sample for seed in range(200)]
    assert 35 <= sum(changed) <= 65


def test_no_faults_draw_nothing() -> None:
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    sample = two_walls()
    assert DepthFaults(TransformConfig())(sample, rng) is sample
    never = TransformConfig(depth_noise=0.01, fault_probability=0)
    ready = replace(sample, depth_m=None, hha=sample.rgb)
    assert DepthFaults(never)(ready, rng) is ready
    assert rng.random() == untouched.random()


def test_beyond_the_limit_there_is_no_depth() -> None:
    found = depth_of(limit_depth(two_walls(), 2.5))
    assert (found[:, 160:] == 0).all()
    np.testing.assert_array_equal(found[:, :160], depth_of(two_walls())[:, :160])
    faults = DepthFaults(TransformConfig(depth_limit_m=(2.9, 3.1)))
    rng = np.random.default_rng(0)
    lost = sum(not depth_of(faults(two_walls(), rng))[:, 160:].any() for _ in range(40))
    assert 8 <= lost <= 32  # half of the limits are nearer than 3 m
