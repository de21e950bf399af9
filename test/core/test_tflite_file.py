"""MobileNets out of TensorFlow Lite files: the right numbers, or an error that says why not."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("tflite", reason="reads TensorFlow Lite files")

import tflite_builder as build
from safetensors import safe_open
from safetensors.numpy import load_file

from fafnet_core import FAFNetConfig, build_model
from fafnet_core.checkpoints import tflite_file
from fafnet_core.checkpoints.folded_mobilenet import FoldedMobileNet, save_folded_mobilenet
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.checkpoints.tflite_mobilenet import read_folded_mobilenet
from fafnet_core.cli.main import main

Spoil = Callable[[build.Network], None]

ORIGINAL = "deeplabv3_mnv2_ade20k_int8.tflite"
"""Of mlcommons/mobile_models, v0_7/tflite."""
ORIGINAL_SHA256 = "3960571f5e2de1cec771a8f7a15b86f31b94cceccac8d993addbc1e29829de6a"
QUANTIZE, STEM, FIRST_DEPTHWISE, FIRST_LINEAR, FIRST_SUM = 0, 1, 2, 3, 10
"""Places of operators in the network that is written with QUANTIZE in front."""


@pytest.fixture(scope="module")
def written() -> bytes:
    return build.write(build.mobilenet())


def network_in(folder: Path, content: bytes) -> FoldedMobileNet:
    path = folder / "network.tflite"
    path.write_bytes(content)
    return read_folded_mobilenet(path)


@pytest.mark.parametrize(
    ("dtype", "stored_as", "range_in"),
    [
        (build.INT8, "int8", (-254 / 255, 256 / 255)),
        (build.UINT8, "uint8", (-1, 127 / 128)),
        (build.FLOAT32, "float32", None),
    ],
)
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_multi_avg"])
def test_all_numbers_come_out(
    tmp_path: Path, name: str, dtype: int, stored_as: str, range_in: tuple[float, float] | None
) -> None:
    source = build.mobilenet(dtype, name=name)
    found = network_in(tmp_path, build.write(source))
    assert found.backbone == name
    assert list(found.tensors) == list(source.wanted)
    for tensor, wanted in source.wanted.items():
        assert found.tensors[tensor].dtype == np.float32
        # The scales are float32, and one product of whole number and scale is rounded once.
        np.testing.assert_array_equal(found.tensors[tensor], wanted.astype(np.float32), tensor)
    assert found.stored_as == stored_as
    assert (found.input_size, found.output_stride) == ((224, 192), 32)
    assert found.input_range == (range_in and pytest.approx(range_in, abs=1e-6))


@pytest.mark.parametrize(
    ("name", "count", "shapes"),
    [
        (
            "mobilenet_v2",
            51,
            {
                "0.0": (32, 3, 3, 3),
                "1.conv.0.0": (32, 1, 3, 3),
                "1.conv.1": (16, 32, 1, 1),
                "14.conv.0.0": (576, 96, 1, 1),
                "17.conv.1.0": (960, 1, 3, 3),
            },
        ),
        # As MLCommons' MOSAIC has them, up to the convolution that its head reads.
        (
            "mobilenet_multi_avg",
            50,
            {
                "1.conv.0.0": (96, 32, 1, 1),
                "3.conv.1.0": (160, 1, 5, 5),
                "11.conv.1.0": (768, 1, 3, 3),
                "13.conv.2": (192, 960, 1, 1),
                "17.0": (448, 96, 1, 1),
            },
        ),
    ],
)
def test_the_tables_are_the_published_ones(
    tmp_path: Path, name: str, count: int, shapes: dict[str, tuple[int, ...]]
) -> None:
    tensors = network_in(tmp_path, build.write(build.mobilenet(name=name))).tensors
    assert len(tensors) == 2 * count
    assert {layer: tensors[f"features.{layer}.weight"].shape for layer in shapes} == shapes


def test_a_depthwise_kernel_is_turned_the_right_way(tmp_path: Path) -> None:
    source = build.mobilenet()
    stored = np.zeros((1, 3, 3, 32), np.int8)
    stored[0, 0, 2, 5] = 7  # top right of channel 5
    kernel = source.tensors[source.operations[FIRST_DEPTHWISE].inputs[1]]
    kernel.data = stored.tobytes()
    assert kernel.scale is not None
    found = network_in(tmp_path, build.write(source)).tensors["features.1.conv.0.0.weight"]
    assert found[5, 0, 0, 2] == np.float32(7) * np.float32(kernel.scale[5])
    assert np.count_nonzero(found) == 1


def dilate(network: build.Network) -> None:
    for operation in network.operations:
        kernel = network.tensors[operation.inputs[1]] if len(operation.inputs) > 1 else None
        if operation.stride == 2 and kernel is not None and kernel.shape[-1] == 576:
            operation.stride = 1


def add_a_branch(network: build.Network) -> None:
    """As DeepLab's decoder has it, but before the operator that goes on."""
    behind = network.operations[FIRST_DEPTHWISE]
    kernel = network.add(build.Values((8, 1, 1, 32), build.INT8, bytes(256), [1.0], [0]))
    bias = network.add(build.Values((8,), build.INT32, bytes(32), [1.0], [0]))
    out = network.add(build.Values((1, 8, 8, 8), build.INT8, scale=[1.0], zero=[0]))
    branch = build.Operation(build.CONV, [behind.inputs[0], kernel, bias], [out])
    network.operations.insert(FIRST_DEPTHWISE, branch)


