"""What `fafnet evaluate` says: as text in percent, as JSON and CSV in fractions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fafnet_core.datasets.catalogue import DataConfig
from fafnet_core.evaluation.evaluate import EvaluateConfig, Evaluation
from fafnet_core.evaluation.metrics import Scores, finite_or_none
from fafnet_core.input_size import size_text
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSegmentationDataset
from fafnet_core.settings import plain_values

_FIGURES = ("mean IoU", "pixel acc.", "mean acc.", "f.w. IoU")
_CSV_COLUMNS = (
    *("protocol", "scope", "class", "pixels", "iou", "accuracy"),
    *("pixel_accuracy", "frequency_weighted_iou"),
)
_NAME_WIDTH = 34
_CLASS_WIDTH = 18


@dataclass(frozen=True)
class EvaluationReport:
    """The evaluations of one network on one split, each under its own protocol.

    Attributes:
        checkpoint: what was loaded.
        data: the data set's name.
        label_set: its classes.
        device: where it ran.
        results: at least one; all have the same split and input.
        dataset: which frames these are, from `describe_data`.
    """

    checkpoint: str
    data: str
    label_set: LabelSet
    device: str
    results: Sequence[tuple[EvaluateConfig, Evaluation]]
    dataset: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the tables to print; every figure in percent."""
        parts = [self._header(), self._figures()]
        if any(evaluation.by_sensor for _, evaluation in self.results):
            parts.append(self._sensors())
        parts.append(self._classes())
        return "\n\n".join("\n".join(part) for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; every figure is a fraction, and null where it is undefined."""
        config, evaluation = self.results[0]
        return {
            "checkpoint": self.checkpoint,
            "data": self.data,
            "dataset": dict(self.dataset),
            "split": config.split,
            "frames": evaluation.frames,
            "label_set": self.label_set.name,
            "average": config.average,
            "blank": config.blank,
            "device": self.device,
            "protocols": [self._protocol(*result) for result in self.results],
        }

    def to_csv(self) -> str:
        """Return a line for each protocol, scope and class; fractions, empty where undefined.

        A scope is "all", "boundary" or a sensor. The first line of each has no class: its IoU and
        accuracy are the means, its pixels the sum.
        """
        file = io.StringIO()
        writer = csv.DictWriter(file, _CSV_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for config, evaluation in self.results:
            for scope, scores in _scopes(evaluation):
                figures = scores.to_dict()
                all_classes = {
                    "name": "",
                    "pixels": int(scores.pixels.sum()),
                    "iou": figures.pop("mean_iou"),
                    "accuracy": figures.pop("mean_accuracy"),
                    **figures,
                }
                for entry in (all_classes, *self._by_class(scores)):
                    place = {"protocol": config.protocol, "scope": scope}
                    writer.writerow({**place, "class": entry.pop("name"), **entry})
        return file.getvalue()

    def _protocol(self, config: EvaluateConfig, evaluation: Evaluation) -> dict[str, Any]:
        values: dict[str, Any] = {
            "name": config.protocol,
            "input_size": None if config.input_size is None else list(config.input_size),
            "scales": list(config.scales),
            "flip": config.flip,
            **evaluation.scores.to_dict(),
            "classes": self._by_class(evaluation.scores),
            "sensors": {
                sensor: {"frames": evaluation.frames_by_sensor[sensor], **scores.to_dict()}
                for sensor, scores in evaluation.by_sensor.items()
            },
            "confusion": evaluation.confusion.matrix.tolist(),
            "seconds": evaluation.seconds,
        }
        if evaluation.boundary is not None:
            near = evaluation.boundary.to_dict()
            values["boundary"] = {"width_px": config.boundary_px, **near}
        return values

    def _by_class(self, scores: Scores) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "pixels": int(scores.pixels[index]),
                "iou": finite_or_none(scores.iou[index]),
                "accuracy": finite_or_none(scores.accuracy[index]),
            }
            for index, name in enumerate(self.label_set.names)
        ]

    def _header(self) -> list[str]:
        config, evaluation = self.results[0]
        lines = [
            f"checkpoint  {self.checkpoint}",
            f"data        {self.data}, split {config.split}, {evaluation.frames} frames,"
            f" {len(self.label_set)} classes ({self.label_set.name})",
        ]
        if config.input_size is not None:
            size = size_text(config.input_size)
            lines.append(f"input size  {size} (width x height), in each frame's own aspect ratio")
        if any(len(c.scales) > 1 or c.flip for c, _ in self.results):
            scales = max((c.scales for c, _ in self.results), key=len)
            if len(scales) > 1:
                lines.append(f"scales      {', '.join(f'{scale:g}' for scale in scales)}")
            lines.append(f"averaged    {config.average}, every run with the same weight")
        if config.blank != "none":
            lines.append(f"blank       {config.blank}: that input is 0 everywhere")
        if config.split == "test":
            lines.append("            figures of the test split are to report, not to choose by")
        return lines

    def _figures(self) -> list[str]:
        lines = [_row("percent", _FIGURES) + f"{'seconds':>10}"]
        for config, evaluation in self.results:
            row = _row(config.protocol, _four(evaluation.scores))
            lines.append(row + f"{evaluation.seconds:10.1f}")
            if evaluation.boundary is not None:
                name = f"  within {config.boundary_px:g} px of boundaries"
                lines.append(_row(name, _four(evaluation.boundary)))
        return lines

    def _sensors(self) -> list[str]:
        lines = [_row("by sensor", _FIGURES) + f"{'frames':>10}"]
        for config, evaluation in self.results:
            for sensor, scores in evaluation.by_sensor.items():
                name = f"{config.protocol}, {sensor}"
                frames = evaluation.frames_by_sensor[sensor]
                lines.append(_row(name, _four(scores)) + f"{frames:10}")
        return lines

    def _classes(self) -> list[str]:
        pixels = self.results[0][1].scores.pixels
        total = max(int(pixels.sum()), 1)
        several = len(self.results) > 1
        head = " " * (_CLASS_WIDTH + 9)
        lines = [head + "".join(f"{c.protocol:>20}" for c, _ in self.results)] if several else []
        columns = f"{'IoU':>12}{'acc.':>8}" * len(self.results)
        lines.append(f"{'class':<{_CLASS_WIDTH}}{'pixels, %':>9}" + columns)
        for index, name in enumerate(self.label_set.names):
            line = f"{name:<{_CLASS_WIDTH}}{100 * pixels[index] / total:9.2f}"
            for _, evaluation in self.results:
                scores = evaluation.scores
                line += f"{_percent(scores.iou[index]):>12}{_percent(scores.accuracy[index]):>8}"
            lines.append(line)
        return lines


def describe_data(
    name: str, config: DataConfig, dataset: RgbdSegmentationDataset
) -> dict[str, Any]:
    """Return the `data` section that opens the same frames again, as plain values.

    Args:
        name: of the data set.
        config: what they were opened with. Of a path only the folder's own name is kept: the rest
            differs from machine to machine.
        dataset: the frames.
    """
    values: dict[str, Any] = {"name": name, **plain_values(config)}
    values.pop("cache", None)
    if "root" in values:
        values["root"] = Path(values["root"]).expanduser().resolve().name
    if dataset.layout:
        values["layout"] = dataset.layout
    return values


def _scopes(evaluation: Evaluation) -> Iterator[tuple[str, Scores]]:
    yield "all", evaluation.scores
    if evaluation.boundary is not None:
        yield "boundary", evaluation.boundary
    yield from evaluation.by_sensor.items()


def _four(scores: Scores) -> list[str]:
    return [_percent(value) for value in scores.to_dict().values()]


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def _row(name: str, figures: Sequence[str]) -> str:
    return f"{name:<{_NAME_WIDTH}}" + "".join(f"{figure:>12}" for figure in figures)
