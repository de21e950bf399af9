"""From samples to tensors: normalisation, padding, the order of things, and repeatability."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fafnet_core.augmentation import (
    Batch,
    EvalTransform,
    ToTensors,
    TrainTransform,
    TransformConfig,
    scale_sample,
)
from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample, SampleError
from fafnet_core.settings import FieldError

NORMALISATION = Normalisation(hha_mean=(0.1, 0.2, 0.3), hha_deviation=(1.0, 0.5, 0.25))
UNIT = Normalisation((0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 1, 1))
STILL: dict[str, Any] = {"scale": (1, 1), "flip": 0.0}


def noise(height: int = 30, width: int = 40) -> RgbdSample:
    rng = np.random.default_rng(0)
    rgb, hha = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    label = rng.integers(0, 40, (height, width)).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    return RgbdSample(rgb=rgb, hha=hha, label=label, name="noise")


def train(sample: RgbdSample, seed: int = 0, **fields: Any) -> Batch:
    transform = TrainTransform(TransformConfig(**fields), NORMALISATION)
    return transform(sample, np.random.default_rng(seed))


def assert_equal(first: Batch, second: Batch) -> None:
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_tensors_are_normalised_levels() -> None:
    sample = noise()
    batch = EvalTransform(NORMALISATION)(sample)
    mean = torch.tensor(NORMALISATION.rgb_mean).view(3, 1, 1)
    deviation = torch.tensor(NORMALISATION.rgb_deviation).view(3, 1, 1)
    pixels = torch.from_numpy(sample.rgb).permute(2, 0, 1)
    torch.testing.assert_close(batch.rgb, (pixels / 255 - mean) / deviation)
    assert sample.hha is not None
    angle = (sample.hha[..., 2] / 255 - 0.3) / 0.25
    torch.testing.assert_close(batch.hha[2], torch.from_numpy(angle.astype(np.float32)))
    np.testing.assert_array_equal(batch.label.numpy(), sample.label)
    assert [tensor.dtype for tensor in batch] == [torch.float32, torch.float32, torch.int64]
    assert all(tensor.is_contiguous() for tensor in batch)


def test_padding_is_exactly_the_mean_and_does_not_count() -> None:
    sample = noise()
    batch = train(sample, **STILL, crop=(40, 50))
    inside = (slice(5, 35), slice(5, 45))
    outside = torch.ones(40, 50, dtype=torch.bool)
    outside[inside] = False
    for image in (batch.rgb, batch.hha):
        assert (image[:, outside] == 0).all()
    assert (batch.label[outside] == 255).all()
    whole = EvalTransform(NORMALISATION)(sample)
    for padded, own in zip(batch, whole, strict=True):
        assert torch.equal(padded[(..., *inside)], own)


def test_the_releases_padding_is_black_and_a_wall() -> None:
    """The defect of the authors' code, kept for their recipe: class 0 is trained."""
    batch = train(noise(), **STILL, crop=(40, 50), pad="black", pad_label=0)
    n = NORMALISATION
    for black, tensor in (
        (-np.divide(n.rgb_mean, n.rgb_deviation), batch.rgb),
        (-np.divide(n.hha_mean, n.hha_deviation), batch.hha),
    ):
        np.testing.assert_allclose(tensor[:, 0, 0], black, rtol=1e-6)
    assert (batch.label[:5] == 0).all()


def test_every_crop_has_the_size_asked_for_and_comes_from_anywhere() -> None:
    sample = replace(noise(), label=np.arange(1200).reshape(30, 40).astype(np.uint8) % 40)
    corners = set()
    for seed in range(300):
        batch = train(sample, seed, **STILL, crop=(26, 38))
        assert batch.label.shape == (26, 38)
        corners.add((int(batch.label[0, 0]), float(batch.rgb[0, 0, 0])))
    assert len(corners) == 5 * 3
    for seed in range(20):
        assert train(sample, seed, crop=(32, 32)).rgb.shape == (3, 32, 32)


def test_half_of_the_samples_are_mirrored() -> None:
    sample = noise()
    straight = EvalTransform(NORMALISATION)(sample)
    mirrored = Batch(*(tensor.flip(-1) for tensor in straight))
    found = [train(sample, seed, scale=(1, 1), crop=None) for seed in range(40)]
    kinds = [torch.equal(batch.label, mirrored.label) for batch in found]
    assert 10 <= sum(kinds) <= 30
    for batch, is_mirrored in zip(found, kinds, strict=True):
        assert_equal(batch, mirrored if is_mirrored else straight)


def test_scales_cover_their_range() -> None:
    heights = [train(noise(64, 64), seed, crop=None).label.shape[0] for seed in range(300, 600)]
    assert min(heights) in (32, 33, 34)
    assert max(heights) in (126, 127, 128)
    assert np.mean(heights) == pytest.approx(80, abs=3)
    assert train(noise(), scale=(0.7, 0.7), crop=None).label.shape == (21, 28)


