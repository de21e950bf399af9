"""The frames of a training: which, augmented how, for which process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from torch import Tensor

from fafnet_core.augmentation import Batch, TrainTransform
from fafnet_core.training.config import Config
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loader import training_batches

_CALIBRATION_FRAMES = 16


class TrainingData:
    """The training frames of `data` and `auxiliary`, and the normalisation of the inputs.

    Raises:
        ValueError: the data set cannot be trained with.
        OSError: it cannot be read.
    """

    def __init__(self, config: Config, own: Processes) -> None:
        self.dataset = config.open_training_data()
        self.normalisation = config.normalisation.build()
        self._settings, self._own = config.train, own
        transform = TrainTransform(config.transform, self.normalisation)
        self._read = partial(training_batches, self.dataset, transform, seed=config.train.seed)

    def batches(self, start: int) -> Iterator[Batch]:
        """Yield this process's share of every batch, from iteration `start` on."""
        return self._read(
            batch_size=self._settings.batch_size,
            start=start,
            stop=self._settings.iterations,
            rank=self._own.rank,
            world=self._own.world,
            workers=self._settings.workers,
            pin_memory=self._own.device.type == "cuda",
        )

    def some_images(self) -> Mapping[str, Tensor]:
        """Normalised images of both modalities, the same ones in every process."""
        batch = next(self._read(batch_size=_CALIBRATION_FRAMES, start=0, stop=1))
        return {"rgb": batch.rgb, "hha": batch.hha}
