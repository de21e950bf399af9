"""The frames of a training: which, augmented how, for which process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from fafnet_core.augmentation import Batch, TrainTransform
from fafnet_core.training.config import Config
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loader import training_batches

_CALIBRATION_FRAMES = 16


class TrainingData:
    """The training frames of `data` and `auxiliary`.

    Args:
        config: all of it.
        own: this process among the others.

    Attributes:
        dataset: the frames.
        normalisation: what the network's inputs go through.

    Raises:
        ValueError: the data set is not one that can be trained with.
        OSError: it cannot be read.
    """

    def __init__(self, config: Config, own: Processes) -> None:
        self.dataset = config.open_training_data()
        self.normalisation = config.normalisation.build()
        self._transform = TrainTransform(config.transform, self.normalisation)
        self._settings, self._own = config.train, own

    def batches(self, start: int) -> Iterator[Batch]:
        """Yield this process's share of every batch from an iteration on."""
        return training_batches(
            self.dataset,
            self._transform,
            batch_size=self._settings.batch_size,
            seed=self._settings.seed,
            start=start,
            stop=self._settings.iterations,
            rank=self._own.rank,
            world=self._own.world,
            workers=self._settings.workers,
            pin_memory=self._own.device.type == "cuda",
        )

    def some_images(self) -> Mapping[str, Tensor]:
        """Normalised images of both modalities, the same ones in every process."""
        batches = training_batches(
            self.dataset,
            self._transform,
            batch_size=_CALIBRATION_FRAMES,
            seed=self._settings.seed,
            start=0,
            stop=1,
        )
        batch = next(batches)
        return {"rgb": batch.rgb, "hha": batch.hha}
