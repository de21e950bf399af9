"""The benchmark of the checkpoint that ships: what is packed, planted, counted and written."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import ade_peers
import frame_faults
import numpy as np
import pytest
import shipped
from frame_faults import Fault, Holes
from frame_scores import measure
from numpy.typing import NDArray
from shared_classes import OTHER, SHARED, SharedConfusion, shared_from_ade, shared_from_nyu

from fafnet_core.camera import Camera
from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.training.config import AuxiliaryData, Config, ModelConfig

NAMES = NYU40.names
UNIT = Normalisation((0.5,) * 3, (0.5,) * 3, (0.5,) * 3, (0.5,) * 3)


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
    """Frames in memory."""

    label_set = NYU40

    def __init__(self, *samples: RgbdSample) -> None:
        self._samples = samples
        self.names = [sample.name for sample in samples]
        self.sensors = [""] * len(samples)

    def read(self, index: int) -> RgbdSample:
        return self._samples[index]


# Shared classes.


def test_sixteen_classes_are_shared_and_map_as_stated() -> None:
    assert len(SHARED) == OTHER == 16
    both = [("wall", 1), ("floor", 4), ("cabinet", 11), ("bed", 8), ("chair", 20), ("sofa", 24)]
    both += [("table", 16), ("door", 15), ("window", 9), ("bookshelf", 25), ("shelves", 25)]
    both += [("picture", 23), ("curtain", 19), ("mirror", 28), ("floor mat", 29)]
    both += [("ceiling", 6), ("person", 13)]
    for name, ade in both:
        assert shared_from_nyu(nyu(name)) == shared_from_ade(ids(ade)) != OTHER, name
    of_nyu = shared_from_nyu(np.arange(40, dtype=np.uint8))
    assert np.count_nonzero(of_nyu != OTHER) == len(both)
    other = np.setdiff1d(np.arange(256), [ade for _, ade in both]).astype(np.uint8)
    assert (shared_from_ade(other) == OTHER).all()
    assert [*shared_from_nyu(nyu("whiteboard", "otherprop", ""))] == [16, 16, 255]


@pytest.mark.parametrize("of", ["nyu", "ade"])
def test_a_whiteboard_called_wall_is_a_false_wall(of: str) -> None:
    target = nyu("wall", "wall", "wall", "whiteboard", "floor", "bookshelf", "shelves", "")
    if of == "nyu":
        said = nyu("wall", "counter", "floor", "wall", "floor", "shelves", "bookshelf", "wall")
        prediction = shared_from_nyu(said)
    else:
        prediction = shared_from_ade(ids(1, 0, 4, 1, 4, 25, 25, 1))
    confusion = SharedConfusion()
    confusion.update(prediction, target)
    found = confusion.compute()
    # Wall: one right of three in the target and two in the prediction. Unlabelled pixels are out.
    assert found.iou[:2].tolist() == [1 / 4, 1 / 2]
    assert found.iou[9] == 1
    assert found.mean_iou == pytest.approx((1 / 4 + 1 / 2 + 1) / 3)
    assert found.recall == 4 / 6
    assert found.pixels.sum() == 6


def test_other_is_no_class_of_its_own() -> None:
    confusion = SharedConfusion()
    confusion.update(shared_from_nyu(nyu("lamp")), nyu("whiteboard"))
    figures = confusion.compute().to_dict()
    assert (figures["mean_iou"], figures["recall"]) == (None, None)
    confusion.update(shared_from_nyu(nyu("lamp")), nyu("bed"))
    assert confusion.compute().mean_iou == confusion.compute().recall == 0


# Peers.


class Interpreter:
    """LiteRT's, for a network of 4x4 whose labels are the red values."""

    def __init__(self, model_path: str, num_threads: int) -> None:
        assert num_threads == 1
        self._outputs = [2, 2] if "wrong" in model_path else [1, 4, 4]
        self._image: NDArray[np.uint8] = np.zeros((1, 4, 4, 3), np.uint8)

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": np.array(self._image.shape), "dtype": np.uint8}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 1, "shape": np.array(self._outputs), "dtype": np.int32}]

    def set_tensor(self, index: int, value: NDArray[np.uint8]) -> None:
        assert index == 0
        assert value.shape == self._image.shape
        assert value.dtype == np.uint8
        self._image = value

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> NDArray[np.int32]:
        assert index == 1
        return self._image[..., 0].astype(np.int32)


