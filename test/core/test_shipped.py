"""The checkpoint that ships: small, documented, and better than chance by far, in both worlds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.inference import DEFAULT_CHECKPOINT, Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.rooms.sensor import SensorConfig
from fafnet_core.samples import RgbdSegmentationDataset

# Rooms of a seed that nothing was trained with, fewer than docs/results.md has.
ROOMS = SyntheticData(
    seed=77, frames=12, held_out=12, sensor=SensorConfig(calibration_error_px=(0, 4))
)


@cache
def segmenter() -> Segmenter:
    return Segmenter.from_checkpoint(DEFAULT_CHECKPOINT, device="cpu", precision="float32")


def pixel_accuracy(dataset: RgbdSegmentationDataset, frames: range, lost: str = "") -> float:
    confusion = ConfusionMatrix(len(NYU40))
    for index in frames:
        sample = dataset.read(index)
        assert sample.depth_m is not None
        assert sample.camera is not None
        rgb = np.zeros_like(sample.rgb) if lost == "colour" else sample.rgb
        depth_m = np.zeros_like(sample.depth_m) if lost == "depth" else sample.depth_m
        labels = segmenter().segment(rgb, depth_m, sample.camera.matrix).labels
        confusion.update(labels, sample.label)
    return confusion.compute().pixel_accuracy


def test_it_is_small_and_says_what_it_is() -> None:
    path = checkpoint_file(DEFAULT_CHECKPOINT)
    assert path.stat().st_size < 16e6
    metadata = read_metadata(DEFAULT_CHECKPOINT)
    assert metadata.label_set.names == NYU40.names
    assert metadata.input_size is not None
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "What it cannot do" in card
    assert "research" in card  # the terms of NYU-Depth V2
    assert f"{metadata.notes['iterations']:,} iterations" in card


def test_frames_are_brought_to_the_size_that_it_was_trained_at() -> None:
    rgb, depth_m = np.zeros((480, 640, 3), np.uint8), np.full((480, 640), 2, np.float32)
    matrix = np.array([[520.0, 0, 319.5], [0, 520.0, 239.5], [0, 0, 1]])
    result = segmenter().segment(rgb, depth_m, matrix)
    assert result.hha.shape[:2] == segmenter().input_size
    assert result.labels.shape == (480, 640)


def test_it_labels_rooms_that_it_has_never_seen() -> None:
    rooms = ROOMS.open("test")
    assert pixel_accuracy(rooms, range(len(rooms))) > 0.65


@pytest.mark.parametrize(("lost", "least"), [("", 0.55), ("depth", 0.4), ("colour", 0.4)])
def test_it_labels_real_rooms_also_with_one_input(
    shared_data: Path, lost: str, least: float
) -> None:
    root = str(shared_data / "nyuv2-subset")
    frames = NYUv2Data(root=root, layout="esanet", hha="depth").open("test")
    assert pixel_accuracy(frames, range(0, len(frames), 3), lost) > least
