"""The folder of what was picked: a data set as it is, and what CVAT imports.

rgb/ depth/ labels/     the frames, and what the network says of them (class ids, 255 unlabelled)
camera.yaml             their camera
classes.yaml            the label set of the labels
cvat/                   images.zip, annotations.zip (Segmentation mask 1.1) and labels.json
picked.json, picked.png what was picked and how unsure the network is: a list and a picture
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.cvat import task_labels, write_cvat
from fafnet_core.files import write_png, written_beside
from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.inference.pictures import Picture, overlay, strip
from fafnet_core.labels import LabelSet
from fafnet_core.labels.mappings import LabelMapping
from fafnet_core.picking.score import FrameScore
from fafnet_core.resampling import resized_image

LABELS, CLASSES, CAMERA = "labels", "classes.yaml", "camera.yaml"
_UNIT_M = 0.001
_FARTHEST_COUNT = 65534  # 65535 means no depth
_TILE = (180, 240)
_ACROSS = 3


class PickedFolder:
    """Writes a folder of picked frames, one after the other, then `finish`.

    Args:
        out: the folder.
        mapping: from the network's classes to those of the labels.
    """

    def __init__(self, out: Path, mapping: LabelMapping) -> None:
        self._out, self._mapping = out, mapping
        self._camera: Camera | None = None
        self._labels: dict[str, NDArray[np.uint8]] = {}
        self._tiles: dict[str, Picture] = {}

    @property
    def label_set(self) -> LabelSet:
        """The classes of the labels."""
        return self._mapping.to_set

    def add(self, frame: RgbdFrame, found: Segmentation, score: FrameScore) -> None:
        """Write one frame and its labels.

        Raises:
            ValueError: its camera is another than that of the frames before.
        """
        if self._camera not in (None, frame.camera):
            raise ValueError(
                f"{score.name} has another camera than the frames before it, and a folder has one"
                " camera: pick from one recording at a time"
            )
        self._camera = frame.camera
        name = score.name
        labels = self._mapping.apply(found.labels)
        write_png(self._out / "rgb" / f"{name}.png", frame.rgb)
        _write_depth(self._out / "depth" / f"{name}.png", frame.depth_m)
        write_png(self._out / LABELS / f"{name}.png", labels)
        self._labels[name] = labels
        self._tiles[name] = _tile(frame.rgb, labels, found.confidence, self.label_set, score)

    def finish(self, report: Mapping[str, Any], scores: list[FrameScore]) -> None:
        """Write all that is about all frames.

        Args:
            report: what `picked.json` holds besides the frames.
            scores: of the frames that were added, in the order in which they were picked.
        """
        assert self._camera is not None
        camera = {
            key: getattr(self._camera, key) for key in ("fx", "fy", "cx", "cy", "width", "height")
        }
        _write_text(
            self._out / CAMERA,
            yaml.safe_dump({**camera, "depth_unit_m": _UNIT_M}, sort_keys=False),
        )
        _write_text(self._out / CLASSES, _classes_text(self.label_set))
        frames = [{"name": each.name, "uncertainty": round(each.uncertainty, 4)} for each in scores]
        _write_text(self._out / "picked.json", json.dumps({**report, "frames": frames}, indent=1))
        order = [score.name for score in scores]
        write_png(self._out / "picked.png", _sheet([self._tiles[name] for name in order]))
        write_cvat(
            self._out / "cvat" / "annotations.zip",
            {name: self._labels[name] for name in sorted(order)},
            self.label_set,
        )
        _write_text(self._out / "cvat" / "labels.json", task_labels(self.label_set))
        with (
            written_beside(self._out / "cvat" / "images.zip") as beside,
            zipfile.ZipFile(beside, "w") as archive,
        ):
            for name in sorted(order):
                content = (self._out / "rgb" / f"{name}.png").read_bytes()
                archive.writestr(zipfile.ZipInfo(f"{name}.png"), content)


def _classes_text(label_set: LabelSet) -> str:
    """Return the file of a label set; `load_label_set` reads it."""
    values = {
        "name": label_set.name,
        "names": list(label_set.names),
        "colours": {
            name: list(colour)
            for name, colour in zip(label_set.names, label_set.palette, strict=True)
        },
    }
    if label_set.groups:
        values["groups"] = {group: list(names) for group, names in label_set.groups.items()}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _write_text(path: Path, text: str) -> None:
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _write_depth(path: Path, depth_m: NDArray[np.floating[Any]]) -> None:
    """Write depth as 16-bit counts of `_UNIT_M`; 0 where there is none, or it is too far."""
    known = np.isfinite(depth_m) & (depth_m > 0)
    counts = np.round(np.where(known, depth_m, 0) / _UNIT_M)
    counts[counts > _FARTHEST_COUNT] = 0
    encoded, content = cv2.imencode(".png", counts.astype(np.uint16))
    if not encoded:
        raise OSError(f"OpenCV cannot encode {path}")
    with written_beside(path) as beside:
        beside.write_bytes(content.tobytes())


def _tile(
    rgb: Picture,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    label_set: LabelSet,
    score: FrameScore,
) -> Picture:
    """Draw a frame with its labels, and where the network is unsure: bright is unsure."""
    unsure = np.round(255 * (1 - confidence)).astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(unsure, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    pictures = [resized_image(np.asarray(p, np.uint8), _TILE) for p in (
        overlay(rgb, labels, label_set), heat,
    )]  # fmt: skip
    title = f"unsure {100 * score.uncertainty:.1f} %"
    return strip([(score.name[-24:], pictures[0]), (title, pictures[1])])


def _sheet(tiles: list[Picture]) -> Picture:
    """Put tiles of one size in rows."""
    blank = np.full_like(tiles[0], 255)
    gap = np.full((tiles[0].shape[0], 12, 3), 255, np.uint8)
    rows = []
    across = min(_ACROSS, len(tiles))
    for first in range(0, len(tiles), across):
        row = tiles[first : first + across]
        row += [blank] * (across - len(row))
        rows.append(np.hstack([part for tile in row for part in (tile, gap)]))
    return np.vstack(rows)
