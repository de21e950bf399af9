"""Doors of networks: checkpoints, foreign weights, and exported files."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tflite_builder
import torch
from door import Door

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.checkpoints.release import convert_release
from fafnet_core.checkpoints.release_file import read_release_file
from fafnet_core.labels import NYU40
from fafnet_core.models import FAFNet, FAFNetConfig, build_model
from fafnet_core.runtimes.exported import ExportedMetadata, read_exported

_TINY = FAFNetConfig(
    backbone="resnet18",
    width_multiplier=1 / 16,
    output_stride=32,
    decoder_channels=4,
    num_classes=40,
)
_TEXTS = ("fafnet_format", "fafnet", "fafnet_outputs", "fafnet_divisor", "fafnet_precision")


@cache
def _network() -> FAFNet:
    torch.manual_seed(1)
    return build_model(_TINY).eval()


@cache
def _backbone() -> FAFNet:
    return build_model(FAFNetConfig(backbone="resnet18", output_stride=32, modality="rgb"))


def _checkpoint_seeds(folder: Path) -> list[bytes]:
    path = folder / "seed.safetensors"
    save_checkpoint(path, _network(), notes={"figures": [1.5, None]}, half=True)
    return [path.read_bytes()]


def _header_seeds(folder: Path) -> list[bytes]:
    """The header alone, with no tensors behind it."""
    from safetensors.torch import save

    with_text = {"fafnet_format": "1", "fafnet": _metadata().checkpoint.to_json()}
    return [save({"a": torch.zeros(2)}, with_text)]


def _state_seeds(folder: Path) -> list[bytes]:
    from fafnet_core.training.state import TrainingState, write_state

    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    state = TrainingState(3, model.state_dict(), optimiser.state_dict(), notes={"a": 1})
    return [write_state(folder, state, keep=1).read_bytes()]


def _read_state(path: Path) -> None:
    from fafnet_core.training.state import read_state

    read_state(path)


def _file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def call(data: bytes, folder: Path) -> Any:
        # A new file each time: the one before may still be mapped into memory.
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        return read(path)

    return call


def _load(path: Path) -> Any:
    return list(load_checkpoint(path).state_dict().values())


def _torch_seeds(folder: Path) -> list[bytes]:
    state = OrderedDict(
        (name, torch.arange(size, dtype=torch.float32))
        for name, size in (("module.backbone.conv1.0.weight", 6), ("head.conv_last.1.weight", 3))
    )
    whole = {
        "model_state": state,
        "cur_itrs": 40000,
        "best_score": 0.5,
        "optimizer_state": {"a": [1]},
    }
    seeds = []
    for content, zipped in ((whole, True), (state, True), (state, False)):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=zipped)
        seeds.append(file.getvalue())
    return seeds


def _read_release(path: Path) -> None:
    convert_release(read_release_file(path).state)


def _tflite_seeds(folder: Path) -> list[bytes]:
    return [tflite_builder.write(tflite_builder.mobilenet())]


def _read_tflite(path: Path) -> Any:
    from fafnet_core.checkpoints.tflite_mobilenet import read_folded_mobilenet

    return read_folded_mobilenet(path).tensors


# Exported files


def _metadata() -> ExportedMetadata:
    from fafnet_core.checkpoints.checkpoint import CheckpointMetadata

    return ExportedMetadata(CheckpointMetadata(_TINY, NYU40, input_size=(48, 64)), "logits", 32)


def _entries_seeds(folder: Path) -> list[bytes]:
    return [json.dumps(_metadata().entries()).encode()]


def _read_entries(data: bytes, folder: Path) -> None:
    """The texts of an exported file; what is no JSON here is the text of its network."""
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        entries = _metadata().entries() | {"fafnet": data.decode("latin-1")}
    ExportedMetadata.from_entries({str(key): str(value) for key, value in entries.items()})


def _onnx_seeds(folder: Path) -> list[bytes]:
    """Colour as logits: the smallest graph with our inputs, output and texts."""
    from onnx import TensorProto, helper

    sides = [1, 48, 64, 3]
    inputs = [helper.make_tensor_value_info(n, TensorProto.UINT8, sides) for n in ("rgb", "hha")]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 40, 48, 64])
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [40, 3, 1, 1], [0.5] * 120)
    nodes = [
        helper.make_node("Cast", ["rgb"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["hha"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Transpose", ["c"], ["d"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["d", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "fafnet", inputs, [output], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, _metadata().entries())
    return [bytes(model.SerializeToString())]


def _openvino_seeds(folder: Path) -> list[bytes]:
    from fafnet_core.runtimes.export import save_openvino
    from fafnet_core.runtimes.openvino import _core, import_openvino

    module = import_openvino()
    (folder / "seed.onnx").write_bytes(_onnx_seeds(folder)[0])
    model = _core().read_model(folder / "seed.onnx")
    save_openvino(module, model, _metadata(), folder / "seed.xml")
    (folder / "a.bin").write_bytes((folder / "seed.bin").read_bytes())
    return [(folder / "seed.xml").read_bytes()]


def _open(path: Path) -> None:
    read_exported(path, precision="float32")


DOORS = (
    Door("checkpoint, metadata", _header_seeds, _file("a.safetensors", read_metadata)),
    Door("checkpoint, whole", _checkpoint_seeds, _file("b.safetensors", _load), share=0.05),
    Door("training state", _state_seeds, _file("c.safetensors", _read_state)),
    Door("authors' checkpoint", _torch_seeds, _file("a.pth", _read_release), accepts=False),
    Door(
        "backbone weights",
        _torch_seeds,
        _file("b.pth", lambda path: load_backbone(_backbone(), path)),
        accepts=False,
        share=0.2,
    ),
    Door("TensorFlow Lite file", _tflite_seeds, _file("a.tflite", _read_tflite), share=0.1),
    Door("exported file, metadata", _entries_seeds, _read_entries),
    Door("exported file, ONNX", _onnx_seeds, _file("a.onnx", _open), share=0.1),
    Door("exported file, OpenVINO", _openvino_seeds, _file("a.xml", _open), share=0.01),
)
