"""Checkpoints: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_networks import TINY, streams

from fafnet_core import build_model, load_checkpoint, save_checkpoint
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation

CONFIG = replace(TINY, num_classes=37)
SHARING = replace(CONFIG, variant="release", warp="depth_only", output_stride=16)


@pytest.fixture
def model() -> FAFNet:
    torch.manual_seed(3)
    model = build_model(CONFIG).eval()
    # Saved tensors are contiguous, whatever the layout in memory was.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def test_weights_configuration_labels_and_normalisation_travel_together(
    model: FAFNet, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "model.safetensors"
    normalisation = Normalisation(hha_mean=(0.0, 0.0, 0.0), hha_deviation=(1.0, 1.0, 1.0))
    save_checkpoint(
        path,
        model,
        label_set=SUN37,
        normalisation=normalisation,
        notes={"iterations": 40000},
        input_size=(240, 320),
    )
    loaded, metadata = load_checkpoint(path), read_metadata(path)
    assert loaded.config == metadata.config == CONFIG
    assert metadata.label_set == SUN37
    assert metadata.normalisation == normalisation
    assert metadata.notes == {"iterations": 40000}
    assert metadata.input_size == (240, 320)
    assert not loaded.training
    images = torch.rand(2, 1, 3, 64, 80).unbind()
    with torch.inference_mode():
        torch.testing.assert_close(loaded(*images), model(*images))
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_files_that_do_not_say_a_size_have_none(model: FAFNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    assert read_metadata(path).input_size is None
    values = written_metadata(path)
    assert values.pop("input_size", "nothing") is None
    rewrite(path, load_file(path), values)
    assert read_metadata(path).input_size is None
    assert load_checkpoint(path).config == CONFIG


def test_shared_modules_are_stored_once_and_shared_again(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = build_model(SHARING).eval()
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    stored = load_file(path)
    state = model.state_dict()
    shared = {name for name in state if re.search(r"depth_stream\..*\.downsample\.", name)}
    assert len(shared) == 3 * 6
    assert stored.keys() == state.keys() - shared
    loaded = load_checkpoint(path)
    assert len(list(loaded.parameters())) == len(list(model.parameters()))
    tensors = loaded.state_dict(keep_vars=True)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state.items())
    assert all(tensors[name] is tensors[name.replace("depth_", "rgb_")] for name in shared)


def test_a_file_that_repeats_or_lacks_a_shared_tensor_is_refused(tmp_path: Path) -> None:
    model = build_model(SHARING)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    values, stored = written_metadata(path), load_file(path)
    first, again = (
        f"encoder.{stream}_stream.layer2.0.downsample.0.weight" for stream in ("rgb", "depth")
    )
    rewrite(path, {**stored, again: stored[first].clone()}, values)
    with pytest.raises(ValueError, match=again):
        load_checkpoint(path)
    del stored[first]
    rewrite(path, stored, values)
    with pytest.raises(ValueError, match="fit"):
        load_checkpoint(path)


def test_a_failed_save_leaves_the_old_file(
    model: FAFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, model, label_set=SUN37)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_others_may_read_what_the_umask_lets_them(model: FAFNet, tmp_path: Path) -> None:
    path, plain = tmp_path / "model.safetensors", tmp_path / "plain"
    plain.touch()
    save_checkpoint(path, model, label_set=SUN37)
    assert path.stat().st_mode == plain.stat().st_mode


def test_loading_leaves_the_callers_random_state(model: FAFNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    before = torch.random.get_rng_state()
    loaded = load_checkpoint(path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(parameter.is_meta for parameter in loaded.parameters())


def test_a_compiled_network_saves_as_itself(model: FAFNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, torch.compile(model), label_set=SUN37)  # type: ignore[arg-type]
    assert load_checkpoint(path).config == CONFIG
    with pytest.raises(ValueError, match="Linear"):
        save_checkpoint(path, torch.nn.Linear(1, 1), label_set=SUN37)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"normalisation": []},
        {"normalisation": {}},
        {"label_set": {"name": "x", "names": ["a"], "palette": [[300, 0, 0]], "ignore_index": 255}},
        {"label_set": {"name": "x", "names": ["a"], "palette": [[0, 0, 0]], "ignore_index": 0}},
        {"config": {"decoder_channels": "wide"}},
        {"config": None},
        {"input_size": [240]},
        {"input_size": [240, 1e9]},
        {"input_size": [16, 16]},
        {"input_size": "320x240"},
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    model: FAFNet, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    rewrite(path, {"a": torch.zeros(1)}, {**written_metadata(path), **change})
    with pytest.raises(ValueError, match="metadata"):
        load_checkpoint(path)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path("pwned").touch, ())  # type: ignore[return-value]


def test_pickles_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(ValueError, match="pickled"):
        load_checkpoint(path)
    assert not (tmp_path / "pwned").exists()


def test_truncated_foreign_and_mismatched_files_are_refused(model: FAFNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, label_set=SUN37)
    values, whole = written_metadata(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut short"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="format"):
        load_checkpoint(path)
    rewrite(path, {"a": torch.zeros(1)}, values)
    with pytest.raises(ValueError, match="fit"):
        load_checkpoint(path)
    rewrite(path, {"a": torch.zeros(1)}, {"config": {}})
    with pytest.raises(ValueError, match="metadata"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")


def written_metadata(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return dict(json.loads(file.metadata()["fafnet"]))


def rewrite(path: Path, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
    """A checkpoint's form with whatever content."""
    save_file(tensors, path, {"fafnet_format": "1", "fafnet": json.dumps(values)})


def tie(model: FAFNet) -> None:
    rgb_stream, depth_stream = streams(model)
    depth_stream.layer1 = rgb_stream.layer1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.half(), r"model.float\(\)"),
        (tie, "shares"),
        (lambda model: model.add_module("extra", torch.nn.Conv2d(1, 1, 1)), "extra.bias"),
        (lambda model: model.to("meta"), "no values"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(
    model: FAFNet, tmp_path: Path, change: Callable[[FAFNet], object], message: str
) -> None:
    changed = copy.deepcopy(model)
    change(changed)
    with pytest.raises(ValueError, match=message):
        save_checkpoint(tmp_path / "model.safetensors", changed, label_set=SUN37)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_set": NYU40}, "nyu40"),
        ({"input_size": (32, 320)}, "input_size"),
        ({"notes": {"figure": float("nan")}}, "notes"),
        ({"notes": {"figure": Path("here")}}, "notes"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_nothing_written(
    model: FAFNet, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        save_checkpoint(tmp_path / "a.safetensors", model, **{"label_set": SUN37, **settings})
    assert not list(tmp_path.iterdir())


def test_half_storage_rounds_weights_once_and_keeps_norms(model: FAFNet, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_checkpoint(whole, model, label_set=SUN37)
    save_checkpoint(half, model, label_set=SUN37, half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = load_checkpoint(half).state_dict()
    for name, tensor in model.state_dict().items():
        assert loaded[name].dtype == tensor.dtype
        wanted = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded[name], wanted), name


def test_what_float16_cannot_hold_is_not_halved(model: FAFNet, tmp_path: Path) -> None:
    changed = copy.deepcopy(model)
    name, weight = next((n, p) for n, p in changed.named_parameters() if p.ndim > 1)
    weight.data[(0,) * weight.ndim] = 1e6
    with pytest.raises(ValueError, match=name):
        save_checkpoint(tmp_path / "half.safetensors", changed, label_set=SUN37, half=True)
    assert not list(tmp_path.iterdir())