@pytest.fixture
def litert(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(Interpreter=Interpreter)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", SimpleNamespace(interpreter=module))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)


@pytest.mark.usefixtures("litert")
def test_a_peer_labels_at_its_own_size_and_is_scored_at_the_frames(tmp_path: Path) -> None:
    (tmp_path / "peer.tflite").touch()
    peer = ade_peers.AdePeer("peer", tmp_path / "peer.tflite")
    red = np.zeros((12, 16), np.uint8)
    red[:6, :8], red[:6, 8:], red[6:, :8] = 1, 13, 4  # wall, person, floor, and none of the 31
    label = np.zeros((12, 16), np.uint8)  # wall
    label[6:] = NAMES.index("floor")
    label[6:, 8:12] = NAMES.index("lamp")
    sample = replace(floor_and_wall(12, 16), rgb=np.dstack([red] * 3), label=label)
    assert np.array_equal(peer.labels(sample.rgb), red)
    found = ade_peers.measure_peer(peer, Frames(sample), [0])
    assert (found.name, found.frames) == ("peer", 1)
    assert found.milliseconds > 0
    assert found.shared.iou[:2].tolist() == [1 / 2, 2 / 3]
    assert found.shared.mean_iou == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert found.shared.recall == pytest.approx(96 / 168)


@pytest.mark.usefixtures("litert")
def test_a_network_of_another_kind_is_no_peer(tmp_path: Path) -> None:
    (tmp_path / "wrong.tflite").touch()
    with pytest.raises(ValueError, match=r"wrong\.tflite .*\(2, 2\)"):
        ade_peers.AdePeer("peer", tmp_path / "wrong.tflite")


def test_peers_need_litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    (tmp_path / "peer.tflite").touch()
    with pytest.raises(ModuleNotFoundError, match="pip install ai-edge-litert"):
        ade_peers.AdePeer("peer", tmp_path / "peer.tflite")


# Faults.


def test_holes_reach_their_share_and_depend_on_the_frame() -> None:
    sample = floor_and_wall()
    before = metres(sample).copy()
    lost = {}
    for share in (0.25, 0.5):
        fault = Fault("holes", Holes(share))
        planted, again, another = (fault.planted(sample, index) for index in (3, 3, 4))
        lost[share] = metres(planted) == 0
        assert lost[share].mean() == pytest.approx(share, abs=0.01)
        assert planted.hha is None
        assert np.array_equal(planted.rgb, sample.rgb)
        assert np.array_equal(metres(again), metres(planted))
        assert not np.array_equal(metres(another) == 0, lost[share])
    assert (lost[0.5] >= lost[0.25]).all()
    assert np.array_equal(metres(sample), before)
    # What the sensor alone does not see stays unseen.
    far = replace(sample, depth_m=np.full((120, 160), 9, np.float32))
    assert not metres(Fault("holes", Holes(0.25)).planted(far, 0)).any()


def test_noise_makes_no_holes() -> None:
    sample = floor_and_wall()
    noisy = Fault("noise", frame_faults.noisy).planted(sample, 0)
    assert (metres(noisy) > 0).all()
    assert 0.001 < np.abs(metres(noisy) - metres(sample)).mean() < 0.03
    assert noisy.hha is None


def test_an_input_that_is_missing() -> None:
    sample = floor_and_wall()
    blind = frame_faults.NO_DEPTH.planted(sample, 0)
    assert metres(blind).shape == (120, 160)
    assert not metres(blind).any()
    assert np.array_equal(blind.rgb, sample.rgb)
    dark = frame_faults.NO_COLOUR.planted(sample, 0)
    assert dark.rgb.shape == sample.rgb.shape
    assert not dark.rgb.any()
    assert np.array_equal(metres(dark), metres(sample))
    assert frame_faults.FAULTS[0].planted(sample, 0) is sample


# Scores.


class _WallWhereThereIsDepth:
    label_set = NYU40

    def segment(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> SimpleNamespace:
        labels = np.where(depth_m > 0, NAMES.index("wall"), NAMES.index("lamp"))
        return SimpleNamespace(labels=labels.astype(np.uint8))


WALLS = cast(Segmenter, _WallWhereThereIsDepth())
"""Calls wall what has depth, and lamp what has none."""


def test_each_fault_is_scored() -> None:
    sample = floor_and_wall()
    walls = float((sample.label == NAMES.index("wall")).mean())
    faults = [frame_faults.WHOLE, frame_faults.NO_DEPTH]
    whole, blind = measure(WALLS, Frames(sample, sample), [0, 1], faults, name="room", keep=1)
    assert (whole.name, blind.name) == ("room, as it is", "room, no depth at all")
    assert (whole.frames, len(whole.kept)) == (2, 1)
    assert whole.scores.pixel_accuracy == pytest.approx(walls)
    assert whole.scores.mean_iou == pytest.approx(walls / 2)
    assert whole.shared.mean_iou == pytest.approx(walls / 2)
    assert (whole.no_depth, blind.no_depth) == (0, 1)
    assert blind.scores.pixel_accuracy == 0


def test_a_class_that_is_only_predicted_weighs_nothing_in_rooms() -> None:
    (found,) = measure(WALLS, Frames(floor_and_wall()), [0], [Fault("half", Holes(0.5))])
    iou = found.scores.iou[NAMES.index("wall")]
    assert found.scores.mean_iou == pytest.approx(iou / 3)
    assert found.mean_iou_of_occurring == pytest.approx(iou / 2)


def test_frames_without_metric_depth_are_refused() -> None:
    with pytest.raises(ValueError, match="room has no metric depth"):
        measure(WALLS, Frames(replace(floor_and_wall(), depth_m=None)), [0])


# Packing.


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A small network that says that it was trained on NYUv2 and synthetic rooms."""
    config = Config(
        data=NYUv2Data(root="/somewhere/nyuv2"),
        auxiliary=AuxiliaryData(data=SyntheticData(), share=0.2),
        model=ModelConfig(pretrained="/somewhere/start.pth"),
    )
    path = tmp_path / "last.safetensors"
    save_checkpoint(
        path,
        build_model("fafnet-nano"),
        normalisation=UNIT,
        input_size=(96, 128),
        notes={"iterations": 1234, "training": config.to_dict()},
    )
    return path


def test_what_is_packed(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    shipped.pack(trained, out)
    assert out.stat().st_size < 0.55 * trained.stat().st_size
    metadata = read_metadata(out)
    assert (metadata.normalisation, metadata.input_size) == (UNIT, (96, 128))
    notes = metadata.notes
    assert (notes["preset"], notes["iterations"]) == ("fafnet-nano", 1234)
    assert "/somewhere" not in json.dumps(notes)
    assert notes["training"]["data"]["root"] == "nyuv2"
    assert notes["training"]["model"]["pretrained"] == "start.pth"
    whole, half = load_checkpoint(trained).state_dict(), load_checkpoint(out).state_dict()
    for name, tensor in whole.items():
        np.testing.assert_allclose(half[name], tensor, rtol=1e-3, atol=1e-6)


def test_what_is_too_large_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.safetensors"
    assert shipped.MOST_BYTES == 16_000_000
    monkeypatch.setattr(shipped, "MOST_BYTES", 3_000_000)
    out.write_text("what was there before")
    with pytest.raises(ValueError, match="at most 3 MB"):
        shipped.pack(trained, out)
    assert out.read_text() == "what was there before"
    assert {path.name for path in tmp_path.iterdir()} == {trained.name, out.name}


def test_only_a_network_whose_training_is_known_is_packed(tmp_path: Path) -> None:
    path, out = tmp_path / "mine.safetensors", tmp_path / "out.safetensors"
    save_checkpoint(path, build_model("fafnet-nano"))
    with pytest.raises(ValueError, match="does not say what it was trained on"):
        shipped.pack(path, out)
    save_checkpoint(path, build_model("fafnet-nano", num_classes=37), label_set=SUN37)
    with pytest.raises(ValueError, match="sun37"):
        shipped.pack(path, out)
    assert not out.exists()


def test_the_command_on_real_frames(
    trained: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shared_data / "nyuv2-subset"
    if not root.is_dir():
        pytest.skip(f"no {root.name} among the real frames")
    out, figures = tmp_path / "fafnet-tiny.safetensors", tmp_path / "figures.json"
    sheet = tmp_path / "sheet.png"
    common = ["--nyuv2", root, "--out", out, "--sheet", sheet, "--json", figures]
    tiny = [*common, "--stride", 30, "--frames", 2, "--rooms", 1]
    assert shipped.main([str(one) for one in (trained, *tiny)]) == 0
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == card.strip()
    for told in (
        "# fafnet-tiny\n",
        "1,234 iterations of 8 crops",
        "from the weights of `start.pth`",
        "Frames are brought to 128x96 for it.",
        "root: nyuv2",
        "share: 0.2",
        "given out for research",
        "Colour is JPEG here",
        "2 of 654 frames",
        "\n| depth: holes, 25 % |",
        *(f"\n| {name} |" for name in NAMES),
    ):
        assert told in card
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
