"""A picture of `~/points`: one frame's cloud, seen from beside the camera that took it.

python benchmarks/cloud_picture.py --out cloud.png                   # a synthetic room
python benchmarks/cloud_picture.py --out cloud.png --frames FOLDER   # a folder of RGB-D frames
python benchmarks/cloud_picture.py --out cloud.png --truth           # the room's own labels

From the messages alone, as RViz would draw them: the camera's own view, then the cloud in the
image's and in the labels' colours from a viewpoint to the right and above.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import FrameFolder
from fafnet_core.files import write_png
from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.inference import Segmenter, legend, strip
from fafnet_core.labels import NYU40
from fafnet_core.rooms import SensorConfig, Tour, pinhole
from fafnet_core.rooms.dataset import photograph
from fafnet_core.rooms.sensor import calibration_error
from fafnet_ros.outputs import POINT, FrameRendering, OutputSettings, PointClouds, SegmentedFrame

PAPER = 255
_LARGEST = 6
"""Pixels of a point's side at most: one that is close by would hide the rest."""


def draw(
    message: PointCloud2,
    camera_matrix: NDArray[np.float64],
    shape: tuple[int, int],
    *,
    eye: tuple[float, float, float],
    focal: float,
) -> NDArray[np.uint8]:
    """Draw a cloud as squares, the nearest in front.

    Args:
        message: a `~/points`, organised or not, in the optical frame of its camera.
        camera_matrix: (3, 3) of that camera: how far apart its points are.
        shape: (height, width) of the picture.
        eye: where the viewer stands in that frame: x right, y down, z ahead, in metres.
        focal: of the viewer's camera, in pixels.

    Returns:
        (height, width, 3) uint8 RGB; white where there is nothing.
    """
    points = np.frombuffer(message.data, POINT)
    points = points[np.isfinite(points["z"])]
    height, width = shape
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    if not points.size:
        return canvas
    xyz = np.stack([points["x"], points["y"], points["z"]], axis=1).astype(np.float64)
    target = np.median(xyz, axis=0)
    seen = (xyz - eye) @ _axes(np.asarray(eye), target).T
    ahead = seen[:, 2] > 0.1
    points, seen = points[ahead], seen[ahead]
    u = focal * seen[:, 0] / seen[:, 2] + (width - 1) / 2
    v = focal * seen[:, 1] / seen[:, 2] + (height - 1) / 2
    side = np.ceil(1.6 * focal / camera_matrix[0, 0] * points["z"] / seen[:, 2])
    side = np.clip(side, 1, _LARGEST).astype(int)
    left, top = np.round(u - side / 2 + 0.5).astype(int), np.round(v - side / 2 + 0.5).astype(int)
    # Nearest first in one number: the depth in whole 0.1 mm, then the point.
    order = (1e4 * seen[:, 2]).astype(np.int64) << 32 | np.arange(len(seen))
    nothing = np.iinfo(np.int64).max
    nearest = np.full(height * width, nothing)
    for down in range(_LARGEST):
        for aside in range(_LARGEST):
            row, column = top + down, left + aside
            there = (side > max(down, aside)) & (row >= 0) & (row < height)
            there &= (column >= 0) & (column < width)
            np.minimum.at(nearest, row[there] * width + column[there], order[there])
    drawn = nearest < nothing
    rgb = points["rgb"][nearest[drawn] & 0xFFFFFFFF]
    canvas.reshape(-1, 3)[drawn] = np.stack([rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255], axis=1)
    return canvas


def _axes(eye: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return right, down and forward, as rows, of somebody at `eye` who looks at `target`."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    across: NDArray[np.float64] = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right = across / np.linalg.norm(across)
    return np.stack([right, np.cross(forward, right), forward])


def room(seed: int, checkpoint: str | None) -> SegmentedFrame:
    """A synthetic room as the cameras see it, faults included; its own labels without a network."""
    camera, tour, sensor = pinhole(), Tour.of(seed), SensorConfig()
    rng = np.random.default_rng(seed)
    seen = photograph(tour.room.scene, camera, tour.middle, sensor, rng)
    error, _ = calibration_error(sensor, camera, rng)
    depth_m = seen.registered(sensor, error)
    matrix = Camera.from_matrix(camera.matrix, depth_m.shape)
    frame = RgbdFrame(rgb=seen.rgb, depth_m=depth_m, camera=matrix)
    if checkpoint is not None:
        return segmented(frame, checkpoint)
    found = Segmentation(
        labels=seen.label,
        confidence=np.ones(depth_m.shape, np.float32),
        hha=np.zeros(seen.rgb.shape, np.uint8),
        label_set=NYU40,
    )
    return SegmentedFrame(frame=frame, hha=found.hha, found=found)


def segmented(frame: RgbdFrame, checkpoint: str) -> SegmentedFrame:
    """A frame with the network's labels."""
    found = Segmenter.from_checkpoint(checkpoint).segment_frame(frame)
    return SegmentedFrame(frame=frame, hha=found.hha, found=found)


def picture(result: SegmentedFrame, eye: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Draw the strip: the colour image, the cloud twice, and the legend."""
    frame, found = result.frame, result.found
    assert found is not None
    panels = [("colour image", frame.rgb)]
    for title, shown in (
        ("~/points", OutputSettings()),
        ("~/points, points_color: label", OutputSettings(points_color="label")),
    ):
        message = PointClouds(found.label_set).message(FrameRendering(result, shown), Header())
        # Wider than the camera, so that the edges of what it saw are in the picture.
        focal = 0.8 * frame.camera.fx
        cloud = draw(message, frame.camera.matrix, frame.size, eye=eye, focal=focal)
        panels.append((title, cloud))
    panels.append(("legend", legend(found.label_set, found.labels, frame.size[0])))
    return strip(panels)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=4, help="which room")
    parser.add_argument("--frames", type=Path, help="the first frame of this folder instead")
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--truth", action="store_true", help="the room's own labels, no network")
    parser.add_argument("--width", type=int, default=0, help="of the picture; 0: as it is")
    parser.add_argument(
        "--eye",
        type=float,
        nargs=3,
        default=(0.8, -0.6, 0.0),
        metavar=("X", "Y", "Z"),
        help="viewpoint in the camera's frame: right, down and ahead, in metres",
    )
    arguments = parser.parse_args()
    if arguments.frames:
        result = segmented(FrameFolder(arguments.frames)[0], arguments.checkpoint)
    else:
        result = room(arguments.seed, None if arguments.truth else arguments.checkpoint)
    drawn: Any = picture(result, tuple(arguments.eye))
    if arguments.width:
        size = arguments.width, round(drawn.shape[0] * arguments.width / drawn.shape[1])
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    write_png(arguments.out, drawn)


if __name__ == "__main__":
    main()
