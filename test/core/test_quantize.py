"""`fafnet quantize`: int8 files that are checkpoints; nothing sent home."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_network import small_network
from tiny_networks import randomise_flows
from torch import nn

from fafnet_core import FAFNet, save_checkpoint
from fafnet_core.cli.main import main
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import encode_hha
from fafnet_core.inference import Segmenter
from fafnet_core.labels import LabelSet
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.runtimes.deployed import DeployedNetwork
from fafnet_core.runtimes.openvino import OpenVinoEngine

if importlib.util.find_spec("openvino") is None:  # to import it would let it report that
    pytest.skip("OpenVINO is not installed", allow_module_level=True)

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"
)

SIZE = (64, 96)
FRAMES = 4
HEIGHTS = LabelSet("heights", ("low", "high"), ((0, 0, 255), (255, 0, 0)))


def saved(model: FAFNet, path: Path) -> Path:
    notes = {"licence": "MIT", "notice": "heights only"}
    save_checkpoint(path, model, label_set=HEIGHTS, input_size=SIZE, notes=notes)
    return path


@pytest.fixture(scope="module")
def taught() -> FAFNet:
    """A network that was shown which pixels are high above the ground: its labels vary, surely."""
    model = randomise_flows(small_network(len(HEIGHTS), batches=10)).train()
    network = DeployedNetwork(model, Normalisation())
    rooms = [room(seed, SIZE) for seed in range(6)]
    rgb = torch.stack([torch.from_numpy(frame.rgb.copy()) for frame in rooms])
    hha = torch.stack(
        [torch.from_numpy(encode_hha(frame.depth_m, frame.camera.matrix)) for frame in rooms]
    )
    height = hha[..., 1]
    wanted = (height >= height.median()).long()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(90):
        logits = F.interpolate(network(rgb, hha), size=SIZE, mode="bilinear", align_corners=True)
        optimiser.zero_grad()
        F.cross_entropy(logits, wanted).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval()


def room(seed: int, size: tuple[int, int]) -> RgbdFrame:
    tour, camera = Tour.of(seed), pinhole(size[1], size[0])
    view = render(tour.room.scene, camera, tour.pose(0.2))
    return RgbdFrame(rgb=view.rgb, depth_m=view.depth_m, camera=camera)


@pytest.fixture(scope="module")
def checkpoint(taught: FAFNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(taught, tmp_path_factory.mktemp("checkpoint") / "net.safetensors")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return room_frames(tmp_path_factory.mktemp("frames"), *[(96, 144)] * FRAMES)


def room_frames(folder: Path, *sizes: tuple[int, int]) -> Path:
    """A folder with a frame of each size."""
    (folder / "color").mkdir()
    (folder / "depth").mkdir()
    for seed, size in enumerate(sizes):
        frame = room(seed, size)
        depth = (1000 * frame.depth_m).astype(np.uint16)
        for name, image in (("color", frame.rgb[..., ::-1]), ("depth", depth)):
            cv2.imwrite(str(folder / name / f"{seed:04}.png"), image)
    fx, fy, cx, cy = (float(frame.camera.matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    (folder / "camera.yaml").write_text(f"{{fx: {fx}, fy: {fy}, cx: {cx}, cy: {cy}}}")
    return folder


Quantize = Callable[..., "tuple[int, dict[str, Any]]"]


@pytest.fixture
def quantize(capsys: pytest.CaptureFixture[str]) -> Quantize:
    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        status = main(["quantize", *map(str, arguments), "--json"])
        said = capsys.readouterr()
        print(said.err, file=sys.stderr)  # shown where a test fails
        return status, json.loads(said.out) if said.out else {}

    return run


@needs_nncf
@pytest.mark.parametrize("outputs", ["logits", "labels"])
def test_a_file_in_int8_is_a_checkpoint(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    quantize: Quantize,
    capsys: pytest.CaptureFixture[str],
    outputs: str,
) -> None:
    out = tmp_path / "net.xml"
    status, said = quantize(checkpoint, out, "--frames", frames, "--outputs", outputs)
    assert status == 0
    assert (said["precision"], said["outputs"], said["frames"]) == ("int8", outputs, FRAMES)
    assert said["input_size"] == list(SIZE)
    assert 1 > said["equal_labels"] >= 0.97  # all of them equal: nothing was rounded
    assert said["equal_labels"] >= said["worst_equal_labels"]
    assert said["files"] == [str(tmp_path / "net.bin"), str(out)]
    assert said["bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert_int8_but_for_flow_and_labels(out, said["int8_convolutions"], said["convolutions"])

    file = Segmenter.from_checkpoint(out)
    assert file.runs_on == "cpu in int8 (openvino)"
    assert (file.input_size, file.notice) == (SIZE, "heights only")
    reference = Segmenter.from_checkpoint(checkpoint, "cpu", "float32", "torch")
    unseen = room(11, (96, 144))
    wanted, found = reference.segment_frame(unseen), file.segment_frame(unseen)
    assert np.bincount(wanted.labels.ravel(), minlength=2).min() > 1000, "one label shows nothing"
    assert (found.labels == wanted.labels).mean() > 0.9
    assert np.abs(found.confidence - wanted.confidence).mean() < 0.05

    arguments = [str(out), "--checkpoint", str(checkpoint), "--frames", str(frames)]
    assert main(["check", *arguments, "--precision", "float32", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["precision"], checked["allowed_other_labels"]) == ("int8", 0.03)
    assert checked["equal_labels"] == pytest.approx(said["equal_labels"])
    assert main(["info", str(out), "--size", "64x96"]) == 0
    assert "a file in int8 for openvino, images of 96x64" in capsys.readouterr().out


def assert_int8_but_for_flow_and_labels(path: Path, int8: int, convolutions: int) -> None:
    """What gives the grids of the flow alignment, and labels of logits, is not rounded."""
    model = OpenVinoEngine("float32").core.read_model(path)
    operations = model.get_ops()
    found = [each for each in operations if "Convolution" in each.get_type_name()]
    assert len(found) == convolutions
    assert sum(is_rounded(each) for each in found) == int8 > convolutions / 2
    grids = [each for each in operations if each.get_type_name() == "GridSample"]
    assert grids
    for grid in grids:
        assert not is_rounded(grid)
        on_the_way = up_to_convolutions(grid.input_value(1))
        assert any("Convolution" in each.get_type_name() for each in on_the_way)
        assert not [each.get_friendly_name() for each in on_the_way if is_rounded(each)]
    for output in model.outputs:
        behind = up_to_convolutions(output)
        assert not [
            each.get_friendly_name()
            for each in behind
            if is_rounded(each) and "Convolution" not in each.get_type_name()
        ]
    assert model.get_rt_info(["fafnet", "fafnet_precision"]).astype(str) == "int8"
    assert model.get_rt_info(["fafnet", "license"]).astype(str) == "MIT"


def is_rounded(operation: Any) -> bool:
    """Whether what it takes has 8 bits: a rounded activation, or weights that are stored so."""
    sources = [value.get_node() for value in operation.input_values()]
    if "FakeQuantize" in [source.get_type_name() for source in sources]:
        return True
    if "Convolution" not in operation.get_type_name():
        return False
    weights = sources[1]
    while weights.get_input_size():
        weights = weights.input_value(0).get_node()
    return bool(weights.get_element_type().get_type_name() == "i8")


def up_to_convolutions(value: Any) -> list[Any]:
    """The operations that a value comes from, with the nearest convolutions."""
    found, left = {}, [value.get_node()]
    while left:
        operation = left.pop()
        if operation.get_friendly_name() not in found:
            found[operation.get_friendly_name()] = operation
            if "Convolution" not in operation.get_type_name():
                left += [source.get_node() for source in operation.input_values()]
    return list(found.values())


@needs_nncf
def test_without_frames_it_takes_synthetic_rooms_and_says_so(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", str(checkpoint), str(tmp_path / "net.xml"), "--most", "3"]) == 0
    said = capsys.readouterr()
    assert "no --frames: calibrating on" in said.err
    assert "3 frames: " in said.out


@needs_nncf
def test_what_int8_cannot_tell_apart_is_refused_and_the_old_file_stays(
    taught: FAFNet, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy.deepcopy(taught)
    # The same network in float32: one channel in front of the classifier is 1e5 times as large, and
    # its weights there are as much smaller. The other channels are below one step of 8 bits.
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    *_, last = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert norms[-1].num_features == last.in_channels
    with torch.no_grad():
        norms[-1].weight[0] *= 1e5
        norms[-1].bias[0] *= 1e5
        last.weight[:, 0] /= 1e5
    out = tmp_path / "net.xml"
    out.write_text("what was there")
    net = saved(model, tmp_path / "net.safetensors")
    assert main(["quantize", str(net), str(out), "--frames", str(frames)]) == 1
    said = capsys.readouterr().err
    assert "at most 3 % are allowed" in said
    assert "more typical ones; or take bfloat16 or float32" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors", "net.xml"]
    assert out.read_text() == "what was there"


@needs_nncf
def test_frames_of_two_aspect_ratios_make_no_file(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = room_frames(tmp_path, (96, 144), (144, 144))
    arguments = [str(checkpoint), str(tmp_path / "net.xml"), "--frames", str(folder)]
    assert main(["quantize", *arguments]) == 1
    assert "one aspect ratio" in capsys.readouterr().err


def test_what_makes_no_sense_is_refused_before_the_work(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["net.onnx"], "ends with .xml"),
        ([str(tmp_path)], "ends with .xml"),
        (["net.xml", "--most", "0"], "--most is 0"),
        (["net.xml", "--input-size", "image"], "WIDTHxHEIGHT"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["quantize", str(checkpoint), *arguments])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


@needs_nncf
def test_folders_without_frames_are_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(checkpoint), str(tmp_path / "net.xml"), "--frames", str(tmp_path)]
    assert main(["quantize", *arguments]) == 1
    assert "has no colour folder" in capsys.readouterr().err


OFFLINE = """
import socket, sys, types

