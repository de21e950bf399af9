"""How long a cloud of `~/points` takes, from arrays to the message, beside a plain way.

python benchmarks/points.py                       # 640x480, a tenth without depth
python benchmarks/points.py --size 1280 720

Medians of processor time of one thread, in milliseconds, the ways in turn, with memory kept as the
node keeps it. The plain way computes everything from the equations for each frame.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from measuring import at_least, command_line
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from fafnet_core.benchmark.timing import in_turn
from fafnet_core.camera import Camera
from fafnet_core.frame import Classes, RgbdFrame, Segmentation
from fafnet_core.inference import keep_memory
from fafnet_core.labels import NYU40
from fafnet_ros.outputs import POINT, FrameRendering, OutputSettings, PointClouds, SegmentedFrame


def frame(width: int, height: int) -> SegmentedFrame:
    """A tilted plane with holes, and labels in patches."""
    rng = np.random.default_rng(0)
    focal = 0.82 * width
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    depth_m = np.linspace(4, 1, height, dtype=np.float32)[:, None].repeat(width, 1)
    blobs: NDArray[Any] = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 5)
    depth_m[blobs > np.quantile(blobs, 0.9)] = 0
    patches = rng.integers(0, 40, (height // 20 + 1, width // 20 + 1), dtype=np.uint8)
    labels = patches.repeat(20, 0).repeat(20, 1)[:height, :width]
    seen = RgbdFrame(
        rgb=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        depth_m=depth_m,
        camera=Camera.from_matrix(matrix, (height, width)),
    )
    confidence = rng.random((height, width), dtype=np.float32)
    found = Segmentation(
        classes=Classes(np.ascontiguousarray(labels), lambda: confidence),
        hha=np.zeros((height, width, 3), np.uint8),
        label_set=NYU40,
    )
    return SegmentedFrame(frame=seen, hha=found.hha, found=found)


def plain(result: SegmentedFrame, *, organized: bool) -> PointCloud2:
    """Make the cloud as in a textbook: every equation anew for each frame."""
    frame, found = result.frame, result.found
    assert found is not None
    height, width = frame.size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    matrix, depth = frame.camera.matrix, frame.depth_m
    valid = np.isfinite(depth) & (depth > 0)
    z = np.where(valid, depth, np.nan)
    points = np.zeros((height, width), POINT)
    points["x"] = (u - matrix[0, 2]) * z / matrix[0, 0]
    points["y"] = (v - matrix[1, 2]) * z / matrix[1, 1]
    points["z"] = z
    red, green, blue = (frame.rgb[..., i].astype(np.uint32) for i in range(3))
    points["rgb"] = (red << 16) | (green << 8) | blue
    points["label"] = found.labels
    points["confidence"] = found.confidence
    points = points if organized else points[valid][None]
    message = PointCloud2(height=points.shape[0], width=points.shape[1], point_step=POINT.itemsize)
    message.data = array.array("B", points.tobytes())
    return message


def ways(result: SegmentedFrame) -> dict[str, Callable[[], PointCloud2]]:
    """Every way to make a cloud of this frame, by name."""
    clouds = PointClouds(NYU40)

    def ours(**settings: Any) -> PointCloud2:
        return clouds.message(FrameRendering(result, OutputSettings(**settings)), Header())

    return {
        "organised": partial(ours, points_organized=True),
        "unordered": ours,
        "unordered, coloured by label": partial(ours, points_color="label"),
        "unordered, two classes": partial(ours, points_classes=("wall", "floor")),
        "unordered, confidence over 0.5": partial(ours, confidence_threshold=0.5),
        "plain organised": partial(plain, result, organized=True),
        "plain unordered": partial(plain, result, organized=False),
    }


def main() -> None:
    """Measure and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--size", type=at_least(1), nargs=2, default=(640, 480), metavar=("W", "H"))
    parser.add_argument("--repeats", type=at_least(1), default=40)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    keep_memory()
    result = frame(*arguments.size)
    named = ways(result)
    for name in ("organised", "unordered"):
        mine, theirs = (np.frombuffer(named[way]().data, POINT) for way in (name, f"plain {name}"))
        for field in POINT.names or ():
            np.testing.assert_allclose(mine[field], theirs[field], rtol=1e-5, atol=1e-6)
    times = in_turn(named, arguments.repeats)
    width, height = arguments.size
    points = (result.frame.depth_m > 0).sum()
    print(f"{width}x{height}, {points} pixels with depth: processor time, ms")
    for name in named:
        print(f"{name:32} {times.ms(name):6.1f}")


if __name__ == "__main__":
    main()
