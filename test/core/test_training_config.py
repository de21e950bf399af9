"""Configurations: what a file and overrides may say, and how they are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from fafnet_core.checkpoints.release import NORMALISATION
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.models.config import preset_config
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.settings import plain_values, read_section, read_settings
from fafnet_core.training.config import Config, ModelConfig, TrainConfig, read_config

PROJECT = Path(__file__).resolve().parents[2]
RECIPES = ("nyuv2", "nyuv2-mobile", "sunrgbd", "synthetic", "release")


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    rates: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = 0.1
    count: int = 1
    flag: bool = False
    kind: Literal["one", "two"] = "one"
    stride: Literal[8, 16] = 8
    path: Path = Path()
    maybe: float | None = None
    either: Literal["auto"] | Inner = "auto"
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; it has to be 0 or more")


def read(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return read_section(Outer, read_settings(path, overrides), "outer", str(path))


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        # What YAML 1.1 would take for text, a date, octal, base 60, true.
        ("rate: 1e-3", "rate", 1e-3),
        ("rate: 5E+2", "rate", 500.0),
        ("rate: .5", "rate", 0.5),
        ("rate: -3", "rate", -3.0),
        ("rate: 1_000.5", "rate", 1000.5),
        ("count: 010", "count", 10),
        ("count: 40_000", "count", 40000),
        ("count: 4__0_", "count", 40),
        ("name: no", "name", "no"),
        ("name: 2024-01-02", "name", "2024-01-02"),
        ("name: 12:30", "name", "12:30"),
        ("name: 1e-3", "name", "1e-3"),
        ("name: 'null'", "name", "null"),
        ("flag: true", "flag", True),
        ("flag: no", "flag", False),
        ("kind: two", "kind", "two"),
        ("stride: 16", "stride", 16),
        ("path: /data/x", "path", Path("/data/x")),
        ("maybe: null", "maybe", None),
        ("maybe:", "maybe", None),
        ("maybe: 2", "maybe", 2.0),
        ("either: auto", "either", "auto"),
        ("either: {size: [3, 4]}", "either", Inner(size=(3, 4))),
        ("inner: {rates: [1, 2e-1]}", "inner", Inner(rates=(1.0, 0.2))),
        ("inner:", "inner", Inner()),
    ],
)
def test_a_value_is_read_as_the_type_of_its_field(
    tmp_path: Path, line: str, key: str, value: Any
) -> None:
    text = line if key == "name" else f"name: x\n{line}"
    found = getattr(read(tmp_path, text), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rte: 1", "line 2: unknown outer key 'rte': did you mean 'rate'?"),
        ("rate: fast", "line 2: outer.rate must be a number; got 'fast'"),
        ("rate: '1'", "outer.rate must be a number"),
        ("rate: true", "outer.rate must be a number"),
        ("rate: .inf", "outer.rate must be a number"),
        ("rate: null", "outer.rate must be a number; got null"),
        ("rate: [1]", "outer.rate must be a number; got a list"),
        ("count: 1.0", "outer.count must be a whole number; got '1.0'"),
        ("count: true", "outer.count must be a whole number"),
        ("flag: 1", "outer.flag must be true or false"),
        ("kind: tow", "unknown outer.kind 'tow': did you mean 'two'?"),
        ("stride: 32", "outer.stride must be one of 8, 16; got '32'"),
        ("stride: true", "outer.stride must be one of 8, 16"),
        ("maybe: x", "outer.maybe must be a number or null; got 'x'"),
        ("inner: 3", "outer.inner must be keys with values; got '3'"),
        ("inner: {sie: 3}", "line 2: unknown outer.inner key 'sie': did you mean 'size'?"),
        ("inner:\n  size: [1]", "line 3: outer.inner.size must be a list of 2, each a whole"),
        ("inner: {size: [1, x]}", "outer.inner.size[1] must be a whole number; got 'x'"),
        ("rate: 1\nrate: 2", "line 3: 'rate' is given twice, first in "),
        ("count: -1", "line 2: outer: count is -1; it has to be 0 or more"),
        ("rate: &a 1\ncount: *a", "line 2: an alias repeats what is here"),
        ("rate: !!python/name:os.system 1", "python/name:os.system means nothing here"),
        ("rate: !x 1", "the tag !x means nothing here"),
        ("rate: [", "not YAML"),
        ("\tx: 1", "not YAML"),
    ],
)
def test_what_cannot_be_is_refused_with_file_line_and_key(
    tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read(tmp_path, f"name: x\n{line}")
    assert str(refused.value).startswith(str(tmp_path / "s.yaml"))
    assert "\n" not in str(refused.value)


def test_a_key_without_default_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"s\.yaml: outer lacks the key 'name'"):
        read(tmp_path, "")


@pytest.mark.parametrize("text", ["- 1", "only text"])
def test_a_file_has_keys(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="a configuration is keys with values"):
        read(tmp_path, text)


def test_overrides_win_in_their_order_and_add_sections(tmp_path: Path) -> None:
    found = read(
        tmp_path, "name: x\nrate: 1", "rate=2", "inner.size=[7, 8]", "rate=3e-2", "name=a=b"
    )
    assert found == Outer(name="a=b", rate=0.03, inner=Inner(size=(7, 8)))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rate=x", "--set rate=x: outer.rate must be a number; got 'x'"),
        ("inner.sie=1", "--set inner.sie=1: unknown outer.inner key 'sie': did you mean 'size'?"),
        ("rate", "--set rate: wanted key.path=value"),
        ("=1", "--set =1: wanted key.path=value"),
        ("inner..size=1", "wanted key.path=value"),
        ("rate=", "--set rate=: there is no value"),
        ("rate=[", "--set rate=[: not YAML"),
        ("rate.x=1", "--set rate.x=1: outer.rate must be a number; got keys"),
    ],
)
def test_a_wrong_override_names_itself(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, "name: x", override)


def test_plain_values_are_read_again(tmp_path: Path) -> None:
    import yaml

    outer = Outer(name="no", rate=1e-5, path=Path("a/b"), either=Inner(), inner=Inner(rates=(1,)))
    assert read(tmp_path, yaml.safe_dump(plain_values(outer))) == outer


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_read_and_what_is_written_is_the_same(name: str, tmp_path: Path) -> None:
    config = read_config(PROJECT / f"config/{name}.yaml")
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(config.to_yaml())
    assert read_config(resolved) == config
    assert config.to_dict() == read_config(resolved).to_dict()


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


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def test_data_chooses_the_section_s_type_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "data: {name: synthetic, frames: 7}")
    config = read_config(path)
    assert config.data == SyntheticData(frames=7)
    assert config.data_name == "synthetic"
    assert config == Config(data=SyntheticData(frames=7))
    other = read_config(write(tmp_path, "data: {name: nyuv2, root: x}"), ["data.validation=0.2"])
    assert other.data == NYUv2Data(root="x", validation=0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data lacks the key 'name'; known: nyuv2, sunrgbd, synthetic"),
        ("data:\n  frames: 3", "line 1: data lacks the key 'name'"),
        ("data: {name: nyu}", "unknown data set 'nyu': did you mean 'nyuv2'?"),
        ("data: {name: nyuv2}", "data lacks the key 'root'"),
        ("data: {name: synthetic, root: x}", "unknown data key 'root'"),
        ("dat: {name: synthetic}", "line 1: unknown section 'dat': did you mean 'data'?"),
        ("model: {presett: x}", "unknown model key 'presett': did you mean 'preset'?"),
        ("model: {preset: fafnet-nanno}", "did you mean 'fafnet-nano'?"),
        ("model: {arm: no-fan}", "did you mean 'no-fam'?"),
        ("model:\n  preset: fafnet-nano\n  dropout: 2", "line 3: model: dropout must be a number"),
        ("model: {pretrained: a, init: b}", "leave pretrained out"),
        ("train: {batch_size: 6, accumulate: 4}", "take a multiple of 4"),
        ("train: {ema: 1.0}", "ema is 1.0; it has to be between 0 and 1, or null"),
        (
            "train:\n  seed: 4294967296",
            "line 2: train: seed is 4294967296; it has to be 0 to 4294967295",
        ),
        ("train: {iterations: 0}", "iterations is 0; it has to be 1 or more"),
        ("train:\n  schedule:\n    rat: 1", "line 3: unknown train.schedule key 'rat'"),
        ("train: {optimiser: {kind: sdg}}", "did you mean 'sgd'?"),
        ("normalisation: {rgb: imagnet}", "did you mean 'imagenet'?"),
    ],
)
def test_a_wrong_section_is_refused(tmp_path: Path, text: str, message: str) -> None:
    if text and "dat" not in text:
        text += "\ndata: {name: synthetic}"
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read_config(path)
    assert str(refused.value).startswith(str(tmp_path / "c.yaml"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no configuration at .*none\.yaml"):
        read_config(tmp_path / "none.yaml")


def test_a_model_is_preset_then_arm_then_fields() -> None:
    config = ModelConfig(preset="fafnet-lite", arm="no-fam", changes={"decoder_channels": 32})
    network = config.network(5)
    assert (network.fusion_alignment, network.decoder_alignment) == ("none", "none")
    assert (network.decoder_channels, network.num_classes) == (32, 5)
    assert network.flow_reduction == preset_config("fafnet-lite").flow_reduction


def test_a_model_of_another_number_of_classes_than_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.num_classes is 3, but the data set has 40"):
        ModelConfig(changes={"num_classes": 3}).network(40)


def test_a_batch_has_to_divide_over_processes_and_micro_batches() -> None:
    settings = TrainConfig(batch_size=12, accumulate=2)
    assert settings.micro_batch(world=3) == 2
    with pytest.raises(ValueError, match="over 4 processes with 2 micro-batches each"):
        settings.micro_batch(world=4)


MIXED = """
data: {name: nyuv2, root: data/nyuv2}
auxiliary: {name: synthetic, frames: 5, share: 0.4}
"""


def test_a_second_data_set_is_read_written_and_overridden(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(MIXED)
    config = read_config(path, ["auxiliary.frames=7"])
    assert config.auxiliary is not None
    assert config.auxiliary.share == 0.4
    assert config.auxiliary.data == SyntheticData(frames=7)
    path.write_text(config.to_yaml())
    assert read_config(path) == config
    assert read_config(path, ["auxiliary=null"]).auxiliary is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{name: synthetic, share: 1.0}", "share is 1.0"),
        ("{name: synthetic, share: many}", "auxiliary.share"),
        ("{share: 0.5}", "auxiliary lacks the key 'name'"),
        ("{name: synthetc}", "synthetic"),
        ("{name: synthetic, frame: 5}", "frames"),
    ],
)
def test_a_second_data_set_that_cannot_be_is_refused(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(MIXED.replace("{name: synthetic, frames: 5, share: 0.4}", line))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_config(path)
