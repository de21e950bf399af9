"""Registration of depth to colour against planes and rooms whose depth is known exactly."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.registration import register_depth
from fafnet_core.rooms import Pose, SensorConfig, choose_view, make_room, pinhole
from fafnet_core.rooms.render import render_depth
from fafnet_core.rooms.sensor import calibration_error, measure_depth

CAMERA = pinhole(320, 240)
MATRIX = CAMERA.matrix
SHAPE = (240, 320)
PERFECT = SensorConfig.perfect()

Values = NDArray[np.float64]


def transform(baseline: float, error_px: float, seed: int) -> tuple[Values, Values]:
    """Rotation and translation of a calibration that is wrong by so much."""
    config = replace(PERFECT, calibration_error_px=(error_px, error_px))
    error, _ = calibration_error(config, CAMERA, np.random.default_rng(seed))
    return error, error @ np.array([baseline, 0, 0])


def depth_of_plane(
    normal: Values, rotation: Values | None = None, translation: Values | None = None
) -> Values:
    """Depth of a plane through (0, 0, 2.5), in metres, as a camera sees it from elsewhere."""
    rows, columns = np.indices(SHAPE)
    rays = np.stack([columns, rows, np.ones(SHAPE)], axis=-1) @ np.linalg.inv(MATRIX).T
    rotation = np.eye(3) if rotation is None else rotation
    translation = np.zeros(3) if translation is None else translation
    depth: Values = (2.5 * normal[2] - normal @ translation) / (rays @ rotation.T @ normal)
    return depth


def slanted(degrees: float, axis: int) -> Values:
    normal = np.zeros(3)
    normal[axis], normal[2] = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return normal


MIDDLE = (slice(20, -20), slice(40, -40))
"""What both cameras see, whatever the error."""


@pytest.mark.parametrize("error_px", [0.0, 8.0, 16.0])
@pytest.mark.parametrize("baseline", [0.0, 0.05, 0.1])
def test_a_plane_ahead_is_exact_and_a_slanted_one_has_no_crack(
    baseline: float, error_px: float
) -> None:
    rotation, translation = transform(baseline, error_px, seed=int(error_px))
    for normal in (slanted(0, 0), slanted(60, 0), slanted(-60, 0), slanted(60, 1)):
        depth = depth_of_plane(normal, rotation, translation)
        seen = np.where((depth > 0) & (depth < 20), depth, 0).astype(np.float32)
        # With a Kinect's steps of depth, too.
        stepped = measure_depth(
            seen,
            np.zeros(SHAPE, np.float32),
            replace(PERFECT, quantisation=1.0),
            CAMERA.fx,
            np.random.default_rng(0),
        )
        truth = depth_of_plane(normal)[MIDDLE]
        near = (truth > 0.5) & (truth < 6)
        for depth_m in (seen, stepped):
            found = register_depth(depth_m, MATRIX, MATRIX, rotation, translation, SHAPE)[MIDDLE]
            assert (found[near] > 0).all()
        if normal[2] == 1:
            exact = register_depth(seen, MATRIX, MATRIX, rotation, translation, SHAPE)[MIDDLE]
            np.testing.assert_allclose(exact, 2.5, atol=1e-3 if error_px else 1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_depth_is_where_it_belongs_to_a_tenth_of_a_pixel(axis: int) -> None:
    metres: list[Values] = []
    pixels: list[Values] = []
    for twelfth in range(12):  # the middle moves by 3 pixels and a part of one, each part alike
        angle = np.arctan2(3 + twelfth / 12, CAMERA.fx)
        about = np.array([0, angle, 0] if axis == 0 else [-angle, 0, 0])
        rotation = np.asarray(cv2.Rodrigues(about)[0], np.float64)
        translation = rotation @ np.array([0.05, 0, 0])
        normal = slanted(20 if twelfth % 2 else -20, axis)
        depth = depth_of_plane(normal, rotation, translation).astype(np.float32)
        found = register_depth(depth, MATRIX, MATRIX, rotation, translation, SHAPE)
        truth = depth_of_plane(normal)
        slope = np.hypot(*np.gradient(truth))
        wrong = (found - truth)[MIDDLE]
        metres.append(wrong.ravel())
        pixels.append((wrong / slope[MIDDLE]).ravel())
    assert abs(np.median(np.concatenate(pixels))) < 0.1
    assert abs(np.median(np.concatenate(metres))) < 1e-3
    assert np.abs(np.concatenate(pixels)).max() < 1


@pytest.mark.parametrize(("baseline", "error_px"), [(0.05, 0.0), (0.1, 16.0)])
def test_in_a_room_nothing_shows_through_and_what_is_hidden_is_a_hole(
    baseline: float, error_px: float
) -> None:
    rng = np.random.default_rng(4)
    room = make_room(rng)
    pose = choose_view(room, rng)
    rotation, translation = transform(baseline, error_px, seed=4)
    solids = room.scene.solids
    seen, _ = render_depth(solids, CAMERA, pose.moved(right=baseline))
    found = register_depth(seen, MATRIX, MATRIX, rotation, translation, SHAPE)
    # A wrong rotation is a colour camera that is turned: this is what it would see.
    turned = Pose(pose.position, (rotation @ pose.axes).astype(np.float32))
    truth, _ = render_depth(solids, CAMERA, turned)
    window = np.ones((3, 3), np.uint8)
    farthest, nearest = cv2.dilate(truth, window), cv2.erode(truth, window)
    inside = np.zeros(SHAPE, bool)
    inside[MIDDLE] = True
    assert (found > 1.02 * farthest)[inside].mean() < 1e-3  # no background through cracks
    assert ((found > 0) & (found < 0.98 * nearest))[inside].mean() < 1e-3
    # Which points of the truth the depth camera does not see: something is nearer to it.
    rows, columns = np.indices(SHAPE)
    rays = np.stack([columns, rows, np.ones(SHAPE)], axis=-1) @ np.linalg.inv(MATRIX).T
    points = (rays * truth[..., None] - translation) @ rotation
    u, v = (points[..., :2] / points[..., 2:] @ MATRIX[:2, :2].T + MATRIX[:2, 2]).transpose(2, 0, 1)
    around = (
        cv2.remap(
            image, u.astype(np.float32), v.astype(np.float32), cv2.INTER_NEAREST, borderValue=0
        )
        for image in (cv2.erode(seen, window), cv2.dilate(seen, window))
    )
    near, far = around
    hidden = inside & (near > 0) & (far < 0.97 * points[..., 2])
    assert hidden.sum() > 50
    assert (found[hidden] == 0).mean() > 0.8
    visible = inside & (near > 0.98 * points[..., 2]) & (far < 1.02 * points[..., 2])
    assert visible.mean() > 0.5
    assert (found[visible] == 0).mean() < 1e-3


def test_a_point_right_before_the_camera_does_not_cover_the_image() -> None:
    depth = np.full((47, 63), 2.0, np.float32)
    matrix = np.array([[60.0, 0, 31], [0, 60, 23], [0, 0, 1]])
    begun = time.process_time()
    near = register_depth(depth, matrix, matrix, np.eye(3), (0, 0, -1.9999), (47, 63))
    assert time.process_time() - begun < 1
    # The square of the one point that is left in the image has at most twice its size.
    rows, columns = np.nonzero(near)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 24, 30, 32)
    assert register_depth(depth, matrix, matrix, np.eye(3), (0, 0, -2.5), (47, 63)).max() == 0


def test_what_is_no_depth_stays_none() -> None:
    depth = np.array([[np.nan, np.inf, -1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    matrix = np.array([[60.0, 0, 1], [0, 60, 1], [0, 0, 1]])
    found = register_depth(depth, matrix, matrix, np.eye(3), (0, 0, 0), (3, 3))
    assert found.tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    assert found.dtype == np.float32
    nothing = register_depth(np.zeros((3, 3)), matrix, matrix, np.eye(3), (0, 0, 0), (4, 5))
    assert nothing.shape == (4, 5)
    assert not nothing.any()
    # Another memory layout, another type.
    double = np.asfortranarray(depth[:, ::-1].astype(np.float64))[:, ::-1]
    again = register_depth(double, matrix, matrix, np.eye(3), (0, 0, 0), (3, 3))
    np.testing.assert_array_equal(again, found)
