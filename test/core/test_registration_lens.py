"""Lenses that distort: what a pixel of theirs sees, and depth registered through them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.registration import DepthRegistration, Extrinsics, Lens, UnknownLensError

CAMERA = Camera(fx=131.0, fy=130.0, cx=80.5, cy=58.5, width=160, height=120)
DEPTH_CAMERA = Camera(fx=120.0, fy=121.0, cx=78.0, cy=61.0, width=160, height=120)
LENSES = [
    Lens("plumb_bob", (-0.3, 0.12, 0.001, -0.002, -0.02)),
    Lens("plumb_bob", (0.26, -0.95, 0.001, -0.002, 1.16)),
    Lens("rational_polynomial", (0.5, -2.6, 0.0006, -0.0002, 1.5, 0.38, -2.4, 1.4)),
    Lens("equidistant", (0.1, -0.05, 0.01, -0.002)),
]


def seen_at(lens: Lens, camera: Camera, x: float, y: float) -> tuple[float, float]:
    """Where a point x / z, y / z is seen, as the model's own equations say it."""
    squared = x * x + y * y
    k1, k2 = lens.coefficients[:2]
    if lens.model == "equidistant":
        k3, k4 = lens.coefficients[2:]
        radius = squared**0.5
        a = np.arctan(radius)
        bent = a * (1 + k1 * a**2 + k2 * a**4 + k3 * a**6 + k4 * a**8) / radius
        return camera.fx * x * bent + camera.cx, camera.fy * y * bent + camera.cy
    p1, p2, k3, k4, k5, k6 = (*lens.coefficients, 0.0, 0.0, 0.0)[2:8]
    bent = 1 + k1 * squared + k2 * squared**2 + k3 * squared**3
    bent /= 1 + k4 * squared + k5 * squared**2 + k6 * squared**3
    across = x * bent + 2 * p1 * x * y + p2 * (squared + 2 * x * x)
    down = y * bent + p1 * (squared + 2 * y * y) + 2 * p2 * x * y
    return camera.fx * across + camera.cx, camera.fy * down + camera.cy


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.model} {lens.coefficients[0]}")
def test_a_pixel_sees_what_the_model_says(lens: Lens) -> None:
    rays = lens.rays(CAMERA)
    assert rays.shape == (120, 160, 2)
    for row, column in ((0, 0), (119, 159), (60, 81), (7, 150), (118, 2)):
        x, y = rays[row, column]
        np.testing.assert_allclose(seen_at(lens, CAMERA, x, y), (column, row), atol=0.05)
        np.testing.assert_allclose(lens.distorted([[x, y]], CAMERA), [[column, row]], atol=0.05)


def test_what_no_model_reaches_is_seen_by_no_pixel() -> None:
    # r (1 - r^2) is at most 0.385, at r = 0.577: the corners lie beyond.
    lens = Lens("plumb_bob", (-1.0, 0.0, 0.0, 0.0))
    camera = Camera(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)
    rays = lens.rays(camera)
    assert np.isnan(rays[0, 0]).all()
    assert np.isfinite(rays[60, 80]).all()
    found = DepthRegistration(camera, camera, Extrinsics.identity(), depth_lens=lens, lens=lens)(
        np.full((120, 160), 2.0, np.float32)
    )
    assert found[0, 0] == 0
    assert found[60, 80] == 2


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, -1.0), (-0.8, 0.6)])
def test_a_fish_eye_is_followed_to_87_degrees(direction: tuple[float, float]) -> None:
    lens = Lens("equidistant", (0.0, 0.0, 0.0, 0.0))
    camera = Camera(fx=50.0, fy=50.0, cx=100.0, cy=100.0, width=201, height=201)
    for degrees, is_seen in ((60.0, True), (86.9, True), (89.0, False), (110.0, False)):
        place = np.array(direction) * 50 * np.radians(degrees) + 100
        ray = lens.undistorted([place], camera)[0]
        if is_seen:
            np.testing.assert_allclose(
                ray, np.array(direction) * np.tan(np.radians(degrees)), rtol=2e-3
            )
        else:
            assert np.isnan(ray).all()