def take_any_size(network: build.Network) -> None:
    network.tensors[0].shape = (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("change", "stride", "size"),
    [
        (dilate, 16, (224, 192)),
        (add_a_branch, 32, (224, 192)),
        (take_any_size, 32, None),
    ],
)
def test_other_files_of_the_same_network(
    tmp_path: Path, change: Spoil, stride: int, size: tuple[int, int] | None
) -> None:
    source = build.mobilenet()
    change(source)
    found = network_in(tmp_path, build.write(source))
    assert (found.output_stride, found.input_size) == (stride, size)
    name = "features.17.conv.2.weight"
    np.testing.assert_array_equal(found.tensors[name], source.wanted[name].astype(np.float32))


def operator(place: int, **changes: Any) -> Spoil:
    """Change fields of an operator."""

    def spoil(network: build.Network) -> None:
        network.operations[place] = replace(network.operations[place], **changes)

    return spoil


def tensor(place: int, index: int, **changes: Any) -> Spoil:
    """Change fields of what goes into an operator: 0 the map, 1 the kernel, 2 the bias."""

    def spoil(network: build.Network) -> None:
        number = network.operations[place].inputs[index]
        network.tensors[number] = replace(network.tensors[number], **changes)

    return spoil


def cut_short(network: build.Network) -> None:
    del network.operations[30:]


def add_nothing(network: build.Network) -> None:
    del network.operations[FIRST_SUM]


def take_two(network: build.Network) -> None:
    network.inputs = [0, 1]


