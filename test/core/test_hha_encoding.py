"""HHA of scenes whose answer is known, of depth that is hardly there, and of wrong input."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.hha import NO_DEPTH, HHAEncoder, encode_hha, estimate_gravity

SHAPE = (60, 80)
CAMERA = np.array([[70.0, 0, 39.5], [0, 72.0, 29.5], [0, 0, 1]])
NO_NORMAL = 180 + 38
Image = NDArray[np.float32]


def plane(normal: tuple[float, float, float], distance: float) -> Image:
    """Depth of the plane normal.P = distance; 0 where a ray does not meet it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    u, v = (x - CAMERA[0, 2]) / CAMERA[0, 0], (y - CAMERA[1, 2]) / CAMERA[1, 1]
    along = u * normal[0] + v * normal[1] + normal[2]
    depth = distance / np.where(along > 0.05, along, np.inf)
    return depth.astype(np.float32)


def wall(depth_m: float = 2.0) -> Image:
    return np.full(SHAPE, depth_m, np.float32)


def test_a_fronto_parallel_wall_is_at_90_degrees_everywhere_to_the_corners() -> None:
    hha = encode_hha(wall(2.0), CAMERA)
    assert np.all(hha[..., 0] == 155)
    assert np.all(hha[..., 2] == 90 + 38)
    # The lowest pixel lies 0.82 m under the camera, too high for ground: that is put at 1.30 m.
    rows = np.arange(SHAPE[0])
    np.testing.assert_allclose(
        hha[:, 0, 1], 130 - 200 * (rows - CAMERA[1, 2]) / CAMERA[1, 1], atol=0.501
    )


@pytest.mark.parametrize(("depth_m", "level"), [(0.5, 255), (1.2, 255), (1.25, 248), (10.0, 31)])
def test_disparity_is_310_over_metres(depth_m: float, level: int) -> None:
    assert np.all(encode_hha(wall(depth_m), CAMERA)[..., 0] == level)


@pytest.mark.parametrize("tilt", [-40, -20, 0, 5, 30])
def test_a_floor_has_angle_level_38_and_height_0_whatever_the_cameras_tilt(tilt: float) -> None:
    down = (0.0, float(np.cos(np.radians(tilt))), float(np.sin(np.radians(tilt))))
    depth = plane(down, 1.4)
    hha = encode_hha(depth, CAMERA, gravity=down)
    whole = whole_windows(depth > 0)
    assert np.all(hha[whole][:, 2] == 38)
    assert np.all(hha[depth > 0][:, 1] <= 1)


