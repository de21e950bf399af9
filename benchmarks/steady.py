"""Labels that flicker, with and without what was seen before: `temporal` of the node.

python benchmarks/steady.py --frames FOLDER     # a recording, and five walks through rooms

The share of the pixels that have another label than the same place had in the frame before (the
places by depth and visual odometry, the same for each row), mean IoU and pixel accuracy where there
are true labels, and what it costs at the size that the network sees.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from measuring import at_least, command_line, markdown
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.frame import RgbdFrame
from fafnet_core.inference import DEFAULT_CHECKPOINT, Segmenter, Temporal, keep_memory, use_threads
from fafnet_core.inference.odometry import RgbdOdometry
from fafnet_core.inference.steady import View, places_before
from fafnet_core.input_size import fitted_size
from fafnet_core.labels import NYU40
from fafnet_core.resampling import sampled
from fafnet_core.rooms import SensorConfig, Tour, pinhole
from fafnet_core.rooms.dataset import photograph

_ROUND_S = 12
"""A walk goes round once in this time, at 30 frames a second."""

_FIRST_SEED = 30_000

Labels = NDArray[np.uint8]


@dataclass
class Row:
    """What was found with one setting."""

    changed: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    matrix: ConfusionMatrix = field(default_factory=lambda: ConfusionMatrix(len(NYU40)))

    def cells(self, *, has_labels: bool) -> list[str]:
        """Return flicker, mean IoU, pixel accuracy and milliseconds."""
        scores = self.matrix.compute() if has_labels else None
        return [
            f"{100 * statistics.mean(self.changed):.2f}",
            f"{100 * scores.mean_iou:.1f}" if scores else "",
            f"{100 * scores.pixel_accuracy:.1f}" if scores else "",
            f"{1e3 * statistics.median(self.seconds):.1f}",
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--frames", type=Path, help="a folder of frames, in their order")
    parser.add_argument("--checkpoint", default=DEFAULT_CHECKPOINT)
    parser.add_argument("--walks", type=at_least(0), default=5)
    parser.add_argument("--length", type=at_least(2), default=60, help="frames of a walk")
    arguments = parser.parse_args(argv)
    keep_memory()
    use_threads(1)
    segmenter = Segmenter.from_checkpoint(arguments.checkpoint)
    rows = []
    if arguments.frames:
        frames = list(FrameFolder(arguments.frames))
        found = _measured(segmenter, [frames], None)
        rows += [(arguments.frames.name, t, *r.cells(has_labels=False)) for t, r in found.items()]
    if arguments.walks:
        walks = [_walk(_FIRST_SEED + i, arguments.length) for i in range(arguments.walks)]
        labels = [[truth for _, truth in walk] for walk in walks]
        found = _measured(segmenter, [[frame for frame, _ in walk] for walk in walks], labels)
        rows += [(f"{len(walks)} walks", t, *r.cells(has_labels=True)) for t, r in found.items()]
    head = ("frames", "temporal", "changed, %", "mIoU, %", "pixels, %", "more, ms")
    print(markdown(head, rows))
    return 0


def _walk(seed: int, length: int) -> list[tuple[RgbdFrame, Labels]]:
    """Return what a person with a camera sees, with the camera's faults, and true labels."""
    tour, camera = Tour.of(seed), pinhole(640, 480)
    rng = np.random.default_rng(seed)
    found = []
    for index in tqdm(range(length), desc=f"walk {seed}", disable=None):
        pose = tour.pose(index / 30 / _ROUND_S)
        seen = photograph(tour.room.scene, camera, pose, SensorConfig(baseline_m=0), rng)
        frame = RgbdFrame(rgb=seen.rgb, depth_m=seen.depth_m, camera=camera)
        found.append((frame, seen.label))
    return found


def _measured(
    segmenter: Segmenter,
    recordings: Sequence[Sequence[RgbdFrame]],
    truth: Sequence[Sequence[Labels]] | None,
) -> dict[Temporal, Row]:
    rows: dict[Temporal, Row] = {temporal: Row() for temporal in get_args(Temporal)}
    for index, frames in enumerate(recordings):
        views = _views(frames, segmenter)
        for temporal, row in rows.items():
            follower, before = segmenter.following(temporal=temporal), None
            alone = segmenter.following()
            for place, frame in enumerate(tqdm(frames, desc=temporal, disable=None)):
                found, plain = follower.segment_frame(frame), alone.segment_frame(frame)
                row.seconds.append(sum(found.seconds.values()) - sum(plain.seconds.values()))
                if before is not None:
                    row.changed.append(_changed(found.labels, before, views[place - 1 : place + 1]))
                before = found.labels
                if truth is not None:
                    row.matrix.update(found.labels, truth[index][place])
    return rows


def _views(frames: Sequence[RgbdFrame], segmenter: Segmenter) -> list[View]:
    odometry, views = RgbdOdometry(), []
    for frame in frames:
        seen = frame.scaled(fitted_size(frame.size, segmenter.input_size))
        pose = odometry.update(seen.rgb, seen.depth_m, seen.camera)
        views.append(View(seen.depth_m, seen.camera, pose))
    return views


def _changed(labels: Labels, before: Labels, views: Sequence[View]) -> float:
    """Return the share of the places seen in both frames that have another label than before."""
    size = views[1].camera.size
    places = places_before(views[1], views[0], size)
    if places is None:
        raise ValueError("the camera's motion between two frames was not found")
    seen, x, y = places
    rows, columns = (
        np.rint(each).astype(np.int64).clip(0, side - 1)
        for each, side in zip((y, x), size, strict=True)
    )
    now, then = sampled(labels, size), sampled(before, size)[rows, columns]
    return float((now != then)[seen].mean())


if __name__ == "__main__":
    raise SystemExit(main())
