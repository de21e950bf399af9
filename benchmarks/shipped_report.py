"""The card of the checkpoint that ships, and its figures as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ade_peers import PeerScores
from frame_faults import NO_COLOUR, NO_DEPTH
from frame_scores import FrameScores
from shared_classes import SHARED

from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT, checkpoint_file
from fafnet_core.evaluation.metrics import finite_or_none
from fafnet_core.input_size import size_text
from fafnet_core.labels import NYU40
from fafnet_core.training.versions import versions

PROTOCOL = {
    "nyuv2": "NYU-Depth V2's official test split, 40 classes, whole frames of 640x480, single"
    " scale, through Segmenter.segment(rgb, depth_m, camera_matrix) on the CPU in float32; every"
    " labelled pixel counts once, all pixels are summed before anything is divided",
    "shared": "the 16 classes that NYU shares with ADE20K's 31 commonest; whatever maps to none of"
    " them is other, which misses the class that is there and is no class itself; IoU counts every"
    " labelled pixel, so a whiteboard called wall is a false wall; recall is the part of these"
    " classes' pixels that got their class; peers see colour at their own size (bilinear), their"
    " labels come back to 640x480 (nearest)",
    "faults": "holes are the sensor model of the synthetic rooms (noise, steps of disparity,"
    " grazing angles, range) and blobs on top of it until so many of the frame's pixels have no"
    " depth, seeded by frame; noise only is that model without any loss; no depth is 0 everywhere",
    "rooms": "synthetic rooms of a seed that nothing was trained or chosen with, split test,"
    " through the same door; mean IoU of the classes that occur",
    "milliseconds": "median processor time of a frame on one thread, from images in memory to"
    " labels of their size",
}
JPEG = (
    "Colour is JPEG here, and the in-painted depth was rebuilt within a few millimetres (2 to 6 on"
    " average): the figures compare with published ones up to that."
)
_TERMS = (
    "**Terms.** NYU-Depth V2, which it has learned from, is given out for research. Whether a"
    " network that learned from it may be used for something else, who uses it has to find out."
    " None of its images is in this package."
)
_DATA = ("data", "auxiliary")
_TOLD = (*_DATA, "transform")
_HARDLY = 0.2
"""IoU below which a class is named among those that it hardly knows."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was measured of one checkpoint.

    Attributes:
        path: its file.
        metadata: what the file says.
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
            [f"# {self.path.stem}"],
            [self._what_it_is()],
            *training_told(self.metadata.notes),
            list(self._what_it_cannot_do()),
            ["## Real rooms"],
            list(self._real_rooms()),
            ["## Beside networks for a CPU that see colour alone"],
            list(self._beside_peers()),
            ["## Synthetic rooms"],
            list(self._synthetic_rooms()),
            ["## Classes"],
            list(self._classes()),
        ]
        return "\n\n".join("\n".join(part) for part in parts) + "\n"

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

    def _what_it_cannot_do(self) -> Iterator[str]:
        whole = self.nyuv2[0]
        by_name = {one.name: one for one in self.nyuv2}
        yield "**What it cannot do.**"
        yield ""
        if "notice" in self.metadata.notes:
            yield f"- It is {self.metadata.notes['notice']}. It has never seen a photograph."
        yield f"- It knows these {len(NYU40)} classes of rooms; all else becomes one of them."
        hardly = [
            name
            for name, iou, pixels in zip(
                NYU40.names, whole.scores.iou, whole.scores.pixels, strict=True
            )
            if pixels and iou < _HARDLY
        ]
        if hardly:
            yield f"- In real rooms it hardly knows (IoU below {100 * _HARDLY:.0f} %): " + (
                f"{', '.join(hardly)}."
            )
        for fault, lost in ((NO_DEPTH, "depth"), (NO_COLOUR, "colour")):
            if (one := by_name.get(fault.name)) is not None:
                yield (
                    f"- Without {lost} {_percent(one.scores.mean_iou)} % mIoU is left of"
                    f" {_percent(whole.scores.mean_iou)} % in real rooms."
                )
        yield "- Its real rooms are of one sensor, a Kinect v1: no other camera was measured."

    def _real_rooms(self) -> Iterator[str]:
        whole = self.nyuv2[0]
        yield (
            f"NYU-Depth V2's test split, {whole.frames} of 654 frames, 640x480, single scale,"
            " through `Segmenter.segment`; nothing was trained or chosen with them."
            + (f" {JPEG}" if self.is_jpeg else "")
        )
        yield f"Mean accuracy of the frames as they are: {_percent(whole.scores.mean_accuracy)} %."
        yield ""
        yield "| frames | mIoU, % | lost | pixel accuracy, % | lost | pixels without depth, % |"
        yield "|---|---|---|---|---|---|"
        for one in self.nyuv2:
            drops = (
                whole.scores.mean_iou - one.scores.mean_iou,
                whole.scores.pixel_accuracy - one.scores.pixel_accuracy,
            )
            first, second = ("" if one is whole else _percent(drop) for drop in drops)
            yield (
                f"| {one.name} | {_percent(one.scores.mean_iou)} | {first} |"
                f" {_percent(one.scores.pixel_accuracy)} | {second} |"
                f" {_percent(one.no_depth)} |"
            )
        yield ""
        yield (
            "Holes are the sensor model of the synthetic rooms (noise, steps of disparity, grazing"
            " angles, range) and blobs on top of it until so many of a frame's pixels have no"
            " depth; where the sensor alone loses more, they stay. Depth was in-painted before."
        )

    def _beside_peers(self) -> Iterator[str]:
        compared = self._compared()
        yield (
            "The same frames, and the 16 classes that NYU shares with ADE20K's 31 commonest."
            " Whatever maps to none of them is other: it misses the class that is there, and is no"
            " class itself. IoU counts every labelled pixel, so a whiteboard called wall is a false"
            " wall. Recall, of the pixels of these classes, favours who knows few others. Times are"
            " medians of the processor's time on one thread, from images in memory to labels of"
            " 640x480." + (" Peers see colour at their own size, bilinear." if self.peers else "")
        )
        yield ""
        yield "| network | mIoU of 16, % | recall, % | frames | ms |"
        yield "|---|---|---|---|---|"
        for one in compared:
            yield (
                f"| {one.name} | {_percent(one.shared.mean_iou)} | {_percent(one.shared.recall)} |"
                f" {one.frames} | {one.milliseconds:.0f} |"
            )
        yield ""
        yield f"| class, IoU in % | {' | '.join(one.name for one in compared)} |"
        yield "|---" * (1 + len(compared)) + "|"
        for i, shared in enumerate(SHARED):
            ious = " | ".join(_percent(one.shared.iou[i]) for one in compared)
            yield f"| {shared.name} | {ious} |"

    def _synthetic_rooms(self) -> Iterator[str]:
        yield (
            "Rooms of a seed that nothing was trained or chosen with. mIoU is the mean over the"
            f" {int(np.count_nonzero(self.rooms[0].scores.pixels))} classes that occur."
        )
        yield ""
        yield "| frames | mIoU, % | pixel accuracy, % | frames |"
        yield "|---|---|---|---|"
        for one in self.rooms:
            yield (
                f"| {one.name} | {_percent(one.mean_iou_of_occurring)} |"
                f" {_percent(one.scores.pixel_accuracy)} | {one.frames} |"
            )

    def _classes(self) -> Iterator[str]:
        whole, room = self.nyuv2[0], self.rooms[0]
        yield "IoU and share of the labelled pixels, in percent; - where a class does not occur."
        yield ""
        yield "| class | NYUv2 | pixels | synthetic rooms | pixels |"
        yield "|---|---|---|---|---|"
        for i in np.argsort(-whole.scores.pixels, kind="stable"):
            columns = " | ".join(
                f"{_percent(_iou_where_it_occurs(one, int(i)))} |"
                f" {100 * one.scores.pixels[i] / one.scores.pixels.sum():.2f}"
                for one in (whole, room)
            )
            yield f"| {NYU40.names[i]} | {columns} |"


def training_told(notes: Mapping[str, Any]) -> Iterator[list[str]]:
    """Say what a network was trained on, as its notes have it; each paragraph as its lines."""
    config = notes.get("training")
    if config is None:
        yield ["**Training.** Its file does not say what it was trained with."]
        return
    start = config["model"].get("pretrained") or config["model"].get("init")
    yield [
        f"**Training.** {notes['iterations']:,} iterations of {config['train']['batch_size']} crops"
        f" by `fafnet train`, seed {config['train']['seed']}, from"
        f" {f'the weights of `{start}`' if start else 'random weights'}, on",
        "",
        "```yaml",
        yaml.safe_dump(_sections(config, _TOLD), sort_keys=False, allow_unicode=True).rstrip(),
        "```",
    ]
    if "nyuv2" in learned_from(config):
        yield [_TERMS]


def learned_from(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the data sets that a training's configuration has."""
    return [section["name"] for section in _sections(config, _DATA).values()]


def _sections(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: config[name] for name in names if config.get(name)}


def _iou_where_it_occurs(one: FrameScores, index: int) -> float:
    return float(one.scores.iou[index]) if one.scores.pixels[index] else math.nan


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
