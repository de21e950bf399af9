"""ImageNet weights into both streams: what is taken, what is not, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_networks import streams, unchanged
from torch import Tensor

from fafnet_core import FAFNet, FAFNetConfig, build_model
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.models.resnet import ResNet

State = dict[str, Tensor]


@pytest.fixture(autouse=True, scope="module")
def narrow() -> Iterator[None]:
    """ResNets of an eighth of the width: the names are the same, and files are a 64th."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fafnet_core.models.resnet._FIRST_WIDTH", 8)
        yield


def network(backbone: str = "resnet18", **settings: Any) -> FAFNet:
    settings = {"output_stride": 32, "decoder_channels": 8} | settings
    return build_model(FAFNetConfig(backbone=backbone, **settings))


def weights(backbone: str = "resnet18") -> State:
    """A state dict as torchvision writes it, classifier and all, with values unlike a new one's."""
    state = ResNet(backbone).state_dict()
    torch.manual_seed(7)
    for name, tensor in state.items():
        state[name] = torch.rand(tensor.shape) if tensor.is_floating_point() else torch.tensor(5)
    return state | {"fc.weight": torch.rand(10, 64), "fc.bias": torch.rand(10)}


@pytest.fixture(scope="module")
def state(narrow: None) -> State:
    del narrow  # comes first
    return weights()


def holds(model: FAFNet, state: State) -> bool:
    own = [item for stream in streams(model) for item in stream.state_dict().items()]
    return all(torch.equal(tensor, state[name]) for name, tensor in own)


WRITERS: dict[str, Callable[[State, Path], None]] = {
    "zip": lambda state, path: torch.save(state, path),
    "legacy": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "safetensors": lambda state, path: save_file(state, path),
    "wrapped": lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
    "model": lambda state, path: torch.save({"model": state}, path),
    "parallel": lambda state, path: torch.save({f"module.{n}": t for n, t in state.items()}, path),
    "nested": lambda state, path: torch.save(
        {"state_dict": {f"module.backbone.{n}": t for n, t in state.items()}}, path
    ),
}


@pytest.mark.parametrize("form", WRITERS)
def test_both_streams_start_from_the_same_weights(state: State, tmp_path: Path, form: str) -> None:
    path = tmp_path / "weights"  # What a file is, its name need not say.
    WRITERS[form](state, path)
    model = network()
    with unchanged(model.decoder):
        report = load_backbone(model, path)
    assert holds(model, state)
    assert (len(report.taken), report.kept) == (120, ())
    assert {name.split(".")[-2] for name in report.left} == {"fc"}
    assert report.streams == ("rgb_stream", "depth_stream")
    assert f"{path}: 120 tensors taken into rgb_stream and depth_stream" in str(report)
    assert "kept as they were: nothing" in str(report)


def test_a_stream_alone_and_half_precision(state: State, tmp_path: Path) -> None:
    save_file(
        {n: t.half() if t.is_floating_point() else t for n, t in state.items()}, tmp_path / "w"
    )
    model = network(modality="hha")
    report = load_backbone(model, tmp_path / "w")
    assert report.streams == ("stream",)
    conv1 = model.state_dict()["encoder.stream.conv1.weight"]
    assert conv1.dtype == torch.float32
    torch.testing.assert_close(conv1, state["conv1.weight"], atol=1e-3, rtol=0)


def test_files_from_before_batch_norms_counted(state: State, tmp_path: Path) -> None:
    torch.save({n: t for n, t in state.items() if "num_batches" not in n}, tmp_path / "w.pth")
    report = load_backbone(network(), tmp_path / "w.pth")
    assert (len(report.taken), len(report.kept)) == (100, 20)
    assert "bn1.num_batches_tracked" in report.kept
    assert "and 14 more" in str(report)


