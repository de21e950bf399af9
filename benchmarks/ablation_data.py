"""The data that the arms of the ablation are trained and tested with: a class for each data set."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from ablation_table import FlowFit, Values
from reduced_frames import ReducedNYUv2
from tqdm import tqdm

from fafnet_core.augmentation import ColourJitter, EvalTransform, TransformConfig
from fafnet_core.evaluation.evaluate import EvaluateConfig
from fafnet_core.inference import record_alignments
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms.dataset import SyntheticData, SyntheticRooms
from fafnet_core.rooms.sensor import SensorConfig
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.training.config import Config, NormalisationConfig, TrainConfig, read_config
from fafnet_core.training.optimiser import OptimiserConfig

BOUNDARY_PX = 5.0
TRAINED_PX = (0.0, 8.0)
TESTED_PX = (0.0, 2.0, 4.0, 8.0, 16.0)
_RECIPE = Path(__file__).resolve().parents[1] / "config" / "nyuv2-mobile.yaml"
_NYU_SIZE = (480, 640)


class AblationData(ABC):
    """A data set, and all of a training that depends on it and not on the arm.

    Attributes:
        settings: options of the command that belong to this data set, and that all runs in one
            folder share.
    """

    settings: ClassVar[tuple[str, ...]]

    @abstractmethod
    def recipe(self) -> Config:
        """Return the training and the test, without network, seed and schedule."""

    @abstractmethod
    def make(self, jobs: int) -> None:
        """Make all frames beforehand, in `jobs` processes or threads; those that exist stay."""

    @abstractmethod
    def tests(self) -> dict[str, RgbdSegmentationDataset]:
        """Return the frames of each test by its name, in the report's order."""

    def flow_fit(
        self, model: FAFNet, normalisation: Normalisation
    ) -> dict[str, dict[str, float]] | None:
        """Compare the flow of a network with the true displacement.

        Returns:
            The fields of `FlowFit` for each FAM; None where there is no flow, or where the true
            displacement is not known, as in photographs.
        """
        return None

    @staticmethod
    def protocol(settings: Mapping[str, Any]) -> str:
        """Say how the figures were made, given a folder's settings; empty if the tables do."""
        return ""


@dataclass(frozen=True)
class Rooms(AblationData):
    """Synthetic rooms whose depth is registered with a known error.

    Attributes:
        seed: which rooms.
        frames: to train on.
        count: test frames at each error.
        cache: folder in which the frames are kept.
    """

    seed: int
    frames: int
    count: int
    cache: Path

    settings = ("frames", "tests", "data_seed")

    def recipe(self) -> Config:
        """See `AblationData`."""
        return Config(
            data=self._rooms("train", TRAINED_PX),
            transform=TransformConfig(scale=(0.75, 1.5), crop=(96, 128), flip=0.5),
            train=TrainConfig(
                optimiser=OptimiserConfig(kind="adamw", weight_decay=0.01, norm_weight_decay=0.0)
            ),
            evaluate=EvaluateConfig(split="test", boundary_px=BOUNDARY_PX, workers=0),
        )

    def make(self, jobs: int) -> None:
        """Render what is missing."""
        work = [(self, "train", TRAINED_PX, index) for index in range(self.frames)]
        for px in TESTED_PX:
            work += [(self, "test", (px, px), index) for index in range(self.count)]
        context = multiprocessing.get_context("spawn")
        with context.Pool(jobs) as pool:
            made = pool.imap_unordered(_make_room, work, chunksize=8)
            for _ in tqdm(made, total=len(work), desc="rooms", disable=None):
                pass

    def tests(self) -> dict[str, RgbdSegmentationDataset]:
        """Return the same rooms for each error; the error in pixels is the name."""
        return {f"{px:g}": self._tests(px) for px in TESTED_PX}

    def flow_fit(
        self, model: FAFNet, normalisation: Normalisation
    ) -> dict[str, dict[str, float]] | None:
        """Compare the mean flow of each FAM that moves depth to colour; see `AblationData`."""
        if model.config.fusion != "rgbd_fuse" or model.config.fusion_alignment != "flow":
            return None
        true: list[Values] = []
        learned: dict[str, list[Values]] = {}
        to_tensors = EvalTransform(normalisation)
        for error_px in TESTED_PX[:-1]:
            rooms = self._tests(error_px)
            for index in range(len(rooms)):
                sample = rooms.read(index)
                assert sample.camera is not None
                rotation, _ = rooms.calibration_error(index)
                true.append(mean_displacement(rotation, sample.camera.matrix, sample.size))
                tensors = to_tensors(sample)
                with torch.inference_mode(), record_alignments(model) as recorded:
                    model(tensors.rgb[None], tensors.hha[None])
                for name, alignment in recorded.items():
                    if name.endswith("align_depth"):
                        learned.setdefault(name, []).append(alignment.flow.mean(axis=(1, 2)))
        return {
            name: asdict(FlowFit.of(np.array(true), np.array(flows, np.float64)))
            for name, flows in learned.items()
        }

    def _tests(self, px: float) -> SyntheticRooms:
        return self._rooms("test", (px, px)).open("test")

    def _rooms(self, split: Split, error_px: tuple[float, float]) -> SyntheticData:
        """Return rooms at 320x240, whose frames, HHA included, are then reduced to 160x120."""
        frames = self.frames if split == "train" else self.count
        return SyntheticData(
            seed=self.seed,
            frames=frames,
            held_out=frames,
            reduce=2,
            sensor=SensorConfig(calibration_error_px=error_px),
            cache=str(self.cache),
        )


