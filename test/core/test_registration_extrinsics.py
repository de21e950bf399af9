"""The transform between two cameras."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

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


@given(vectors, quaternions, vectors, quaternions, vectors)
def test_there_and_back_is_where_it_began_and_a_product_does_the_right_one_first(
    translation: tuple[float, ...],
    quaternion: tuple[float, ...],
    translation_after: tuple[float, ...],
    quaternion_after: tuple[float, ...],
    point: tuple[float, ...],
) -> None:
    first = Extrinsics.from_quaternion(translation, quaternion)
    then = Extrinsics.from_quaternion(translation_after, quaternion_after)
    there = moved(first, np.array(point))
    np.testing.assert_allclose(moved(first.inverse(), there), point, atol=1e-9)
    np.testing.assert_allclose(moved(then @ first, np.array(point)), moved(then, there), atol=1e-9)


def test_they_are_values_that_nobody_can_change() -> None:
    rotation, translation = np.eye(3), np.zeros(3)
    extrinsics = Extrinsics(rotation, translation)
    rotation[0, 0] = translation[0] = 5
    assert extrinsics == Extrinsics.identity()
    assert hash(extrinsics) == hash(Extrinsics.identity())
    assert extrinsics != Extrinsics(np.eye(3), np.array([0, 0, 1e-6]))
    assert extrinsics != Extrinsics(TURNED, np.zeros(3))
    assert extrinsics != "no transform"
    with pytest.raises(ValueError, match="read-only"):
        extrinsics.rotation[0, 0] = 5
    with pytest.raises(FrozenInstanceError):
        extrinsics.rotation = rotation  # type: ignore[misc]


TURNED = np.asarray(cv2.Rodrigues(np.array([0.1, -0.2, 0.3]))[0], np.float64)


@pytest.mark.parametrize(
    ("rotation", "translation", "word"),
    [
        (np.eye(3).ravel(), (0, 0, 0), r"\(9,\)"),
        (np.eye(3), (0, 0), r"\(2,\)"),
        (np.eye(3), (0, np.nan, 0), "finite"),
        (np.diag([1.0, -1.0, 1.0]), (0, 0, 0), "mirrors"),
        (1.0006 * TURNED, (0, 0, 0), "length 1"),
        ([[1, 0, 0.0012], [0, 1, 0], [0, 0, 1]], (0, 0, 0), "right angles"),
    ],
)
def test_what_is_no_transform_is_refused(rotation: Any, translation: Any, word: str) -> None:
    Extrinsics(TURNED.round(4), np.zeros(3))  # calibration files round to few digits
    Extrinsics(1.0004 * TURNED, np.zeros(3))
    with pytest.raises(ValueError, match=word):
        Extrinsics(rotation, np.array(translation))


@pytest.mark.parametrize(
    ("quaternion", "word"),
    [
        ((0, 0, 0, 0), "length 0"),
        ((0, 0, 0, 9e-7), "length 0"),
        ((0, 0, 1), r"\(3,\)"),
        ("up", "x, y, z, w"),
    ],
)
def test_what_is_no_quaternion_is_refused(quaternion: Any, word: str) -> None:
    assert Extrinsics.from_quaternion((0, 0, 0), (0, 0, 0, 2e-6)) == Extrinsics.identity()
    with pytest.raises(ValueError, match=word):
        Extrinsics.from_quaternion((0, 0, 0), quaternion)