def whole_windows(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels with depth whose 3x3 neighbours all have depth: sure to span a plane."""
    padded = np.pad(valid, 1)
    views = [padded[j : j + SHAPE[0], i : i + SHAPE[1]] for j in range(3) for i in range(3)]
    whole: NDArray[np.bool_] = np.logical_and.reduce(views)
    return whole


@pytest.mark.parametrize("has_holes", [False, True])
def test_the_images_of_large_cameras_are_of_one_piece(has_holes: bool) -> None:
    # Rows are worked on in strips, of which this has several.
    down, shape = (0.0, np.cos(0.9), np.sin(0.9)), (600, 500)
    matrix = np.array([[700.0, 0, 249.5], [0, 720.0, 299.5], [0, 0, 1]])
    rows = (np.arange(600)[:, None] - 299.5) / 720
    depth = np.broadcast_to(1.4 / (rows * down[1] + down[2]), shape).astype(np.float32)
    if has_holes:
        depth[::7, ::5] = 0
    hha = encode_hha(depth, matrix, gravity=down)
    assert np.all(hha[depth > 0][:, 2] == 38)
    found = HHAEncoder(Camera.from_matrix(matrix, shape)).estimate_gravity(depth)
    # At 52 degrees it is a wall to the images' down, which is then across it.
    np.testing.assert_allclose(found, (0, np.sin(0.9), -np.cos(0.9)), atol=1e-4)


def test_gravity_is_found_from_a_tilted_floor() -> None:
    down = np.array([0.05, np.cos(0.3), np.sin(0.3)])
    down /= np.linalg.norm(down)
    estimate = estimate_gravity(plane(tuple(down.tolist()), 1.4), CAMERA)
    assert np.degrees(np.arccos(min(1.0, estimate @ down))) < 0.01


@pytest.mark.parametrize("depth_m", [2.0, 0.0, np.nan])
def test_gravity_stays_at_image_down_where_a_bare_wall_or_nothing_leaves_it_open(
    depth_m: float,
) -> None:
    np.testing.assert_allclose(estimate_gravity(wall(depth_m), CAMERA), (0, 1, 0), atol=1e-6)
    hha = encode_hha(wall(depth_m), CAMERA)
    assert np.all((hha == NO_DEPTH).all(axis=-1) == (depth_m != 2.0))


def test_the_given_gravity_decides_height_and_angle() -> None:
    hha = encode_hha(wall(2.0), CAMERA, gravity=(0, 0, 1))
    assert np.all(hha[..., 1] == 0)
    assert np.all(hha[..., 2] == 38)
    upward = encode_hha(wall(2.0), CAMERA, gravity=(0, 0, -5e-6))  # of any length
    assert np.all(upward[..., 2] == NO_NORMAL)  # a ceiling is at 180 degrees, too
    assert np.all(upward[..., 1] == 255)
    low = encode_hha(wall(3.0), CAMERA, gravity=(0, 1, 0))  # low enough to be the ground
    assert np.all(low[-1, :, 1] == 0)
    assert low[0, 0, 1] == round(100 * 3.0 * 59 / 72)


def test_a_tilt_of_at_most_a_tenth_degree_does_not_change_heights() -> None:
    level, hardly, tilted = (
        encode_hha(wall(9.0), CAMERA, gravity=(0, np.cos(a), np.sin(a)))
        for a in np.radians((0, 0.099, 0.101))
    )
    np.testing.assert_array_equal(level[..., 1], hardly[..., 1])
    assert (level[..., 1] != tilted[..., 1]).any()


@pytest.mark.parametrize("absent", [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_pixels_without_depth_are_no_depth_and_change_nothing_else(absent: float) -> None:
    depth = wall(2.0)
    depth[20:30, 20:40] = absent
    hha = encode_hha(depth, CAMERA)
    assert np.all(hha[20:30, 20:40] == NO_DEPTH)
    with_depth = np.ones(SHAPE, np.bool_)
    with_depth[20:30, 20:40] = False
    np.testing.assert_array_equal(hha[with_depth], encode_hha(wall(2.0), CAMERA)[with_depth])


def test_a_single_pixel_has_disparity_and_height_but_no_normal() -> None:
    depth = wall(0.0)
    depth[30, 40] = 2.0
    hha = encode_hha(depth, CAMERA)
    assert hha[30, 40].tolist() == [155, 129, NO_NORMAL]
    assert np.count_nonzero(hha.any(axis=-1)) == 1


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (1, -1), (1, 2)])
def test_pixels_on_one_line_have_no_normal_and_one_beside_it_gives_them_one(
    step: tuple[int, int],
) -> None:
    depth = wall(0.0)
    line = [(30 + k * step[0], 40 + k * step[1]) for k in range(-3, 4)]
    for row, column in line:
        depth[row, column] = 2.0
    assert all(encode_hha(depth, CAMERA)[pixel][2] == NO_NORMAL for pixel in line)
    depth[31, 40] = depth[30, 41] = 2.0
    assert encode_hha(depth, CAMERA)[30, 40, 2] == 90 + 38


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (7, 6)])
def test_images_smaller_than_a_window_have_defined_results(shape: tuple[int, int]) -> None:
    hha = encode_hha(np.full(shape, 2.0, np.float32), CAMERA, gravity=(0, 1, 0))
    assert hha.shape == (*shape, 3)
    assert np.all(hha[..., 0] == 155)
    assert np.all(hha[..., 2] == (128 if min(shape) > 1 else NO_NORMAL))


def test_missing_stays_out_of_normals_but_keeps_disparity_and_height() -> None:
    depth = wall(2.0)
    depth[25:35, 30:50] = 4.0
    missing = depth == 4.0
    hha = encode_hha(depth, CAMERA, missing=missing, gravity=(0, 1, 0))
    plain = encode_hha(depth, CAMERA, gravity=(0, 1, 0))
    np.testing.assert_array_equal(hha[..., :2], plain[..., :2])
    assert np.all(hha[~missing][:, 2] == 128)
    assert hha[30, 40, 2] == NO_NORMAL
    nothing = encode_hha(depth, CAMERA, missing=np.zeros(SHAPE, np.bool_), gravity=(0, 1, 0))
    np.testing.assert_array_equal(nothing, plain)


def test_extreme_depths_raise_no_warnings() -> None:
    depth = wall(2.0)
    depth[0, :4] = (1e-38, 1e-3, 1e6, 3e38)
    depth[30, 30] = 1e-3
    with np.errstate(all="raise", under="ignore"):
        hha = encode_hha(depth, CAMERA)
    assert hha[0, 0].tolist() == list(NO_DEPTH)
    assert hha[0, 3].tolist() == list(NO_DEPTH)
    assert hha[30, 30, 0] == 255
    # A millimetre and a thousand kilometres are depths, whose angle is never 0.
    assert np.all(hha[0, 1:3, 2] >= 38)


depths = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    elements=st.sampled_from([0.0, -1.0, np.nan, np.inf, 0.375, 1.0, 1.015625, 2.5, 8.0]),
)


@settings(max_examples=60, deadline=None)
@given(depth=depths, seed=st.integers(0, 9))
def test_an_encoder_used_again_gives_what_one_shot_gives(depth: Image, seed: int) -> None:
    missing = np.random.default_rng(seed).random(depth.shape) < seed / 20
    encoder = HHAEncoder(Camera.from_matrix(CAMERA, depth.shape))
    encoder.encode(np.full_like(depth, 3.0))
    before = depth.copy()
    first = encoder.encode(depth, missing=missing)
    np.testing.assert_array_equal(first, encode_hha(depth, CAMERA, missing=missing))
    np.testing.assert_array_equal(depth, before)
    has_depth = np.isfinite(depth) & (depth > 0)
    assert np.all(first[~has_depth] == NO_DEPTH)
    assert np.all(first[has_depth][:, 2] >= 38)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_and_layouts_are_taken(dtype: type[np.floating]) -> None:
    depth = np.asfortranarray(wall(2.0).astype(dtype))
    np.testing.assert_array_equal(encode_hha(depth, CAMERA), encode_hha(wall(2.0), CAMERA))


def test_the_numpy_way_does_not_import_torch() -> None:
    program = "import sys, fafnet_core.hha; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_median_of_100_m_is_still_taken_for_metres() -> None:
    assert np.all(encode_hha(wall(99.9), CAMERA)[..., 0] == 3)
    with pytest.raises(ValueError, match="median of 100"):
        encode_hha(wall(100.1), CAMERA)


def test_a_few_far_pixels_are_not_taken_for_millimetres() -> None:
    depth = wall(2.0)
    depth[:20] = 500.0
    assert encode_hha(depth, CAMERA).shape == (*SHAPE, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth_m": np.full(SHAPE, 2000, np.uint16)}, r"uint16.*0\.001"),
        ({"depth_m": wall(2000.0)}, r"median of 2000.*0\.001"),
        ({"depth_m": wall(60000.0)}, r"median of 60000"),
        ({"depth_m": np.ones(60, np.float32)}, "height, width"),
        ({"depth_m": np.ones((60, 80, 1), np.float32)}, "height, width"),
        ({"depth_m": np.ones((0, 5), np.float32)}, "1x1"),
        ({"camera_matrix": np.diag([0.0, 0.0, 1.0])}, "calibrated"),
        ({"missing": np.zeros(SHAPE, np.uint8)}, r"uint8.*raw_depth == 0"),
        ({"missing": np.zeros((30, 40), np.bool_)}, r"\(30, 40\).*\(60, 80\)"),
        ({"gravity": (0, 0, 0)}, "gravity"),
        ({"gravity": (np.nan, 1, 0)}, "gravity"),
        ({"gravity": (0, 1)}, "gravity"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_hha(**({"depth_m": wall(), "camera_matrix": CAMERA} | changes))


def test_an_encoder_refuses_another_size() -> None:
    with pytest.raises(ValueError, match=r"\(30, 40\).*\(60, 80\)"):
        HHAEncoder(Camera.from_matrix(CAMERA, SHAPE)).encode(np.ones((30, 40), np.float32))
