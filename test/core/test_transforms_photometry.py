"""Colour jitter: each change by hand, and nothing else touched."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.augmentation import ColourJitter, change_colour, jitter_colour
from fafnet_core.samples import RgbdSample
from fafnet_core.settings import FieldError

Levels = NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def rgb() -> Levels:
    """Colours that none of the changes below takes out of 0..255."""
    return np.random.default_rng(0).integers(90, 150, (20, 30, 3)).astype(np.uint8)


def grey(rgb: Levels) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rgb @ LUMA
    return result


def test_amounts_that_change_nothing(rgb: Levels) -> None:
    np.testing.assert_array_equal(change_colour(rgb), rgb)
    np.testing.assert_array_equal(change_colour(rgb, turn=1.0), rgb)


def test_brightness_multiplies(rgb: Levels) -> None:
    assert np.abs(change_colour(rgb, brightness=1.25) - rgb * 1.25).max() <= 0.55
    assert change_colour(rgb, brightness=0).max() == 0
    white = np.full((2, 2, 3), 250, np.uint8)
    assert change_colour(white, brightness=1.5).min() == 255


def test_contrast_spreads_around_the_mean_grey(rgb: Levels) -> None:
    mean = grey(rgb).mean()
    changed = change_colour(rgb, contrast=1.4)
    assert np.abs(changed - (mean + 1.4 * (rgb - mean))).max() <= 0.55
    assert np.abs(change_colour(rgb, contrast=0) - mean).max() <= 0.5


def test_saturation_spreads_around_each_pixels_grey(rgb: Levels) -> None:
    own = grey(rgb)[..., None]
    changed = change_colour(rgb, saturation=1.5)
    assert np.abs(changed - (own + 1.5 * (rgb - own))).max() <= 0.55
    assert np.abs(change_colour(rgb, saturation=0) - own).max() <= 0.55


def test_hue_turns_colours_and_leaves_greys_and_brightness(rgb: Levels) -> None:
    turned = change_colour(rgb, turn=0.2)
    assert np.abs(grey(turned) - grey(rgb)).max() <= 1
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    np.testing.assert_array_equal(change_colour(greys, turn=0.2), greys)
    reddish = np.array([[[150, 110, 110]]], np.uint8)
    turns = (-0.1, 0.0, 0.1)
    hues = [
        colorsys.rgb_to_hsv(*change_colour(reddish, turn=turn)[0, 0] / 255.0)[0] for turn in turns
    ]
    # One way is towards magenta, the other towards yellow.
    assert hues[1] == 0
    assert {round(hues[0], 1), round(hues[2], 1)} == {0.1, 0.9}


def test_jitter_draws_within_its_strengths(rgb: Levels) -> None:
    sample = RgbdSample(rgb=rgb, label=np.zeros(rgb.shape[:2], np.uint8), hha=rgb.copy())
    strengths = ColourJitter(brightness=0.2)
    factors = []
    for seed in range(200):
        result = jitter_colour(sample, strengths, np.random.default_rng(seed))
        assert result.hha is sample.hha
        factors.append(result.rgb.mean() / rgb.mean())
    assert 0.79 < min(factors) < 0.82
    assert 1.18 < max(factors) < 1.21


def test_no_jitter_is_the_sample_itself_and_draws_nothing(rgb: Levels) -> None:
    sample = RgbdSample(rgb=rgb, label=np.zeros(rgb.shape[:2], np.uint8))
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    assert jitter_colour(sample, ColourJitter(), rng) is sample
    assert rng.random() == untouched.random()


def test_strengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(FieldError, match="hue"):
        ColourJitter(hue=0.6)
