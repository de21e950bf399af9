"""Configurations of a training: the recipes, and how wrong sections are refused."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from fafnet_core.checkpoints.release import NORMALISATION
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.labels import NYU40
from fafnet_core.models.config import preset_config
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.training.config import Config, ModelConfig, read_config

PROJECT = Path(__file__).resolve().parents[2]
RECIPES = ("nyuv2", "nyuv2-mobile", "sunrgbd", "synthetic", "release", "finetune")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_read_and_what_is_written_is_the_same(name: str, tmp_path: Path) -> None:
    config = read_config(PROJECT / f"config/{name}.yaml")
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(config.to_yaml())
    assert read_config(resolved) == config


@pytest.mark.parametrize(("name", "classes", "crop"), [("nyuv2", 40, 464), ("sunrgbd", 37, 448)])
def test_the_paper_s_recipes_are_section_4_2(name: str, classes: int, crop: int) -> None:
    config = read_config(PROJECT / f"config/{name}.yaml")
    assert config.model.network(classes).num_classes == classes
    assert config.model.network().backbone == "resnet101"
    assert config.transform.crop == (crop, crop)
    assert (config.train.iterations, config.train.batch_size) == (40_000, 8)
    schedule = config.train.schedule
    assert (schedule.kind, schedule.rate) == ("step", 0.005)
    assert schedule.warmup > 0
    assert config.evaluate.split == "val"


def test_the_release_s_recipe_is_what_its_code_does() -> None:
    config = read_config(PROJECT / "config/release.yaml")
    assert config.model.network() == preset_config("fafnet-release")
    assert config.normalisation.build() == NORMALISATION
    assert (config.transform.pad, config.transform.pad_label) == ("black", 0)
    assert config.train.loss.average_over == "all"
    assert config.train.optimiser.weight_decay == 5e-4
    assert config.train.optimiser.norm_weight_decay is None
    schedule = config.train.schedule
    assert (schedule.kind, schedule.rate, schedule.warmup) == ("poly", 0.001, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


def test_data_chooses_the_section_s_type_by_name(path: Path) -> None:
    path.write_text("data: {name: synthetic, frames: 7}")
    assert read_config(path) == Config(data=SyntheticData(frames=7))
    path.write_text("data: {name: nyuv2, root: x}")
    config = read_config(path, ["data.validation=0.2"])
    assert config.data == NYUv2Data(root="x", validation=0.2)
    assert config.data_name == "nyuv2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown data set '': known: folder, nyuv2, sunrgbd, synthetic"),
        ("data: {name: nyu}", "unknown data set 'nyu': did you mean 'nyuv2'?"),
        ("data: {name: nyuv2}", "data lacks root"),
        ("data: {name: synthetic, root: x}", "unknown data key 'root'"),
        ("dat: {name: synthetic}", "line 1: unknown section 'dat': did you mean 'data'?"),
        ("model: {presett: x}", "unknown model key 'presett': did you mean 'preset'?"),
        ("model: {preset: fafnet-nanno}", "did you mean 'fafnet-nano'?"),
        ("model:\n  preset: fafnet-nano\n  dropout: 2", "line 3: model.dropout"),
        ("model: {pretrained: a, init: b}", "leave pretrained out"),
        ("train: {batch_size: 6, accumulate: 4}", "take a multiple of 4"),
        ("train: {ema: 1.0}", "train.ema is 1.0; wanted a number x with 0 < x < 1, or null"),
        ("train:\n  seed: 4294967296", "line 2: train.seed is"),
        ("train:\n  schedule:\n    rat: 1", "line 3: unknown train.schedule key 'rat'"),
        ("train: {schedule: {milestones: [0.6, 0.5]}}", "train.schedule: milestones"),
        ("evaluate:\n  scales: [1, 1.0]", "line 2: evaluate: scales"),
    ],
)
def test_a_wrong_section_is_refused(path: Path, text: str, message: str) -> None:
    if text and "dat" not in text:
        text += "\ndata: {name: synthetic}"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read_config(path)
    assert str(refused.value).startswith(str(path))


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=path.name):
        read_config(path)


def test_a_model_is_preset_then_arm_then_fields() -> None:
    config = ModelConfig(preset="fafnet-lite", arm="no-fam", changes={"decoder_channels": 32})
    network = config.network(5)
    assert (network.fusion_alignment, network.decoder_alignment) == ("none", "none")
    assert (network.decoder_channels, network.num_classes) == (32, 5)
    assert network.flow_reduction == preset_config("fafnet-lite").flow_reduction


def test_a_model_of_another_number_of_classes_than_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes"):
        ModelConfig(changes={"num_classes": 3}).network(40)


MIXED = """
data: {name: nyuv2, root: data/nyuv2}
auxiliary: {name: synthetic, frames: 5, share: 0.4}
"""


def test_a_second_data_set_is_read_written_and_overridden(path: Path) -> None:
    path.write_text(MIXED)
    config = read_config(path, ["auxiliary.frames=7"])
    assert config.auxiliary is not None
    assert config.auxiliary.share == 0.4
    assert config.auxiliary.data == SyntheticData(frames=7)
    path.write_text(config.to_yaml())
    assert read_config(path) == config
    assert read_config(path, ["auxiliary=null"]).auxiliary is None


def test_a_second_data_set_is_brought_to_the_classes_of_the_first(
    path: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    for folder in ("rgb", "depth", "labels"):
        (own / folder).mkdir(parents=True)
    cv2.imwrite(str(own / "rgb/0.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(own / "depth/0.png"), np.full((48, 64), 2000, np.uint16))
    cv2.imwrite(str(own / "labels/0.png"), np.tri(48, 64, dtype=np.uint8) * 255)
    (tmp_path / "own.yaml").write_text("names: [cupboard, floor, wall]\n")
    layout = "{camera: {fx: 60, fy: 60, cx: 31.5, cy: 23.5}, train: '', test: ''}"
    path.write_text(
        f"data: {{name: folder, root: {own}, labels: {tmp_path / 'own.yaml'}, layout: {layout}}}\n"
        "auxiliary: {name: synthetic, frames: 1, width: 64, height: 48,"
        " label_map: {cabinet: cupboard}}\n"
    )
    config = read_config(path)
    assert config.auxiliary is not None
    assert config.auxiliary.label_map == {"cabinet": "cupboard"}
    mixed = config.open_training_data()
    assert mixed.label_set.names == ("cupboard", "floor", "wall")
    room = SyntheticData(frames=1, width=64, height=48).open("train").read(0)
    is_class = [room.label == NYU40.names.index(name) for name in ("cabinet", "floor", "wall")]
    wanted = np.select(is_class, [0, 1, 2], 255)
    np.testing.assert_array_equal(mixed.read(len(mixed) - 1).label, wanted)
    path.write_text(config.to_yaml())
    assert read_config(path) == config
    with pytest.raises(ValueError, match=r"'own' \(3 classes\).*'nyu40'.*auxiliary.label_map"):
        read_config(path, ["auxiliary.label_map={}"]).open_training_data()
    with pytest.raises(ValueError, match=r"auxiliary.label_map: unknown class 'cabnet'"):
        read_config(path, ["auxiliary.label_map={cabnet: wall}"]).open_training_data()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{name: synthetic, share: 1.0}", "auxiliary.share is 1.0"),
        ("{share: 0.5}", "unknown data set"),
        ("{name: synthetic, frame: 5}", "frames"),
    ],
)
def test_a_second_data_set_that_cannot_be_is_refused(path: Path, line: str, message: str) -> None:
    path.write_text(MIXED.replace("{name: synthetic, frames: 5, share: 0.4}", line))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_config(path)
