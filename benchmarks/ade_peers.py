"""Networks that people use on a CPU instead: colour only, 31 classes of ADE20K, a .tflite file.

Two of MLCommons' (Apache-2.0) are known to work: DeepLabv3 with MobileNetV2
(mlcommons/mobile_models, v0_7/tflite/deeplabv3_mnv2_ade20k_int8.tflite) and MOSAIC R4
(mlcommons/mobile_open, vision/mosaic/models_and_checkpoints/R4/
mobile_segmenter_r4_quant_argmax_uint8.tflite). They run in LiteRT: pip install ai-edge-litert.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shared_classes import SharedConfusion, SharedScores, shared_from_ade
from tqdm import tqdm

from fafnet_core.benchmark.timing import timed
from fafnet_core.samples import RgbdSegmentationDataset


class AdePeer:
    """A network of MLCommons' kind, on one thread.

    Args:
        name: of the network, in tables.
        path: its file.

    Raises:
        ModuleNotFoundError: LiteRT is not installed; the message says how to.
        FileNotFoundError: no such file.
        ValueError: not a network of this kind.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        if not path.is_file():
            raise FileNotFoundError(f"no file {path} of the peer {name}")
        try:
            # Here: it is needed for comparisons only.
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ModuleNotFoundError(
                "peers run in LiteRT, which is not installed: pip install ai-edge-litert"
            ) from error
        self._network: Any = Interpreter(model_path=str(path), num_threads=1)
        self._network.allocate_tensors()
        self._input, self._output = self._tensors(path)

    def labels(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ids of ADE20K's 31, 0 for none, (H, W) uint8, of colour (H, W, 3) uint8.

        Colour is resized to the network's size (bilinear), its labels back (nearest pixel).
        """
        height, width = self._input["shape"][1:3]
        image = cv2.resize(rgb, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
        self._network.set_tensor(self._input["index"], image[None])
        self._network.invoke()
        labels = self._network.get_tensor(self._output["index"])[0].astype(np.uint8)
        whole = cv2.resize(labels, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return np.asarray(whole, np.uint8)

    def _tensors(self, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the input and the output; raise ValueError where they are of another kind."""
        inputs, outputs = self._network.get_input_details(), self._network.get_output_details()
        shapes = [tuple(int(side) for side in one["shape"]) for one in (*inputs, *outputs)]
        if not (
            len(inputs) == len(outputs) == 1
            and inputs[0]["dtype"] == np.uint8
            and np.issubdtype(outputs[0]["dtype"], np.integer)
            and (len(shapes[0]), shapes[0][-1], len(shapes[1])) == (4, 3, 3)
        ):
            raise ValueError(
                f"{path} takes or gives {shapes}; wanted a network that takes uint8"
                " (1, height, width, 3) and gives the ids of classes (1, height, width)"
            )
        return inputs[0], outputs[0]


@dataclass(frozen=True, eq=False)
class PeerScores:
    """Scores of a network beside others.

    Attributes:
        name: of the network.
        shared: over the classes that ADE20K shares with NYU.
        frames: how many were scored.
        milliseconds: median processor time of a frame, both changes of size included.
    """

    name: str
    shared: SharedScores
    frames: int
    milliseconds: float


def measure_peer(
    peer: AdePeer, dataset: RgbdSegmentationDataset, indices: Sequence[int]
) -> PeerScores:
    """Label these frames of NYU40, at least one, and score the shared classes."""
    confusion, seconds = SharedConfusion(), []
    for index in tqdm(indices, unit="frame", desc=peer.name, disable=None):
        sample = dataset.read(index)
        labels, took = timed(partial(peer.labels, sample.rgb))
        seconds.append(took)
        confusion.update(shared_from_ade(labels), sample.label)
    return PeerScores(
        peer.name, confusion.compute(), len(indices), 1e3 * statistics.median(seconds)
    )
