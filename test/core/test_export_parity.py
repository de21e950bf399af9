"""ONNX Runtime and OpenVINO give PyTorch's labels: every preset, both variants, every backbone."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tiny_networks import randomise_flows
from tolerances import assert_same_labels
from torch import nn

from fafnet_core import FAFNet
from fafnet_core.models import PRESETS, FAFNetConfig
from fafnet_core.models.config import OWN_BACKBONES
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes.comparison import run_eagerly
from fafnet_core.runtimes.deployed import DeployedNetwork, LabellingNetwork
from fafnet_core.runtimes.onnx_graph import onnx_graph
from fafnet_core.runtimes.onnxruntime import OnnxEngine, run_session
from fafnet_core.runtimes.openvino import OpenVinoEngine, run_request
from fafnet_core.runtimes.proof import proof_frame

for library in ("onnx", "onnxruntime", "openvino"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)

TRACED, OTHER = (64, 96), (65, 97)

# Narrow: what differs between networks is their shape, and time goes into width.
NARROW = {"width_multiplier": 1 / 8, "decoder_channels": 16, "num_classes": 9}
CONFIGS = {
    **{
        name: dataclasses.replace(preset.config, **NARROW)  # type: ignore[arg-type]
        for name, preset in PRESETS.items()
    },
    "release, resnet18_v1c": FAFNetConfig(
        variant="release",
        backbone="resnet18_v1c",
        **NARROW,  # type: ignore[arg-type]
    ),
    "deeplabv3plus": FAFNetConfig(
        backbone="resnet18",
        decoder="deeplabv3plus",
        fusion="sum",
        **NARROW,  # type: ignore[arg-type]
    ),
}
of_presets = {config.backbone for config in CONFIGS.values()}
CONFIGS |= {
    backbone: FAFNetConfig(backbone=backbone, **NARROW)  # type: ignore[arg-type]
    for backbone in OWN_BACKBONES
    if backbone not in of_presets
}


Room = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def network(config: FAFNetConfig, room: Room) -> LabellingNetwork:
    """Random weights whose norms have seen the room and whose flows move something."""
    torch.manual_seed(5)
    model = randomise_flows(FAFNet(config)).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    deployed = DeployedNetwork(model, Normalisation())
    with torch.no_grad():
        deployed(*(torch.from_numpy(np.stack([image, image[::-1]])) for image in room))
    return LabellingNetwork(deployed).eval()


def margin(eager: LabellingNetwork, room: Room) -> NDArray[np.float32]:
    """How far the probability of the best class is above that of the second, (H, W)."""
    (logits,) = run_eagerly(eager.network, *room)
    full = F.interpolate(torch.from_numpy(logits)[None], OTHER, mode="bilinear", align_corners=True)
    best, second = full[0].softmax(dim=0).topk(2, dim=0).values
    difference: NDArray[np.float32] = (best - second).numpy()
    return difference


@pytest.fixture(scope="module")
def room() -> Room:
    return proof_frame(OTHER)


@pytest.mark.parametrize("name", CONFIGS)
def test_runtimes_give_pytorchs_labels_at_another_size_than_the_traced_one(
    name: str, room: Room
) -> None:
    eager = network(CONFIGS[name], room)
    labels, confidence = run_eagerly(eager, *room)
    assert np.ptp(confidence) > 1e-3, "a flat map shows nothing"
    # A hundred random layers make of a rounding what changes a label where two classes are close.
    sure = margin(eager, room) > 0.02
    assert sure.mean() > 0.2
    graph = onnx_graph(eager, TRACED, any_size=True)
    engine = OpenVinoEngine("float32", threads=1)
    request = engine.request(lambda: engine.core.read_model(graph), name)
    for found in (
        run_session(OnnxEngine(threads=1).open(graph), *room),
        run_request(request, *room),
    ):
        assert found[0].shape == found[1].shape == (1, *OTHER)
        assert_same_labels(found[0][0][sure], labels[sure])
        np.testing.assert_allclose(found[1][0], confidence, rtol=0, atol=0.02)
