"""The transform between two cameras."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.registration import Extrinsics

numbers = st.floats(-10, 10)
vectors = st.tuples(numbers, numbers, numbers)
quaternions = st.tuples(numbers, numbers, numbers, numbers).filter(
    lambda values: np.linalg.norm(values) > 0.01
)


def moved(extrinsics: Extrinsics, point: NDArray[np.float64]) -> NDArray[np.float64]:
    return extrinsics.rotation @ point + extrinsics.translation


def test_a_quarter_turn_about_the_optical_axis() -> None:
    half = np.sqrt(0.5)
    quarter = Extrinsics.from_quaternion((1, 2, 3), (0, 0, half, half))
    np.testing.assert_allclose(moved(quarter, np.array([1.0, 0, 0])), [1, 3, 3], atol=1e-15)
    np.testing.assert_allclose(moved(quarter, np.array([0.0, 0, 5])), [1, 2, 8], atol=1e-15)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0, -0.8)])
def test_a_quaternion_turns_as_its_axis_and_angle_do(axis: tuple[float, ...]) -> None:
    angle = 0.3
    quaternion = (*(np.sin(angle / 2) * np.array(axis)), np.cos(angle / 2))
    turned, _ = cv2.Rodrigues(angle * np.array(axis))
    found = Extrinsics.from_quaternion((0, 0, 0), quaternion)
    np.testing.assert_allclose(found.rotation, turned, atol=1e-12)
    # Of another length or the other sign it is the same rotation.
    np.testing.assert_allclose(
        Extrinsics.from_quaternion((0, 0, 0), -3 * np.array(quaternion)).rotation,
        turned,
        atol=1e-12,
    )


@given(vectors, quaternions, vectors)
def test_there_and_back_is_where_it_began(
    translation: tuple[float, ...], quaternion: tuple[float, ...], point: tuple[float, ...]
) -> None:
    there = Extrinsics.from_quaternion(translation, quaternion)
    back = there.inverse()
    np.testing.assert_allclose(moved(back, moved(there, np.array(point))), point, atol=1e-9)
    np.testing.assert_allclose((back @ there).rotation, np.eye(3), atol=1e-9)
    np.testing.assert_allclose((back @ there).translation, np.zeros(3), atol=1e-9)


@given(vectors, quaternions, vectors, quaternions, vectors)
def test_a_product_does_the_right_one_first(
    translation: tuple[float, ...],
    quaternion: tuple[float, ...],
    translation_after: tuple[float, ...],
    quaternion_after: tuple[float, ...],
    point: tuple[float, ...],
) -> None:
    first = Extrinsics.from_quaternion(translation, quaternion)
    then = Extrinsics.from_quaternion(translation_after, quaternion_after)
    expected = moved(then, moved(first, np.array(point)))
    np.testing.assert_allclose(moved(then @ first, np.array(point)), expected, atol=1e-9)


def test_equal_are_those_of_equal_numbers() -> None:
    assert Extrinsics.identity() == Extrinsics(np.eye(3), np.zeros(3))
    assert hash(Extrinsics.identity()) == hash(Extrinsics(np.eye(3), np.zeros(3)))
    assert Extrinsics.identity() != Extrinsics(np.eye(3), np.array([0, 0, 1e-6]))
    assert Extrinsics.identity() != "identity"


def test_nobody_can_change_one() -> None:
    rotation, translation = np.eye(3), np.zeros(3)
    extrinsics = Extrinsics(rotation, translation)
    rotation[0, 0] = translation[0] = 5
    assert extrinsics == Extrinsics.identity()
    with pytest.raises(ValueError, match="read-only"):
        extrinsics.rotation[0, 0] = 5
    with pytest.raises(FrozenInstanceError):
        extrinsics.rotation = rotation  # type: ignore[misc]


def test_a_rotation_of_few_digits_is_one_and_a_scaled_one_is_none() -> None:
    turned = np.asarray(cv2.Rodrigues(np.array([0.1, -0.2, 0.3]))[0], np.float64)
    Extrinsics(turned.round(4), np.zeros(3))
    with pytest.raises(ValueError, match="rows are not of length 1"):
        Extrinsics(1.01 * turned, np.zeros(3))


def test_what_is_no_transform_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rotation has shape \(9,\)"):
        Extrinsics(np.eye(3).ravel(), np.zeros(3))
    with pytest.raises(ValueError, match=r"translation has shape \(2,\); it has to be x, y, z"):
        Extrinsics(np.eye(3), np.zeros(2))
    with pytest.raises(ValueError, match="every number of it has to be finite"):
        Extrinsics(np.eye(3), np.array([0, np.nan, 0]))
    with pytest.raises(ValueError, match="mirrors"):
        Extrinsics(np.diag([1.0, -1.0, 1.0]), np.zeros(3))
    with pytest.raises(ValueError, match="no length"):
        Extrinsics.from_quaternion((0, 0, 0), (0, 0, 0, 0))
    with pytest.raises(ValueError, match=r"quaternion has shape \(3,\)"):
        Extrinsics.from_quaternion((0, 0, 0), (0, 0, 1))
    with pytest.raises(ValueError, match="it has to be x, y, z, w"):
        Extrinsics.from_quaternion((0, 0, 0), "up")
