"""From a labelled frame to the labels that a network predicts, at one input size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.evaluation.multi_scale import MultiScale
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import HHAEncoder
from fafnet_core.input_size import fitted_size
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.resampling import resized_image, sampled
from fafnet_core.runtimes import Runtime
from fafnet_core.runtimes.pytorch import Normaliser
from fafnet_core.samples import RgbdSample

Blank = Literal["none", "hha", "rgb"]


@dataclass(frozen=True)
class Prepared:
    """A frame as its data set has it, and its `rgb` and `hha` as the network sees them.

    Both are (h, w, 3) uint8, at the size of the input.
    """

    sample: RgbdSample
    rgb: NDArray[np.uint8]
    hha: NDArray[np.uint8]

    @classmethod
    def of(cls, sample: RgbdSample, input_size: Size | None) -> Prepared:
        """Bring a frame to its input size, as a camera's: HHA is made at that size.

        Where the sample has ready HHA and no metric depth, that is resized as colour is.

        Raises:
            SampleError: neither HHA nor metric depth with a camera.
        """
        size = fitted_size(sample.size, input_size)
        depth_m, camera = sample.depth_m, sample.camera
        if size == sample.size or depth_m is None or camera is None:
            hha = sample.with_hha().hha
            assert hha is not None
            return cls(sample, resized_image(sample.rgb, size), resized_image(hha, size))
        seen = RgbdFrame(
            rgb=sample.rgb,
            depth_m=depth_m,
            camera=camera,
            missing=sample.missing,
            gravity=sample.gravity,
        ).scaled(size)
        encoder = HHAEncoder(seen.camera)
        hha = encoder.encode(seen.depth_m, missing=seen.missing, gravity=seen.gravity)
        return cls(sample, seen.rgb, hha)

    def with_hha(self) -> RgbdSample:
        """Return the frame with the HHA that the network sees, at the frame's own size."""
        return replace(self.sample, hha=sampled(self.hha, self.sample.size))


class Predictor:
    """Labels frames with a network that is on the device already; `blank` is the input left out."""

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
        self._rgb = Normaliser(normalisation, "rgb", device)
        self._hha = Normaliser(normalisation, "hha", device)

    def __call__(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Return the labels (H, W) uint8 of a frame, at its own size."""
        rgb, hha = self._rgb(prepared.rgb), self._hha(prepared.hha)
        if self._blank != "none":
            (rgb if self._blank == "rgb" else hha).zero_()
        scores = self._run(self._model, rgb, hha, prepared.sample.size)
        labels: NDArray[np.uint8] = scores[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        return labels


class RuntimePredictor:
    """Labels frames with whatever runs a network, as inference does: at one scale."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __call__(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Return the labels (H, W) uint8 of a frame, at its own size."""
        return self._runtime.predict(prepared.rgb, prepared.hha, prepared.sample.size).labels