GIANT = 2**31 - 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        # Another network.
        (
            tensor(FIRST_LINEAR, 1, shape=(8, 1, 1, 64)),
            r"features.1.conv.1 it has CONV_2D 8x1x1x64 \(operator 3\); wanted CONV_2D 16x1x1x32",
        ),
        (operator(FIRST_DEPTHWISE, code=build.CONV), "has CONV_2D 1x3x3x32 .* wanted DEPTHWISE"),
        (operator(STEM, code=build.SOFTMAX), r"features.0.0 it has SOFTMAX \(operator 1\)"),
        (operator(STEM, stride=1), "stride 1x1; wanted 2"),
        (operator(FIRST_DEPTHWISE, stride=2), "stride 2x2; wanted 1"),
        (operator(STEM, padding=build.VALID), "padding VALID"),
        (operator(STEM, activation=build.RELU), "activation RELU; wanted RELU6"),
        (operator(FIRST_LINEAR, activation=build.RELU6), "activation RELU6; wanted NONE"),
        (add_nothing, "no ADD follows features.3.conv.2"),
        (lambda network: network.operations.reverse(), "features.0.0 it has nothing"),
        (cut_short, "it has nothing"),
        (take_two, "2 inputs"),
        (tensor(QUANTIZE, 0, shape=(1, 224, 224, 4)), "its input is 1x224x224x4"),
        (operator(STEM, inputs=[1, 2]), "and a bias"),
        # Other quantisation.
        (tensor(STEM, 1, dtype=build.FLOAT16), "is FLOAT16; wanted float32"),
        (tensor(STEM, 1, scale=None), "0 scales"),
        (tensor(STEM, 0, scale=None), "0 scales"),
        (tensor(STEM, 1, scale=[0.1] * 100_000), "100000 scales .* wanted 1 or 32"),
        (tensor(STEM, 1, zero=[0] * 31), "32 scales and 31 zero points"),
        (tensor(STEM, 1, scale=[float("nan")] * 32), "finite"),
        (tensor(STEM, 1, scale=[0.0] * 32), "above 0"),
        (tensor(STEM, 1, scale=[3e38] * 32), "features.0.0 has values that are not finite"),
        (tensor(STEM, 1, axis=3), "axis 3; wanted 0"),
        (tensor(FIRST_DEPTHWISE, 1, axis=0), "axis 0; wanted 3"),
        # Hostile.
        (operator(STEM, code=99), r"features.0.0 it has \w+ \(operator 1\)"),
        (operator(STEM, options=False), "no options"),
        (operator(STEM, inputs=[1, 10**6, 3]), "tensor 1000000"),
        (operator(STEM, inputs=[1, -1, 3]), "tensor -1"),
        (operator(STEM, inputs=list(range(100_000))), "CONV_2D"),
        (operator(STEM, outputs=[]), "damaged"),
        (tensor(STEM, 1, dtype=77), "type 77"),
        (tensor(STEM, 1, data=bytes(863)), "863 bytes in the file; wanted 864"),
        (tensor(STEM, 1, data=None), "0 bytes in the file; wanted 864"),
        (tensor(STEM, 1, shape=(GIANT,) * 4), "wanted CONV_2D 32x3x3x3"),
        (tensor(STEM, 1, shape=(-32, -3, 3, 3)), "CONV_2D -32x-3x3x3"),
        (tensor(STEM, 1, shape=(1,) * 1000), "wanted CONV_2D"),
        (tensor(STEM, 2, shape=(GIANT,)), "is 2147483647; wanted 32"),
        (tensor(STEM, 2, shape=()), "a single number; wanted 32"),
    ],
)
def test_what_is_not_the_network_is_refused(tmp_path: Path, spoil: Spoil, message: str) -> None:
    source = build.mobilenet()
    spoil(source)
    with pytest.raises(ValueError, match=message) as refused:
        network_in(tmp_path, build.write(source))
    assert str(refused.value).startswith(str(tmp_path / "network.tflite"))


