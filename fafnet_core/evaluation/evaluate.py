"""Runs a network over a data set and scores it (section 4.1 of the paper).

Labels are never resized: a network's logits are brought to the size of each frame's own labels, and
every labelled pixel counts once. Frames are prepared as for inference: with an input size, they are
brought to it, and HHA is made there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from fafnet_core.evaluation.boundaries import REFERENCE_WIDTH, boundary_band
from fafnet_core.evaluation.metrics import ConfusionMatrix, Scores
from fafnet_core.evaluation.multi_scale import Average, MultiScale, Scales
from fafnet_core.evaluation.prediction import Blank, Predictor, Prepared, RuntimePredictor
from fafnet_core.evaluation.read_ahead import read_ahead
from fafnet_core.input_size import check_input_size
from fafnet_core.labels import UNLABELLED, LabelSet
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import Runtime
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.settings import check_fields

EvaluationSplit = Literal["val", "test"]
Side = Annotated[int, "1 <= x <= 16384"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The `evaluate:` section.

    Attributes:
        split: "val", carved from train, for everything that is chosen by its figures; "test", for
            the figures that are reported, once.
        input_size: (height, width) that frames are brought to before the network sees them; null:
            their own size, or in `fafnet evaluate` what the checkpoint says.
        scales: factors of that size; see `MultiScale`. One scale of 1 is "single scale".
        flip: also average over the image turned left to right.
        average: what is averaged, "logits" or "softmax".
        blank: "hha" or "rgb" sets that normalised input to 0 everywhere, its mean colour, to show
            what the network takes from it.
        boundary_px: also score the pixels that are no further than this from another class, in
            pixels of an image 640 wide (in any image at least 1); null: do not.
        workers: threads that read frames and encode HHA while the network runs; 0: none.
    """

    split: EvaluationSplit = "val"
    input_size: tuple[Side, Side] | None = None
    scales: Scales = (1.0,)
    flip: bool = False
    average: Average = "logits"
    blank: Blank = "none"
    boundary_px: Annotated[float, "1 <= x <= 50"] | None = None
    workers: Annotated[int, "0 <= x <= 256"] = 4

    def __post_init__(self) -> None:
        check_fields(self)
        _ = self.multi_scale  # checks the scales

    @property
    def multi_scale(self) -> MultiScale:
        """How the network is run on each frame."""
        return MultiScale(self.scales, self.flip, self.average)

    @property
    def protocol(self) -> str:
        """Its name: "single scale", "multi-scale" or "scale 0.5", with ", flip" where it flips."""
        if len(self.scales) > 1:
            name = "multi-scale"
        else:
            name = "single scale" if self.scales == (1.0,) else f"scale {self.scales[0]:g}"
        return f"{name}, flip" if self.flip else name


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a network did on a data set.

    Attributes:
        scores: over all frames.
        confusion: the counts behind them.
        by_sensor: the scores of each sensor's frames; empty where no frame names its sensor.
        frames_by_sensor: how many frames those are.
        boundary: the scores near class boundaries, where they were asked for.
        frames: how many frames were scored.
        seconds: wall time of all of it, reading included.
        kept: by index, the frames that were asked for, with the HHA that the network saw, at the
            frame's own size, and their labels (H, W) uint8.
    """

    scores: Scores
    confusion: ConfusionMatrix
    by_sensor: dict[str, Scores]
    frames_by_sensor: dict[str, int]
    boundary: Scores | None
    frames: int
    seconds: float
    kept: dict[int, tuple[RgbdSample, NDArray[np.uint8]]] = field(default_factory=dict)


def evaluate(
    model: FAFNet,
    dataset: RgbdSegmentationDataset,
    *,
    normalisation: Normalisation,
    config: EvaluateConfig = EvaluateConfig(),
    device: str | torch.device = "cpu",
    progress: bool = True,
    frames: Sequence[int] | None = None,
    keep: Collection[int] = (),
) -> Evaluation:
    """Run the network on every frame and score it.

    It runs in evaluation mode, in the precision that the network has; afterwards each module is in
    its former mode.

    Args:
        model: the network; it is moved to the device, and stays there.
        dataset: labelled frames, of any sizes, read by `config.workers` threads at a time.
            `config.split` is not used: the data set is that split.
        normalisation: of the network's inputs, as in its checkpoint.
        config: input size, scales, flip and the rest.
        device: where to run.
        progress: show a bar, where standard error is a terminal.
        frames: indices of the frames to run, such as `range(rank, len(dataset), ranks)`, whose
            `confusion` the ranks then sum; None: all. A rank's share may be empty.
        keep: indices of frames to return with their labels, for a sheet.

    Raises:
        ValueError: another number of classes than the network's, an input size that the network
            does not take, no frames, or a damaged frame, which is named: figures without it would
            not be comparable.
        OSError: a frame cannot be read.
    """
    check_input_size(model.config, config.input_size, divisor=model.input_divisor)
    scoring = _Scoring(model.config.num_classes, dataset, config, progress, frames, keep)
    predictor = Predictor(
        model.to(device),
        normalisation,
        config.multi_scale,
        blank=config.blank,
        device=torch.device(device),
    )
    with _evaluation_mode(model), torch.inference_mode():
        return scoring.run(predictor)


def evaluate_runtime(
    runtime: Runtime,
    label_set: LabelSet,
    dataset: RgbdSegmentationDataset,
    *,
    config: EvaluateConfig = EvaluateConfig(),
    progress: bool = True,
    keep: Collection[int] = (),
) -> Evaluation:
    """Score what runs a network, such as an exported file, as `evaluate` scores the network.

    Args:
        runtime: takes the frames at `config.input_size`.
        label_set: the classes of its labels.
        dataset, config, progress, keep: as of `evaluate`.

    Raises:
        ValueError: as `evaluate`, or the configuration asks for what needs the network itself:
            other scales, flips, or an input left out.
        OSError: a frame cannot be read.
    """
    if (config.scales, config.flip, config.blank) != ((1.0,), False, "none"):
        raise ValueError(
            f"{config.protocol}, blank {config.blank}: {runtime.name} gives labels at one scale"
            " only; take protocol single and evaluate.blank none, or give the checkpoint itself"
        )
    scoring = _Scoring(len(label_set), dataset, config, progress, None, keep)
    return scoring.run(RuntimePredictor(runtime))


class _Scoring:
    """Which frames of a data set are scored, and how."""

    def __init__(
        self,
        classes: int,
        dataset: RgbdSegmentationDataset,
        config: EvaluateConfig,
        progress: bool,
        frames: Sequence[int] | None,
        keep: Collection[int],
    ) -> None:
        self._dataset, self._config, self._progress, self._keep = dataset, config, progress, keep
        self._chosen = _chosen_frames(classes, dataset, frames, keep)

    def run(self, predict: Callable[[Prepared], NDArray[np.uint8]]) -> Evaluation:
        config, dataset, chosen = self._config, self._dataset, self._chosen
        tally = _Tally(len(dataset.label_set), config.boundary_px)
        kept = {}
        begun = time.perf_counter()
        # Closed at once if the network fails, so that no thread reads on.
        prepare = partial(Prepared.of, input_size=config.input_size)
        with closing(read_ahead(dataset, chosen, config.workers, prepare)) as ahead:
            frames_ahead = tqdm(
                ahead,
                total=len(chosen),
                unit="frame",
                desc=config.protocol,
                disable=None if self._progress else True,
            )
            for index, prepared in frames_ahead:
                prediction = predict(prepared)
                tally.add(prepared.sample, prediction)
                if index in self._keep:
                    kept[index] = (prepared.with_hha(), prediction)
        return Evaluation(
            scores=tally.all.compute(),
            confusion=tally.all,
            by_sensor={name: counts.compute() for name, counts in sorted(tally.by_sensor.items())},
            frames_by_sensor=dict(sorted(tally.frames_by_sensor.items())),
            boundary=tally.boundary.compute() if tally.boundary else None,
            frames=len(chosen),
            seconds=time.perf_counter() - begun,
            kept=kept,
        )


def _chosen_frames(
    classes: int,
    dataset: RgbdSegmentationDataset,
    frames: Sequence[int] | None,
    keep: Collection[int],
) -> Sequence[int]:
    """The indices to run; everything is checked before the first frame."""
    labels = dataset.label_set
    if classes != len(labels):
        raise ValueError(
            f"the network has {classes} classes, the data set's label set '{labels.name}' has"
            f" {len(labels)}; take a network that was trained for it"
        )
    chosen = range(len(dataset)) if frames is None else frames
    if not len(dataset):
        raise ValueError("there are no frames to score: this split of the data set is empty")
    for index in chosen:
        if not 0 <= index < len(dataset):
            raise ValueError(f"there is no frame {index}: the data set has {len(dataset)}, from 0")
    if strange := sorted(set(keep) - set(chosen)):
        raise ValueError(
            f"frame {strange[0]} is to be kept, but is not one of the {len(chosen)} that are run"
        )
    return chosen


class _Tally:
    """All counts of one evaluation."""

    def __init__(self, num_classes: int, boundary_px: float | None) -> None:
        self.all = ConfusionMatrix(num_classes)
        self.by_sensor: dict[str, ConfusionMatrix] = {}
        self.frames_by_sensor: Counter[str] = Counter()
        self.boundary = ConfusionMatrix(num_classes) if boundary_px else None
        self._boundary_px = boundary_px or 0.0

    def add(self, sample: RgbdSample, prediction: NDArray[np.uint8]) -> None:
        counts = ConfusionMatrix(self.all.num_classes)
        try:
            counts.update(prediction, sample.label)
        except ValueError as error:
            raise ValueError(f"{sample.name or 'a frame'}: {error}") from error
        self.all.merge(counts)
        if sample.sensor:
            self.by_sensor.setdefault(sample.sensor, ConfusionMatrix(self.all.num_classes))
            self.by_sensor[sample.sensor].merge(counts)
            self.frames_by_sensor[sample.sensor] += 1
        if self.boundary is not None:
            width_px = max(self._boundary_px * sample.size[1] / REFERENCE_WIDTH, 1.0)
            near = boundary_band(sample.label, width_px)
            self.boundary.update(prediction, np.where(near, sample.label, UNLABELLED))


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    # Each module's own flag: training may hold some, such as batch norms, in evaluation mode.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
