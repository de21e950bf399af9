"""The ray caster against geometry that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fafnet_core.data.synthetic import (
    Box,
    Cylinder,
    PinholeCamera,
    Scene,
    look_at,
    render,
    studio,
    sway,
)

CAMERA = PinholeCamera(width=81, height=61, horizontal_fov_deg=60)
LAMP = (0.0, 1.0, 5.0)


def test_a_wall_ahead_has_one_depth_everywhere() -> None:
    wall = Box(0, (100, 100, 100), (0, 3.5, -10), (20, 1, 20))
    seen = render(Scene((wall,), LAMP), CAMERA, look_at((0, 0, 0), (0, 1, 0)))
    np.testing.assert_allclose(seen.depth_m, 3.0, rtol=1e-5)
    assert set(np.unique(seen.labels)) == {0}


def test_depth_and_place_of_a_turned_box_are_exact() -> None:
    box = Box(7, (200, 0, 0), (0, 4, -0.5), (1, 1, 1), yaw_deg=45)
    seen = render(Scene((box,), LAMP), CAMERA, look_at((0, 0, 0), (0, 1, 0)))
    # Its nearest edge is half a diagonal before the middle.
    assert seen.depth_m[30, 40] == pytest.approx(4 - np.sqrt(0.5), rel=1e-5)
    assert seen.labels[30, 40] == 7
    assert seen.labels[0, 0] == 255
    assert seen.depth_m[0, 0] == 0
    # The outermost corners lie at x = +-sqrt(0.5), 4 m away.
    half_width = CAMERA.camera_matrix[0, 0] * np.sqrt(0.5) / 4
    assert abs((seen.labels[30] == 7).sum() - 2 * half_width) <= 1


def test_a_cylinder_shows_its_side_and_its_lid() -> None:
    tin = Cylinder(5, (0, 200, 0), (0, 3, -1), 0.5, 1.0)
    ahead = render(Scene((tin,), LAMP), CAMERA, look_at((0, 0, -0.5), (0, 3, -0.5)))
    assert ahead.depth_m[30, 40] == pytest.approx(2.5, rel=1e-5)
    above = render(Scene((tin,), LAMP), CAMERA, look_at((0, 2.99, 2), (0, 3, 0)))
    assert above.depth_m[30, 40] == pytest.approx(2.0, rel=1e-3)


def test_the_nearer_solid_hides_the_farther_whatever_their_order() -> None:
    near = Box(1, (1, 1, 1), (0, 2, -1), (1, 0.1, 2))
    far = Box(2, (1, 1, 1), (0, 4, -5), (9, 0.1, 9))
    pose = look_at((0, 0, 0), (0, 1, 0))
    one, other = (render(Scene(s, LAMP), CAMERA, pose) for s in ((near, far), (far, near)))
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.labels[30, 40] == 1
    assert one.labels[30, 0] == 2


def test_depth_reprojects_onto_the_floor_plane() -> None:
    camera, pose = PinholeCamera(160, 120), sway(0.3)
    seen = render(studio(), camera, pose)
    rows, columns = np.nonzero(seen.labels == 1)
    matrix = camera.camera_matrix
    depth = seen.depth_m[rows, columns]
    x = (columns - matrix[0, 2]) / matrix[0, 0] * depth
    y = (rows - matrix[1, 2]) / matrix[1, 1] * depth
    points = np.stack([x, y, depth], 1) @ pose.axes + pose.position
    np.testing.assert_allclose(points[:, 2], 0.01, atol=1e-3)


def test_the_room_is_closed_furnished_and_seen_from_a_closed_path() -> None:
    camera, room = PinholeCamera(160, 120), studio()
    classes: set[int] = set()
    for phase in np.linspace(0, 1, 9)[:-1]:
        seen = render(room, camera, sway(float(phase)))
        assert (seen.depth_m > 0.3).all()
        assert not (seen.labels == 255).any()
        classes |= set(np.unique(seen.labels))
    assert len(classes) >= 20
    start, end = sway(0), sway(1)
    np.testing.assert_allclose(start.position, end.position, atol=1e-6)
    np.testing.assert_allclose(start.axes, end.axes, atol=1e-6)
    np.testing.assert_allclose(start.axes @ start.axes.T, np.eye(3), atol=1e-6)
