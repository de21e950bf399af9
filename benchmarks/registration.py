"""How long the registration of depth to colour takes, and how accurate it is.

python benchmarks/registration.py

A synthetic room is seen by a depth camera 5 cm beside the colour camera and a little turned, with
a Kinect's noise, steps and holes; its depth in the colour image is known from casting rays there.
Times are processor times of one core; the peer, "plain NumPy", computes the same from lists of
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from measuring import at_least, command_line
from numpy.typing import NDArray

from fafnet_core.benchmark.timing import in_turn
from fafnet_core.camera import Camera
from fafnet_core.registration import DepthRegistration, Extrinsics, register_depth
from fafnet_core.rooms import Pose, SensorConfig, choose_view, make_room, pinhole
from fafnet_core.rooms.render import render_depth
from fafnet_core.rooms.sensor import measure_depth

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One pair of cameras before a room.

    Attributes:
        name: of the case.
        clean: (h, w) the depth camera's depth without faults.
        depth: (h, w) with them.
        truth: (H, W) the colour camera's.
        depth_camera: its size and matrix.
        camera: the colour camera's.
        extrinsics: from the depth camera to the colour camera.
    """

    name: str
    clean: Image
    depth: Image
    truth: Image
    depth_camera: Camera
    camera: Camera
    extrinsics: Extrinsics


def field_of_view(width: int, focal: float) -> float:
    """Horizontal field of view in degrees."""
    return float(2 * np.degrees(np.arctan(width / 2 / focal)))


def make_case(
    depth_size: tuple[int, int], depth_focal: float, size: tuple[int, int], focal: float
) -> Case:
    """Look at one room with cameras of these sizes (width, height) and focal lengths (pixels)."""
    rng = np.random.default_rng(4)
    room = make_room(rng)
    colour = choose_view(room, rng)
    depth_camera = pinhole(*depth_size, field_of_view(depth_size[0], depth_focal))
    camera = pinhole(*size, field_of_view(size[0], focal))
    turned = np.asarray(cv2.Rodrigues(np.array([0.004, -0.006, 0.003]))[0])
    beside = colour.moved(right=0.05, down=0.001, forward=-0.002)
    pose = Pose(beside.position, (turned @ beside.axes).astype(np.float32))
    axes = colour.axes.astype(np.float64)
    extrinsics = Extrinsics(axes @ pose.axes.T, axes @ (pose.position - colour.position))
    clean, glass = render_depth(room.scene.solids, depth_camera, pose)
    depth = measure_depth(clean, glass, SensorConfig(), depth_camera.fx, rng)
    truth, _ = render_depth(room.scene.solids, camera, colour)
    name = "{}x{} f={:.0f} -> {}x{} f={:.0f}".format(*depth_size, depth_focal, *size, focal)
    return Case(name, clean, depth, truth, depth_camera, camera, extrinsics)


def plain(case: Case) -> Image:
    """Register with the same squares and in float64 too, in NumPy over lists of pixels."""
    source, target = case.depth_camera.matrix, case.camera.matrix
    scale = float(max(target[0, 0] / source[0, 0], target[1, 1] / source[1, 1]))
    height, width = case.truth.shape
    rows, columns = np.nonzero((case.depth > 0) & np.isfinite(case.depth))
    depth = case.depth[rows, columns]
    rotation, translation = case.extrinsics.rotation, case.extrinsics.translation
    homography = (target @ rotation @ np.linalg.inv(source)).astype(np.float32).astype(float)
    shift = (target @ translation).astype(np.float32).astype(float)
    x, y, z = (
        (homography[i, 0] * columns + (homography[i, 1] * rows + homography[i, 2])) * depth
        + shift[i]
        for i in range(3)
    )
    half = float(np.float32(1.15 * scale / 2)) * np.minimum(depth / z, 2)
    u, v = x / z, y / z
    ahead = (z > 0) & (u > -width) & (u < 2 * width) & (v > -height) & (v < 2 * height)
    u, v, half = u[ahead], v[ahead], half[ahead]
    near = z[ahead].astype(np.float32)
    left, right = np.ceil(u - half).astype(np.int32), np.ceil(u + half).astype(np.int32)
    above, below = np.ceil(v - half).astype(np.int32), np.ceil(v + half).astype(np.int32)
    registered = np.full(height * width, np.inf, np.float32)
    for down in range(int((below - above).max(initial=0))):
        for aside in range(int((right - left).max(initial=0))):
            row, column = above + down, left + aside
            covered = (row < below) & (column < right) & (row >= 0) & (row < height)
            covered &= (column >= 0) & (column < width)
            np.minimum.at(registered, row[covered] * width + column[covered], near[covered])
    registered[np.isinf(registered)] = 0
    return registered.reshape(height, width)


def edge_errors(found: Image, truth: Image, reach: int = 8) -> NDArray[np.float64]:
    """Return by how many pixels near surfaces end too far (> 0) or too early along their row."""
    errors: list[int] = []
    for row, column in np.argwhere(np.abs(np.diff(truth, axis=1)) > 0.3):
        window = slice(column + 1 - reach, column + 1 + reach)
        around = truth[row, window]
        if column + 1 < reach or len(around) < 2 * reach or around.min() == 0:
            continue
        like = around < around.min() + 0.1
        # Single edges only: near pixels on one side, far pixels on the other.
        if like.sum() == reach and np.diff(like).sum() == 1:
            measured = found[row, window]
            errors.append(int(((measured > 0) & (measured < around.min() + 0.1)).sum()) - reach)
    return np.array(errors, np.float64)


def print_case(case: Case, repeats: int) -> None:
    """Print the lines of one case."""
    register = DepthRegistration(case.depth_camera, case.camera, case.extrinsics)
    ways = {
        "DepthRegistration": partial(register, case.depth),
        "register_depth": partial(
            register_depth,
            case.depth,
            case.depth_camera.matrix,
            case.camera.matrix,
            case.extrinsics.rotation,
            case.extrinsics.translation,
            case.truth.shape,
        ),
        "plain NumPy": partial(plain, case),
    }
    print(f"{case.name}: {case.camera.fx / case.depth_camera.fx:.1f} times as fine")
    reference, times = plain(case), in_turn(ways, repeats)
    for name, way in ways.items():
        off = np.abs(way() - reference)
        print(
            f"  {name:18s} {times.ms(name):7.1f} ms   pixels other than plain NumPy's:"
            f" {(off > 0).sum():7d}, by more than 1 mm {(off > 1e-3).sum():5d} of {off.size}"
        )
    found = register(case.clean)
    both = (found > 0) & (case.truth > 0)
    edges = edge_errors(found, case.truth)
    print(
        f"  against the truth: depth off by {1e3 * np.median(np.abs(found - case.truth)[both]):.1f}"
        f" mm, edges by {np.median(np.abs(edges)):.0f} pixels (medians; mean"
        f" {np.abs(edges).mean():.2f} pixels, outward {edges.mean():+.2f}, of {len(edges)} edges)"
    )


def main() -> None:
    """Print a table for each pair of cameras."""
    parser = command_line(__doc__)
    parser.add_argument("--repeats", type=at_least(1), default=30)
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    print(f"median processor time of {repeats}; NumPy {np.__version__}")
    for depth_size, depth_focal, size, focal in (
        ((640, 480), 585, (640, 480), 525),  # Kinect
        ((848, 480), 425, (1280, 720), 640),  # two of RealSense
        ((640, 480), 385, (1920, 1080), 1380),
    ):
        print_case(make_case(depth_size, depth_focal, size, focal), repeats)


if __name__ == "__main__":
    main()
