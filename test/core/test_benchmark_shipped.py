"""The benchmark of the checkpoint that ships: what is packed, planted, counted and written."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.training.config import AuxiliaryData, Config, ModelConfig

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = NYU40.names
UNIT = Normalisation((0.5,) * 3, (0.5,) * 3, (0.5,) * 3, (0.5,) * 3)
FROM_ROOMS = Config(data=SyntheticData(cache="/somewhere/cache"))
FROM_NYU = Config(
    data=NYUv2Data(root="/somewhere/nyuv2"),
    auxiliary=AuxiliaryData(data=SyntheticData(), share=0.2),
    model=ModelConfig(pretrained="/somewhere/start.pth"),
)


def benchmark(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module(name)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "shared_classes")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "ade_peers")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "frame_faults")


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "frame_scores")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "shipped_report")


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "shipped")


def nyu(*names: str) -> NDArray[np.uint8]:
    """Ids of NYU40's classes; "" is unlabelled."""
    return np.array([NAMES.index(name) if name else 255 for name in names], np.uint8)


def ids(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


def floor_and_wall(height: int = 120, width: int = 160) -> RgbdSample:
    """A frame of a room: a wall at 3 m above a floor that comes nearer."""
    focal = 0.85 * width
    below = np.maximum(np.arange(height) - height / 2, 1e-3)
    depth = np.minimum(1.2 * focal / below, 3.0).astype(np.float32)[:, None].repeat(width, 1)
    label = np.where(depth < 3, NAMES.index("floor"), NAMES.index("wall")).astype(np.uint8)
    rgb = np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)
    middle = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
    return RgbdSample(
        rgb, label, depth_m=depth, camera=Camera.from_matrix(matrix, label.shape), name="room"
    ).with_hha()


def metres(sample: RgbdSample) -> NDArray[np.float32]:
    assert sample.depth_m is not None
    return sample.depth_m


class Frames(RgbdSegmentationDataset):
    """Frames that are at hand."""

    label_set = NYU40

    def __init__(self, *samples: RgbdSample) -> None:
        self._samples = samples
        self.names = [sample.name for sample in samples]
        self.sensors = [""] * len(samples)

    def read(self, index: int) -> RgbdSample:
        return self._samples[index]


# The classes that are shared.


def test_the_classes_of_both_are_sixteen_and_map_as_stated(shared: ModuleType) -> None:
    assert len(shared.SHARED) == shared.OTHER == 16
    of_nyu = shared.shared_from_nyu(np.arange(40, dtype=np.uint8))
    assert np.count_nonzero(of_nyu != shared.OTHER) == 17  # bookshelf and shelves are one
    assert len({*shared.shared_from_nyu(nyu("bookshelf", "shelves"))}) == 1
    both = [("wall", 1), ("floor", 4), ("cabinet", 11), ("bed", 8), ("chair", 20), ("sofa", 24)]
    both += [("table", 16), ("door", 15), ("window", 9), ("bookshelf", 25), ("shelves", 25)]
    both += [("picture", 23), ("curtain", 19), ("mirror", 28), ("floor mat", 29)]
    both += [("ceiling", 6), ("person", 13)]
    for name, ade in both:
        ours, theirs = shared.shared_from_nyu(nyu(name)), shared.shared_from_ade(ids(ade))
        assert ours == theirs != shared.OTHER, name
    other = np.setdiff1d(np.arange(256), [ade for _, ade in both]).astype(np.uint8)
    assert (shared.shared_from_ade(other) == shared.OTHER).all()
    assert [*shared.shared_from_nyu(nyu("whiteboard", "otherprop", ""))] == [16, 16, 255]


@pytest.mark.parametrize("of", ["nyu", "ade"])
def test_a_whiteboard_called_wall_is_a_false_wall(shared: ModuleType, of: str) -> None:
    target = nyu("wall", "wall", "wall", "whiteboard", "floor", "bookshelf", "shelves", "")
    if of == "nyu":
        said = nyu("wall", "counter", "floor", "wall", "floor", "shelves", "bookshelf", "wall")
        prediction = shared.shared_from_nyu(said)
    else:
        prediction = shared.shared_from_ade(ids(1, 0, 4, 1, 4, 25, 25, 1))
    confusion = shared.SharedConfusion()
    confusion.update(prediction, target)
    found = confusion.compute()
    # Wall: one right of three that are there and two that are said. The unlabelled pixel is none.
    assert found.iou[:2].tolist() == [1 / 4, 1 / 2]
    assert found.iou[9] == 1
    assert found.mean_iou == pytest.approx((1 / 4 + 1 / 2 + 1) / 3)
    assert found.recall == 4 / 6
    assert found.pixels.sum() == 6


