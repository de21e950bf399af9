"""The direction of gravity from normals that are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.hha.gravity import FROM_LAST_FRAME, GravityEstimate, estimate_direction

Vector = NDArray[np.float64]
RIGHT, DOWN, AHEAD, NONE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
PRIOR = 0.005
"""What the last direction weighs, as a share of the normals."""


def tilted(degrees: float) -> tuple[float, float, float]:
    """Down in the frame of a camera that looks down by so much."""
    return 0.0, math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def normals(*counted: tuple[int, tuple[float, float, float]]) -> NDArray[np.float32]:
    """So many normals of each direction: (3, N)."""
    each = [np.tile(direction, (count, 1)) for count, direction in counted]
    found: NDArray[np.float32] = np.concatenate(each).T.astype(np.float32)
    return found


def test_an_estimate_says_what_it_rests_on() -> None:
    # Two normals are neither floor nor wall, and three windows have none.
    slanted = [(1, (0.5, math.sqrt(0.75), 0.0)), (1, (-0.5, math.sqrt(0.75), 0.0))]
    found = estimate_direction(normals((5, DOWN), (3, AHEAD), *slanted, (3, NONE)))
    np.testing.assert_allclose(found.direction, DOWN, atol=1e-12)
    assert found.support == pytest.approx(8 / 10)
    assert found.normals == pytest.approx(10 / 13)
    np.testing.assert_allclose(found.spread, np.diag([0, -5, 3]) / 10, atol=1e-6)


@pytest.mark.parametrize("count", [0, 4])
def test_nothing_leaves_gravity_where_the_estimate_starts(count: int) -> None:
    found = estimate_direction(np.zeros((3, count), np.float32), tilted(20))
    np.testing.assert_allclose(found.direction, tilted(20), atol=1e-12)
    assert (found.support, found.normals, found.is_open) == (0, 0, True)


@pytest.mark.parametrize("start", [DOWN, (0.0, -1.0, 0.0)])
def test_of_a_floors_two_directions_the_one_near_the_start_is_taken(
    start: tuple[float, float, float],
) -> None:
    found = estimate_direction(normals((9, tilted(10))), start)
    np.testing.assert_allclose(found.direction, np.array(tilted(10)) * start[1], atol=1e-6)


def test_a_wall_leaves_the_start_as_it_was_along_the_wall() -> None:
    start = np.array([0.3, 0.9, 0.3])
    found = estimate_direction(normals((9, AHEAD)), start / np.linalg.norm(start))
    np.testing.assert_allclose(found.direction, np.array([1, 3, 0]) / math.sqrt(10), atol=1e-6)
    assert found.is_open


@pytest.mark.parametrize(("angle", "answer"), [(44, 44), (46, -44)])
def test_within_45_degrees_of_the_images_down_a_surface_is_floor_beyond_it_is_wall(
    angle: float, answer: float
) -> None:
    found = estimate_direction(normals((9, tilted(angle))))
    np.testing.assert_allclose(found.direction, tilted(answer), atol=1e-6)
    assert found.support == 1


@pytest.mark.parametrize(("angle", "support"), [(14, 1), (16, 0), (74, 0), (76, 1)])
def test_within_15_degrees_of_the_last_frames_down_a_surface_counts(
    angle: float, support: float
) -> None:
    found = estimate_direction(normals((9, tilted(angle))), DOWN, FROM_LAST_FRAME)
    answer = 0 if not support else angle if angle < 45 else angle - 90
    np.testing.assert_allclose(found.direction, tilted(answer), atol=1e-6)
    assert found.support == support


def test_normals_of_all_directions_support_any_by_29_per_cent() -> None:
    place = np.arange(4000) + 0.5
    height, turn = 1 - 2 * place / 4000, place * math.pi * (1 + math.sqrt(5))
    level = np.sqrt(1 - height * height)
    sphere = np.stack([level * np.cos(turn), level * np.sin(turn), height])
    assert estimate_direction(sphere).support == pytest.approx(0.293, abs=0.01)


@pytest.mark.parametrize(("floor", "is_open"), [(0, True), (1, True), (3, False), (100, False)])
def test_a_wall_with_hardly_any_floor_leaves_gravity_open(floor: int, is_open: bool) -> None:
    assert estimate_direction(normals((100 - floor, AHEAD), (floor, DOWN))).is_open == is_open


def turned(axis: tuple[float, float, float], degrees: float) -> Vector:
    """Rodrigues' rotation about a unit vector."""
    x, y, z = axis
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    rotation: Vector = (
        np.eye(3) + math.sin(angle) * across + (1 - math.cos(angle)) * across @ across
    )
    return rotation


@pytest.mark.parametrize("rotation", [np.eye(3), turned((0.6, 0.0, 0.8), 40)])
def test_the_last_direction_decides_what_the_normals_leave_open_and_hardly_the_rest(
    rotation: Vector,
) -> None:
    def near(spread: tuple[float, float, float], last: tuple[float, float, float]) -> Vector:
        matrix = rotation @ np.diag(spread) @ rotation.T
        estimate = GravityEstimate(rotation @ DOWN, 1.0, 1.0, matrix)
        moved: Vector = rotation.T @ estimate.near(rotation @ last)
        return moved

    # One wall ahead: its roll is the last frame's; its pitch is pulled by the prior.
    np.testing.assert_allclose(near((0, 0, 1), (0.6, 0.8, 0)), (0.6, 0.8, 0), atol=1e-12)
    expected = np.array([0, 0.6, 0.8 * PRIOR / (PRIOR + 1)])
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(near((0, 0, 1), (0, 0.6, 0.8)), expected, atol=1e-12)
    # Half of the normals floor, a tenth wall ahead: 0.5 to the sides, 0.6 ahead.
    expected = np.array([0.48 * PRIOR / (PRIOR + 0.5), 0.8, 0.36 * PRIOR / (PRIOR + 0.6)])
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(near((0, -0.5, 0.1), (0.48, 0.8, 0.36)), expected, atol=1e-12)
    # Of no normals nothing is known: it stays.
    np.testing.assert_allclose(near((0, 0, 0), (0.48, 0.8, 0.36)), (0.48, 0.8, 0.36), atol=1e-12)
