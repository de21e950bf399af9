"""A training that starts from a network with other classes: what it keeps, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import (
    LABELS,
    Event,
    SquaresData,
    assert_same_training,
    terminate,
    tiny_config,
)

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.datasets.mapped import MappedFrames
from fafnet_core.labels import LabelSet
from fafnet_core.labels.mappings import merge_classes
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.training.config import Config, ModelConfig
from fafnet_core.training.loop import Trainer

pytestmark = pytest.mark.usefixtures("torch_threads")

CLASSIFIER = "decoder.join.classifier.2"


@dataclass(kw_only=True)
class MergedSquares(SquaresData):
    """The squares with other classes.

    Attributes:
        label_map: the new names by old ones.
    """

    label_map: dict[str, str | None] = field(default_factory=dict)

    def open(self, split: Split) -> RgbdSegmentationDataset:
        return MappedFrames(super().open(split), merge_classes(LABELS, self.label_map))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A network for red, green, blue, grey."""
    torch.manual_seed(3)
    config = tiny_config().model.network(4)
    path = tmp_path / "old.safetensors"
    save_checkpoint(path, build_model(config), label_set=LABELS)
    return path


def starting(old: Path, tmp_path: Path, *, seed: int = 0, **label_map: str | None) -> Trainer:
    config = tiny_config(MergedSquares(label_map=dict(label_map)), seed=seed)
    model = ModelConfig(changes=config.model.changes, init=str(old))
    return Trainer(replace(config, model=model), tmp_path / "run")


def test_everything_but_the_classifier_is_kept_and_classes_of_both_sets_too(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The new classes: violet (was red), green, Grey (was grey).
    trainer = starting(old, tmp_path, red="violet", blue="violet", grey="Grey")
    assert (
        f"{old}: all weights taken but the classifier's; of its 3 classes 2 start from their old"
        " weights (green, Grey), 1 anew (violet)"
    ) in capsys.readouterr().err
    before = load_checkpoint(old).state_dict()
    now = trainer.model.state_dict()
    assert before.keys() == now.keys()
    for name in before:
        if not name.startswith(CLASSIFIER):
            assert torch.equal(before[name], now[name]), name
    for name in (f"{CLASSIFIER}.weight", f"{CLASSIFIER}.bias"):
        assert torch.equal(now[name][1:], before[name][[1, 3]])
        assert not torch.equal(now[name][0], before[name][0])


def test_new_classes_start_as_the_seed_says(old: Path, tmp_path: Path) -> None:
    first, again, other = (
        starting(old, tmp_path / str(index), seed=seed, red="violet").model.state_dict()
        for index, seed in enumerate((1, 1, 2))
    )
    name = f"{CLASSIFIER}.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name][0], other[name][0])
    assert torch.equal(first[name][1:], other[name][1:])


def test_equally_many_classes_with_other_names_are_taken_by_name(old: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    turned = LabelSet("turned", LABELS.names[::-1], LABELS.palette)
    save_checkpoint(old, build_model(read_metadata(old).config), label_set=turned)
    name = f"{CLASSIFIER}.weight"
    before = load_checkpoint(old).state_dict()[name]
    assert torch.equal(starting(old, tmp_path).model.state_dict()[name], before.flip(0))


def test_it_trains_and_the_checkpoint_has_the_new_classes(old: Path, tmp_path: Path) -> None:
    assert starting(old, tmp_path, red="violet", blue="violet").run().finished
    found = read_metadata(tmp_path / "run/best.safetensors")
    assert found.label_set.names == ("violet", "green", "grey")
    assert found.config.num_classes == 3


def with_share(
    old: Path,
    out: Path,
    share: float,
    *,
    event: Event | None = None,
    resume: bool = False,
    **train: Any,
) -> Trainer:
    """A training of violet (was red), green, blue, grey; the event comes before iteration 8."""
    data = MergedSquares(label_map={"red": "violet"})
    if event is not None:
        data.events["train"] = (30, event)
    config = tiny_config(data, **train)
    model = ModelConfig(changes=config.model.changes, init=str(old), init_share=share)
    return Trainer(replace(config, model=model), out, resume=resume)


def test_a_share_of_the_first_weights_is_in_what_is_written_but_not_in_what_is_new(
    old: Path, tmp_path: Path
) -> None:
    trainer = with_share(old, tmp_path / "run", 0.25)
    assert trainer.run().finished
    first, trained = load_checkpoint(old).state_dict(), trainer.model.state_dict()
    written = load_checkpoint(tmp_path / "run/last.safetensors").state_dict()
    name = "decoder.join.classifier.0.weight"
    assert not torch.equal(first[name], trained[name])
    for name, tensor in written.items():
        if not tensor.is_floating_point():
            continue
        expected = trained[name] + 0.25 * (first[name] - trained[name])
        if name.startswith(CLASSIFIER):
            expected[0] = trained[name][0]
        # To float32's rounding: other processors add in another order.
        torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=1e-6)


def test_without_a_share_the_written_network_is_the_trained_one(old: Path, tmp_path: Path) -> None:
    trainer = with_share(old, tmp_path / "run", 0.0)
    assert trainer.network is trainer.model


def test_a_resumed_training_mixes_with_the_same_first_weights(old: Path, tmp_path: Path) -> None:
    assert with_share(old, tmp_path / "whole", 0.5, ema=0.9).run().finished
    stopped = with_share(old, tmp_path / "run", 0.5, ema=0.9, event=terminate).run()
    assert (stopped.iteration, stopped.finished) == (8, False)
    assert with_share(old, tmp_path / "run", 0.5, ema=0.9, resume=True).run().finished
    assert_same_training(tmp_path / "whole", tmp_path / "run")


def test_a_resumed_training_says_that_the_first_weights_are_others(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_share(old, tmp_path / "run", 0.5, event=terminate).run()
    torch.manual_seed(8)
    save_checkpoint(old, build_model(read_metadata(old).config), label_set=LABELS)
    capsys.readouterr()
    with_share(old, tmp_path / "run", 0.5, resume=True)
    assert "goes on, maybe with another result: init was '" in capsys.readouterr().err


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"init_share is 0\.5, .* and there is no init"):
        ModelConfig(init_share=0.5)


def test_inputs_of_another_normalisation_are_refused(old: Path, tmp_path: Path) -> None:
    model = load_checkpoint(old)
    symmetric = Normalisation(*(((0.5, 0.5, 0.5),) * 4))
    save_checkpoint(old, model, label_set=LABELS, normalisation=symmetric)
    with pytest.raises(ValueError, match=r"another normalisation: .*set the section normalisation"):
        starting(old, tmp_path)


def test_the_recipe_is_for_the_network_that_ships() -> None:
    from fafnet_core.training.config import read_config

    recipe: Config = read_config(Path(__file__).resolve().parents[2] / "config/finetune.yaml")
    shipped: Any = read_metadata("default")
    assert recipe.model.init == "default"
    assert recipe.model.network(40) == shipped.config
    assert recipe.normalisation.build() == shipped.normalisation
    assert recipe.input_size == shipped.input_size
