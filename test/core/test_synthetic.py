"""The ray caster against geometry that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.rooms import Lamp, Scene, Tour, choose_view, look_at, make_room, pinhole, render
from fafnet_core.rooms.camera import slopes
from fafnet_core.rooms.kit import blob, box, tube
from fafnet_core.rooms.render import RoomView, render_depth
from fafnet_core.rooms.solids import NEAR, Box, Ellipsoid, Frustum, Shell, Solid, tilt, turn

Values = NDArray[np.float64]

CAMERA = pinhole(width=81, height=61, horizontal_fov_deg=60)
AHEAD = look_at((0, 0, 0), (0, 1, 0))
GREY = (100.0, 100.0, 100.0)


def see(*solids: Solid, lamp: Lamp | None = None) -> RoomView:
    return render(Scene(solids, lamp or Lamp((0, 1, 5))), CAMERA, AHEAD)


def test_a_wall_ahead_has_one_depth_everywhere() -> None:
    seen = see(box("wall", GREY, (0, 3.5, -10), (20, 1, 20)))
    np.testing.assert_allclose(seen.depth_m, 3.0, rtol=1e-5)
    assert set(np.unique(seen.labels)) == {0}


def test_depth_and_place_of_a_turned_box_are_exact() -> None:
    seen = see(box("door", GREY, (0, 4, -0.5), (1, 1, 1), rotation=turn(45)))
    # Its nearest edge is half a diagonal before the middle.
    assert seen.depth_m[30, 40] == pytest.approx(4 - np.sqrt(0.5), rel=1e-5)
    assert seen.labels[30, 40] == 7
    assert (seen.labels[0, 0], seen.depth_m[0, 0]) == (255, 0)
    assert seen.rgb[0, 0].tolist() == [0, 0, 0]
    # The outermost corners lie at x = +-sqrt(0.5), 4 m away.
    half_width = CAMERA.matrix[0, 0] * np.sqrt(0.5) / 4
    assert abs((seen.labels[30] == 7).sum() - 2 * half_width) <= 1


@pytest.mark.parametrize("radii", [(0.5, 0.2), (0.2, 0.5), (0.4, 0.0)])
def test_a_cone_cut_off_is_as_wide_as_its_radius_at_each_height(
    radii: tuple[float, float],
) -> None:
    cone = tube("lamp", GREY, (0, 4, -0.5), radii, 1.0)
    depth, _ = render_depth((cone,), CAMERA, AHEAD)
    for row in (24, 30, 36):
        height = -(row - 30) / CAMERA.fx
        mean, growth = sum(radii) / 2, radii[1] - radii[0]
        # The ray in the middle column goes (0, 1, height) t; it meets the near side where
        # 4 - t = radius(z = height * t).
        t = (4 - mean) / (1 + growth * height)
        assert depth[row, 40] == pytest.approx(t, rel=1e-4), row


def test_an_ellipsoid_has_its_half_axes() -> None:
    egg = blob("pillow", GREY, (0, 3, -0.25), (2, 0.6, 0.5))
    depth, _ = render_depth((egg,), CAMERA, AHEAD)
    assert depth[30, 40] == pytest.approx(2.7, rel=1e-5)
    standing = blob("pillow", GREY, (0, 3, -0.25), (2, 0.6, 0.5), rotation=turn(90))
    depth, _ = render_depth((standing,), CAMERA, AHEAD)
    assert depth[30, 40] == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    "solid",
    [
        box("box", GREY, (0.1, 3, -0.4), (0.8, 0.9, 0.7), rotation=turn(30) @ tilt(20)),
        tube("box", GREY, (0.1, 3, -0.4), (0.5, 0.3), 0.8, rotation=tilt(35)),
        blob("box", GREY, (0.1, 3, -0.4), (0.9, 0.5, 0.7), rotation=turn(30) @ tilt(20)),
    ],
    ids=["box", "frustum", "ellipsoid"],
)
def test_hits_lie_on_the_surface_and_normals_are_across_it(solid: Solid) -> None:
    assert isinstance(solid, Box | Frustum | Ellipsoid)
    depth, _ = render_depth((solid,), CAMERA, AHEAD)
    rows, columns = np.nonzero(depth)
    assert rows.size > 50
    x, y = slopes(CAMERA)
    rays = np.stack([x[columns], np.ones_like(y[rows]), -y[rows]])
    points = solid.rotation.T @ (rays * depth[rows, columns] - solid.centre[:, None])
    normals, _, _ = solid.surface(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, rtol=1e-4)
    assert (np.einsum("in,in->n", normals, solid.rotation.T @ rays) < 1e-3).all()  # faces us
    # A little along the normal is outside: a ray from there along it never comes back.
    outside = points + 1e-3 * normals
    for point, normal in zip(outside.T[::17], normals.T[::17], strict=True):
        ways = tuple(np.array([[value]], np.float32) for value in normal)
        with np.errstate(all="ignore"):
            again = solid.cast(point.astype(np.float32), (ways[0], ways[1], ways[2]))
        assert np.isinf(again).all()


def test_the_nearer_solid_hides_the_farther_whatever_their_order() -> None:
    near = box("floor", GREY, (0, 2, -1), (1, 0.1, 2))
    far = box("cabinet", GREY, (0, 4, -5), (9, 0.1, 9))
    one, other = see(near, far), see(far, near)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.labels[30, 40] == 1
    assert one.labels[30, 0] == 2


def test_what_stands_before_the_lamp_throws_a_shadow() -> None:
    ground = box("floor", GREY, (0, 3, -1.1), (6, 6, 0.1))
    above = box("table", GREY, (0, 3, 1.5), (1, 1, 0.1))  # out of sight
    lamp = Lamp((0.0, 3.0, 4.0), strength=1.0, ambient=0.1)
    lit, dark = see(ground, lamp=lamp), see(ground, above, lamp=lamp)
    row = 30 + round(CAMERA.fx / 3)  # the ground under the table, 3 m away and 1 m down
    assert dark.labels[row, 40] == lit.labels[row, 40] == 1
    assert dark.rgb[row, 40, 0] < 0.3 * lit.rgb[row, 40, 0]
    aside = (60, 2)
    assert dark.rgb[aside].tolist() == lit.rgb[aside].tolist()


def slow_cast(solid: Solid, start: Values, rays: Values) -> Values:
    """Depth of rays (N, 3) in double precision, without short cuts."""
    origin = (start - solid.centre) @ solid.rotation.astype(float)
    ways, half = rays @ solid.rotation.astype(float), solid.half.astype(float)
    hits = []  # candidates: depth, and whether they count
    if isinstance(solid, Box):
        one, other = (-half - origin) / ways, (half - origin) / ways
        enter, leave = np.minimum(one, other).max(1), np.maximum(one, other).min(1)
        hits.append((leave if isinstance(solid, Shell) else enter, leave >= enter))
    elif isinstance(solid, Ellipsoid):
        along, from_middle = ways / half, origin / half
        a, b = (along**2).sum(1), (along * from_middle).sum(1)
        root = b**2 - a * (from_middle @ from_middle - 1)
        hits.append(((-b - np.sqrt(np.maximum(root, 0))) / a, root > 0))
    elif isinstance(solid, Frustum):
        mean, growth = (solid.bottom + solid.top) / 2, (solid.top - solid.bottom) / 2 / half[2]
        at_start = mean + growth * origin[2]
        a = ways[:, 0] ** 2 + ways[:, 1] ** 2 - (growth * ways[:, 2]) ** 2
        b = origin[:2] @ ways[:, :2].T - at_start * growth * ways[:, 2]
        root = b**2 - a * (origin[0] ** 2 + origin[1] ** 2 - at_start**2)
        for sign in (-1, 1):
            depth = (-b + sign * np.sqrt(np.maximum(root, 0))) / a
            z = origin[2] + depth * ways[:, 2]
            hits.append((depth, (root > 0) & (abs(z) <= half[2]) & (mean + growth * z >= 0)))
        for sign, radius in ((-1, solid.bottom), (1, solid.top)):
            depth = (sign * half[2] - origin[2]) / ways[:, 2]
            hits.append((depth, np.hypot(*(origin + depth[:, None] * ways).T[:2]) <= radius))
    depths = [np.where(ok & (depth > NEAR), depth, np.inf) for depth, ok in hits]
    first: Values = np.min(depths, axis=0)
    return first


def test_every_pixel_of_some_rooms_is_what_a_slow_ray_caster_finds() -> None:
    differ = pixels = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        camera, room = pinhole(64, 48, rng.uniform(55, 68)), make_room(rng)
        pose = choose_view(room, rng)
        seen = render(room.scene, camera, pose)
        rows, columns = np.indices((48, 64)).reshape(2, -1)
        rays = np.linalg.inv(camera.matrix) @ [columns, rows, np.ones(rows.size)]
        rays, start = rays.T @ pose.axes.astype(float), pose.position.astype(float)
        with np.errstate(all="ignore"):
            depths = np.array([slow_cast(solid, start, rays) for solid in room.scene.solids])
        depth, nearest = depths.min(axis=0), depths.argmin(axis=0)
        height = (start + rays * depth[:, None])[:, 2]
        labels = np.array([solid.label for solid in room.scene.solids])[nearest]
        labels[(nearest == 0) & (height < 1e-6)] = 1
        labels[(nearest == 0) & (height > room.size[2] - 1e-6)] = 21
        differ += (labels != seen.labels.ravel()).sum()
        differ += (abs(depth - seen.depth_m.ravel()) > 1e-3).sum()
        pixels += rows.size
    assert differ < 5e-4 * pixels  # a ray that grazes an edge, in single precision


def test_a_tour_is_a_closed_path_through_a_closed_room() -> None:
    camera, tour = pinhole(64, 48), Tour.of(2)
    for phase in np.linspace(0, 1, 5)[:-1]:
        seen = render(tour.room.scene, camera, tour.pose(float(phase)))
        assert (seen.depth_m > 0).all()
        assert not (seen.labels == 255).any()
    start, end = tour.pose(0), tour.pose(1)
    np.testing.assert_allclose(start.position, end.position, atol=1e-6)
    np.testing.assert_allclose(start.axes, end.axes, atol=1e-6)
    np.testing.assert_allclose(start.axes @ start.axes.T, np.eye(3), atol=1e-6)


def test_nothing_stands_in_anything_else_or_in_a_wall() -> None:
    for seed in range(20):
        room = make_room(np.random.default_rng(seed))
        width, length, _ = room.size
        for index, (a, b, c, d) in enumerate(room.taken):
            assert -width / 2 - 0.02 <= a < b <= width / 2 + 0.02
            assert -length / 2 - 0.02 <= c < d <= length / 2 + 0.02
            for e, f, g, h in room.taken[:index]:
                assert b <= e or f <= a or d <= g or h <= c, seed
