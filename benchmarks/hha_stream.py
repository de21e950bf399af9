"""How steady, accurate and fast HHA of a stream is, beside HHA of single frames.

python benchmarks/hha_stream.py                    # a synthetic moving camera of known gravity
python benchmarks/hha_stream.py --sequence FOLDER  # and real frames: camera.yaml, depth/
python benchmarks/hha_stream.py --holes FOLDER     # and hole filling: camera.yaml, depth.png (in-
                                                   # painted), raw_depth.png
python benchmarks/hha_stream.py --labels 100       # and the labels of the checkpoint that ships

Times are processor time of one thread.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from measuring import at_least, command_line
from numpy.typing import NDArray

from fafnet_core.benchmark.timing import median_ms, timed
from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.hha import (
    HHAEncoder,
    HHAStream,
    HHAStreamConfig,
    encode_hha,
    estimate_gravity,
    fill_holes,
)
from fafnet_core.inference import Segmenter
from fafnet_core.rooms import Pose, SensorConfig, Tour, pinhole
from fafnet_core.rooms.dataset import SyntheticData, photograph

Floats = NDArray[np.float64]
Depth = NDArray[np.float32]
Levels = NDArray[np.uint8]
RATE_HZ = 30.0
MOVES = ("still", "tour", "pitch", "roll")
LABELLED_SEED = 30_000
"""Of rooms that the checkpoint that ships was neither trained nor tested with."""


@dataclass(frozen=True)
class DepthSequence:
    """Depth images of a moving camera; gravity (N, 3) and ground (N,) where they are known."""

    depths: Sequence[Depth]
    camera_matrix: Floats
    gravity: Floats | None = None
    ground_m: Floats | None = None


@dataclass(frozen=True)
class Outcome:
    """Gravity (N, 3), ground (N,) and HHA of a sequence, and processor time a frame in ms."""

    gravity: Floats
    ground_m: Floats
    hha: list[Levels]
    ms: float


def turned(pose: Pose, move: str, time_s: float) -> Pose:
    """Return the pose with swings of up to 60 degrees a second."""
    if move == "pitch":
        angle = math.radians(25 * math.sin(60 / 25 * time_s))
        right, down, forward = pose.axes
        c, s = math.cos(angle), math.sin(angle)
        axes = np.stack([right, c * down + s * forward, c * forward - s * down])
        return Pose(pose.position, axes.astype(np.float32))
    return pose.rolled(25 * math.sin(60 / 25 * time_s)) if move == "roll" else pose


def synthetic(move: str, seed: int, count: int, camera: Camera) -> DepthSequence:
    """Photograph a room along a tour of ten seconds."""
    tour, rng = Tour.of(seed), np.random.default_rng(seed)
    config = SensorConfig(baseline_m=0.0)
    depths, gravity, ground = [], [], []
    for index in range(count):
        time_s = index / RATE_HZ
        pose = turned(tour.pose(0.0 if move == "still" else time_s / 10), move, time_s)
        depths.append(photograph(tour.room.scene, camera, pose, config, rng).depth_m)
        gravity.append(-pose.axes[:, 2].astype(np.float64))
        ground.append(-float(pose.position[2]))
    return DepthSequence(depths, camera.matrix, np.array(gravity), np.array(ground))


def real(folder: Path) -> DepthSequence:
    """Read a folder with `camera.yaml` and `depth/`."""
    camera = read_camera_file(folder / "camera.yaml")
    paths = sorted((folder / "depth").glob("*.png"))
    return DepthSequence([read_depth(p, camera.depth_unit_m) for p in paths], camera.camera_matrix)


def encoded(sequence: DepthSequence, config: HHAStreamConfig) -> Outcome:
    """Encode a sequence; frames come at `RATE_HZ`."""
    stream, frames, times = HHAStream(config), [], []
    camera = Camera.from_matrix(sequence.camera_matrix, sequence.depths[0].shape)
    for index, depth in enumerate(sequence.depths):
        encode = partial(stream.encode, depth, camera, stamp_s=index / RATE_HZ)
        frame, seconds = timed(encode)
        times.append(seconds)
        frames.append(frame)
    return Outcome(
        np.array([frame.gravity for frame in frames]),
        np.array([frame.ground_m for frame in frames]),
        [frame.hha for frame in frames],
        1e3 * statistics.median(times),
    )


def degrees(difference: Floats) -> Floats:
    """Return the angles between unit vectors, given their differences, (N, 3) -> (N,)."""
    half = np.linalg.norm(difference, axis=1) / 2
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(half, 0, 1))))


def flicker(hha: Sequence[Levels], channel: int) -> float:
    """Return a channel's mean absolute change from frame to frame, where both have depth."""
    changes = []
    for before, after in itertools.pairwise(hha):
        both = before.any(axis=2) & after.any(axis=2)
        changes.append(np.abs(before[both, channel].astype(int) - after[both, channel]).mean())
    return float(np.mean(changes))