def refuse(*arguments):
    print("CONNECTS", arguments[1:])
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *arguments, **options: refuse(None, *arguments)
"""

IMPORTED_BEFORE = """
class Telemetry:  # of a program that has imported OpenVINO itself, and lets that report
    def __init__(self, *arguments, **options): ...
    def __getattr__(self, name):
        return lambda *arguments, **options: print("REPORTS", name, arguments, options)

reporter = types.ModuleType("openvino_telemetry")
reporter.Telemetry = Telemetry
sys.modules["openvino_telemetry"] = reporter
import openvino
"""

QUANTIZE = """
from fafnet_core.cli.main import main

status = main(["quantize", *sys.argv[1:]])
print("RAN", status, "nncf" in sys.modules)
"""


@needs_nncf
@pytest.mark.parametrize("before", ["", IMPORTED_BEFORE], ids=["alone", "OpenVINO imported before"])
def test_nothing_is_sent_home(checkpoint: Path, frames: Path, tmp_path: Path, before: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("CI", "NNCF_CI", "NNCF_DEV"):  # which would turn it off by themselves
        environment.pop(name, None)
    arguments = [str(checkpoint), str(tmp_path / "net.xml"), "--frames", str(frames)]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE + before + QUANTIZE, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "RAN 0 True" in done.stdout
    said = (done.stdout + done.stderr).splitlines()
    assert not [line for line in said if "CONNECTS" in line or "INFO" in line]
    # What OpenVINO itself reports there is the choice of who imported it.
    assert not [line for line in said if "REPORTS" in line and "nncf" in line]
    assert list(home.iterdir()) == []


def test_where_nncf_is_not_installed_the_extra_is_named(checkpoint: Path, tmp_path: Path) -> None:
    script = """
import sys
sys.modules["nncf"] = None  # as where it is not installed
from fafnet_core.cli.main import main
sys.exit(main(["quantize", *sys.argv[1:]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint), str(tmp_path / "net.xml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install 'fafnet_ros[quantize]'" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