@pytest.fixture
def room(shared_data: Path) -> RgbdSample:
    """A real room, a quarter of its size, with ready HHA that is wrong on purpose."""
    folder = shared_data / "hha-reference"
    depth_m = read_depth(folder / "depth.png", 1e-4)[2::4, 2::4]
    camera = read_camera_file(folder / "camera.yaml").camera_matrix / 4
    camera[2, 2] = 1
    return RgbdSample(
        rgb=np.zeros((*depth_m.shape, 3), np.uint8),
        label=np.zeros(depth_m.shape, np.uint8),
        depth_m=np.ascontiguousarray(depth_m),
        camera=Camera.from_matrix(camera, depth_m.shape),
        hha=np.full((*depth_m.shape, 3), 7, np.uint8),
    )


def hha_of(sample: RgbdSample, **fields: Any) -> NDArray[np.float32]:
    """HHA (H, W, 3) as the network gets it, in levels."""
    transform = TrainTransform(TransformConfig(**STILL, crop=None, **fields), UNIT)
    batch = transform(sample, np.random.default_rng(0))
    levels: NDArray[np.float32] = (batch.hha * 255).round().permute(1, 2, 0).numpy()
    return levels


def made(sample: RgbdSample) -> NDArray[np.uint8]:
    hha = replace(sample, hha=None).with_hha().hha
    assert hha is not None
    return hha


def test_ready_hha_is_used_unless_its_depth_has_a_fault(room: RgbdSample) -> None:
    assert (hha_of(room) == 7).all()
    assert np.median(np.abs(hha_of(room, depth_noise=1e-6) - made(room))) <= 1


def test_faults_happen_before_hha_is_made(room: RgbdSample) -> None:
    """Where depth was dropped HHA says so, and beside it the angle is of the depth that is left."""
    hha = hha_of(room, depth_dropout=0.5)
    dropped = (hha == 0).all(-1)
    assert dropped.mean() > 0.05
    # If HHA were dropped instead, no pixel with depth would have another HHA than before.
    assert ((hha != made(room)).any(-1) & ~dropped).any()


def test_with_an_input_size_hha_is_made_where_the_network_sees_it(room: RgbdSample) -> None:
    """The frame is brought to the size first, its HHA is that of the smaller depth image."""
    assert room.size == (120, 160)
    hha = hha_of(room, input_size=(60, 80))
    np.testing.assert_array_equal(hha, made(scale_sample(room, 0.5)))
    # `scale` is a factor on top, and the crop is of what comes out.
    larger = train(room, scale=(1.5, 1.5), crop=(64, 64), input_size=(60, 80))
    assert larger.rgb.shape == (3, 64, 64)


def test_ready_hha_without_depth_is_scaled_to_the_input_size() -> None:
    batch = train(noise(), **STILL, crop=None, input_size=(15, 20))
    assert batch.hha.shape == (3, 15, 20)
    assert not (batch.hha == batch.hha[0, 0, 0]).all()


def test_at_times_an_input_is_missing_and_never_both(room: RgbdSample) -> None:
    bright = replace(room, rgb=np.full_like(room.rgb, 200), hha=None)
    transform = TrainTransform(
        TransformConfig(**STILL, crop=None, no_depth=0.3, no_colour=0.3), UNIT
    )
    batches = [transform(bright, np.random.default_rng(seed)) for seed in range(60)]
    dark = [bool((batch.rgb == 0).all()) for batch in batches]
    flat = [bool((batch.hha == 0).all()) for batch in batches]
    assert not any(one and other for one, other in zip(dark, flat, strict=True))
    assert 8 <= sum(flat) <= 28  # 18 are expected
    assert 4 <= sum(dark) <= 23  # 0.3 of the others


def test_samples_without_what_is_needed_are_refused() -> None:
    bare = replace(noise(), hha=None)
    with pytest.raises(SampleError, match="neither HHA nor metric depth"):
        train(bare)
    with pytest.raises(SampleError, match="with_hha"):
        ToTensors(NORMALISATION)(bare)
    with pytest.raises(SampleError, match="40x30"):
        ToTensors(NORMALISATION)(noise(), (20, 20))
    with pytest.raises(SampleError, match="metric depth"):
        train(noise(), depth_noise=0.001)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", (2, 0.5)),
        ("crop", (0, 10)),
        ("pad", "white"),
        ("pad_label", 256),
        ("depth_dropout", 2),
        ("depth_limit_m", (3, 2)),
        ("misalignment_px", float("inf")),
    ],
)
def test_configurations_that_cannot_be_are_refused(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"^{field} is "):
        TransformConfig(**{field: value})
