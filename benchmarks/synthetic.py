"""How fast synthetic rooms are made, and a picture of some.

    python benchmarks/synthetic.py --frames 60 --jobs 2
    python benchmarks/synthetic.py --sheet docs/images/synthetic.png

A frame is a new room, seen by both cameras, registered, with its HHA. Frames per second are those
of all processes together, each with one thread; milliseconds are processor time in one of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fafnet_core.files import write_png
from fafnet_core.hha import encode_hha
from fafnet_core.inference import legend, strip
from fafnet_core.inference.pictures import Picture
from fafnet_core.labels import NYU40
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.rooms.sensor import SensorConfig

_SENSOR = SensorConfig(calibration_error_px=(0.0, 4.0))
_DOWN, _ACROSS = 3, 2


@dataclass(frozen=True)
class Share:
    """What one process did: when, and its processor time."""

    began: float
    ended: float
    rooms_s: float
    registration_s: float
    hha_s: float


def make(data: SyntheticData, frames: range) -> Share:
    """Make frames one after the other, after one that is not counted."""
    cv2.setNumThreads(1)
    rooms = data.open("train")
    rooms.read(frames.start)
    spent = [0.0, 0.0, 0.0]
    began = time.monotonic()
    for index in frames:
        marks = [time.process_time()]
        frame = rooms.frame(index)
        marks.append(time.process_time())
        error, _ = rooms.calibration_error(index)
        depth_m = frame.registered(data.sensor, error)
        marks.append(time.process_time())
        encode_hha(depth_m, frame.camera.matrix)
        marks.append(time.process_time())
        spent = [total + later - sooner for total, sooner, later in
                 zip(spent, marks, marks[1:], strict=False)]  # fmt: skip
    return Share(began, time.monotonic(), *spent)


def measure(data: SyntheticData, jobs: int) -> str:
    """Make all frames of the data in so many processes; return the rates as text."""
    shares = [range(data.frames * job // jobs, data.frames * (job + 1) // jobs)
              for job in range(jobs)]  # fmt: skip
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        done = list(pool.map(make, [data] * jobs, shares))
    wall = max(share.ended for share in done) - min(share.began for share in done)
    stages = {
        "room and cameras": sum(share.rooms_s for share in done),
        "registration": sum(share.registration_s for share in done),
        "HHA": sum(share.hha_s for share in done),
    }
    lines = [
        f"{data.width}x{data.height}, {data.frames} frames, {jobs} processes:"
        f" {data.frames / wall:.1f} frames/s"
    ]
    stages["all"] = sum(stages.values())
    lines += [f"  {name:16s} {1e3 * s / data.frames:6.1f} ms" for name, s in stages.items()]
    return "\n".join(lines)


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60, help="of all processes together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("W", "H"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="draw six rooms into this PNG instead")
    options = parser.parse_args(arguments)
    if not 1 <= options.jobs <= options.frames:
        parser.error("--jobs: wanted at least 1; --frames: at least one for each process")
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
