"""`DepthRegistration`: against a loop over pixels, known shifts, and rooms seen by two cameras."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from fafnet_core.camera import Camera
from fafnet_core.registration import DepthRegistration, Extrinsics, register_depth, squares
from fafnet_core.rooms import Pose, choose_view, make_room, pinhole
from fafnet_core.rooms.render import render_depth

Matrix = NDArray[np.float64]
Image = NDArray[np.float32]


def camera_matrix(focal: float, shape: tuple[int, ...]) -> Matrix:
    return np.array([[focal, 0, (shape[1] - 1) / 2], [0, focal, (shape[0] - 1) / 2], [0, 0, 1]])


def turned(*degrees: float) -> Matrix:
    return np.asarray(cv2.Rodrigues(np.radians(degrees))[0], np.float64)


def registration(
    source: Matrix,
    target: Matrix,
    extrinsics: Extrinsics,
    depth_shape: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: DTypeLike = np.float32,
) -> DepthRegistration:
    cameras = Camera.from_matrix(source, depth_shape), Camera.from_matrix(target, shape)
    return DepthRegistration(*cameras, extrinsics, dtype=dtype)


def pixel_by_pixel(
    depth: Image, source: Matrix, target: Matrix, extrinsics: Extrinsics, shape: tuple[int, int]
) -> Image:
    """What `DepthRegistration` says that it does, one pixel after the other."""
    nearest = np.full(shape, np.inf)
    scale = max(target[0, 0] / source[0, 0], target[1, 1] / source[1, 1])
    for (row, column), metres in np.ndenumerate(depth):
        if not (metres > 0 and np.isfinite(metres)):
            continue
        ray = np.linalg.solve(source, [column, row, 1])
        point = extrinsics.rotation @ (float(metres) * ray) + extrinsics.translation
        if point[2] <= 0:
            continue
        u, v, _ = target @ point / point[2]
        half = 1.15 / 2 * scale * min(float(metres) / point[2], 2)
        rows = slice(max(0, math.ceil(v - half)), max(0, math.ceil(v + half)))
        columns = slice(max(0, math.ceil(u - half)), max(0, math.ceil(u + half)))
        nearest[rows, columns] = np.minimum(nearest[rows, columns], point[2])
    return np.where(np.isinf(nearest), 0, nearest).astype(np.float32)


@pytest.mark.parametrize("at_is_fast", [True, False])
@pytest.mark.parametrize("seed", range(24))
def test_the_nearest_stays_as_in_a_loop_over_the_pixels(
    seed: int, at_is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "_AT_IS_FAST", at_is_fast)
    rng = np.random.default_rng(seed)
    depth = np.exp(rng.uniform(-1, 1.5, (19, 27))).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    depth[0, :4] = np.nan, np.inf, -np.inf, -1
    scale = float(np.exp(rng.uniform(np.log(0.3), np.log(7))))
    shape = (int(17 * scale) + 3, int(25 * scale) + 3)
    source, target = camera_matrix(24, depth.shape), camera_matrix(24 * scale, shape)
    target[1, 1] *= 0.9
    # Up to as far as the nearest points: they come behind the colour camera.
    extrinsics = Extrinsics(turned(*rng.uniform(-1.2, 1.2, 3)), rng.uniform(-0.5, 0.5, 3))
    expected = pixel_by_pixel(depth, source, target, extrinsics, shape)
    register = registration(source, target, extrinsics, depth.shape, shape, dtype=np.float64)
    for _ in range(2):  # nothing of one frame is left in the next
        found = register(depth)
        np.testing.assert_array_equal(found > 0, expected > 0)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert not register(np.zeros_like(depth)).any()
    assert (expected > 0).any()


def test_one_shot_and_stream_differ_by_rounding_alone() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 5, (240, 320)).astype(np.float32)
    shape = (360, 480)
    source, target = camera_matrix(280, depth.shape), camera_matrix(420, shape)
    extrinsics = Extrinsics(turned(0.3, -0.2, 0.4), np.array([0.05, 0.001, -0.002]))
    found = registration(source, target, extrinsics, depth.shape, shape)(depth)
    once = register_depth(depth, source, target, extrinsics.rotation, extrinsics.translation, shape)
    assert found.dtype == once.dtype == np.float32
    assert (np.abs(found - once) > 1e-5).mean() < 2e-3
    assert found.flags.c_contiguous


@pytest.mark.parametrize("pixels", [(0, 0), (4, 0), (-7, 0), (0, 3), (5, -2)])
def test_a_plane_moves_by_whole_pixels(pixels: tuple[int, int]) -> None:
    # At 2 m, one pixel is 2 / 50 m.
    matrix = camera_matrix(50, (40, 60))
    extrinsics = Extrinsics(np.eye(3), np.array([*pixels, 0]) * 2 / 50)
    picture = np.zeros((40, 60), np.float32)
    picture[10:20, 20:40] = 2
    found = registration(matrix, matrix, extrinsics, (40, 60), (40, 60))(picture)
    across, down = pixels
    np.testing.assert_array_equal(found, np.roll(picture, (down, across), (0, 1)))


def plane_seen(
    normal: Matrix, matrix: Matrix, shape: tuple[int, int], seen_from: Extrinsics
) -> Matrix:
    """Depth of the plane through (0, 0, 2.5) for a camera whose points `seen_from` takes there."""
    rows, columns = np.indices(shape)
    rays = np.stack([columns, rows, np.ones(shape)], -1) @ np.linalg.inv(matrix).T
    along = rays @ seen_from.rotation.T @ normal
    metres: Matrix = (2.5 * normal[2] - normal @ seen_from.translation) / along
    return metres


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.0, 3.6, 5.0, 9.9])
@pytest.mark.parametrize("tilt", [0, 50])
def test_a_plane_has_no_hole_however_fine_the_colour_image(scale: float, tilt: float) -> None:
    depth_shape = (48, 64)
    shape = (round(48 * scale), round(64 * scale))
    source, target = camera_matrix(60, depth_shape), camera_matrix(60 * scale, shape)
    extrinsics = Extrinsics(turned(1, -1, 0.5), np.array([0.05, 0.002, -0.003]))
    normal = turned(0, tilt, 0)[:, 2]
    depth = plane_seen(normal, source, depth_shape, Extrinsics.identity()).astype(np.float32)
    truth = plane_seen(normal, target, shape, extrinsics.inverse())
    register = registration(source, target, extrinsics, depth_shape, shape)
    found = register(depth)
    edge_y, edge_x = round(6 * scale), round(8 * scale)
    inside = slice(edge_y, -edge_y), slice(edge_x, -edge_x)
    assert (found[inside] > 0).all()
    # Half a depth pixel beside, and half of the overlap.
    slope = np.hypot(*np.gradient(truth))[inside] * max(scale, 1)
    assert (np.abs(found - truth)[inside] <= 0.001 + 1.5 * slope).all()
    steps = (1 / (np.rint(350 / depth) / 350)).astype(np.float32)  # as a Kinect's
    assert (register(steps)[inside] > 0).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_depth_is_where_it_belongs_to_a_tenth_of_a_pixel(axis: int) -> None:
    shape = (240, 320)
    matrix = camera_matrix(266, shape)
    middle = slice(20, -20), slice(40, -40)
    metres: list[Matrix] = []
    pixels: list[Matrix] = []
    for twelfth in range(12):  # the middle moves by 3 pixels and a part of one, each part alike
        angle = np.degrees(np.arctan2(3 + twelfth / 12, 266))
        rotation = turned(0, angle, 0) if axis == 0 else turned(-angle, 0, 0)
        extrinsics = Extrinsics(rotation, rotation @ np.array([0.05, 0, 0]))
        slant = 20 if twelfth % 2 else -20
        normal = turned(0, slant, 0)[:, 2] if axis == 0 else turned(-slant, 0, 0)[:, 2]
        depth = plane_seen(normal, matrix, shape, extrinsics).astype(np.float32)
        found = registration(matrix, matrix, extrinsics, shape, shape)(depth)
        truth = plane_seen(normal, matrix, shape, Extrinsics.identity())
        wrong = (found - truth)[middle]
        metres.append(wrong.ravel())
        pixels.append((wrong / np.hypot(*np.gradient(truth))[middle]).ravel())
    assert abs(np.median(np.concatenate(pixels))) < 0.1
    assert abs(np.median(np.concatenate(metres))) < 1e-3
    assert np.abs(np.concatenate(pixels)).max() < 1


def test_in_a_room_nothing_shows_through_and_what_is_hidden_is_a_hole() -> None:
    shape = (240, 320)
    camera = pinhole(320, 240)
    rng = np.random.default_rng(4)
    room = make_room(rng)
    pose = choose_view(room, rng)
    extrinsics = Extrinsics(turned(1, -2, 0.5), turned(1, -2, 0.5) @ np.array([0.1, 0, 0]))
    seen, _ = render_depth(room.scene.solids, camera, pose.moved(right=0.1))
    found = DepthRegistration(camera, camera, extrinsics)(seen)
    colour = Pose(pose.position, (extrinsics.rotation @ pose.axes).astype(np.float32))
    truth, _ = render_depth(room.scene.solids, camera, colour)
    window = np.ones((3, 3), np.uint8)
    inside = np.zeros(shape, bool)
    inside[20:-20, 40:-40] = True
    assert (found > 1.02 * cv2.dilate(truth, window))[inside].mean() < 1e-3  # no cracks
    assert ((found > 0) & (found < 0.98 * cv2.erode(truth, window)))[inside].mean() < 1e-3
    # Which points of the truth the depth camera does not see: something is nearer to it.
    rows, columns = np.indices(shape)
    rays = np.stack([columns, rows, np.ones(shape)], -1) @ np.linalg.inv(camera.matrix).T
    points = (rays * truth[..., None] - extrinsics.translation) @ extrinsics.rotation
    projected = points @ camera.matrix.T
    places = (projected[..., :2] / projected[..., 2:]).astype(np.float32)
    near, far = (
        cv2.remap(image, places, None, cv2.INTER_NEAREST)  # type: ignore[call-overload]
        for image in (cv2.erode(seen, window), cv2.dilate(seen, window))
    )
    hidden = inside & (near > 0) & (far < 0.97 * points[..., 2])
    assert hidden.sum() > 50
    assert (found[hidden] == 0).mean() > 0.8
    visible = inside & (near > 0.98 * points[..., 2]) & (far < 1.02 * points[..., 2])
    assert visible.mean() > 0.5
    assert (found[visible] == 0).mean() < 1e-3


def test_a_point_right_before_the_camera_does_not_cover_the_image() -> None:
    depth = np.full((47, 63), 2.0, np.float32)
    matrix = camera_matrix(60, depth.shape)
    near = register_depth(depth, matrix, matrix, np.eye(3), (0, 0, -1.9999), (47, 63))
    # The square of the one point that is left in the image has at most twice its size.
    rows, columns = np.nonzero(near)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 24, 30, 32)


@pytest.mark.parametrize("degrees", [(6, 0, 0), (-6, 0, 0), (0, 6, 0), (0, -6, 0)])
@pytest.mark.parametrize(
    ("depth_focal", "focal", "shape"), [(20, 50, (33, 33)), (100, 20, (41, 41))]
)
def test_only_what_both_cameras_see_decides_how_large_squares_are(
    degrees: tuple[float, ...], depth_focal: float, focal: float, shape: tuple[int, int]
) -> None:
    # There the squares are as without a turn; what only the wider camera sees would be a tenth
    # wider.
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 3, (41, 41)).astype(np.float32)
    source, target = camera_matrix(depth_focal, depth.shape), camera_matrix(focal, shape)
    extrinsics = Extrinsics(turned(*degrees), np.zeros(3))
    expected = pixel_by_pixel(depth, source, target, extrinsics, shape)
    found = registration(source, target, extrinsics, depth.shape, shape, np.float64)(depth)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_image_may_be_of_any_width() -> None:
    matrix = camera_matrix(2000, (2, 20000))
    register = registration(matrix, matrix, Extrinsics.identity(), (2, 20000), (2, 20000))
    depth = np.random.default_rng(0).uniform(2, 2.001, (2, 20000)).astype(np.float32)
    np.testing.assert_allclose(register(depth), depth, atol=0.002)


@pytest.mark.parametrize("roll", [0, 30, 45, 90, 180])
@pytest.mark.parametrize("pitch", [0, 25])
def test_cameras_turned_against_each_other_leave_no_cracks(roll: float, pitch: float) -> None:
    # A wide depth camera whose rays are far apart where the colour camera looks aside.
    source, target = camera_matrix(110, (240, 240)), camera_matrix(150, (100, 100))
    extrinsics = Extrinsics(turned(pitch, 0, 0) @ turned(0, 0, roll), np.zeros(3))
    depth = np.full((240, 240), 2.0, np.float32)
    found = registration(source, target, extrinsics, depth.shape, (100, 100))(depth)
    assert (found > 0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_any_floating_point_is_read_and_left_as_it_is(dtype: str) -> None:
    matrix = camera_matrix(50, (12, 16))
    register = registration(matrix, matrix, Extrinsics.identity(), (12, 16), (12, 16))
    wide = np.full((12, 32), 1.5, dtype)
    depth = wide[:, ::2]
    depth.setflags(write=False)
    np.testing.assert_array_equal(register(depth), depth)


@pytest.mark.filterwarnings("error")
def test_numbers_too_large_for_a_depth_are_none() -> None:
    matrix = camera_matrix(50, (12, 16))
    register = registration(matrix, matrix, Extrinsics.identity(), (12, 16), (12, 16))
    depth = np.full((12, 16), 1.5)
    depth[3, :4] = 1e300, -1e300, 1e39, -1e-300
    np.testing.assert_array_equal(register(depth), np.where(depth == 1.5, depth, 0))


def test_wrong_arguments_are_refused() -> None:
    matrix, extrinsics = camera_matrix(50, (40, 60)), Extrinsics.identity()
    register = registration(matrix, matrix, extrinsics, (40, 60), (40, 60))
    with pytest.raises(ValueError, match=r"\(60, 40\).*\(40, 60\)"):
        register(np.ones((60, 40), np.float32))
    with pytest.raises(ValueError, match="uint16"):
        register(np.ones((40, 60), np.uint16))
    registration(matrix, camera_matrix(500, (400, 600)), extrinsics, (40, 60), (400, 600))
    with pytest.raises(ValueError, match=r"10\.2 times"):
        registration(matrix, camera_matrix(510, (480, 720)), extrinsics, (40, 60), (480, 720))
    with pytest.raises(ValueError, match="mirrors"):
        register_depth(np.ones((40, 60)), matrix, matrix, np.diag([1, 1, -1]), (0, 0, 0), (40, 60))
