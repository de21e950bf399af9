"""The network in PyTorch, as it was trained: the runtime that is always there."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fafnet_core.camera import Size
from fafnet_core.frame import Classes
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation, Stream
from fafnet_core.runtimes import Fusion
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.devices import choose_device, choose_dtype


class TorchRuntime:
    """Runs a copy of a network, in evaluation mode, on a device.

    Args:
        model: the network; yours keeps its mode, device and precision.
        normalisation: what its inputs go through.
        device: "auto", "cpu", "cuda" or "cuda:0".
        precision: "auto", "float32", "bfloat16" or "float16".

    Attributes:
        model, normalisation: the copy, and what its inputs go through.
        name, device, precision: as of `Runtime`.

    Raises:
        ValueError: no such device or precision here.
    """

    name = "torch"

    def __init__(
        self,
        model: FAFNet,
        normalisation: Normalisation,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        where = choose_device(device)
        dtype = choose_dtype(precision, where)
        self.device = str(where)
        self.precision = str(dtype).removeprefix("torch.")
        self.model = copy.deepcopy(model).eval().to(where, dtype)
        # PyTorch's type information lacks this form of `to`.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalisation = normalisation
        self._rgb = Normaliser(normalisation, "rgb", where, dtype)
        self._hha = Normaliser(normalisation, "hha", where, dtype)

    def prepare(self, size: Size) -> None:
        """See `Runtime.prepare`: PyTorch takes every size as it comes."""

    @torch.inference_mode()
    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        size: Size,
        fuse: Fusion | None = None,
    ) -> Classes:
        """See `Runtime.predict`."""
        logits = self.model.coarse_logits(self._rgb(rgb), self._hha(hha))[0]
        return classify(logits, size, (rgb.shape[0], rgb.shape[1]), fuse)


class Normaliser:
    """Turns an 8-bit image into the tensor that a network takes.

    Args:
        normalisation: of both streams.
        stream: which of them.
        device, dtype: of the tensors.
    """

    def __init__(
        self,
        normalisation: Normalisation,
        stream: Stream,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        scale, offset = normalisation.affine(stream)
        self._scale = torch.from_numpy(scale).float().view(1, 3, 1, 1).to(device)
        self._offset = torch.from_numpy(offset).float().view(1, 3, 1, 1).to(device)
        self._device, self._dtype = device, dtype

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """Return an image (H, W, 3) as (1, 3, H, W), channels last in memory."""
        # Writable, because PyTorch warns of anything else: a view of a message may not be.
        pixels = torch.from_numpy(np.require(image, requirements=("C", "W"))).to(self._device)
        values = torch.addcmul(self._offset, pixels.permute(2, 0, 1)[None].float(), self._scale)
        return values.to(self._dtype, memory_format=torch.channels_last)
