"""How long HHA takes, and how close it is to float64 and to the authors' MATLAB code.

python benchmarks/hha.py                        # a synthetic room
python benchmarks/hha.py --frame FOLDER         # depth.png, camera.yaml; optional:
                                                # raw_depth.png and matlab_hha.png
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import at_least, command_line, from_tests
from numpy.typing import NDArray

from fafnet_core.benchmark.timing import median_ms, timed
from fafnet_core.camera import Camera, Size
from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import HHAEncoder, HHAStream, encode_hha, estimate_gravity

CHANNELS = ("disparity", "height", "angle")
Levels = NDArray[np.uint8]
Cases = dict[str, tuple[NDArray[np.float32], NDArray[np.bool_] | None]]


def synthetic_frame() -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """A room of 480x640 under a tilted camera, its camera matrix, and holes in a quarter of it."""
    camera_matrix = np.array([[525.0, 0, 319.5], [0, 525.0, 239.5], [0, 0, 1]])
    y, x = np.mgrid[:480, :640]
    u, v = (x - 319.5) / 525, (y - 239.5) / 525
    v, ahead = v * np.cos(0.2) + np.sin(0.2), np.cos(0.2) - v * np.sin(0.2)
    generator = np.random.default_rng(0)
    inverse = np.max([v / 1.4, -v / 1.2, u / 1.5, -u / 1.8, ahead / 4], axis=0)
    depth = 1 / (inverse + generator.normal(0, 0.001, inverse.shape))
    blobs: NDArray[Any] = cv2.GaussianBlur(generator.normal(size=inverse.shape), (0, 0), 5)
    return depth.astype(np.float32), camera_matrix, blobs > np.quantile(blobs, 0.75)


def print_difference(name: str, first: Levels, second: Levels) -> None:
    """Print a line for each channel: how far two HHA images are apart."""
    off = np.abs(first.astype(int) - second)
    for index, channel in enumerate(CHANNELS):
        exact, within = (off[..., index] == 0).mean(), (off[..., index] <= 1).mean()
        print(
            f"  {name:34s} {channel:9s} equal {exact:9.4%}  within one level {within:9.4%}"
            f"  largest {off[..., index].max()}"
        )


def print_times(
    reference: Any, cases: Cases, camera_matrix: NDArray[np.float64], repeats: int
) -> dict[str, Levels]:
    """Print the table of times; return the reference's HHA of each case."""
    depth = next(iter(cases.values()))[0]
    camera = Camera.from_matrix(camera_matrix, depth.shape)
    # Torch last: its threads go on spinning for a while when a call is over.
    ways: dict[str, Callable[..., Levels]] = {
        "encoder": HHAEncoder(camera).encode,
        "one-shot": partial(encode_hha, camera_matrix=camera_matrix),
        "torch cpu": HHAEncoder(camera, device="cpu").encode,
    }
    ms = {
        (way, name): median_ms(partial(run, image, missing=mask), repeats, time.perf_counter)
        for way, run in ways.items()
        for name, (image, mask) in cases.items()
    }
    print(f"{camera.width}x{camera.height}, median of {repeats}, ms a frame")
    print(f"  {'':18s} encoder  one-shot  torch cpu  float64 reference  ratio")
    reference.encode(depth, camera_matrix)  # the first call takes three times as long as the next
    outcomes: dict[str, Levels] = {}
    for name, (image, mask) in cases.items():
        plain = partial(reference.encode, image, camera_matrix, mask)
        outcomes[name], seconds = timed(plain, time.perf_counter)
        ours, once, on_torch = (ms[way, name] for way in ways)
        print(
            f"  {name:18s} {ours:7.1f}  {once:8.1f}  {on_torch:9.1f}"
            f"  {1e3 * seconds:17.0f}  {1e3 * seconds / ours:4.0f}x"
        )
    return outcomes


def print_one_thread(cases: Cases, camera_matrix: NDArray[np.float64], repeats: int) -> None:
    """Print processor time on one thread: one-shot, and a stream as the node encodes it."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    depth = next(iter(cases.values()))[0]
    encoder = HHAEncoder(Camera.from_matrix(camera_matrix, depth.shape))
    halved = (encoder.shape[0] // 2, encoder.shape[1] // 2)
    print("one thread, ms of processor time a frame")
    print(f"  {'':18s} encoder  stream  from the frame, scaled to half, to the stream's HHA")
    for name, (image, mask) in cases.items():
        frame = RgbdFrame(
            rgb=np.zeros((*depth.shape, 3), np.uint8),
            depth_m=image,
            camera=encoder.camera,
            missing=mask,
        )
        once = median_ms(partial(encoder.encode, image, missing=mask), repeats)
        whole, half = (
            median_ms(partial(encode_scaled, HHAStream(), frame, size), repeats)
            for size in (encoder.shape, halved)
        )
        print(f"  {name:18s} {once:7.1f}  {whole:6.1f}  {half:6.1f}")
    cv2.setNumThreads(threads)


def encode_scaled(stream: HHAStream, frame: RgbdFrame, size: Size) -> None:
    """Do what `Segmenter.encode` does; the stamps, which stand still, count as 30 Hz."""
    seen = frame.scaled(size)
    stream.encode(seen.depth_m, seen.camera, stamp_s=0.0, missing=seen.missing)


def main() -> None:
    """Print the tables."""
    parser = command_line(__doc__)
    parser.add_argument("--frame", type=Path, help="folder with depth.png and camera.yaml")
    parser.add_argument("--repeats", type=at_least(1), default=100)
    arguments = parser.parse_args()
    reference = from_tests("hha_reference")
    depth, camera_matrix, missing = synthetic_frame()
    matlab = None
    if folder := arguments.frame:
        camera = read_camera_file(folder / "camera.yaml")
        depth = read_depth(folder / "depth.png", camera.depth_unit_m)
        camera_matrix = camera.camera_matrix
        if (folder / "raw_depth.png").is_file():
            missing = read_depth(folder / "raw_depth.png") == 0
        matlab = cv2.imread(str(folder / "matlab_hha.png"))
    cases: Cases = {
        "no holes": (depth, None),
        "in-painted holes": (depth, missing),
        "holes": (np.where(missing, np.float32(0), depth), None),
    }
    print_one_thread(cases, camera_matrix, arguments.repeats)
    outcomes = print_times(reference, cases, camera_matrix, arguments.repeats)
    encoder = HHAEncoder(Camera.from_matrix(camera_matrix, depth.shape))
    print("levels")
    for name, (image, mask) in cases.items():
        hha = encoder.encode(image, missing=mask)
        print_difference(f"{name}: float64", hha, outcomes[name])
    if matlab is not None:
        rgb = np.ascontiguousarray(matlab[..., ::-1], np.uint8)
        print_difference("no holes: MATLAB", encoder.encode(depth), rgb)
    print("gravity against that of all windows in float64")
    for name, (image, mask) in cases.items():
        valid = (image > 0) if mask is None else ~mask
        full = reference.gravity(reference.normals(image, valid, camera_matrix, radius=10))
        off = np.linalg.norm(np.cross(full, estimate_gravity(image, camera_matrix, missing=mask)))
        print(f"  {name:18s} {np.degrees(np.arcsin(off)):.3f} degree")


if __name__ == "__main__":
    main()
