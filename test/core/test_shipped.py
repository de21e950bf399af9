"""The checkpoint that ships: small, documented, and better than chance by far."""

from __future__ import annotations

from functools import cache

from fafnet_core import load_checkpoint
from fafnet_core.data import NYU40
from fafnet_core.data.synthetic.dataset import SyntheticData
from fafnet_core.data.synthetic.sensor import SensorConfig
from fafnet_core.inference import DEFAULT_CHECKPOINT, Segmenter
from fafnet_core.models.shipped import checkpoint_file
from fafnet_core.models.weights import read_metadata
from fafnet_core.training.evaluation import Blank, EvaluateConfig, evaluate

# Rooms of a seed that nothing was trained with, fewer than docs/results.md has.
ROOMS = SyntheticData(
    seed=77, frames=16, held_out=16, sensor=SensorConfig(calibration_error_px=(0, 4))
)


@cache
def mean_iou(blank: Blank) -> float:
    found = evaluate(
        load_checkpoint(DEFAULT_CHECKPOINT),
        ROOMS.open("test"),
        normalisation=read_metadata(DEFAULT_CHECKPOINT).normalisation,
        config=EvaluateConfig(split="test", blank=blank),
        progress=False,
    )
    return found.scores.mean_iou


def test_it_is_small_and_says_what_it_is() -> None:
    path = checkpoint_file(DEFAULT_CHECKPOINT)
    assert path.stat().st_size < 8e6
    metadata = read_metadata(DEFAULT_CHECKPOINT)
    assert metadata.label_set.names == NYU40.names
    assert "synthetic rooms only" in metadata.notes["notice"]
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "What it is not" in card
    assert f"{metadata.notes['iterations']:,} iterations" in card


def test_who_loads_it_is_told_what_it_is_not() -> None:
    segmenter = Segmenter.from_checkpoint("default", device="cpu")
    assert segmenter.notice is not None
    assert "labels of real scenes are not to be relied on" in segmenter.notice


def test_it_labels_rooms_that_it_has_never_seen() -> None:
    assert mean_iou("none") > 0.5


def test_it_needs_both_inputs() -> None:
    assert mean_iou("hha") < mean_iou("none") - 0.1
    assert mean_iou("rgb") < mean_iou("none") - 0.05