def test_the_colour_image_reaches_half_its_size_around_a_pinholes() -> None:
    lens = Lens("equidistant", (0.0, 0.0, 0.0, 0.0))
    camera = Camera(fx=60.0, fy=60.0, cx=79.5, cy=59.5, width=160, height=120)
    wide = Camera(fx=25.0, fy=25.0, cx=79.5, cy=79.5, width=160, height=160)
    found = DepthRegistration(wide, camera, Extrinsics.identity(), lens=lens)(
        np.full((160, 160), 2.0, np.float32)
    )
    # A pixel's ray, as the equations of the lens have it, is there in the pinhole's image:
    rows, columns = np.mgrid[:120, :160]
    across, down = (columns - 79.5) / 60, (rows - 59.5) / 60
    angle = np.hypot(across, down)
    ahead = angle < 1.5
    tangent = np.tan(np.where(ahead, angle, 0)) / angle * 60
    # The furthest of its sides, in halves of the image; twice that is reached.
    place = np.maximum(np.abs(across) * tangent / 80, np.abs(down) * tangent / 60)
    inside = ahead & (place < 1.97)
    assert (found[inside] == 2).all()
    assert (found[~ahead | (place > 2.03)] == 0).all()
    assert inside.mean() > 0.5
    assert (place > 1.1)[inside].mean() > 0.2


def wall(camera: Camera, lens: Lens | None, height: float = 0.0) -> NDArray[np.float32]:
    """Depth of a slanted wall, z = 2 + x / 2 + height y, in a camera's own image."""
    if lens is None:
        rows, columns = np.mgrid[:120, :160]
        rays = np.dstack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy])
    else:
        rays = lens.rays(camera)
    # z = 2 + z (x' / 2 + height y')
    return (2 / (1 - rays[..., 0] / 2 - height * rays[..., 1])).astype(np.float32)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.model} {lens.coefficients[0]}")
@pytest.mark.parametrize("which", ["depth", "colour", "both"])
def test_a_wall_is_where_the_colour_camera_sees_it(lens: Lens, which: str) -> None:
    depth_lens = lens if which != "colour" else None
    colour_lens = lens if which != "depth" else None
    aside = np.array([0.05, 0.0, 0.0])
    register = DepthRegistration(
        DEPTH_CAMERA, CAMERA, Extrinsics(np.eye(3), aside), depth_lens=depth_lens, lens=colour_lens
    )
    found = register(wall(DEPTH_CAMERA, depth_lens, 0.2))
    assert found.shape == CAMERA.size
    # In the colour camera's frame the wall is moved by 0.05 along x.
    expected = wall(CAMERA, colour_lens, 0.2) * np.float32((2 - 0.05 / 2) / 2)
    inner = (slice(15, -15), slice(15, -15))
    assert (found[inner] > 0).mean() > 0.99
    apart = np.abs(found / expected - 1)[inner][found[inner] > 0]
    # A pixel along the wall's slope is half a per cent; without the lens it is several.
    assert np.median(apart) < 0.006
    assert np.quantile(apart, 0.99) < 0.02


def test_a_lens_is_told_from_camera_info() -> None:
    assert Lens.of("plumb_bob", np.zeros(5)) is None
    assert Lens.of("", []) is None
    assert Lens.of("plumb_bob", [0.1, 0, 0, 0, 0]) == Lens("plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0))
    # A fish-eye of zeros is no pinhole: what it sees at 45 degrees is 0.785 f away, not f.
    fisheye = Lens.of("".join(["equi", "distant"]), [0.0] * 4)  # as text of a message
    assert fisheye is not None
    np.testing.assert_allclose(
        fisheye.distorted([[1.0, 0.0]], CAMERA)[0, 0], 80.5 + 131 * np.pi / 4
    )
    for model, counts in (
        ("plumb_bob", (4, 5, 8)),
        ("rational_polynomial", (5, 8, 12, 14)),
        ("equidistant", (4,)),
    ):
        for count in counts:
            assert Lens.of(model, [0.1] * count) == Lens(model, (0.1,) * count)
    for model, count in (("brown", 5), ("", 5), ("equidistant", 5), ("plumb_bob", 3)):
        with pytest.raises(UnknownLensError, match=f"'{model}' with {count} coefficients") as wrong:
            Lens.of(model, [0.1] * count)
        assert (wrong.value.model, wrong.value.count) == (model, count)
