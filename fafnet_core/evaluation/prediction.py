"""From a labelled frame to what a network makes of it: evaluation's half of inference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fafnet_core.datasets.samples import RgbdSample
from fafnet_core.evaluation.multi_scale import MultiScale
from fafnet_core.input_size import Size, input_of, sampled
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation

Blank = Literal["none", "hha", "rgb"]


@dataclass(frozen=True)
class Prepared:
    """A frame as its data set has it, and as the network sees it.

    Attributes:
        sample: the frame, at its own size.
        rgb: (h, w, 3) uint8, at the size of the input.
        hha: (h, w, 3) uint8, at the size of the input.
    """

    sample: RgbdSample
    rgb: NDArray[np.uint8]
    hha: NDArray[np.uint8]

    @classmethod
    def of(cls, sample: RgbdSample, input_size: Size | None) -> Prepared:
        """Bring a frame to its input size; see `input_of`."""
        return cls(sample, *input_of(sample, input_size))

    def with_hha(self) -> RgbdSample:
        """Return the frame with the HHA that the network sees, at the frame's own size."""
        return replace(self.sample, hha=sampled(self.hha, self.sample.size))


class Predictor:
    """From a frame to the labels of its pixels.

    Args:
        model: the network, on the device.
        normalisation: what its inputs go through.
        run: how it is run on each frame.
        blank: the normalised input that is 0 everywhere.
        device: where it runs.
    """

    def __init__(
        self,
        model: FAFNet,
        normalisation: Normalisation,
        run: MultiScale,
        *,
        blank: Blank,
        device: torch.device,
    ) -> None:
        self._model, self._run, self._blank = model, run, blank
        self._device = device
        self._rgb = self._constants(normalisation.rgb_mean, normalisation.rgb_deviation)
        self._hha = self._constants(normalisation.hha_mean, normalisation.hha_deviation)

    def __call__(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Return the labels (H, W) uint8 of a frame, at its own size."""
        rgb = self._to_input(prepared.rgb, self._rgb)
        hha = self._to_input(prepared.hha, self._hha)
        if self._blank != "none":
            (rgb if self._blank == "rgb" else hha).zero_()
        scores = self._run(self._model, rgb, hha, prepared.sample.size)
        labels: NDArray[np.uint8] = scores[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        return labels

    def _constants(
        self, mean: tuple[float, ...], deviation: tuple[float, ...]
    ) -> tuple[Tensor, Tensor]:
        both = torch.tensor((mean, deviation), device=self._device)[..., None, None]
        return both[0], both[1]

    def _to_input(self, image: NDArray[np.uint8], constants: tuple[Tensor, Tensor]) -> Tensor:
        """Return the normalised image (1, 3, H, W) float32."""
        mean, deviation = constants
        # Writable, because PyTorch warns of anything else: a data set may give a view of its file.
        pixels = torch.from_numpy(np.require(image, requirements=("C", "W"))).to(self._device)
        values = pixels.permute(2, 0, 1).contiguous()[None].float()
        return values.div_(255).sub_(mean).div_(deviation)
