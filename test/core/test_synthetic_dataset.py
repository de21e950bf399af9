"""Two cameras, their faults, registration, and the data set `synthetic`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_reference

from fafnet_core.rooms import Lamp, Scene, SensorConfig, dataset, look_at, pinhole
from fafnet_core.rooms.dataset import RigFrame, SyntheticData, photograph
from fafnet_core.rooms.kit import box
from fafnet_core.rooms.sensor import calibration_error, measure_depth

CAMERA = pinhole(160, 120)
AHEAD = look_at((0, 0, 0), (0, 1, 0))
SMALL = SyntheticData(seed=5, frames=3, width=96, height=72)
PERFECT = SensorConfig.perfect()
GREY = (120.0, 120.0, 120.0)


def take(config: SensorConfig, seed: int = 0) -> RigFrame:
    """A board 2 m away before a wall at 4 m."""
    solids = (
        box("wall", GREY, (0, 4.5, -5), (20, 1, 10)),
        box("door", GREY, (0, 2.05, -0.5), (0.6, 0.1, 1)),
    )
    scene = Scene(solids, Lamp((0, 1, 4)))
    return photograph(scene, CAMERA, AHEAD, config, np.random.default_rng(seed))


def test_without_faults_the_registered_depth_is_the_truth() -> None:
    frame = take(PERFECT)
    np.testing.assert_array_equal(frame.registered(PERFECT, np.eye(3)), frame.true_depth_m)


def test_two_cameras_leave_a_shadow_beside_what_is_near_and_the_rest_is_true() -> None:
    config = replace(PERFECT, baseline_m=0.1)
    frame = take(config)
    depth = frame.registered(config, np.eye(3))
    middle = depth[60]
    missing = np.flatnonzero(middle == 0)
    # Seen by the colour camera only: left of the board, f b (1/2 - 1/4) wide; and what lies left
    # of the depth camera's field of view, f b / 4 wide.
    beside = missing[missing > 20]
    assert beside.size == pytest.approx(CAMERA.fx * 0.1 / 4, abs=1.5)
    assert (frame.label[60, beside] == 0).all()
    assert frame.label[60, beside.max() + 1] == 7
    assert missing[missing <= 20].size == pytest.approx(CAMERA.fx * 0.1 / 4, abs=1.5)
    there = depth > 0
    wrong = np.abs(depth - frame.true_depth_m)[there] > 0.01
    assert wrong.mean() < 0.01  # along the board's edges


@pytest.mark.parametrize("error_px", [4.0, 12.0])
def test_a_calibration_error_moves_depth_by_what_it_says(error_px: float) -> None:
    config = replace(PERFECT, calibration_error_px=(error_px, error_px))
    frame = take(config)
    error, shift = calibration_error(config, CAMERA, np.random.default_rng(3))
    assert np.hypot(*shift) == pytest.approx(error_px * 160 / 640)
    moved = frame.registered(config, error)
    board = np.argwhere(np.abs(moved - 2.0) < 0.2).mean(axis=0)
    truth = np.argwhere(frame.label == 7).mean(axis=0)
    np.testing.assert_allclose(board - truth, shift[::-1], atol=0.35)


def test_the_direction_of_the_error_does_not_depend_on_its_size() -> None:
    small, large = (SensorConfig(calibration_error_px=(px, px)) for px in (2, 8))
    _, shift = calibration_error(small, CAMERA, np.random.default_rng(9))
    _, longer = calibration_error(large, CAMERA, np.random.default_rng(9))
    np.testing.assert_allclose(shift * 4, longer)


def test_noise_grows_with_the_square_of_the_range() -> None:
    config = replace(PERFECT, depth_noise=1.0)
    deviations = []
    for metres in (1.0, 2.0, 4.0):
        truth = np.full((200, 200), metres, np.float32)
        rng = np.random.default_rng(0)
        measured = measure_depth(truth, np.zeros_like(truth), config, 500, rng)
        deviations.append(measured.std())
        assert measured.mean() == pytest.approx(metres, rel=0.01)
    assert deviations[1] / deviations[0] == pytest.approx(4, rel=0.1)
    assert deviations[2] / deviations[1] == pytest.approx(4, rel=0.1)


def test_quantised_depth_has_a_kinects_steps() -> None:
    config = replace(PERFECT, quantisation=1.0)
    truth = np.linspace(3.9, 4.1, 10000, dtype=np.float32).reshape(100, 100)
    rng = np.random.default_rng(0)
    levels = np.unique(measure_depth(truth, np.zeros_like(truth), config, 500, rng))
    assert np.diff(levels) == pytest.approx(4**2 / 43.5 / 8, rel=0.1)


def test_holes_come_on_glass_at_edges_and_out_of_range() -> None:
    config = replace(PERFECT, dropout=1.0)
    truth = np.full((120, 160), 2.0, np.float32)
    glass = np.zeros_like(truth)
    glass[:, :80] = 0.6
    measured = measure_depth(truth, glass, config, 130, np.random.default_rng(1))
    lost = measured == 0
    assert lost[:, :80].mean() > 5 * lost[:, 80:].mean()
    truth[:, 120:] = 4.0
    edge = measure_depth(truth, glass * 0, config, 130, np.random.default_rng(1)) == 0
    assert edge[:, 119:121].mean() > 0.4
    far = replace(PERFECT, range_m=(0.5, 3.0))
    assert (measure_depth(truth, glass, far, 130, np.random.default_rng(1))[:, 120:] == 0).all()


def test_a_frame_is_the_same_in_every_process_and_differs_from_all_others() -> None:
    one, again = SMALL.open("train"), SMALL.open("train")
    frames = [one.read(i) for i in range(3)]
    np.testing.assert_array_equal(frames[2].rgb, again.read(2).rgb)
    others = [SMALL.open("val").read(2), replace(SMALL, seed=6).open("train").read(2), *frames[:2]]
    for other in others:
        assert (other.label != frames[2].label).mean() > 0.2


def test_a_sample_has_everything() -> None:
    sample = SMALL.open("train").read(0)
    assert sample.rgb.shape == (72, 96, 3)
    assert sample.hha is not None
    assert sample.depth_m is not None
    assert sample.camera is not None
    assert sample.hha.shape == (72, 96, 3)
    assert (sample.hha[sample.depth_m == 0] == 0).all()
    assert sample.label.max() < 40
    assert sample.sensor == "synthetic"
    assert sample.name == "train-5-00000"


def test_the_sensor_changes_neither_the_room_nor_the_camera() -> None:
    clean = replace(SMALL, sensor=PERFECT).open("train").read(1)
    noisy = replace(SMALL, sensor=SensorConfig(calibration_error_px=(8, 8))).open("train").read(1)
    np.testing.assert_array_equal(clean.label, noisy.label)
    assert clean.camera == noisy.camera


def test_frames_that_were_made_are_kept_and_equal(tmp_path: Path) -> None:
    kept = replace(SMALL, cache=str(tmp_path)).open("train")
    made, read = kept.read(1), kept.read(1)
    (file,) = tmp_path.rglob("*.npy")
    for field in ("rgb", "label", "depth_m", "camera", "hha", "name", "sensor"):
        np.testing.assert_array_equal(getattr(made, field), getattr(read, field))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"00001\.npy is damaged.*delete it"):
        kept.read(1)
    # Other settings have other files.
    replace(SMALL, cache=str(tmp_path), lies=0.1).open("train").read(1)


def test_frames_of_another_version_of_the_generator_are_not_taken_for_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = replace(SMALL, cache=str(tmp_path)).open("train")
    kept.read(1)
    monkeypatch.setattr(dataset, "_VERSION", dataset._VERSION + 1)
    kept.read(1)
    assert len(list(tmp_path.rglob("00001.npy"))) == 2


def test_frames_are_those_of_this_version() -> None:
    before, now = synthetic_reference.stored(), synthetic_reference.made()
    again = "python test/core/synthetic_reference.py"
    assert before["version"] == now["version"], f"run {again}"
    changed = synthetic_reference.differences(before, now)
    assert not changed, (
        f"{changed}: raise _VERSION in fafnet_core/rooms/dataset.py, then run {again}"
    )


def test_reducing_averages_colour_and_hha_and_casts_labels_where_the_new_pixels_are() -> None:
    sample = SMALL.open("train").read(0)
    assert sample.hha is not None
    small = replace(SMALL, reduce=2).open("train").read(0)
    assert small.hha is not None
    assert small.size == (36, 48)
    blocks = sample.label.reshape(36, 2, 48, 2).swapaxes(1, 2).reshape(36, 48, 4)
    even = (blocks == blocks[..., :1]).all(axis=2)
    assert even.mean() > 0.5
    # Where a block of pixels has one label, its middle has it too (except for thin things).
    assert (small.label == blocks[..., 0])[even].mean() > 0.995
    # Labels are not shifted: the four pixels of a block agree equally often.
    agreement = [(small.label == blocks[..., i]).mean() for i in range(4)]
    assert max(agreement) - min(agreement) < 0.02
    whole = sample.hha.any(axis=2).reshape(36, 2, 48, 2).all(axis=(1, 3))
    mean = sample.hha.reshape(36, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.hha - mean)[whole].max() <= 0.51
    none = ~sample.hha.any(axis=2).reshape(36, 2, 48, 2).any(axis=(1, 3))
    assert (small.hha[none] == 0).all()
    assert small.camera is not None
    assert small.camera.matrix[0, 2] == pytest.approx((48 - 1) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "frames"),
        ({"width": 16}, "width"),
        ({"reduce": 5}, "5"),
        ({"lies": 1.5}, "lies"),
    ],
)
def test_settings_that_are_not_allowed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth_noise", -1),
        ("calibration_error_px", (3, 1)),
        ("calibration_error_px", (0, 641)),
        ("baseline_m", 5),
    ],
)
def test_faults_that_are_not_allowed(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        SensorConfig(**{field: value})