def test_every_cut_is_noticed(tmp_path: Path, written: bytes) -> None:
    # Up to where the first thing that was written lies, an empty buffer.
    lengths = [*range(0, 300, 7), *range(300, len(written) - 16, len(written) // 60)]
    of_little = [b"\xff\xff\xff\xffTFL3" + b"\xff" * 99, b"\x08\0\0\0TFL3" + bytes(99)]
    for content in [*(written[:length] for length in lengths), *of_little]:
        with pytest.raises(ValueError, match="network"):
            network_in(tmp_path, content)


def test_flipped_bytes_end_in_a_network_or_in_a_value_error(tmp_path: Path, written: bytes) -> None:
    draw = random.Random(0)
    said = set()
    for _ in range(100):
        spoilt = bytearray(written)
        for _ in range(draw.choice((1, 1, 2, 8, 64))):
            # What leads to the constants is in front of them.
            spoilt[draw.randrange(8, 60_000)] = draw.choice((0, 0x7F, 0xFF, draw.randrange(256)))
        try:
            network_in(tmp_path, bytes(spoilt))
        except ValueError as error:
            said.add(str(error))
    assert len(said) > 20
    assert not any("\n" in line for line in said)


def test_other_files_and_too_large_ones_are_refused(
    tmp_path: Path, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        read_folded_mobilenet(tmp_path / "none")
    for content in (b"", b"TFL3", b"PK\3\4" + bytes(100)):
        with pytest.raises(ValueError, match="TensorFlow Lite"):
            network_in(tmp_path, content)
    monkeypatch.setattr(tflite_file, "LARGEST_FILE", 2**20)
    with pytest.raises(ValueError, match="1 MiB"):
        network_in(tmp_path, written)


def convert(folder: Path, content: bytes, *options: str) -> tuple[int, Path]:
    (folder / "network.tflite").write_bytes(content)
    out = folder / "results" / "mobilenet.safetensors"
    return main(["convert", str(folder / "network.tflite"), str(out), *options]), out


def test_the_command_writes_what_the_backbone_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = build.mobilenet()
    status, out = convert(tmp_path, build.write(source))
    assert status == 0
    tensors = load_file(out)
    assert tensors.keys() == source.wanted.keys()
    for name, wanted in source.wanted.items():
        assert tensors[name].dtype == np.float16
        np.testing.assert_array_equal(tensors[name], wanted.astype(np.float32).astype(np.float16))
    with safe_open(out, "np") as file:
        metadata = file.metadata()
    assert metadata.pop("padding").startswith("TensorFlow SAME")
    assert metadata == {
        "source": "network.tflite",
        "sha256": read_folded_mobilenet(tmp_path / "network.tflite").sha256,
        "note": "float16; norms folded into the convolutions (weight and bias); dequantised from"
        " int8",
        "input": "RGB in [-1, 1]",
        "input_size": "224 x 192 in the source",
        "output_stride": "32 in the source",
        "backbone": "mobilenet_v2",
        "activation": "ReLU6 behind every convolution but the last of a block",
    }
    said = capsys.readouterr().out
    assert "taken: 102 tensors (mobilenet_v2, 1,795,936 parameters, int8, output stride 32" in said
    assert metadata["sha256"] in said
    assert f"written: {out}" in said
    convert(tmp_path, build.write(source), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "tensors": 102,
        "parameters": 1795936,
        "backbone": "mobilenet_v2",
        "stored_as": "int8",
        "input": "RGB in [-1, 1]",
        "output_stride": 32,
        "sha256": metadata["sha256"],
        "out": str(out),
    }


def test_the_backbone_takes_what_the_command_wrote(tmp_path: Path, written: bytes) -> None:
    _, out = convert(tmp_path, written)
    model = build_model(FAFNetConfig(backbone="mobilenet_v2", num_classes=3))
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    report = load_backbone(model, out, lambda: {"rgb": image, "hha": image})
    assert report.streams == ("rgb_stream", "depth_stream")
    assert report.left == ()
    stem = load_file(out)["features.0.0.weight"].astype(np.float32)
    held = [values for values in model.state_dict().values() if values.shape == stem.shape]
    assert len(held) == 2
    assert all(np.array_equal(values.numpy(), stem) for values in held)


def test_a_bad_file_is_status_1_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: bytes
) -> None:
    status, out = convert(tmp_path, written[: len(written) // 2])
    error = capsys.readouterr().err
    assert status == 1
    assert "network.tflite is damaged or cut short" in error
    assert error.count("\n") == 1
    assert not out.parent.exists()


def test_a_value_too_large_for_float16_is_refused(tmp_path: Path) -> None:
    network = FoldedMobileNet(
        backbone="mobilenet_v2",
        tensors={"features.0.0.bias": np.array([7e4], np.float32)},
        stored_as="float32",
        input_range=None,
        input_size=None,
        output_stride=32,
        sha256="",
    )
    with pytest.raises(ValueError, match="float16"):
        save_folded_mobilenet(tmp_path / "out", network, "network.tflite")
    assert not (tmp_path / "out").exists()
    assert "not stated by the source" in network.input
    assert replace(network, input_range=(0, 1)).input == "RGB in [0, 1]"


def test_labels_are_asked_wrongly(
    tmp_path: Path, written: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        convert(tmp_path, written, "--labels", "nyu40")
    assert wrong.value.code == 2
    assert "so no --labels" in capsys.readouterr().err


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path,
    written: bytes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    status, _ = convert(tmp_path, written)
    assert status == 1
    assert "pip install tflite" in capsys.readouterr().err


def test_the_original_gives_the_shared_weights_to_the_bit(
    shared_data: Path, tmp_path: Path
) -> None:
    original = shared_data / "weights" / ORIGINAL
    if not original.is_file():
        pytest.skip(f"no {ORIGINAL} beside the weights that were made from it")
    network = read_folded_mobilenet(original)
    assert network.sha256 == ORIGINAL_SHA256
    save_folded_mobilenet(tmp_path / "ours", network, original)
    ours, shared = (
        load_file(tmp_path / "ours"),
        load_file(original.with_name("mobilenetv2-ade20k.safetensors")),
    )
    assert ours.keys() == shared.keys()
    for name, values in shared.items():
        assert ours[name].dtype == values.dtype
        np.testing.assert_array_equal(ours[name], values, name)