def _make_room(work: tuple[Rooms, Any, tuple[float, float], int]) -> None:
    rooms, split, error_px, index = work
    cv2.setNumThreads(1)
    rooms._rooms(split, error_px).open(split).read(index)


def mean_displacement(rotation: Values, camera_matrix: Values, size: tuple[int, int]) -> Values:
    """Return by how many pixels a rotation moves an image (H, W) on average, (2,): x and y.

    In its middle the image moves least; at these angles of view the mean is a tenth larger.
    """
    rows, columns = np.indices(size)
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    moved = camera_matrix @ rotation @ np.linalg.inv(camera_matrix) @ pixels
    mean: Values = (moved[:2] / moved[2] - pixels[:2]).mean(axis=1)
    return mean


@dataclass(frozen=True)
class RealFrames(AblationData):
    """NYU-Depth V2's official split, reduced; the error of its registration is not known.

    The test's frames and labels are twice as large as what the networks see: frames are halved
    (the mean of 2x2 pixels), and the logits are brought to the size of the labels.

    Attributes:
        root: the data set's folder.
        reduce: an even number that both sides are divided by.
        cache: folder in which the reduced frames are kept.
    """

    root: str
    reduce: int
    cache: Path

    settings = ("reduce",)

    def recipe(self) -> Config:
        """Return the recipe `config/nyuv2-mobile.yaml` for frames without planted faults.

        Its second data set, its average of the weights and its half precision are left out too.
        Crops are nine tenths of the frames, in multiples of 16 pixels.
        """
        height, width = (max(round(0.9 * side / self.reduce / 16), 2) * 16 for side in _NYU_SIZE)
        return Config(
            data=self._frames(self.reduce),
            normalisation=NormalisationConfig(rgb="symmetric", hha="symmetric"),
            transform=TransformConfig(
                scale=(0.8, 1.6),
                crop=(height, width),
                flip=0.5,
                colour_jitter=ColourJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.03),
            ),
            train=TrainConfig(
                optimiser=OptimiserConfig(
                    kind="adamw", weight_decay=0.02, norm_weight_decay=0.0, backbone_rate=0.3
                ),
                loss=read_config(_RECIPE).train.loss,
                clip_norm=5.0,
            ),
            evaluate=EvaluateConfig(
                split="test", scales=(0.5,), boundary_px=BOUNDARY_PX, workers=0
            ),
        )

    def make(self, jobs: int) -> None:
        """Read and reduce what is missing."""
        self._frames(self.reduce).make("train", jobs)
        self._frames(self.reduce // 2).make("test", jobs)

    def tests(self) -> dict[str, RgbdSegmentationDataset]:
        """Return the official test split."""
        return {"test": self._frames(self.reduce // 2).open("test")}

    @staticmethod
    def protocol(settings: Mapping[str, Any]) -> str:
        """Say what was trained and how it was tested."""
        height, width = (side // settings["reduce"] for side in _NYU_SIZE)
        start = Path(settings["pretrained"]).name if settings["pretrained"] else "random weights"
        return (
            f"NYU-Depth V2, official split, 40 classes, `{settings['preset']}`:"
            f" {settings['iterations']} iterations of {settings['batch']} crops from frames of"
            f" {width}x{height}, rate {settings['rate']:g}, backbones at 0.3 of it and from"
            f" {start}, class weights of `config/nyuv2-mobile.yaml`. Tested on all test frames,"
            f" single scale, input {width}x{height}, labels of {2 * width}x{2 * height} (nearest):"
            " figures at 640x480 differ."
        )

    def _frames(self, reduce: int) -> ReducedNYUv2:
        return ReducedNYUv2(root=self.root, reduce=reduce, cache=str(self.cache))