def test_other_is_no_class_of_its_own(shared: ModuleType) -> None:
    confusion = shared.SharedConfusion()
    confusion.update(shared.shared_from_nyu(nyu("lamp")), nyu("whiteboard"))
    assert confusion.compute().to_dict()["mean_iou"] is None
    assert confusion.compute().to_dict()["recall"] is None
    confusion.update(shared.shared_from_nyu(nyu("lamp")), nyu("bed"))
    assert confusion.compute().mean_iou == confusion.compute().recall == 0


# Peers.


class Interpreter:
    """LiteRT's, for a network of 4x4 whose labels are the red values."""

    def __init__(self, model_path: str, num_threads: int) -> None:
        assert num_threads == 1
        self._outputs = [2, 2] if "wrong" in model_path else [1, 4, 4]
        self._image: NDArray[np.uint8] | None = None

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": np.array([1, 4, 4, 3]), "dtype": np.uint8}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 1, "shape": np.array(self._outputs), "dtype": np.int32}]

    def set_tensor(self, index: int, value: NDArray[np.uint8]) -> None:
        assert index == 0
        assert value.shape == (1, 4, 4, 3)
        assert value.dtype == np.uint8
        self._image = value

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> NDArray[np.int32]:
        assert index == 1
        assert self._image is not None
        return self._image[..., 0].astype(np.int32)


