"""Two small frames of synthetic rooms as they were when `_VERSION` was last raised.

Caches keep frames under that version. A change of the generator, the sensor or HHA that changes
frames has to raise it; `test_synthetic_dataset` checks that. Then
`python test/core/synthetic_reference.py` writes the new frames.

All labels are compared, the rest at every third pixel, depth in centimetres. Processors and
versions of NumPy and OpenCV round differently, so a few pixels may differ.
"""

from __future__ import annotations

import json
import string
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.rooms import SensorConfig, dataset
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.samples import RgbdSample

FILE = Path(__file__).with_suffix(".json")

_WHOLE = SyntheticData(
    seed=5, frames=1, width=48, height=36, sensor=SensorConfig(calibration_error_px=(8, 8))
)
_FRAMES = {
    "whole": _WHOLE,
    "reduced": replace(_WHOLE, width=96, height=72, reduce=2),
}
_LETTERS = string.digits + string.ascii_letters  # one for each class
_STEP = 3
_MOST_LABELS = 4
_MOST_VALUES = 6
_TOLERANCE = {"rgb": 3, "hha": 1, "depth_cm": 1}


def made() -> dict[str, Any]:
    """The frames as this code makes them, as plain values."""
    frames = {name: _plain(config.open("train").read(0)) for name, config in _FRAMES.items()}
    return {"version": dataset._VERSION, "frames": frames}


def stored() -> dict[str, Any]:
    """The frames of the version that the file is of."""
    values: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return values


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs by more than rounding, a line each."""
    found = []
    for name, frame in now["frames"].items():
        old = before["frames"][name]
        changed = sum(
            a != b for a, b in zip("".join(old["labels"]), "".join(frame["labels"]), strict=True)
        )
        if changed > _MOST_LABELS:
            found.append(f"{name}: labels of {changed} pixels")
        for kind, tolerance in _TOLERANCE.items():
            away = np.abs(_unpacked(old[kind]) - _unpacked(frame[kind])) > tolerance
            if away.sum() > _MOST_VALUES:
                found.append(f"{name}: {away.sum()} of {away.size} sampled values of {kind}")
    return found


def _plain(sample: RgbdSample) -> dict[str, Any]:
    assert sample.depth_m is not None
    assert sample.hha is not None
    depth_cm = np.rint(sample.depth_m * 100).astype(int)[..., None]
    return {
        "labels": ["".join(_LETTERS[value] for value in row) for row in sample.label],
        "rgb": _packed(sample.rgb),
        "hha": _packed(sample.hha),
        "depth_cm": _packed(depth_cm),
    }


def _packed(image: NDArray[Any]) -> list[str]:
    """Each row as a string: the file is short, and people can compare it."""
    return [" ".join(map(str, row.ravel().tolist())) for row in image[::_STEP, ::_STEP]]


def _unpacked(rows: list[str]) -> NDArray[np.int64]:
    return np.array([row.split() for row in rows], np.int64)


if __name__ == "__main__":
    new = made()
    if FILE.is_file() and stored()["version"] == new["version"]:
        if changed := differences(stored(), new):
            sys.exit(f"first raise _VERSION in {dataset.__file__}: {'; '.join(changed)}")
        sys.exit(0)
    FILE.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
