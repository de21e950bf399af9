"""`fafnet export` and `fafnet check`, and exported files as checkpoints."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_network import small_network
from tiny_networks import randomise_flows
from tolerances import assert_same_labels
from torch import nn

from fafnet_core import FAFNet, save_checkpoint
from fafnet_core.cli.main import main
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.runtimes import RuntimeDiffersError, RuntimeUnavailableError
from fafnet_core.runtimes.choice import open_runtime
from fafnet_core.runtimes.openvino import import_openvino
from fafnet_core.runtimes.proof import proof_frame
from fafnet_core.runtimes.pytorch import TorchRuntime

for library in ("onnx", "onnxruntime", "openvino"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)

SIZE = (48, 64)
NORMALISATION = Normalisation(hha_mean=(0.4, 0.4, 0.4))
NOTES = {"licence": 'CC-BY-4.0: <given> & "quoted"', "notice": "trained on noise"}
FILES = ("labels.onnx", "logits.onnx", "labels.xml", "logits.xml")


@pytest.fixture(scope="module")
def network() -> FAFNet:
    return randomise_flows(small_network(40, batches=10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: FAFNet) -> Path:
    """The network as a checkpoint and as files of both kinds; another one with 37 classes."""
    root = tmp_path_factory.mktemp("export")
    net = root / "net.safetensors"
    save_checkpoint(net, network, normalisation=NORMALISATION, notes=NOTES, input_size=SIZE)
    save_checkpoint(root / "sun.safetensors", small_network(37, batches=4), label_set=SUN37)
    for name, *options in (
        ("labels.onnx",),
        ("logits.onnx", "--outputs", "logits", "--dynamic"),
        ("labels.xml", "--dynamic"),
        ("logits.xml", "--outputs", "logits"),
    ):
        assert main(["export", str(net), str(root / name), *options]) == 0
    return root


def opened(path: Path, **options: Any) -> Segmenter:
    return Segmenter.from_checkpoint(path, **{"precision": "float32", **options})


@pytest.fixture(scope="module")
def reference(folder: Path) -> Segmenter:
    segmenter = opened(folder / "net.safetensors", device="cpu", runtime="torch")
    assert len(np.unique(segmenter.predict(*proof_frame(SIZE)).labels)) > 2, (
        "one label shows nothing"
    )
    return segmenter


def room(height: int, width: int) -> tuple[Any, Any, NDArray[np.float64]]:
    tour, camera = Tour.of(2), pinhole(width, height)
    view = render(tour.room.scene, camera, tour.pose(0.3))
    return view.rgb, view.depth_m, camera.matrix


@pytest.mark.parametrize("name", FILES)
def test_an_exported_file_is_a_checkpoint(folder: Path, reference: Segmenter, name: str) -> None:
    file = opened(folder / name)
    assert (file.label_set, file.notice, file.input_size) == (NYU40, "trained on noise", SIZE)
    runtime = "onnxruntime" if name.endswith(".onnx") else "openvino"
    assert file.runs_on == f"cpu in float32 ({runtime})"
    images = proof_frame(SIZE)
    got, wanted = file.predict(*images), reference.predict(*images)
    assert (got.labels.dtype.name, got.confidence.dtype.name) == ("uint8", "float32")
    assert_same_labels(got.labels, wanted.labels)
    # That of the checkpoint is interpolated a little (`classify`).
    assert np.abs(got.confidence - wanted.confidence).mean() < 0.01
    frame = room(96, 128)
    found = file.segment(*frame)
    assert found.labels.shape == found.confidence.shape == (96, 128)
    if name.startswith("logits"):
        assert_same_labels(found.labels, reference.segment(*frame).labels)
    else:  # twice the size of the input: each label lies on four pixels
        assert (found.labels == found.labels[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)).all()


@pytest.mark.parametrize("name", ["logits.onnx", "labels.xml"])
def test_a_dynamic_file_takes_other_sizes(folder: Path, reference: Segmenter, name: str) -> None:
    file = opened(folder / name, input_size=None)
    for size in ((65, 97), (48, 64), (90, 70)):
        images = proof_frame(size)
        assert_same_labels(file.predict(*images).labels, reference.predict(*images).labels)
    with pytest.raises(ValueError, match="at least 33"):
        file.predict(*proof_frame((32, 64)))


@pytest.mark.parametrize("name", ["labels.onnx", "logits.xml"])
def test_a_fixed_file_refuses_other_sizes_with_the_remedy(folder: Path, name: str) -> None:
    said = "takes images of 64x48 .* are 64x64.*--input-size 64x64.*--dynamic"
    with pytest.raises(ValueError, match=said):
        opened(folder / name, input_size=(64, 64))
    file = opened(folder / name)
    with pytest.raises(ValueError, match="takes images of 64x48"):
        file.segment(*room(100, 100))  # another aspect ratio


def test_what_belongs_to_the_network_is_in_the_file(folder: Path, tmp_path: Path) -> None:
    import onnx

    out = tmp_path / "net.pt2"
    arguments = ["--outputs", "logits", "--input-size", "80x64"]
    assert main(["export", str(folder / "net.safetensors"), str(out), *arguments]) == 0
    with zipfile.ZipFile(out) as archive:
        torch_entries = {
            Path(name).name: archive.read(name).decode()
            for name in archive.namelist()
            if Path(name).parent.name.startswith("extra")  # of PyTorch 2.5: extra_files
        }
    model = onnx.load(folder / "labels.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    onnx_entries = {entry.key: entry.value for entry in model.metadata_props}
    core = import_openvino().Core()
    found = core.read_model(folder / "labels.xml").get_rt_info(["fafnet"]).value
    openvino_entries = {key: str(value) for key, value in found.items()}
    for entries, outputs, size in (
        (torch_entries, "logits", [64, 80]),
        (onnx_entries, "labels", [48, 64]),
        (openvino_entries, "labels", [48, 64]),
    ):
        assert entries["license"] == NOTES["licence"]
        assert entries["fafnet_outputs"] == outputs
        said = json.loads(entries["fafnet"])
        assert said["normalisation"] == NORMALISATION.to_dict()
        assert (said["label_set"]["name"], said["input_size"]) == ("nyu40", size)


def test_weights_stay_float32(folder: Path, network: FAFNet) -> None:
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert (folder / "labels.xml").with_suffix(".bin").stat().st_size > 3.9 * weights


def damaged(folder: Path, to: Path, what: str) -> Path:
    """A file that is not what `fafnet export` wrote."""
    import onnx
    from onnx import TensorProto, helper

    xml = [(folder / "logits").with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")]
    path = to / ("net.onnx" if "onnx" in what else "net.xml")
    if what == "cut onnx":
        path.write_bytes((folder / "labels.onnx").read_bytes()[:-1000])
    elif what == "foreign onnx":
        sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
        node = helper.make_node("Relu", ["x"], ["y"])
        graph = helper.make_graph([node], "g", [sides[0]], [sides[1]])
        imports = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    elif what == "onnx of other classes":
        model = onnx.load(folder / "logits.onnx")
        for entry in model.metadata_props:
            if entry.key == "fafnet":
                values = json.loads(entry.value)
                values["label_set"] = SUN37.to_dict()
                values["config"]["num_classes"] = 37
                entry.value = json.dumps(values)
        onnx.save(model, path)
    elif what in ("xml in no UTF-8", "xml without a name"):
        old = b'names="hha"' if "name" in what else b'version="11"'
        new = b"" if "name" in what else b'version="11\xff'
        assert old in xml[0]
        path.write_bytes(xml[0].replace(old, new))
        path.with_suffix(".bin").write_bytes(xml[1])
    else:
        path.write_bytes(xml[0][: 5000 if what == "cut xml" else None])
        if what != "no bin":
            path.with_suffix(".bin").write_bytes(xml[1][: -100 if what == "cut bin" else None])
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut onnx", "cut short"),
        ("foreign onnx", "no file of fafnet export"),
        ("onnx of other classes", "logits are of 40 classes.*'sun37' has 37"),
        ("cut xml", "cut short"),
        ("cut bin", "cut short"),
        ("no bin", "no net.bin beside"),
        ("xml without a name", "its inputs are"),
        ("xml in no UTF-8", "no file of OpenVINO, it is cut short"),
    ],
)
def test_what_is_no_file_of_ours_is_refused(
    folder: Path, tmp_path: Path, what: str, message: str
) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        Segmenter.from_checkpoint(damaged(folder, tmp_path, what))


def test_a_files_precision_is_what_it_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (folder / "logits.xml").read_text()
    entry = '<fafnet_precision value="float32" />'
    assert entry in written
    file = tmp_path / "net.xml"
    file.with_suffix(".bin").write_bytes((folder / "logits.bin").read_bytes())
    for said, precision in (("", "float32"), (entry.replace("float32", "int8"), "int8")):
        file.write_text(written.replace(entry, said))  # older files say nothing
        assert opened(file).runs_on == f"cpu in {precision} (openvino)"
        capsys.readouterr()
        assert main(["info", str(file), "--size", "48x64", "--json"]) == 0
        (report,) = json.loads(capsys.readouterr().out)["models"]
        assert (report["precision"], report["input_size"]) == (precision, list(SIZE))
    file.write_text(written.replace(entry, entry.replace("float32", "int4")))
    with pytest.raises(ValueError, match="precision is 'int4'; this version reads"):
        opened(file)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("labels.onnx", {"runtime": "torch"}, "auto or onnxruntime or tensorrt"),
        ("labels.onnx", {"precision": "bfloat16"}, "no precision bfloat16"),
        ("labels.onnx", {"device": "cuda"}, "on the CPU, not on cuda"),
        ("labels.onnx", {"runtime": "tensorrt"}, "install TensorRT"),
        ("labels.xml", {"precision": "float16"}, "auto, float32 or bfloat16"),
        ("labels.pt2", {}, "can run code"),
        ("absent.onnx", {}, "no exported file"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_remedy(
    folder: Path, name: str, options: dict[str, str], message: str
) -> None:
    (folder / "labels.pt2").touch()
    with pytest.raises((ValueError, OSError), match=message):
        opened(folder / name, **options)


@pytest.mark.parametrize(("module", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_a_runtime_that_is_not_installed_is_named_with_its_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    name = "labels.onnx" if extra == "onnx" else "labels.xml"
    with pytest.raises(RuntimeUnavailableError, match=rf"fafnet_ros\[{extra}\]"):
        Segmenter.from_checkpoint(folder / name)


def test_bfloat16_that_gives_other_labels_than_float32_is_refused_and_auto_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    core = import_openvino().Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    model = small_network(40, batches=10)
    *_, last = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert last.bias is not None
    nn.init.constant_(last.bias, 1000)  # bfloat16 cannot tell the scores apart
    save_checkpoint(tmp_path / "net.safetensors", model, input_size=SIZE)
    file = tmp_path / "net.xml"
    assert main(["export", str(tmp_path / "net.safetensors"), str(file)]) == 0
    with pytest.raises(RuntimeDiffersError, match="openvino in bfloat16"):
        Segmenter.from_checkpoint(file, precision="bfloat16")
    assert Segmenter.from_checkpoint(file).precision == "float32"
    assert "Taken: openvino in float32" in caplog.text


def test_onnxruntime_runs_a_checkpoint_and_keeps_its_graph(
    network: FAFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    torch = TorchRuntime(network, NORMALISATION, **options)
    for start in range(2):
        runtime = open_runtime(network, NORMALISATION, runtime="onnxruntime", **options)
        for size in (SIZE, (65, 97)):
            images = proof_frame(size)
            found = runtime.predict(*images, (96, 128)).labels
            assert_same_labels(found, torch.predict(*images, (96, 128)).labels)
        (graph,) = (tmp_path / "fafnet").iterdir()  # one for all sizes
        if start:
            assert graph.stat().st_mtime == 1  # read, not written
        os.utime(graph, (1, 1))


def checked(
    folder: Path, capsys: pytest.CaptureFixture[str], checkpoint: str, *options: str
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    name = str(folder / checkpoint)
    arguments = ["check", str(folder / "logits.onnx"), "--checkpoint", name, "--json", *options]
    status = main(arguments)
    return status, json.loads(capsys.readouterr().out)


def test_check_tells_how_many_labels_are_equal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, values = checked(folder, capsys, "net.safetensors")
    assert (status, values["agrees"], values["outputs"]) == (0, True, "logits")
    assert values["equal_labels"] >= values["worst_equal_labels"] > 0.99
    assert values["largest_difference"] < 1e-3
    model = small_network(40, batches=0)
    *_, last = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert last.bias is not None
    nn.init.constant_(last.bias[3:4], 100)
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, model, input_size=SIZE)
    status, values = checked(folder, capsys, str(other))
    assert (status, values["agrees"]) == (1, False)
    assert values["equal_labels"] < 0.995


def test_check_takes_frames_and_refuses_another_label_set(
    folder: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, values = checked(folder, capsys, "net.safetensors", "--frames", str(frames))
    assert (values["frames"], values["worst_frame"]) == (1, "0001")
    assert main(
        ["check", str(folder / "labels.onnx"), "--checkpoint", str(folder / "sun.safetensors")]
    )
    assert "'nyu40' with 40 classes, the checkpoint 'sun37' with 37" in capsys.readouterr().err


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with one frame."""
    import cv2

    rgb, depth_m, matrix = room(96, 128)
    for name, image in (("color", rgb[..., ::-1]), ("depth", (1000 * depth_m).astype(np.uint16))):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0001.png"), image)
    fx, fy, cx, cy = (float(matrix[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
    (tmp_path / "camera.yaml").write_text(f"{{fx: {fx}, fy: {fy}, cx: {cx}, cy: {cy}}}")
    return tmp_path


def test_evaluate_takes_an_exported_file_at_one_scale(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "rooms.yaml"
    config.write_text(
        f"data: {{name: synthetic, seed: 7, frames: 2, width: 64, height: 48, cache: {tmp_path}}}\n"
        "evaluate: {workers: 0, scales: [1, 1.5]}\n"
    )
    arguments = ["evaluate", str(config), "--json", "--checkpoint"]
    capsys.readouterr()
    confusions = []
    for name in ("net.safetensors", "labels.onnx", "logits.xml"):
        assert main([*arguments, str(folder / name)]) == 0
        report = json.loads(capsys.readouterr().out)
        confusions.append(np.array(report["protocols"][0]["confusion"]))
        if name != "net.safetensors":
            assert [protocol["name"] for protocol in report["protocols"]] == ["single scale"]
    for confusion in confusions[1:]:
        assert np.abs(confusion - confusions[0]).sum() <= 2 * 0.001 * confusions[0].sum()
    with pytest.raises(SystemExit):
        main([*arguments, str(folder / "labels.onnx"), "--protocols", "single,single-flip"])
    assert "single only" in capsys.readouterr().err
    assert main([*arguments, str(folder / "labels.onnx"), "--set", "evaluate.blank=hha"]) == 1
    assert "evaluate.blank none" in capsys.readouterr().err


def test_an_export_that_fails_leaves_what_was_there(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "net.onnx").write_text("what was there")
    net = str(folder / "net.safetensors")
    sun = str(folder / "sun.safetensors")
    assert main(["export", sun, str(tmp_path / "net.onnx")]) == 1  # says no input size
    assert "--input-size WIDTHxHEIGHT" in capsys.readouterr().err
    assert main(["export", net, str(tmp_path / "net.onnx"), "--input-size", "32x32"]) == 1
    assert "at least 33" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what tries the file
    assert main(["export", net, str(tmp_path / "net.onnx")]) == 1
    assert "fafnet_ros[onnx]" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["what was there"]
    for arguments in ([net, str(tmp_path / "net.plan")], [net, str(tmp_path)]):
        with pytest.raises(SystemExit) as caught:
            main(["export", *arguments])
        assert caught.value.code == 2


def test_onnxruntime_sends_nothing_home(folder: Path, tmp_path: Path) -> None:
    # Its wheels report their use from 1.32 on: they leave a device's number in the user's cache.
    script = f"""
from fafnet_core.inference import Segmenter
from fafnet_core.runtimes.proof import proof_frame
segmenter = Segmenter.from_checkpoint({str(folder / "logits.onnx")!r}, device="cpu")
segmenter.predict(*proof_frame({SIZE}))
print("RAN", segmenter.runtime.name)
"""
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert "RAN onnxruntime" in done.stdout
    assert "elemetry" not in done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if "fafnet" not in path.parts] == []
