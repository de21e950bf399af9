"""The validation within a training: every process scores its share of the frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.evaluation.sheets import prediction_sheet
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.training.config import Config
from fafnet_core.training.distributed import Processes
from fafnet_core.training.stop import StopRequest


@dataclass(frozen=True)
class Validated:
    """The result of a validation.

    Attributes:
        scores: `Scores.to_dict` over all frames; the same in every process.
        sheet: (H, W, 3) uint8 RGB, some frames with predictions; in the first process only.
    """

    scores: dict[str, float | None]
    sheet: NDArray[np.uint8] | None


class Validation:
    """Scores a network on the validation split, at scale 1 and without flips."""

    def __init__(
        self, config: Config, normalisation: Normalisation, own: Processes, *, progress: bool
    ) -> None:
        dataset = config.data.open("val")
        self._dataset, self._normalisation, self._own = dataset, normalisation, own
        self._config = EvaluateConfig(workers=config.evaluate.workers, input_size=config.input_size)
        # The frames that are drawn are the same ones each time.
        pictures = config.train.pictures
        self._progress = progress and own.is_first
        self._frames = range(own.rank, len(dataset), own.world)
        apart = max(len(self._frames) // max(pictures, 1), 1)
        self._drawn = self._frames[::apart][:pictures] if own.is_first else range(0)

    def __call__(self, network: FAFNet, request: StopRequest) -> Validated | None:
        """Score the network; None where a signal came to any process before all was seen."""
        own, classes = self._own, len(self._dataset.label_set)
        own.copy_from_first(network)
        evaluation, counts = None, ConfusionMatrix(classes).matrix
        interrupted = False
        try:
            if self._frames:
                evaluation = self._evaluate(network, request)
                counts = evaluation.confusion.matrix
        except _Interrupted:
            interrupted = True
        # Before the counts: every process takes part in both sums, or none in the second.
        if own.sum(torch.tensor(int(interrupted), device=own.device)):
            return None
        confusion = ConfusionMatrix(classes)
        confusion.matrix = own.sum(torch.from_numpy(counts).to(own.device)).cpu().numpy()
        rows = list(evaluation.kept.values()) if evaluation else []
        sheet = prediction_sheet(rows, self._dataset.label_set) if rows else None
        return Validated(confusion.compute().to_dict(), sheet)

    def _evaluate(self, network: FAFNet, request: StopRequest) -> Evaluation:
        return evaluate(
            network,
            _Interruptible(self._dataset, request),
            normalisation=self._normalisation,
            config=self._config,
            device=self._own.device,
            progress=self._progress,
            frames=self._frames,
            keep=self._drawn,
        )


class _Interrupted(Exception):  # noqa: N818  nothing is wrong
    """A signal came while frames were being scored."""


class _Interruptible(RgbdSegmentationDataset):
    """A data set that ends with `_Interrupted` once a signal has come: scoring may take minutes."""

    def __init__(self, dataset: RgbdSegmentationDataset, request: StopRequest) -> None:
        self._dataset, self._request = dataset, request
        self.label_set = dataset.label_set
        self.names, self.sensors = dataset.names, dataset.sensors

    def read(self, index: int) -> RgbdSample:
        if self._request.signal is not None:
            raise _Interrupted
        return self._dataset.read(index)
