"""Checkpoints of the authors' code: same logits, and nothing else gets in."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from release_state import R50, random_images, random_state, shapes
from safetensors.torch import save_file
from tiny_networks import streams
from tiny_training import same_bits
from torch import Tensor

from fafnet_core import load_checkpoint
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.checkpoints.release import NORMALISATION, Converted, convert_release
from fafnet_core.checkpoints.release_file import read_release_file
from fafnet_core.cli.main import main
from fafnet_core.labels import SUN37

State = dict[str, Tensor]
REFERENCE = json.loads((Path(__file__).parent / "data" / "release_logits.json").read_text())
SHAPES = shapes()
UNUSED = re.compile(r"backbone\.sagates\.\d\.flow_make\.weight")


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(SHAPES, REFERENCE["seed"])


@pytest.fixture(scope="module")
def converted(state: State) -> Converted:
    return convert_release(state)


@pytest.fixture(scope="module")
def flat_converted() -> Converted:
    return convert_release(flat_state())


def flat_state(named: dict[str, tuple[int, ...]] = SHAPES, value: float = 0.5) -> State:
    """Tensors of the right shapes that take no memory, and next to none in a file."""
    return {
        name: torch.tensor(value if shape else 0).expand(shape) for name, shape in named.items()
    }


def write(path: Path, state: State, **others: Any) -> Path:
    """As their training script does it."""
    content = {
        "cur_itrs": 41000,
        "model_state": state,
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
        "scheduler_state": {"base_lrs": [0.01, 0.01], "last_epoch": 41000, "lr_lambdas": [None]},
        "best_score": np.float64(0.5),
    }
    torch.save({**content, **others}, path)
    return path


def test_the_logits_are_those_of_the_authors_code(converted: Converted) -> None:
    height, width = REFERENCE["size"]
    with torch.inference_mode():
        logits = converted.model(*random_images(1, height, width, REFERENCE["seed"]))[0]
    found = logits[tuple(torch.tensor(REFERENCE["places"]).unbind(1))]
    # A part of the conversion undone is off by hundredths.
    atol = 1e-5 * REFERENCE["largest"]
    torch.testing.assert_close(found, torch.tensor(REFERENCE["logits"]), rtol=0, atol=atol)
    assert converted.label_set == SUN37


@pytest.mark.parametrize("depths", [R50, (3, 4, 23, 3), (3, 8, 36, 3)])
def test_the_depth_is_told_from_the_names(depths: tuple[int, int, int, int]) -> None:
    wrong = {**flat_state(shapes(depths, 40)), "head.conv_last.0.1.bias": torch.zeros(255)}
    # Shapes are looked at when the names are those of the network.
    with pytest.raises(ValueError, match="255"):
        convert_release(wrong)


def as_half_of_a_parallel_network(state: State) -> State:
    return {
        f"module.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if "hha_downsample" not in name
    }


def without_first_names_and_unused(state: State) -> State:
    return {
        name: tensor
        for name, tensor in state.items()
        if ".downsample." not in name and not UNUSED.fullmatch(name)
    }


@pytest.mark.parametrize("change", [as_half_of_a_parallel_network, without_first_names_and_unused])
def test_other_ways_to_write_the_same_state(
    change: Callable[[State], State], flat_converted: Converted
) -> None:
    found = convert_release(change(flat_state())).model.state_dict()
    wanted = flat_converted.model.state_dict()
    assert same_bits(found, wanted)


def test_a_state_of_its_own_and_safetensors_are_read(tmp_path: Path) -> None:
    small = {"a": torch.ones(2)}
    torch.save(small, tmp_path / "state.pth")
    save_file(small, tmp_path / "state.safetensors")
    write(tmp_path / "theirs.pth", small)
    for name in ("state.pth", "state.safetensors", "theirs.pth"):
        file = read_release_file(tmp_path / name)
        assert torch.equal(file.state["a"], small["a"])
        assert file.iterations == (41000 if name == "theirs.pth" else None)


def test_a_state_whose_methods_are_overwritten_is_read_all_the_same(tmp_path: Path) -> None:
    class Overwritten:
        def __reduce__(self) -> Any:
            methods = {"items": 5, "get": 5}
            return OrderedDict, (), methods, None, iter(flat_state().items())

    path = write(tmp_path / "theirs.pth", Overwritten())  # type: ignore[arg-type]
    read = read_release_file(path).state
    assert read.keys() == SHAPES.keys()


def test_what_a_stranger_named_is_shown_without_its_control_characters() -> None:
    with pytest.raises(ValueError, match=r"unknown \('a\\x1b\[2Jb'") as refused:
        convert_release(flat_state() | {"a\x1b[2Jb": torch.zeros(1)})
    assert "\x1b" not in str(refused.value)


def test_the_callers_tensors_stay_as_they_are(state: State, converted: Converted) -> None:
    again = random_state({"head.fpn_in.0.1.running_mean": (256,)}, REFERENCE["seed"])
    assert all(torch.equal(state[name], tensor) for name, tensor in again.items())
    theirs = {tensor.data_ptr() for tensor in state.values()}
    assert not any(tensor.data_ptr() in theirs for tensor in converted.model.state_dict().values())


NAN = torch.full((256,), torch.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.conv_last.0.1.bias": None}, r": 1 missing \('head.conv_last.0.1.bias'\)$"),
        (
            {"backbone.bn1.bias": None, "extra.weight": NAN},
            r": 1 missing .* 1 unknown \('extra.weight'\)",
        ),
        ({"head.conv_last.1.weight": None}, "no head.conv_last.1.weight"),
        ({"head.conv_last.0.1.bias": torch.zeros(255)}, r"\(255,\), wanted \(256,\)"),
        ({"head.fpn_in.0.0.bias": torch.zeros(255)}, r"\(255,\), wanted \(256,\)"),
        ({"head.conv_last.0.1.bias": torch.zeros(256).int()}, "int32, wanted torch.float32"),
        ({"head.conv_last.0.1.num_batches_tracked": torch.tensor(0.5)}, "wanted torch.int64"),
        ({"head.conv_last.0.1.bias": torch.zeros(256).to_sparse()}, "sparse"),
        ({"head.conv_last.0.1.bias": torch.zeros(256, device="meta")}, "empty kind"),
        ({"head.conv_last.0.1.bias": 0.5}, "is a float, not a tensor"),
        ({3: NAN}, "3 is a Tensor"),
        ({"backbone.conv1.1.bias": NAN[:64]}, "not finite"),
        ({"head.fpn_in.0.0.bias": NAN}, "not finite"),
        ({"backbone.conv1.1.bias": torch.full((64,), 1e300, dtype=torch.float64)}, "not finite"),
        ({"backbone.layer2.0.downsample.1.bias": torch.ones(512)}, "differ"),
        ({"head.conv_last.1.weight": torch.zeros(21, 256, 1, 1)}, "21 classes; known are 40"),
        ({"backbone.layer3.6.conv1.weight": NAN}, "backbone.layer3 has 7 blocks"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: dict[Any, Any], message: str) -> None:
    state: dict[Any, Any] = {**flat_state(), **change}
    with pytest.raises(ValueError, match=message):
        convert_release({name: tensor for name, tensor in state.items() if tensor is not None})


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def bad_files(folder: Path, marker: Path) -> dict[str, tuple[Path, str]]:
    """Files that are not what they should be, each with a part of what is said about it."""
    whole = write(folder / "whole", flat_state())
    content = whole.read_bytes()
    with zipfile.ZipFile(folder / "program", "w") as archive:  # as TorchScript writes it
        archive.writestr("program/data.pkl", pickle.dumps(Malicious(marker)))
        archive.writestr("program/constants.pkl", pickle.dumps(()))
    with zipfile.ZipFile(folder / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("packed/data.pkl", bytes(1_000_000))
    torch.save(flat_state(), folder / "old", _use_new_zipfile_serialization=False)
    torch.save([1, 2], folder / "list")
    for name, written in {
        "half": content[: len(content) // 2],
        "text": b"no checkpoint at all",
        "pickle": pickle.dumps(Malicious(marker)),
        "safetensors": (20).to_bytes(8, "little") + b"{",
    }.items():
        (folder / name).write_bytes(written)
    write(folder / "code", flat_state(), best_score=Malicious(marker))
    write(folder / "numpy", flat_state(), best_score=np.zeros(3))
    write(folder / "state", [1, 2])  # type: ignore[arg-type]
    said = {
        "half": "cut short",
        "text": "neither a file of torch.save",
        "pickle": "neither a file of torch.save",
        "old": "neither a file of torch.save",
        "safetensors": "cut short",
        "code": "mkdir', which is no part of a checkpoint",
        "numpy": "_reconstruct', which is no part of a checkpoint",
        "program": "cannot be read as a checkpoint",
        "packed": "cannot be read as a checkpoint",
        "list": "holds a list",
        "state": "its model_state is a list",
    }
    return {name: (folder / name, message) for name, message in said.items()}


def test_bad_files_are_refused_with_nothing_run_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker, out = tmp_path / "marker", tmp_path / "results" / "out.safetensors"
    for name, (path, message) in bad_files(tmp_path, marker).items():
        assert main(["convert", str(path), str(out)]) == 1, name
        error = capsys.readouterr().err
        assert message in error, name
        assert error.count("\n") == 1, name
        assert not marker.exists(), name
    assert not out.parent.exists()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_a_number_of_any_numpy_is_read(tmp_path: Path, module: bytes) -> None:
    written, path = write(tmp_path / "written.pth", {}), tmp_path / "theirs.pth"
    with zipfile.ZipFile(written) as archive, zipfile.ZipFile(path, "w") as changed:
        for name in archive.namelist():
            content = re.sub(rb"numpy\._?core\.multiarray", module, archive.read(name))
            changed.writestr(name, content)
            assert not name.endswith("data.pkl") or module in content
    assert read_release_file(path).iterations == 41000


def test_a_state_that_does_not_fit_is_status_1_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "theirs.pth", flat_state()), tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    assert main(["convert", str(source), str(out), "--labels", "nyu40"]) == 1
    assert "theirs.pth: its classifier has 37 classes" in capsys.readouterr().err
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.safetensors", "theirs.pth"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none", "{folder}/out"], "there is no file"),
        (["{folder}/in", "{folder}/in"], "OUT is IN itself"),
        (["{folder}/in", "{folder}/link"], "OUT is IN itself"),
        (["{folder}/in", "{folder}"], "OUT is a folder"),
        (["{folder}/in", "{folder}/out", "--labels", "voc"], "voc"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(SystemExit) as wrong:
        main(["convert", *(argument.format(folder=tmp_path) for argument in arguments)])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


def test_what_was_taken_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flat_converted: Converted,
) -> None:
    source, out = write(tmp_path / "theirs.pth", flat_state()), tmp_path / "ours.safetensors"
    ignored = [f"backbone.sagates.{block}.flow_make.weight" for block in range(4)]
    report = {
        "tensors": len(SHAPES) - 4,
        "parameters": sum(parameter.numel() for parameter in flat_converted.model.parameters()),
        "backbone": "resnet50_v1c",
        "classes": 37,
        "label_set": "sun37",
        "iterations": 41000,
        "ignored": ignored,
        "out": str(out),
    }
    arguments = ["convert", str(source), str(out)]
    assert main([*arguments, "--labels", "sun37", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    model, metadata = load_checkpoint(out), read_metadata(out)
    out.unlink()
    assert metadata.label_set == SUN37
    assert metadata.normalisation == NORMALISATION
    assert metadata.notes["iterations"] == 41000
    assert same_bits(model.state_dict(), flat_converted.model.state_dict())
    rgb_stream, depth_stream = streams(model)
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        name = f"{layer}.0.downsample"
        assert rgb_stream.get_submodule(name) is depth_stream.get_submodule(name)

    monkeypatch.setattr("fafnet_core.save_checkpoint", lambda *_, **__: None, raising=False)
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"taken: {report['tensors']} tensors (resnet50_v1c" in said
    assert "37 classes: sun37" in said
    assert ", ".join(ignored) in said