@pytest.fixture
def litert(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(Interpreter=Interpreter)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", SimpleNamespace(interpreter=module))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)


@pytest.mark.usefixtures("litert")
def test_a_peer_labels_at_its_own_size_and_is_scored_at_the_frames(
    peers: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "peer.tflite").touch()
    peer = peers.AdePeer("peer", tmp_path / "peer.tflite")
    sample = floor_and_wall(12, 16)
    red = np.zeros((12, 16), np.uint8)
    red[:6, :8], red[:6, 8:], red[6:, :8] = 1, 13, 4  # wall, person, floor, and none of the 31
    sample = replace(sample, rgb=np.dstack([red] * 3))
    assert np.array_equal(peer.labels(sample.rgb), red)
    label = np.zeros((12, 16), np.uint8)  # wall
    label[6:] = NAMES.index("floor")
    label[6:, 8:12] = NAMES.index("lamp")
    found = peers.measure_peer(peer, Frames(replace(sample, label=label)), [0])
    assert (found.name, found.frames) == ("peer", 1)
    assert found.milliseconds > 0
    assert found.shared.iou[:2].tolist() == [1 / 2, 2 / 3]
    assert found.shared.mean_iou == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert found.shared.recall == pytest.approx(96 / 168)


@pytest.mark.usefixtures("litert")
def test_a_network_of_another_kind_is_no_peer(peers: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wrong.tflite").touch()
    with pytest.raises(ValueError, match=r"wrong\.tflite takes or gives .*\(2, 2\).*; wanted"):
        peers.AdePeer("peer", tmp_path / "wrong.tflite")


# Faults.


def test_holes_reach_the_asked_share_and_are_the_frames_own(faults: ModuleType) -> None:
    sample = floor_and_wall()
    before = metres(sample).copy()
    lost = {}
    for share in (0.25, 0.5):
        fault = faults.Fault("holes", faults.Holes(share))
        planted = fault.planted(sample, 3)
        lost[share] = planted.depth_m == 0
        assert lost[share].mean() == pytest.approx(share, abs=0.01)
        assert planted.hha is None
        assert np.array_equal(planted.rgb, sample.rgb)
        again, another = fault.planted(sample, 3), fault.planted(sample, 4)
        assert np.array_equal(again.depth_m, planted.depth_m)
        assert not np.array_equal(another.depth_m == 0, lost[share])
    assert (lost[0.5] >= lost[0.25]).all()
    assert np.array_equal(metres(sample), before)


def test_what_the_sensor_alone_does_not_see_stays_unseen(faults: ModuleType) -> None:
    sample = floor_and_wall()
    far = replace(sample, depth_m=np.full((120, 160), 9, np.float32))
    assert not faults.Fault("holes", faults.Holes(0.25)).planted(far, 0).depth_m.any()


def test_noise_makes_no_holes(faults: ModuleType) -> None:
    sample = floor_and_wall()
    noisy = faults.Fault("noise", faults.noisy).planted(sample, 0)
    assert (noisy.depth_m > 0).all()
    error = np.abs(noisy.depth_m - metres(sample))
    assert 0.001 < error.mean() < 0.03
    assert noisy.hha is None


def test_an_input_that_is_not_there(faults: ModuleType) -> None:
    sample = floor_and_wall()
    blind = faults.NO_DEPTH.planted(sample, 0)
    assert blind.depth_m.shape == (120, 160)
    assert not blind.depth_m.any()
    assert np.array_equal(blind.rgb, sample.rgb)
    dark = faults.NO_COLOUR.planted(sample, 0)
    assert dark.rgb.shape == sample.rgb.shape
    assert not dark.rgb.any()
    assert np.array_equal(dark.depth_m, metres(sample))
    assert faults.WHOLE.planted(sample, 0) is sample
    assert faults.FAULTS[0] is faults.WHOLE


# Scores through the door.


class WallWhereThereIsDepth:
    """Calls wall what has depth, and lamp what has none."""

    label_set = NYU40

    def segment(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> SimpleNamespace:
        assert rgb.dtype == np.uint8
        assert matrix.shape == (3, 3)
        labels = np.where(depth_m > 0, NAMES.index("wall"), NAMES.index("lamp"))
        return SimpleNamespace(labels=labels.astype(np.uint8))


def test_each_fault_is_scored(scores: ModuleType, faults: ModuleType) -> None:
    sample = floor_and_wall()
    walls = float((sample.label == NAMES.index("wall")).mean())
    whole, blind = scores.measure(
        WallWhereThereIsDepth(),
        Frames(sample, sample),
        [0, 1],
        [faults.WHOLE, faults.NO_DEPTH],
        name="room",
        keep=1,
    )
    assert (whole.name, blind.name) == ("room, as it is", "room, no depth at all")
    assert (whole.frames, len(whole.kept)) == (2, 1)
    assert whole.scores.pixel_accuracy == pytest.approx(walls)
    assert whole.scores.mean_iou == pytest.approx(walls / 2)
    assert whole.shared.mean_iou == pytest.approx(walls / 2)
    assert (whole.no_depth, blind.no_depth) == (0, 1)
    assert blind.scores.pixel_accuracy == 0
    assert whole.to_dict()["pixel_accuracy"] == pytest.approx(walls)


def test_a_class_that_is_only_predicted_weighs_nothing_in_rooms(
    scores: ModuleType, faults: ModuleType
) -> None:
    sample = floor_and_wall()
    (found,) = scores.measure(
        WallWhereThereIsDepth(), Frames(sample), [0], [faults.Fault("half", faults.Holes(0.5))]
    )
    iou = found.scores.iou[NAMES.index("wall")]
    assert found.scores.mean_iou == pytest.approx(iou / 3)
    assert found.mean_iou_of_occurring == pytest.approx(iou / 2)


def test_frames_without_metric_depth_are_refused(scores: ModuleType) -> None:
    sample = replace(floor_and_wall(), depth_m=None)
    with pytest.raises(ValueError, match="room has no metric depth"):
        scores.measure(WallWhereThereIsDepth(), Frames(sample), [0])


# Packing.


def trained(path: Path, config: Config) -> Path:
    """A small network that says that it was trained so."""
    save_checkpoint(
        path,
        build_model("fafnet-nano"),
        normalisation=UNIT,
        input_size=(96, 128),
        notes={"iterations": 1234, "training": config.to_dict()},
    )
    return path


@pytest.mark.parametrize(("config", "is_noticed"), [(FROM_ROOMS, True), (FROM_NYU, False)])
def test_what_is_packed(
    shipped: ModuleType, tmp_path: Path, config: Config, is_noticed: bool
) -> None:
    source, out = trained(tmp_path / "last.safetensors", config), tmp_path / "out.safetensors"
    shipped.pack(source, out)
    assert out.stat().st_size < 0.55 * source.stat().st_size
    metadata = read_metadata(out)
    assert (metadata.normalisation, metadata.input_size) == (UNIT, (96, 128))
    notes = metadata.notes
    assert ("notice" in notes) == is_noticed
    assert (notes["preset"], notes["iterations"]) == ("fafnet-nano", 1234)
    assert "/somewhere" not in json.dumps(notes)
    if not is_noticed:
        assert notes["training"]["data"]["root"] == "nyuv2"
        assert notes["training"]["model"]["pretrained"] == "start.pth"
    whole, half = load_checkpoint(source).state_dict(), load_checkpoint(out).state_dict()
    for name, tensor in whole.items():
        np.testing.assert_allclose(half[name], tensor, rtol=1e-3, atol=1e-6)


def test_what_is_too_large_is_refused(
    shipped: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = trained(tmp_path / "last.safetensors", FROM_NYU), tmp_path / "out.safetensors"
    assert shipped.MOST_BYTES == 16_000_000
    monkeypatch.setattr(shipped, "MOST_BYTES", 3_000_000)
    out.write_text("what was there before")
    with pytest.raises(ValueError, match=r"takes 3\.\d MB in half precision; .* at most 3 MB"):
        shipped.pack(source, out)
    assert out.read_text() == "what was there before"
    assert {path.name for path in tmp_path.iterdir()} == {source.name, out.name}


@pytest.mark.parametrize(
    ("config", "start", "has_terms"),
    [(FROM_ROOMS, "random weights", False), (FROM_NYU, "weights of `/somewhere/start.pth`", True)],
)
def test_what_it_was_trained_with_is_told(
    report: ModuleType, config: Config, start: str, has_terms: bool
) -> None:
    notes = {"iterations": 1234, "training": config.to_dict()}
    told = "\n".join(line for paragraph in report.training_told(notes) for line in paragraph)
    assert "1,234 iterations" in told
    assert start in told
    assert f"name: {config.data_name}" in told
    assert ("given out for research" in told) == has_terms
    assert ("share: 0.2" in told) == (config.auxiliary is not None)


# The command.


def asked_wrongly(
    shipped: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    with pytest.raises(SystemExit) as wrong:
        shipped.main([str(argument) for argument in arguments])
    assert wrong.value.code == 2
    return capsys.readouterr().err


def test_what_is_asked_wrongly(
    shipped: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.safetensors"
    common = ("--nyuv2", tmp_path, "--out", out)
    assert "--nyuv2" in asked_wrongly(shipped, capsys)
    for name in ("stride", "frames", "rooms"):
        message = asked_wrongly(shipped, capsys, f"--{name}", "0", *common)
        assert f"--{name} is 0; wanted at least 1" in message
    assert "'MOSAIC' is no peer" in asked_wrongly(shipped, capsys, "--peer", "MOSAIC", *common)
    message = asked_wrongly(shipped, capsys, "--peer", f"MOSAIC={tmp_path}/no.tflite", *common)
    assert "no.tflite of the peer MOSAIC" in message
    assert str(tmp_path) in asked_wrongly(shipped, capsys, *common)  # no data set there
    assert not out.exists()


def test_peers_need_litert(
    shipped: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    (tmp_path / "peer.tflite").touch()
    message = asked_wrongly(
        shipped, capsys, "--nyuv2", tmp_path, "--peer", f"peer={tmp_path}/peer.tflite"
    )
    assert "pip install ai-edge-litert" in message


def test_only_a_network_whose_training_is_known_is_packed(
    shipped: ModuleType, tmp_path: Path
) -> None:
    path, out = tmp_path / "mine.safetensors", tmp_path / "out.safetensors"
    save_checkpoint(path, build_model("fafnet-nano"))
    with pytest.raises(ValueError, match="does not say what it was trained on"):
        shipped.pack(path, out)
    save_checkpoint(path, build_model("fafnet-nano", num_classes=37), label_set=SUN37)
    with pytest.raises(ValueError, match="'sun37'; wanted NYU-Depth V2's 40"):
        shipped.pack(path, out)
    assert not out.exists()


def test_the_command_on_real_frames(
    shipped: ModuleType,
    shared_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = shared_data / "nyuv2-subset"
    if not root.is_dir():
        pytest.skip(f"no {root.name} among the real frames")
    out, figures = tmp_path / "fafnet-tiny.safetensors", tmp_path / "figures.json"
    sheet = tmp_path / "sheet.png"
    common = ["--nyuv2", root, "--out", out, "--sheet", sheet, "--json", figures]
    tiny = [*common, "--stride", 30, "--frames", 2, "--rooms", 1]
    source = trained(tmp_path / "last.safetensors", FROM_NYU)
    assert shipped.main([str(one) for one in (source, *tiny)]) == 0
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == card.strip()
    assert "# fafnet-tiny\n" in card
    assert "1,234 iterations of 8 crops" in card
    assert "Frames are brought to 128x96 for it." in card
    assert "root: nyuv2" in card
    assert "given out for research" in card
    assert "Colour is JPEG here" in card
    assert "2 of 654 frames" in card
    assert "synthetic rooms only" not in card
    assert card.count("\n| depth: holes, 25 % |") == 1
    assert all(f"\n| {name} |" in card for name in NAMES)
    assert sheet.stat().st_size > 1000
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert [found["nyuv2"][name]["frames"] for name in found["nyuv2"]] == [2] * 6
    # The sensor alone may lose more.
    assert found["nyuv2"]["depth: holes, 25 %"]["pixels_without_depth"] >= 0.2499
    assert found["nyuv2"]["no depth at all"]["pixels_without_depth"] == 1
    assert [*found["shared"]] == ["fafnet-tiny"]
    assert len(found["rooms"]) == 5
    # What is there is measured again, to the same figures.
    assert shipped.main([str(one) for one in tiny]) == 0
    again = json.loads(figures.read_text(encoding="utf-8"))
    for name in found["nyuv2"]:
        first, second = (one["nyuv2"][name]["pixel_accuracy"] for one in (found, again))
        assert first == pytest.approx(second, abs=1e-4)