def print_synthetic(seeds: Sequence[int], count: int, camera: Camera) -> None:
    """Print errors against the truth, and their change from frame to frame."""
    print(
        f"synthetic rooms {camera.width}x{camera.height}, {len(seeds)} of {count} frames at 30 Hz"
    )
    print("                   gravity, degrees             ground, cm           levels a frame")
    print("                   error   p95    jitter        error  jitter        height  angle")
    for move in MOVES:
        rows: dict[str, list[tuple[float, ...]]] = {"each": [], "stream": []}
        for seed in seeds:
            sequence = synthetic(move, seed, count, camera)
            assert sequence.gravity is not None
            assert sequence.ground_m is not None
            for name, smoothing_s in (("each", 0.0), ("stream", 0.5)):
                outcome = encoded(sequence, HHAStreamConfig(smoothing_s=smoothing_s))
                off, low = outcome.gravity - sequence.gravity, outcome.ground_m - sequence.ground_m
                rows[name].append(
                    (
                        float(degrees(off).mean()),
                        float(np.quantile(degrees(off), 0.95)),
                        float(degrees(np.diff(off, axis=0)).mean()),
                        100 * float(np.abs(low).mean()),
                        100 * float(np.abs(np.diff(low)).mean()),
                        flicker(outcome.hha, 1),
                        flicker(outcome.hha, 2),
                    )
                )
        for name, values in rows.items():
            e, p, j, g, gj, h, a = np.mean(values, axis=0)
            print(
                f"  {move:6s} {name:7s} {e:7.2f} {p:5.2f} {j:9.3f}   {g:10.1f} {gj:7.2f}"
                f"   {h:11.2f} {a:6.2f}"
            )


def print_real(sequence: DepthSequence) -> None:
    """Print jitter, without the camera's steady movement, and times."""
    print(f"real frames: {len(sequence.depths)}, as if at 30 Hz")
    outcomes = {
        name: encoded(sequence, HHAStreamConfig(smoothing_s=smoothing_s, fill_holes=filled))
        for name, smoothing_s, filled in (
            ("each", 0.0, False),
            ("stream", 0.5, False),
            ("stream, filled", 0.5, True),
        )
    }
    print(
        "                    gravity jitter, degrees  ground jitter, cm  height  angle  ms a frame"
    )
    for name, outcome in outcomes.items():
        # The second difference of independent noise is sqrt(6) times as large as the noise.
        gravity = np.linalg.norm(np.diff(outcome.gravity, 2, axis=0), axis=1).mean()
        ground = np.abs(np.diff(outcome.ground_m, 2)).mean()
        print(
            f"  {name:15s} {math.degrees(gravity) / math.sqrt(6):24.3f}"
            f" {100 * ground / math.sqrt(6):18.2f}  {flicker(outcome.hha, 1):6.2f}"
            f" {flicker(outcome.hha, 2):6.2f} {outcome.ms:11.1f}"
        )
    depth = sequence.depths[0]
    encoder = HHAEncoder(Camera.from_matrix(sequence.camera_matrix, depth.shape))
    print(f"  one-shot with tables: {median_ms(lambda: encoder.encode(depth)):.1f} ms")


