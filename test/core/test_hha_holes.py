"""Filled holes: planes go on, shadows belong to what is behind, and nothing comes of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.hha import fill_holes

Image = NDArray[np.float32]


def row(*depths: float) -> list[float]:
    filled, _ = fill_holes(np.array([depths], np.float32))
    assert filled.dtype == np.float32
    values: list[float] = filled[0].tolist()
    return values


def test_a_plane_goes_on_across_a_hole() -> None:
    y, x = np.mgrid[:60, :80]
    whole = (1 / (0.3 + 0.002 * x + 0.004 * y)).astype(np.float32)
    depth = whole.copy()
    depth[10:40, 20:60] = 0
    filled, missing = fill_holes(depth)
    np.testing.assert_allclose(filled, whole, rtol=1e-5)
    np.testing.assert_array_equal(missing, depth == 0)


def test_a_shadow_beside_an_object_is_filled_with_what_is_behind() -> None:
    assert row(3, 1, 0, 0, 0, 3, 3) == [3, 1, 3, 3, 3, 3, 3]
    assert row(3, 3, 0, 0, 1, 3) == [3, 3, 3, 3, 1, 3]


def test_a_step_of_up_to_a_third_or_so_is_one_surface() -> None:
    assert row(2, 0, 1.5) == pytest.approx([2, 2 / (1 / 2 * 2 + (1 / 1.5 - 1 / 2)), 1.5])
    assert row(2, 0, 1.3) == pytest.approx([2, 2, 1.3])


def test_holes_at_the_border_get_the_nearest_depth() -> None:
    depth = np.full((40, 60), 2.0, np.float32)
    depth[:, 30:] = 4.0
    depth[:, :10] = depth[:, 50:] = depth[:8] = depth[30:] = 0
    filled, _ = fill_holes(depth)
    assert np.all(filled[:, :28] == 2)
    assert np.all(filled[:, 32:] == 4)


@pytest.mark.parametrize("absent", [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-5, 1e7])
def test_whatever_is_no_depth_is_a_hole(absent: float) -> None:
    depth = np.full((8, 9), 2.0, np.float32)
    depth[3, 4] = absent
    before = depth.copy()
    filled, missing = fill_holes(depth)
    assert np.all(filled == 2)
    assert np.argwhere(missing).tolist() == [[3, 4]]
    np.testing.assert_array_equal(depth, before)
    ma: Any = np.ma
    masked = ma.array(np.full((8, 9), 2.0, np.float32), mask=missing)
    np.testing.assert_array_equal(fill_holes(masked)[1], missing)


images = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0.0, 0.0, np.nan, 0.5, 1.0, 1.25, 4.0, 100.0]),
)


@settings(max_examples=150, deadline=None)
@given(depth=images)
def test_a_fill_lies_between_depths_that_are_there_and_measured_depth_stays(depth: Image) -> None:
    filled, missing = fill_holes(depth)
    there = depth[~missing]
    np.testing.assert_array_equal(missing, ~(depth > 0))
    np.testing.assert_array_equal(filled[~missing], there)
    if there.size:
        assert np.all(filled >= there.min() * (1 - 1e-5))
        assert np.all(filled <= there.max() * (1 + 1e-5))
    else:
        assert not filled.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_floats_and_layouts_are_taken(dtype: object) -> None:
    depth = np.array([[2.0, 0, 2.0], [0, 4.0, 0]])
    wanted, _ = fill_holes(depth.astype(np.float32))
    filled, _ = fill_holes(np.asfortranarray(depth.astype(dtype)))  # type: ignore[call-overload]
    np.testing.assert_array_equal(filled, wanted)


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (np.ones((4, 4), np.uint16), r"uint16.*0\.001"),
        (np.ones((2, 4, 4), np.float32), r"\(2, 4, 4\)"),
        (np.ones((0, 4), np.float32), "at least 1"),
    ],
)
def test_what_is_no_depth_image_is_refused(depth: NDArray[np.floating], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill_holes(depth)


def test_real_holes_are_filled_as_well_as_the_data_set_did(shared_data: Path) -> None:
    folder = shared_data / "hha-reference"
    camera = read_camera_file(folder / "camera.yaml")
    wanted = read_depth(folder / "depth.png", camera.depth_unit_m)
    raw = read_depth(folder / "raw_depth.png", camera.depth_unit_m)
    filled, missing = fill_holes(raw)
    off = np.abs(filled - wanted)[missing]
    print(f"{missing.mean():.1%} missing: mean {off.mean():.3f} m, median {np.median(off):.3f} m")
    assert off.mean() < 0.06
    assert np.median(off) < 0.03
