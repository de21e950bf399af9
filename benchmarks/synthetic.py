"""How fast synthetic rooms are made, and a picture of some.

python benchmarks/synthetic.py --frames 60 --jobs 2
python benchmarks/synthetic.py --sheet docs/images/synthetic.png

A frame is a new room, seen by both cameras, registered, with its HHA. Frames per second are those
of all processes together, each with one thread; milliseconds are the processor time of a frame.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap
from pathlib import Path

import cv2
import numpy as np
from measuring import at_least, command_line
from numpy.typing import NDArray

from fafnet_core.benchmark.timing import timed
from fafnet_core.files import write_png
from fafnet_core.hha import encode_hha
from fafnet_core.inference import legend, strip
from fafnet_core.inference.pictures import Picture
from fafnet_core.labels import NYU40
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.rooms.sensor import SensorConfig

_SENSOR = SensorConfig(calibration_error_px=(0.0, 4.0))
_DOWN, _ACROSS = 3, 2


_STAGES = ("room and cameras", "registration", "HHA")


@dataclass(frozen=True)
class Share:
    """When one process made its frames, and the processor time (frames, stages) in seconds."""

    began: float
    ended: float
    seconds: NDArray[np.float64]


def make(data: SyntheticData, frames: range) -> Share:
    """Make frames in turn, after one that is not counted."""
    cv2.setNumThreads(1)
    rooms = data.open("train")
    rooms.read(frames.start)
    seconds = []
    began = time.monotonic()
    for index in frames:
        frame, room_s = timed(partial(rooms.frame, index))
        error, _ = rooms.calibration_error(index)
        depth_m, registration_s = timed(partial(frame.registered, data.sensor, error))
        _, hha_s = timed(partial(encode_hha, depth_m, frame.camera.matrix))
        seconds.append((room_s, registration_s, hha_s))
    return Share(began, time.monotonic(), np.array(seconds))


def measure(data: SyntheticData, jobs: int) -> str:
    """Make all frames of the data in `jobs` processes; return the rates as text."""
    bounds = [data.frames * job // jobs for job in range(jobs + 1)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        done = list(pool.map(make, [data] * jobs, starmap(range, pairwise(bounds))))
    wall = max(share.ended for share in done) - min(share.began for share in done)
    head = f"{data.width}x{data.height}, {data.frames} frames, {jobs} processes"
    means = 1e3 * np.concatenate([share.seconds for share in done]).mean(axis=0)
    lines = [f"  {name:16s} {ms:6.1f} ms" for name, ms in zip(_STAGES, means, strict=True)]
    lines.append(f"  {'all':16s} {means.sum():6.1f} ms")
    return "\n".join([f"{head}: {data.frames / wall:.1f} frames/s", *lines])


def sheet(data: SyntheticData, row_height: int = 200) -> Picture:
    """Draw rooms in two columns, each as colour, HHA and labels, with a legend beside them."""
    rooms = data.open("train")
    samples = [rooms.read(index) for index in range(_DOWN * _ACROSS)]
    size = (round(row_height * data.width / data.height), row_height)

    def column(pictures: Sequence[Picture]) -> Picture:
        return np.vstack([_resized(picture, size) for picture in pictures])

    panels = []
    for first in range(0, len(samples), _DOWN):
        shown = [sample.with_hha() for sample in samples[first : first + _DOWN]]
        hha = [sample.hha for sample in shown if sample.hha is not None]
        panels += [
            ("colour", column([sample.rgb for sample in shown])),
            ("HHA of registered depth", column(hha)),
            ("labels", column([NYU40.colourise(sample.label) for sample in shown])),
        ]
    picture = strip(panels)
    labels = np.vstack([sample.label for sample in samples])
    return np.hstack([picture, legend(NYU40, labels, picture.shape[0])])


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or draw."""
    parser = command_line(__doc__)
    parser.add_argument("--frames", type=at_least(1), default=60, help="of all processes together")
    parser.add_argument("--jobs", type=at_least(1), default=os.cpu_count() or 1)
    parser.add_argument("--size", type=at_least(1), nargs=2, default=(320, 240), metavar=("W", "H"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="draw six rooms into this PNG instead")
    options = parser.parse_args(arguments)
    if options.jobs > options.frames:
        parser.error("--frames: wanted at least one for each process")
    try:
        width, height = options.size
        data = SyntheticData(
            seed=options.seed, frames=options.frames, width=width, height=height, sensor=_SENSOR
        )
    except ValueError as error:
        parser.error(str(error))
    if options.sheet is not None:
        write_png(options.sheet, sheet(data))
    else:
        print(measure(data, options.jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