def test_the_release_with_its_shared_shortcuts(tmp_path: Path) -> None:
    deep = weights("resnet18_v1c")
    torch.save({"model": deep}, tmp_path / "w.pth")
    model = network("resnet18_v1c", variant="release", output_stride=16)
    report = load_backbone(model, tmp_path / "w.pth")
    assert holds(model, deep)
    assert "conv1.0.weight" in report.taken
    name = "layer2.0.downsample.0"
    rgb, depth = streams(model)
    assert rgb.get_submodule(name) is depth.get_submodule(name)


@pytest.mark.parametrize(
    ("came", "wanted"),
    [
        ("resnet34", "resnet18"),  # every name of the smaller one is there, in its shape
        ("resnet18", "resnet34"),
        ("resnet50", "resnet18"),
        ("resnet18_v1c", "resnet18"),
        ("resnet18", "resnet18_v1c"),
    ],
)
def test_another_resnet_is_named_and_nothing_is_taken(
    came: str, wanted: str, tmp_path: Path
) -> None:
    torch.save(weights(came), tmp_path / "w.pth")
    model = network(wanted)
    with unchanged(model), pytest.raises(ValueError, match=f"{came}.*{wanted}"):
        load_backbone(model, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"blocks.0.attn.qkv.weight": torch.zeros(3)}, "qkv"),
        ([1, 2], "no weights"),
    ],
)
def test_other_content_is_refused_with_what_it_is(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=message):
        load_backbone(network(), tmp_path / "w.pth")


def test_missing_tensors_are_counted(state: State, tmp_path: Path) -> None:
    torch.save({name: t for name, t in state.items() if "layer4.1" not in name}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="10 of 120"):
        load_backbone(network(), tmp_path / "w.pth")


def test_a_network_of_another_width_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="width_multiplier"):
        load_backbone(network(width_multiplier=0.25), tmp_path / "w.pth")


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path("pwned").touch, ())  # type: ignore[return-value]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["pickle", "zip", "legacy"])
def test_what_would_run_is_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Malicious()))
    else:
        torch.save(
            {"conv1.weight": Malicious()}, path, _use_new_zipfile_serialization=form == "zip"
        )
    with pytest.raises(ValueError, match=r"no part of a checkpoint|cannot be read"):
        load_backbone(network(), path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.to_sparse(), "sparse, nested or empty"),
        (lambda x: x.to("meta"), "sparse, nested or empty"),
        (lambda x: torch.full_like(x, float("nan")), "not finite"),
        (lambda x: x[..., :2], r"layer4\.1\.conv2\.weight is"),
        (lambda x: x.to(torch.int8), "int8"),
    ],
)
def test_a_file_with_one_bad_tensor_leaves_the_network_as_it_was(
    state: State, tmp_path: Path, change: Callable[[Tensor], Tensor], message: str
) -> None:
    name = "layer4.1.conv2.weight"
    torch.save(state | {name: change(state[name])}, tmp_path / "w.pth")
    model = network()
    with unchanged(model), pytest.raises(ValueError, match=message):
        load_backbone(model, tmp_path / "w.pth")


def test_a_file_with_two_such_networks_is_refused(tmp_path: Path) -> None:
    trained = network()
    save_file(trained.state_dict(), tmp_path / "ours.safetensors")
    with pytest.raises(ValueError, match="depth_stream"):
        load_backbone(network(), tmp_path / "ours.safetensors")


def test_broken_and_missing_files(state: State, tmp_path: Path) -> None:
    model = network()
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for path in list(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(ValueError, match="cut short"):
            load_backbone(model, path)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_backbone(model, tmp_path / "none.pth")


def test_a_folder_as_the_hub_has_it(state: State, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pytorch_model"):
        load_backbone(network(), tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert len(load_backbone(network(), tmp_path).taken) == 120
    save_file(weights("resnet34"), tmp_path / "model.safetensors")  # comes before the pickle
    with pytest.raises(ValueError, match="resnet34"):
        load_backbone(network(), tmp_path)