def print_holes(folder: Path) -> None:
    """Compare filled depth and its HHA with the data set's own in-painting."""
    camera = read_camera_file(folder / "camera.yaml")
    wanted = read_depth(folder / "depth.png", camera.depth_unit_m)
    raw = read_depth(folder / "raw_depth.png", camera.depth_unit_m)
    missing = raw == 0
    print(f"holes: {missing.mean():.1%} of {raw.shape[1]}x{raw.shape[0]}; in them, beside the data")
    print("set's own in-painting: metres (mean, median), share of HHA within 3 levels; ms a frame")
    gravity = estimate_gravity(wanted, camera.camera_matrix, missing=missing)
    hha = encode_hha(wanted, camera.camera_matrix, missing=missing, gravity=gravity).astype(int)
    ways: dict[str, Callable[[], Depth]] = {
        "nothing": lambda: raw,
        "fill_holes": lambda: fill_holes(raw)[0],
        "cv2.inpaint": lambda: inpainted(raw),
    }
    for name, way in ways.items():
        filled = way()
        theirs = encode_hha(filled, camera.camera_matrix, missing=missing, gravity=gravity)
        within = (np.abs(theirs.astype(int) - hha)[missing] <= 3).mean(axis=0)
        off = np.abs(filled - wanted)[missing]
        print(
            f"  {name:12s} {off.mean():6.3f} {np.median(off):6.3f}   disparity {within[0]:6.1%}"
            f"  height {within[1]:6.1%}  angle {within[2]:6.1%}  {median_ms(way):7.1f}"
        )


def print_labels(count: int) -> None:
    """Score the checkpoint that ships on the first frames of streams, filled or not."""
    segmenter = Segmenter.from_checkpoint("default")
    sensor = SensorConfig(calibration_error_px=(0.0, 4.0))
    rooms = SyntheticData(seed=LABELLED_SEED, frames=count, held_out=count, sensor=sensor)
    data = rooms.open("test")

    def first_of_stream(depth_m: Depth, camera: Camera, config: HHAStreamConfig) -> Levels:
        return HHAStream(config).encode(depth_m, camera, stamp_s=0.0).hha

    ways: dict[str, Callable[[Depth, Camera], Levels]] = {
        "each": lambda depth_m, camera: encode_hha(depth_m, camera.matrix),
        "stream": partial(first_of_stream, config=HHAStreamConfig()),
        "stream, filled": partial(first_of_stream, config=HHAStreamConfig(fill_holes=True)),
    }
    classes = len(data.label_set.names)
    matrices = {name: ConfusionMatrix(classes) for name in ways}
    empty, same = [], dict.fromkeys(ways, 0.0)
    for index in range(len(data)):
        sample = data.read(index)
        assert sample.depth_m is not None
        assert sample.camera is not None
        empty.append(float((sample.depth_m == 0).mean()))
        labels = {
            name: segmenter.predict(sample.rgb, way(sample.depth_m, sample.camera)).labels
            for name, way in ways.items()
        }
        for name, found in labels.items():
            matrices[name].update(found, sample.label)
            same[name] += float((found == labels["each"]).mean()) / len(data)
    print(f"labels of {len(data)} rooms, seed {LABELLED_SEED}, {np.mean(empty):.1%} without depth:")
    print("mIoU over the classes that occur, pixel accuracy, and labels as of `each`")
    for name, matrix in matrices.items():
        scores = matrix.compute()
        print(f"  {name:15s} {scores.mean_iou:6.1%} {scores.pixel_accuracy:6.1%} {same[name]:6.1%}")


def inpainted(depth_m: Depth) -> Depth:
    """Fill depth by OpenCV's in-painting (Navier-Stokes), in millimetres."""
    counts = (depth_m * 1000).astype(np.uint16)
    filled = cv2.inpaint(counts, (depth_m == 0).view(np.uint8), 3, cv2.INPAINT_NS)
    return np.where(depth_m == 0, filled.astype(np.float32) * np.float32(0.001), depth_m)


def main() -> None:
    """Print the tables."""
    parser = command_line(__doc__)
    parser.add_argument("--sequence", type=Path, help="folder with camera.yaml and depth/")
    parser.add_argument("--holes", type=Path, help="folder with depth.png and raw_depth.png")
    parser.add_argument("--frames", type=at_least(3), default=90, help="of each synthetic sequence")
    parser.add_argument("--rooms", type=at_least(0), default=4, help="synthetic rooms")
    parser.add_argument(
        "--first-room", type=int, default=100, help="constants were chosen on rooms 0 to 7"
    )
    parser.add_argument("--labels", type=at_least(0), default=0, help="rooms to label")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.rooms:
        rooms = range(arguments.first_room, arguments.first_room + arguments.rooms)
        print_synthetic(rooms, arguments.frames, pinhole(320, 240))
    if arguments.sequence:
        print_real(real(arguments.sequence))
    if arguments.holes:
        print_holes(arguments.holes)
    if arguments.labels:
        print_labels(arguments.labels)


if __name__ == "__main__":
    main()
