"""`Segmenter`, the door to the core: colour, metric depth and a camera matrix in, labels out.

Frames are brought to the size that the network was trained at, where its checkpoint says one. Then
it does what `FAFNet.forward` does, followed by softmax and argmax; the HHA tables of a camera are
made once, and the last upsampling is `classify`'s.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fafnet_core.checkpoints.checkpoint import CheckpointMetadata, load_checkpoint, read_metadata
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.hha import HHAEncoder
from fafnet_core.hha.checks import check_missing
from fafnet_core.inference.classify import classify
from fafnet_core.inference.devices import choose_device, choose_dtype
from fafnet_core.input_size import (
    CHECKPOINT,
    AnyInputSize,
    Size,
    check_input_size,
    fitted_size,
    resized,
    sampled,
)
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.models import FAFNet, build_model
from fafnet_core.normalisation import Normalisation

UNTRAINED = "untrained:"
"""Prefix of a preset's name that asks for seeded random weights, to try speed and wiring."""

_SEED = 5  # with these weights a room gets a dozen labels, so that pictures show something


@dataclass(frozen=True)
class Segmentation:
    """The result of one frame.

    Attributes:
        labels: (H, W) uint8 class ids, at the image's size.
        confidence: (H, W) float32, the softmax probability of that class, 0..1.
        hha: (h, w, 3) uint8, the HHA image that the network saw, at the size at which it saw it;
            `input_size.sampled` brings it to the image's.
        seconds: how long each stage took: `hha` (with resizing, where there is any), `network`.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    hha: NDArray[np.uint8]
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)


class Segmenter:
    """A network with its label set and normalisation, ready on a device.

    One thread at a time may call `segment`.

    Args:
        model: the network. It is copied: yours keeps its mode, device and precision.
        label_set: the classes of its outputs.
        normalisation: what its inputs go through.
        device: "auto", "cpu", "cuda" or "cuda:0".
        precision: "auto", "float32", "bfloat16" or "float16".
        notice: one line that users of the results have to know, or None.
        input_size: (height, width) that frames are brought to, as `fitted_size` says; None: the
            network sees every frame at its own size.

    Raises:
        ValueError: no such device or precision here, another number of classes, or an input size
            that the network does not take.
    """

    def __init__(
        self,
        model: FAFNet,
        label_set: LabelSet = NYU40,
        normalisation: Normalisation | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        notice: str | None = None,
        input_size: Size | None = None,
    ) -> None:
        if model.config.num_classes != len(label_set):
            raise ValueError(
                f"the network has {model.config.num_classes} classes, label set"
                f" '{label_set.name}' has {len(label_set)}; give the set it was trained for"
            )
        self.input_size = check_input_size(model.config, input_size, divisor=model.input_divisor)
        self.label_set = label_set
        self.normalisation = normalisation = normalisation or Normalisation()
        self.notice = notice
        self.device = choose_device(device)
        self.dtype = choose_dtype(precision, self.device)
        self.model = copy.deepcopy(model).eval().to(self.device, self.dtype)
        # PyTorch's type information lacks this form of `to`.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._rgb_affine = self._affine(normalisation.rgb_mean, normalisation.rgb_deviation)
        self._hha_affine = self._affine(normalisation.hha_mean, normalisation.hha_deviation)
        self._encoder: HHAEncoder | None = None
        self._encoder_key: tuple[object, ...] | None = None

    @property
    def precision(self) -> str:
        """The arithmetic in use: float32, bfloat16 or float16."""
        return str(self.dtype).removeprefix("torch.")

    @classmethod
    def from_checkpoint(
        cls,
        path_or_name: str | Path,
        device: str = "auto",
        precision: str = "auto",
        input_size: AnyInputSize = CHECKPOINT,
    ) -> Segmenter:
        """Load a checkpoint with all that belongs to it.

        Args:
            path_or_name: a safetensors checkpoint, or a folder with one; "hf://owner/name", a
                repository of the Hub; "default", the checkpoint that ships; or
                "untrained:<preset>", seeded random weights.
            device: as for `Segmenter`.
            precision: as for `Segmenter`.
            input_size: "checkpoint", what the checkpoint says; or as for `Segmenter`.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a checkpoint, no such preset, no such device here, or an input size that
                the network does not take.
        """
        name = str(path_or_name)
        if name.startswith(UNTRAINED):
            preset = name.removeprefix(UNTRAINED)
            notice = (
                f"no trained checkpoint: {preset} runs with random weights (seed {_SEED}), so its"
                " labels mean nothing"
            )
            return cls(
                _untrained(preset),
                device=device,
                precision=precision,
                notice=notice,
                input_size=None if input_size == CHECKPOINT else input_size,
            )
        path = checkpoint_file(name)  # once: a repository of the Hub is asked each time
        metadata = read_metadata(path)
        return cls(
            load_checkpoint(path),
            metadata.label_set,
            metadata.normalisation,
            device=device,
            precision=precision,
            notice=_notice(metadata),
            input_size=metadata.input_size if input_size == CHECKPOINT else input_size,
        )

    def segment(
        self,
        rgb: NDArray[np.uint8],
        depth_m: NDArray[np.floating[Any]],
        camera_matrix: ArrayLike,
        *,
        missing: NDArray[np.bool_] | None = None,
        gravity: ArrayLike | None = None,
    ) -> Segmentation:
        """Segment one frame.

        Args:
            rgb: (H, W, 3) uint8 colour.
            depth_m: (H, W) floating point, metres, registered to the colour image; 0, NaN or
                infinite where there is none.
            camera_matrix: (3, 3), pixel centres at whole numbers.
            missing: (H, W), True where in-painting invented the depth.
            gravity: (3,), the downward direction in the camera's frame; estimated where None.

        Raises:
            ValueError: sizes that differ, a wrong type, depth that cannot be metres, or a matrix
                that is not a camera's; the message says what came and what to do.
        """
        _check_rgb(rgb, depth_m)
        begun = time.perf_counter()
        height, width = depth_m.shape
        size = fitted_size((height, width), self.input_size)
        matrix = np.asarray(camera_matrix, np.float64)
        rgb, depth_m, matrix = resized(rgb, depth_m, matrix, size)
        if missing is not None and size != (height, width):
            missing = np.asarray(missing)
            check_missing(missing, (height, width), is_bool=missing.dtype == np.bool_)
            missing = sampled(missing, size)
        encoder = self._encoder_for(matrix, size)
        hha = encoder.encode(depth_m, missing=missing, gravity=gravity)
        encoded = time.perf_counter()
        labels, confidence = self.predict(rgb, hha, size=(height, width))
        done = time.perf_counter()
        seconds = {"hha": encoded - begun, "network": done - encoded}
        return Segmentation(labels, confidence, hha, seconds)

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        *,
        size: tuple[int, int] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return labels and confidence of colour and ready HHA, seen as they are.

        Whoever has the depth brings the frame to `input_size` before HHA is made of it.

        Args:
            rgb: (H, W, 3) uint8.
            hha: (H, W, 3) uint8.
            size: (height, width) of the result, where that is not the images' own.

        Returns:
            Labels uint8 and confidence float32, both (height, width).

        Raises:
            ValueError: what the network gave is not a number.
        """
        with torch.inference_mode():
            logits = self.model.coarse_logits(
                self._to_input(rgb, self._rgb_affine), self._to_input(hha, self._hha_affine)
            )
            labels, confidence = classify(logits[0], size or rgb.shape[:2], rgb.shape[:2])
            result = labels.cpu().numpy(), confidence.cpu().numpy()
        if not np.isfinite(result[1]).all():
            raise ValueError(
                f"the network gave values that are not numbers in {self.precision}; try precision"
                " float32, and check the checkpoint with: fafnet info"
            )
        return result

    def _affine(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> tuple[Tensor, ...]:
        """Return the scale and offset that normalise 8-bit values, shaped (1, 3, 1, 1)."""
        scale = 1 / (255 * torch.tensor(deviation)).view(1, 3, 1, 1)
        offset = -(torch.tensor(mean) / torch.tensor(deviation)).view(1, 3, 1, 1)
        return scale.to(self.device), offset.to(self.device)

    def _to_input(self, image: NDArray[np.uint8], affine: tuple[Tensor, ...]) -> Tensor:
        """Return the normalised image as (1, 3, H, W), channels last in memory."""
        scale, offset = affine
        # Writable, because PyTorch warns of anything else: a view of a message may not be.
        pixels = torch.from_numpy(np.require(image, requirements=("C", "W"))).to(self.device)
        values = torch.addcmul(offset, pixels.permute(2, 0, 1)[None].float(), scale)
        return values.to(self.dtype, memory_format=torch.channels_last)

    def _encoder_for(self, matrix: NDArray[np.float64], shape: Size) -> HHAEncoder:
        """Return the encoder of this camera and size, made anew only when they change."""
        key = (matrix.shape, matrix.tobytes(), shape)
        if self._encoder is None or self._encoder_key != key:
            on_gpu = self.device if self.device.type == "cuda" else None
            self._encoder = HHAEncoder(matrix, shape, device=on_gpu)
            self._encoder_key = key
        return self._encoder


def _check_rgb(rgb: NDArray[Any], depth_m: NDArray[Any]) -> None:
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.shape[2:] != (3,):
        came = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise ValueError(
            f"colour is {came}; wanted a uint8 array (height, width, 3) in RGB order, 0..255"
        )
    if not isinstance(depth_m, np.ndarray) or depth_m.shape != rgb.shape[:2]:
        came = str(getattr(depth_m, "shape", type(depth_m).__name__))
        raise ValueError(
            f"colour is {rgb.shape[:2]}, depth is {came} (height, width); register the depth to"
            " the colour image first, so that both have the same pixels"
        )


def _notice(metadata: CheckpointMetadata) -> str | None:
    """Return the line that the checkpoint's author wants every user to see."""
    notice = metadata.notes.get("notice")
    return notice if isinstance(notice, str) else None


def _untrained(preset: str) -> FAFNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build_model(preset)
