"""How long HHA takes, and how near it is to float64 and to the authors' MATLAB code.

python benchmarks/hha.py                        # a synthetic room
python benchmarks/hha.py --frame FOLDER         # depth.png, camera.yaml; where there,
                                                # raw_depth.png and matlab_hha.png
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from fafnet_core.camera import Camera  # noqa: E402
from fafnet_core.datasets.frames import read_camera_file, read_depth  # noqa: E402
from fafnet_core.hha import HHAEncoder, encode_hha, estimate_gravity  # noqa: E402

CHANNELS = ("disparity", "height", "angle")
Levels = NDArray[np.uint8]
Cases = dict[str, tuple[NDArray[np.float32], NDArray[np.bool_] | None]]


def load_reference() -> Any:
    """The float64 reference of the tests."""
    path = PROJECT / "test" / "core" / "hha_reference.py"
    spec = importlib.util.spec_from_file_location("hha_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """Median time of `run` in milliseconds, after two warming calls where there are several."""
    times = []
    for index in range(repeats + (2 if repeats > 1 else 0)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        if repeats > 1 and index < 2:
            times.clear()
    return 1e3 * statistics.median(times)


def print_difference(name: str, first: Levels, second: Levels) -> None:
    """A line a channel: how far two HHA images are apart."""
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
    """The table of times; returns the reference's HHA of each case."""
    depth = next(iter(cases.values()))[0]
    encoder = HHAEncoder(Camera.from_matrix(camera_matrix, depth.shape))
    ours = {
        name: median_ms(partial(encoder.encode, image, missing=mask), repeats)
        for name, (image, mask) in cases.items()
    }
    once = {
        name: median_ms(partial(encode_hha, image, camera_matrix, missing=mask), repeats)
        for name, (image, mask) in cases.items()
    }
    # After the others: torch's threads go on spinning for a while when a call is over.
    encoder = HHAEncoder(Camera.from_matrix(camera_matrix, depth.shape), device="cpu")
    on_torch = {
        name: median_ms(partial(encoder.encode, image, missing=mask), repeats)
        for name, (image, mask) in cases.items()
    }
    print(f"{depth.shape[1]}x{depth.shape[0]}, median of {repeats}, ms a frame")
    print(f"  {'':18s} encoder  one-shot  torch cpu  float64 reference  ratio")
    reference.encode(depth, camera_matrix)  # the first call takes three times as long as the next
    outcomes: dict[str, Levels] = {}
    for name, (image, mask) in cases.items():
        start = time.perf_counter()
        outcomes[name] = reference.encode(image, camera_matrix, mask)
        plain = 1e3 * (time.perf_counter() - start)
        print(
            f"  {name:18s} {ours[name]:7.1f}  {once[name]:8.1f}  {on_torch[name]:9.1f}"
            f"  {plain:17.0f}  {plain / ours[name]:4.0f}x"
        )
    return outcomes


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frame", type=Path, help="folder with depth.png and camera.yaml")
    parser.add_argument("--repeats", type=int, default=100)
    arguments = parser.parse_args()
    reference = load_reference()
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
