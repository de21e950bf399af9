"""Scaling, cropping and mirroring: images, labels, depth and camera stay together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.augmentation import (
    CropWindow,
    crop_sample,
    flip_sample,
    scale_and_crop,
    scale_sample,
)
from fafnet_core.camera import Camera
from fafnet_core.samples import RgbdSample

HEIGHT, WIDTH = 60, 84
CAMERA = Camera(fx=90.0, fy=92.0, cx=40.3, cy=27.8, width=WIDTH, height=HEIGHT)
FACTORS = st.one_of(st.integers(16, 64).map(lambda n: n / 32), st.floats(0.5, 2.0))


def rays(camera: Camera) -> NDArray[np.float64]:
    """x and y of each pixel's ray (x, y, 1): (2, H, W)."""
    v, u = np.mgrid[: camera.height, : camera.width]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy])


def content(ray: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """What a camera sees along each ray; every image tells where it looks."""
    x, y = ray
    label = ((np.floor(x * 10) + 3 * np.floor(y * 10)) % 40).astype(np.uint8)
    levels = np.stack([128 + 200 * x, 128 + 200 * y, 128 + 100 * (x + y)], -1)
    return {"depth_m": (3 + x + 2 * y).astype(np.float32), "levels": levels, "label": label}


def sample_of(camera: Camera = CAMERA) -> RgbdSample:
    seen = content(rays(camera))
    levels = seen["levels"].round().astype(np.uint8)
    return RgbdSample(
        rgb=levels,
        hha=levels[..., ::-1].copy(),
        label=seen["label"],
        depth_m=seen["depth_m"],
        missing=seen["depth_m"] > 3,
        camera=camera,
        gravity=np.array([0.1, 0.98, -0.2]),
        name="ramp",
    )


def noise(seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> RgbdSample:
    rng = np.random.default_rng(seed)
    rgb, hha = rng.integers(0, 256, (2, *size, 3), np.uint8)
    return RgbdSample(
        rgb=rgb,
        hha=hha,
        label=rng.integers(0, 40, size).astype(np.uint8),
        depth_m=rng.uniform(1, 5, size).astype(np.float32),
        missing=rng.random(size) < 0.2,
        camera=replace(CAMERA, width=size[1], height=size[0]),
        gravity=np.array([0.1, 0.98, -0.2]),
    )


def assert_same(first: RgbdSample, second: RgbdSample, levels: int = 0) -> None:
    for name in ("label", "depth_m", "missing", "camera", "gravity"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    for name in ("rgb", "hha"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max() <= levels, name


@settings(max_examples=60, deadline=None)
@given(factor=FACTORS, flip=st.booleans(), data=st.data())
def test_a_ray_sees_the_same_content_before_and_after(
    factor: float, flip: bool, data: st.DataObject
) -> None:
    """The camera of the result, asked where each pixel looks, agrees with what the pixel shows."""
    scaled = scale_sample(sample_of(), factor)
    height, width = scaled.size
    rows, columns = data.draw(st.integers(8, height)), data.draw(st.integers(8, width))
    top, left = (
        data.draw(st.integers(0, height - rows)),
        data.draw(st.integers(0, width - columns)),
    )
    result = scale_and_crop(sample_of(), factor, CropWindow(top, left, rows, columns))
    if flip:
        result = flip_sample(result)
    assert result.size == (rows, columns)
    assert result.camera is not None
    assert result.camera.size == result.size
    ray = rays(result.camera)
    if flip:
        ray[0] *= -1  # the content is mirrored, and so is what a ray meets
    seen = content(ray)

    # Nothing is interpolated: a pixel shows what was at most half an old pixel away.
    assert result.depth_m is not None
    assert np.abs(result.depth_m - seen["depth_m"]).max() <= 0.5 / 90 + 2 * 0.5 / 92 + 1e-5
    # Labels differ only where the boundary of two lies within half an old pixel.
    shifted = [
        content(ray + np.reshape([i * 0.502 / 90, j * 0.502 / 92], (2, 1, 1)))["label"]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    ]
    assert np.any([result.label == label for label in shifted], axis=0).all()
    # Interpolated ramps are the ramp itself, but for half a pixel at the image's own border.
    ideal = seen["levels"]
    at_border = 0.5 * 200 / 90 * 2
    assert result.hha is not None
    for image in (result.rgb, result.hha[..., ::-1]):
        error = np.abs(image - ideal)
        assert error.max() <= at_border + 1
        assert np.median(error) <= 1


@settings(max_examples=150, deadline=None)
@given(factor=FACTORS, data=st.data())
def test_cutting_first_gives_what_cutting_last_does(factor: float, data: st.DataObject) -> None:
    sample = noise()
    scaled = scale_sample(sample, factor)
    height, width = scaled.size
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    window = CropWindow(
        data.draw(st.integers(0, height - rows)),
        data.draw(st.integers(0, width - columns)),
        rows,
        columns,
    )
    # OpenCV's weights are rounded to 11 bits, by chance differently at another place.
    assert_same(scale_and_crop(sample, factor, window), crop_sample(scaled, window), levels=1)


def test_doubling_and_halving_by_hand() -> None:
    label = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 251).astype(np.uint8)
    sample = replace(noise(), label=label)
    twice = scale_sample(sample, 2.0)
    np.testing.assert_array_equal(twice.label, sample.label.repeat(2, 0).repeat(2, 1))
    assert twice.camera is not None
    expected = np.array([[180, 0, 81.1], [0, 184, 56.1], [0, 0, 1]])
    assert np.abs(twice.camera.matrix - expected).max() < 1e-12
    half = scale_sample(sample, 0.5)
    means = sample.rgb.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
    assert np.abs(half.rgb - means).max() <= 0.5
    np.testing.assert_array_equal(half.label, sample.label[1::2, 1::2])
    # 0.29 * 100 is 28.999999999999996.
    assert scale_sample(noise(size=(100, 7)), 0.29).size == (29, 2)


def test_flipping_by_hand() -> None:
    sample = noise()
    flipped = flip_sample(sample)
    np.testing.assert_array_equal(flipped.rgb, sample.rgb[:, ::-1])
    np.testing.assert_array_equal(flipped.missing, np.asarray(sample.missing)[:, ::-1])
    assert flipped.camera is not None
    assert flipped.camera.matrix.tolist() == [[90, 0, WIDTH - 1 - 40.3], [0, 92, 27.8], [0, 0, 1]]
    assert flipped.gravity is not None
    assert flipped.gravity.tolist() == [-0.1, 0.98, -0.2]


@pytest.mark.parametrize("gravity", [None, np.array([0.15, 0.9, 0.3])])
def test_hha_of_the_mirrored_depth_is_the_mirrored_hha(
    gravity: NDArray[np.float64] | None,
) -> None:
    """With the mirrored camera and gravity; so ready HHA may be mirrored as it is."""
    x, y = rays(CAMERA)
    # A floor, a wall ahead that is turned, and a wall to the right, under a tilted camera.
    inverse = np.max([(y + 0.2) / 1.3, (0.3 * x + 1) / 4, x / 1.1], axis=0)
    depth_m = (1 / inverse).astype(np.float32)
    depth_m[20:30, 50:60] = 0
    sample = replace(noise(), depth_m=depth_m, missing=None, gravity=gravity, hha=None)
    mirrored = flip_sample(sample.with_hha()).hha
    made = flip_sample(sample).with_hha().hha
    assert made is not None
    assert mirrored is not None
    assert made.std() > 10
    assert np.abs(made.astype(int) - mirrored).max() <= 1


def test_what_a_sample_lacks_stays_away() -> None:
    bare = RgbdSample(rgb=noise().rgb, label=noise().label)
    for result in (
        scale_sample(bare, 1.5),
        flip_sample(bare),
        crop_sample(bare, CropWindow(1, 2, 30, 40)),
    ):
        lacking = (result.depth_m, result.missing, result.camera, result.hha, result.gravity)
        assert all(part is None for part in lacking)


def test_the_sample_given_is_left_as_it_was() -> None:
    sample, same = noise(), noise()
    flip_sample(scale_and_crop(sample, 1.5, CropWindow(3, 4, 50, 60)))
    assert_same(sample, same)


def test_windows_and_factors_that_cannot_be_are_refused() -> None:
    for window in (CropWindow(-1, 0, 10, 10), CropWindow(0, 75, 10, 10), CropWindow(0, 0, 0, 10)):
        with pytest.raises(ValueError, match="84x60"):
            crop_sample(noise(), window)
    for factor in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{factor}"):
            scale_sample(noise(), factor)
    with pytest.raises(ValueError, match="nothing is left"):
        scale_sample(noise(), 0.01)
