"""The card of the checkpoint that ships, and its figures as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ade_peers import PeerScores
from frame_faults import NO_COLOUR, NO_DEPTH
from frame_scores import FrameScores
from measuring import markdown
from shared_classes import SHARED

from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT, checkpoint_file
from fafnet_core.evaluation.metrics import finite_or_none
from fafnet_core.input_size import size_text
from fafnet_core.labels import NYU40
from fafnet_core.training.versions import versions

PROTOCOL = {
    "nyuv2": "NYU-Depth V2's official test split, 40 classes, whole frames of 640x480, single"
    " scale, through `Segmenter.segment(rgb, depth_m, camera_matrix)` on the CPU in float32. Every"
    " labelled pixel counts once; all pixels are summed before anything is divided. Nothing was"
    " trained or chosen with these frames.",
    "faults": "Holes come from the sensor model of the synthetic rooms (noise, steps of disparity,"
    " grazing angles, range) and from blobs on top of it, until the given share of a frame's pixels"
    " has no depth; where the sensor alone loses more, no blob is added. Draws are seeded by frame."
    " Noise only is that model without any loss. Depth was in-painted before.",
    "shared": "The 16 classes that NYU shares with ADE20K's 31 commonest. What maps to none of them"
    " is other: it misses the class that is there and is no class itself. IoU counts every labelled"
    " pixel, so a whiteboard called wall is a false wall. Recall is the share of these classes'"
    " pixels that got their class; it favours networks that know few others. Peers see colour at"
    " their own size (bilinear); their labels are resized to 640x480 (nearest).",
    "rooms": "Synthetic rooms of a seed that nothing was trained or chosen with, split test,"
    " through `Segmenter.segment` too. mIoU is the mean over the classes that occur.",
    "milliseconds": "Times are the median processor time of a frame on one thread, from images in"
    " memory to labels of their size.",
}
JPEG = (
    "Colour is JPEG here, and the in-painted depth was rebuilt within a few millimetres (2 to 6 on"
    " average): figures compare with published ones up to that."
)
_TERMS = (
    "**Terms.** NYU-Depth V2, which it was trained on, is given out for research. Whether a network"
    " that was trained on it may be used for something else is for its user to find out. None of"
    " its images is in this package."
)
_DATA = ("data", "auxiliary")
_TOLD = (*_DATA, "transform")
_HARDLY = 0.2
"""IoU below which a class is listed as hardly known."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was measured of one checkpoint.

    Attributes:
        path: its file.
        metadata: of the file.
        nyuv2: of NYU-Depth V2's test split, with each fault; the first without any.
        peers: of the same frames.
        rooms: of synthetic rooms; the first without a fault.
        is_jpeg: colour of NYU-Depth V2 is JPEG.
    """

    path: Path
    metadata: CheckpointMetadata
    nyuv2: Sequence[FrameScores]
    peers: Sequence[PeerScores]
    rooms: Sequence[FrameScores]
    is_jpeg: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values; every figure is a fraction, and null where it is undefined."""
        whole, room = self.nyuv2[0], self.rooms[0]
        return {
            "checkpoint": self.path.stem,
            "bytes": self.path.stat().st_size,
            "input_size": self.metadata.input_size,
            "notes": self.metadata.notes,
            "protocol": PROTOCOL | ({"nyuv2_files": JPEG} if self.is_jpeg else {}),
            "nyuv2": {one.name: one.to_dict() for one in self.nyuv2},
            "shared": {
                one.name: {**one.shared.to_dict(), "milliseconds": one.milliseconds}
                for one in self._compared()
            },
            "shared_with_faults": {one.name: one.shared.to_dict() for one in self.nyuv2},
            "rooms": {one.name: one.to_dict() for one in self.rooms},
            "classes": {
                name: {
                    "nyuv2_iou": finite_or_none(whole.scores.iou[i]),
                    "nyuv2_pixels": int(whole.scores.pixels[i]),
                    "rooms_iou": finite_or_none(_iou_where_it_occurs(room, i)),
                    "rooms_pixels": int(room.scores.pixels[i]),
                }
                for i, name in enumerate(NYU40.names)
            },
            "versions": versions(),
        }

    def to_card(self) -> str:
        """Return the text, Markdown, that goes with the file."""
        parts = [
            f"# {self.path.stem}",
            self._what_it_is(),
            *self._training(),
            *self._what_it_cannot_do(),
            "## Real rooms",
            *self._real_rooms(),
            "## Beside networks for a CPU that see colour only",
            *self._beside_peers(),
            "## Synthetic rooms",
            *self._synthetic_rooms(),
            "## Classes",
            *self._classes(),
        ]
        return "\n\n".join(parts) + "\n"

    def _compared(self) -> list[PeerScores]:
        mine = self.nyuv2[0]
        own = PeerScores(self.path.stem, mine.shared, mine.frames, mine.milliseconds)
        return [own, *self.peers]

    def _what_it_is(self) -> str:
        notes, size = self.metadata.notes, self.metadata.input_size
        is_default = self.path.resolve() == checkpoint_file(DEFAULT_CHECKPOINT).resolve()
        return (
            ("The network that `default` stands for: " if is_default else "")
            + f"{notes['preset']}, {notes['parameters']:,} parameters, {len(NYU40)} classes of"
            f" NYUv2, {self.path.stat().st_size / 1e6:.1f} MB (weights in half precision)."
            + (f" Frames are brought to {size_text(size)} for it." if size else "")
            + " `python benchmarks/shipped.py` packed it; every figure is of this file."
        )

    def _training(self) -> Iterator[str]:
        notes = self.metadata.notes
        config = notes["training"]
        start = config["model"].get("pretrained") or config["model"].get("init")
        yield (
            f"**Training.** {notes['iterations']:,} iterations of {config['train']['batch_size']}"
            f" crops by `fafnet train`, seed {config['train']['seed']}, from"
            f" {f'the weights of `{start}`' if start else 'random weights'}, on"
        )
        told = {name: config[name] for name in _TOLD if config.get(name)}
        yield f"```yaml\n{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}```"
        if any(config[name]["name"] == "nyuv2" for name in _DATA if config.get(name)):
            yield _TERMS

    def _what_it_cannot_do(self) -> Iterator[str]:
        whole = self.nyuv2[0]
        by_name = {one.name: one for one in self.nyuv2}
        lines = [f"- It knows these {len(NYU40)} classes of rooms; all else becomes one of them."]
        hardly = [
            name
            for name, iou, pixels in zip(
                NYU40.names, whole.scores.iou, whole.scores.pixels, strict=True
            )
            if pixels and iou < _HARDLY
        ]
        if hardly:
            lines.append(
                f"- In real rooms it hardly knows (IoU below {100 * _HARDLY:.0f} %):"
                f" {', '.join(hardly)}."
            )
        for fault, lost in ((NO_DEPTH, "depth"), (NO_COLOUR, "colour")):
            lines.append(
                f"- Without {lost} {_percent(by_name[fault.name].scores.mean_iou)} % mIoU is left"
                f" of {_percent(whole.scores.mean_iou)} % in real rooms."
            )
        lines.append("- Its real rooms are of one sensor, a Kinect v1: no other was measured.")
        yield "**What it cannot do.**"
        yield "\n".join(lines)

    def _real_rooms(self) -> Iterator[str]:
        whole = self.nyuv2[0]
        yield (
            f"{whole.frames} of 654 frames. {PROTOCOL['nyuv2']}{f' {JPEG}' if self.is_jpeg else ''}"
            f" Mean accuracy of the frames as they are: {_percent(whole.scores.mean_accuracy)} %."
        )
        rows = []
        for one in self.nyuv2:
            row = [one.name]
            for measure in ("mean_iou", "pixel_accuracy"):
                value, of_whole = getattr(one.scores, measure), getattr(whole.scores, measure)
                row += [_percent(value), "" if one is whole else _percent(of_whole - value)]
            rows.append([*row, _percent(one.no_depth)])
        yield markdown(
            ("frames", "mIoU, %", "lost", "pixel accuracy, %", "lost", "pixels without depth, %"),
            rows,
        )
        yield PROTOCOL["faults"]

    def _beside_peers(self) -> Iterator[str]:
        compared = self._compared()
        yield f"The same frames. {PROTOCOL['shared']} {PROTOCOL['milliseconds']}"
        yield markdown(
            ("network", "mIoU of 16, %", "recall, %", "frames", "ms"),
            [
                (
                    one.name,
                    _percent(one.shared.mean_iou),
                    _percent(one.shared.recall),
                    one.frames,
                    f"{one.milliseconds:.0f}",
                )
                for one in compared
            ],
        )
        yield markdown(
            ["class, IoU in %", *(one.name for one in compared)],
            [
                [shared.name, *(_percent(one.shared.iou[i]) for one in compared)]
                for i, shared in enumerate(SHARED)
            ],
        )

    def _synthetic_rooms(self) -> Iterator[str]:
        occurring = int(np.count_nonzero(self.rooms[0].scores.pixels))
        yield f"{PROTOCOL['rooms']} {occurring} classes do."
        yield markdown(
            ("frames", "mIoU, %", "pixel accuracy, %", "frames"),
            [
                (
                    one.name,
                    _percent(one.mean_iou_of_occurring),
                    _percent(one.scores.pixel_accuracy),
                    one.frames,
                )
                for one in self.rooms
            ],
        )

    def _classes(self) -> Iterator[str]:
        yield "IoU and share of the labelled pixels, in percent; - where a class does not occur."
        whole, room = self.nyuv2[0], self.rooms[0]
        rows = []
        for i in map(int, np.argsort(-whole.scores.pixels, kind="stable")):
            row = [NYU40.names[i]]
            for one in (whole, room):
                share = 100 * one.scores.pixels[i] / one.scores.pixels.sum()
                row += [_percent(_iou_where_it_occurs(one, i)), f"{share:.2f}"]
            rows.append(row)
        yield markdown(("class", "NYUv2", "pixels", "synthetic rooms", "pixels"), rows)


def _iou_where_it_occurs(one: FrameScores, index: int) -> float:
    return float(one.scores.iou[index]) if one.scores.pixels[index] else math.nan


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
