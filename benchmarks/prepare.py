"""How fast `fafnet prepare nyuv2` is, stage by stage.

python benchmarks/prepare.py --frames 64 --jobs 2
python benchmarks/prepare.py --originals downloads/nyuv2

Without `--originals` it first writes frames of 640x480 in NYU-Depth V2's own format: rooms with
noisy depth and in-painted holes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from measuring import at_least, command_line, from_tests

from fafnet_core.datasets.nyuv2 import LABELED_FILE, NYUv2
from fafnet_core.datasets.prepare import Preparation, prepare

OFFICIAL_FRAMES = 1449


def write_originals(root: Path, frames: int) -> None:
    """Write files like NYU-Depth V2's, with a Kinect's noise, which is slower to compress."""
    import h5py

    from_tests("originals").write_nyuv2(root, frames=frames)
    generator = np.random.default_rng(0)
    with h5py.File(root / LABELED_FILE, "r+") as file:
        for index in range(frames):
            for name in ("depths", "rawDepths"):
                depth = file[name][index]
                noise = generator.normal(0, 0.0015, depth.shape)
                file[name][index] = depth + np.where(depth > 0, noise * depth**2, 0)


def report(done: Preparation, jobs: int) -> None:
    """Print the times of a frame, and of the whole data set at that rate."""
    milliseconds = {stage: 1e3 * took / done.written for stage, took in done.stages.items()}
    milliseconds["all"] = sum(milliseconds.values())
    whole = OFFICIAL_FRAMES / 1e3 / jobs
    print(
        f"{done.written} frames, {jobs} processes: {done.seconds:.1f} s from start to end,"
        f" {done.written / done.seconds:.1f} frames/s, {done.bytes / done.written / 1e6:.2f} MB"
        " a frame"
    )
    for stage, took in milliseconds.items():
        print(
            f"  {stage:6s} {took:6.1f} ms a frame, {OFFICIAL_FRAMES} frames {took * whole:6.1f} s"
        )


def main() -> None:
    """Prepare, and print the times."""
    parser = command_line(__doc__)
    parser.add_argument("--frames", type=at_least(3), default=64, help="generated frames")
    parser.add_argument("--originals", type=Path, help="folder of the real download instead")
    parser.add_argument("--jobs", type=at_least(1), default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        originals = arguments.originals or Path(folder) / "originals"
        if arguments.originals is None:
            write_originals(originals, arguments.frames)
        splits = {
            "train": NYUv2(originals, "train", validation=0.0),
            "test": NYUv2(originals, "test"),
        }
        out = Path(folder) / "prepared"
        done = prepare(splits, out, source={"data": "nyuv2"}, jobs=arguments.jobs, progress=True)
        report(done, arguments.jobs)


if __name__ == "__main__":
    main()
