"""How far what a runtime gives is from what PyTorch gives, on one pair of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.deployed import DeployedNetwork, LabellingNetwork

Run = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Sequence[NDArray[Any]]]
"""From colour and HHA, (H, W, 3) uint8 each, to the outputs of an exported graph without batch."""


@dataclass(frozen=True)
class Difference:
    """Between two results for one frame.

    Attributes:
        labels: share of the pixels that have another label, at the size that the network sees.
        values: the largest difference of a confidence, or of a logit.
    """

    labels: float
    values: float


def compare(run: Run, network: torch.nn.Module, rgb: NDArray[Any], hha: NDArray[Any]) -> Difference:
    """Compare a graph with the network that it was made of, in PyTorch.

    Args:
        run: the graph.
        network: a `DeployedNetwork` or `LabellingNetwork`, as what was exported.
        rgb, hha: (H, W, 3) uint8.
    """
    found, wanted = run(rgb, hha), run_eagerly(network, rgb, hha)
    size = rgb.shape[0], rgb.shape[1]
    unequal = _labels(found, size) != _labels(wanted, size)
    return Difference(float(unequal.mean()), float(np.abs(found[-1] - wanted[-1]).max()))


def run_eagerly(
    network: torch.nn.Module, rgb: NDArray[Any], hha: NDArray[Any]
) -> list[NDArray[Any]]:
    """Return what a network that is to be exported gives for one pair of images, without batch."""
    # Copies: PyTorch warns of arrays that cannot be written.
    images = [torch.from_numpy(image.copy())[None] for image in (rgb, hha)]
    with torch.no_grad():
        outputs = network(*images)
    return [output[0].numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def network_for(network: DeployedNetwork, outputs: str) -> DeployedNetwork | LabellingNetwork:
    """Return what is exported for outputs "labels" or "logits", in evaluation mode."""
    return LabellingNetwork(network).eval() if outputs == "labels" else network.eval()


def _labels(outputs: Sequence[NDArray[Any]], size: Size) -> NDArray[np.uint8]:
    """Labels (H, W): they are there, or made of logits (C, h, w)."""
    if len(outputs) > 1:
        labels: NDArray[np.uint8] = outputs[0]
        return labels
    return classify(torch.from_numpy(outputs[0]), size).labels
