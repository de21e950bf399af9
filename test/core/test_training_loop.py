"""The training loop: what it learns and writes, and that stopping and going on change nothing."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from tiny_training import (
    LABELS,
    SquaresData,
    assert_same_training,
    numbers,
    same_bits,
    state,
    tensors,
    terminate,
    tiny_config,
)
from torch import nn

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata
from fafnet_core.evaluation.evaluate import EvaluateConfig, evaluate
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import Split
from fafnet_core.training.config import Config, ModelConfig
from fafnet_core.training.data import TrainingData
from fafnet_core.training.distributed import Processes
from fafnet_core.training.ema import AveragedModel
from fafnet_core.training.loop import Trainer, train
from fafnet_core.training.loss import LossConfig
from fafnet_core.training.optimiser import OptimiserConfig
from fafnet_core.training.schedule import ScheduleConfig, learning_rate
from fafnet_core.training.state import latest_state, read_state, write_state
from fafnet_core.training.step import NonFiniteError
from fafnet_core.training.stop import stop_request

pytestmark = pytest.mark.usefixtures("torch_threads")

SGD = OptimiserConfig(momentum=0.0, weight_decay=0.0)
CONSTANT = ScheduleConfig(kind="constant", rate=0.05, warmup=0.0)


def lines(out: Path, kind: str) -> list[dict[str, Any]]:
    """The log's lines of a kind, without what depends on the clock."""
    found = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    for line in found:
        line.pop("frames_per_second", None)
    return [line for line in found if line["kind"] == kind]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of 20 iterations that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    outcome = train(tiny_config(ema=0.9), out, device="cpu")
    assert outcome.finished
    assert outcome.stopped_by is None
    return out


# -- what a training is ------------------------------------------------------------------------


def test_it_learns(whole: Path) -> None:
    losses = [line["loss"] for line in lines(whole, "train")]
    assert losses[0] > 1.3  # four classes at random: log 4 = 1.39
    assert losses[-1] < 0.85 * losses[0]


def test_a_training_is_a_folder(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()} - {"tensorboard"}
    files = {"config.yaml", "log.jsonl", "last.safetensors", "best.safetensors"}
    assert names == files | {"pictures", "states"}
    assert sorted((whole / "states").iterdir()) == [state(whole, 15), state(whole, 20)]  # keep is 2
    pictures = sorted((whole / "pictures").iterdir())
    assert [path.name for path in pictures] == ["00000010.png", "00000020.png"]
    sheet = cv2.imread(str(pictures[0]))
    assert sheet is not None
    assert sheet.shape[1] > sheet.shape[0] > 2 * 40  # two frames below each other


def test_the_log_has_a_line_for_each_step_and_validation(whole: Path) -> None:
    schedule = tiny_config().train.schedule
    logged = lines(whole, "train")
    assert [line["iteration"] for line in logged] == [4, 8, 12, 16, 20]
    for line in logged:
        assert line["learning_rate"] == learning_rate(schedule, line["iteration"] - 1, 20)
        assert line["gradient_norm"] > 0
    validated = lines(whole, "val")
    assert [line["iteration"] for line in validated] == [10, 20]
    assert all(0 <= line["mean_iou"] <= 1 for line in validated)


def test_tensorboard_has_the_figures(whole: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [4, 8, 12, 16, 20]
    assert [event.step for event in events.Images("val/predictions")] == [10, 20]


def test_a_network_says_how_it_was_trained(whole: Path) -> None:
    best = max(lines(whole, "val"), key=lambda line: line["mean_iou"])
    notes = read_metadata(whole / "best.safetensors").notes
    assert notes["iterations"] == best["iteration"]
    assert notes["figures"]["mean_iou"] == best["mean_iou"]
    metadata = read_metadata(whole / "last.safetensors")
    assert (metadata.label_set, metadata.normalisation) == (LABELS, Normalisation())
    assert (metadata.notes["iterations"], metadata.notes["seed"]) == (20, 0)
    assert metadata.notes["training"] == tiny_config(ema=0.9).to_dict()
    assert metadata.notes["versions"]["torch"] == torch.__version__


def test_the_network_that_is_written_is_the_averaged_one(whole: Path) -> None:
    found = read_state(state(whole, 20))
    written = load_checkpoint(whole / "last.safetensors").state_dict()
    assert same_bits(dict(found.ema), {name: written[name] for name in found.ema})
    assert not same_bits(dict(found.ema), dict(found.model))


def test_an_input_size_is_validated_at_and_written(tmp_path: Path) -> None:
    def sized(side: int) -> Config:
        settings = EvaluateConfig(workers=0, input_size=(side, side))
        return replace(tiny_config(iterations=1), evaluate=settings)

    out = tmp_path / "run"
    Trainer(sized(48), out).run()
    best = out / "best.safetensors"
    metadata = read_metadata(best)
    assert metadata.input_size == (48, 48)
    assert read_metadata(out / "last.safetensors").input_size == (48, 48)
    result = evaluate(
        load_checkpoint(best),
        SquaresData().open("val"),
        normalisation=metadata.normalisation,
        config=sized(48).evaluate,
    )
    assert metadata.notes["figures"]["mean_iou"] == pytest.approx(result.scores.mean_iou, abs=0.01)
    with pytest.raises(ValueError, match=r"evaluate\.input_size"):
        Trainer(sized(56), out, resume=True)
    with pytest.raises(ValueError, match="20x20"):
        Trainer(sized(20), tmp_path / "other")


def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    outcome = Trainer(tiny_config(iterations=1, validate_every=0), tmp_path).run()
    assert outcome.finished
    assert outcome.best is None
    assert not (tmp_path / "best.safetensors").exists()
    assert (tmp_path / "last.safetensors").exists()


# -- stopping and going on -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "read", "done"),
    [("train", 30, 8), ("val", 2, 10)],  # frame 30 is of the eighth batch of four
)
def test_a_signal_stops_it_and_the_rest_is_bit_for_bit_the_same(
    split: Split, read: int, done: int, whole: Path, tmp_path: Path
) -> None:
    data = SquaresData.at(split, read, terminate)
    stopped = Trainer(tiny_config(data, ema=0.9), tmp_path).run()
    assert (stopped.iteration, stopped.finished, stopped.stopped_by) == (done, False, "SIGTERM")
    assert state(tmp_path, done).exists()
    assert lines(tmp_path, "val") == []
    assert Trainer(tiny_config(ema=0.9), tmp_path, resume=True).run().finished
    assert_same_training(whole, tmp_path)
    assert lines(whole, "val") == lines(tmp_path, "val")


def test_a_validation_that_was_left_for_later_is_made_and_logged_once(tmp_path: Path) -> None:
    def config(data: SquaresData | None = None) -> Any:
        return tiny_config(data, iterations=2, validate_every=2, save_every=1)

    Trainer(config(SquaresData.at("val", 2, terminate)), tmp_path).run()
    before = state(tmp_path, 2).read_bytes()
    Trainer(config(), tmp_path, resume=True).run()
    best = numbers(state(tmp_path, 2))["best"]
    assert read_metadata(tmp_path / "last.safetensors").notes["figures"] == best
    data = SquaresData()
    assert Trainer(config(data), tmp_path, resume=True).run().best == best
    assert data.opened["val"].reads == 0
    # Killed after the validation, before its state: that one is made again, and replaces its line.
    state(tmp_path, 2).write_bytes(before)
    Trainer(config(), tmp_path, resume=True).run()
    assert len(lines(tmp_path, "val")) == 1
    assert numbers(state(tmp_path, 2))["best"] == best


def test_a_second_signal_is_no_longer_held_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.signal == "SIGTERM"
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_a_killed_run_logged_beyond_its_state_goes(whole: Path, tmp_path: Path) -> None:
    data = SquaresData.at("train", 30, terminate)
    Trainer(tiny_config(data, ema=0.9), tmp_path).run()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"iteration": 12, "kind": "train", "loss": 7}\n{"iteration": 13, "ki')
    (tmp_path / "pictures").mkdir(exist_ok=True)
    beside = ("states/.00000009.safetensors", ".last.safetensors", "pictures/.00000010.png")
    # The last is what safetensors itself writes before it renames.
    for name in (*(f"{name}.1.partial" for name in beside), "states/.tmpOhw2ED"):
        (tmp_path / name).write_bytes(b"half")
    Trainer(tiny_config(ema=0.9), tmp_path, resume=True).run()
    resumed = {line["iteration"]: line for line in lines(tmp_path, "train")}
    assert list(resumed) == [4, 8, 12, 16, 20]
    assert resumed[20] == lines(whole, "train")[-1]
    assert not list(tmp_path.rglob(".*"))


def test_going_on_with_a_finished_training_changes_nothing(whole: Path) -> None:
    before = state(whole, 20).read_bytes()
    assert Trainer(tiny_config(ema=0.9), whole, resume=True).run().finished
    assert state(whole, 20).read_bytes() == before


def test_adamw_and_shared_tensors_go_on_too(tmp_path: Path) -> None:
    release = {"backbone": "resnet18", "width_multiplier": 1 / 16, "variant": "release"}
    changes = {"output_stride": 16, "warp": "depth_only", "join": "concatenate", **release}

    def config(data: SquaresData | None = None) -> Any:
        optimiser = OptimiserConfig(kind="adamw")
        return tiny_config(data, changes, iterations=3, optimiser=optimiser, ema=0.5)

    Trainer(config(), tmp_path / "whole").run()
    data = SquaresData.at("train", 5, terminate)
    Trainer(config(data), tmp_path / "parts").run()
    assert latest_state(tmp_path / "parts") == state(tmp_path / "parts", 2)
    Trainer(config(), tmp_path / "parts", resume=True).run()
    first, second = (tensors(state(tmp_path / name, 3)) for name in ("whole", "parts"))
    assert same_bits(first, second)


def test_there_has_to_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        Trainer(tiny_config(), tmp_path / "none", resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_whose_states_are_gone_is_not_overwritten(resume: bool, tmp_path: Path) -> None:
    for name in ("config.yaml", "last.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileExistsError, match=r"last\.safetensors"):
        Trainer(tiny_config(), tmp_path, resume=resume)


def test_a_run_killed_before_its_first_state_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    trainer = Trainer(tiny_config(iterations=1), tmp_path, resume=True)
    assert trainer.iteration == 0
    assert trainer.run().finished


def test_going_on_with_other_versions_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(tiny_config(iterations=1, validate_every=0), tmp_path)
    trainer.run()
    found = trainer.state()
    versions = {**found.notes["versions"], "torch": "1.0"}
    notes = {"versions": versions, "processes": 2, "frames": 9}
    write_state(tmp_path, replace(found, notes=notes), keep=1)
    Trainer(trainer.config, tmp_path, resume=True)
    said = capsys.readouterr().err
    assert f"torch was '1.0', is '{torch.__version__}'" in said
    assert "processes was 2, is 1" in said
    assert "frames was 9, is 10" in said


def test_another_configuration_is_not_resumed_and_the_keys_are_named(whole: Path) -> None:
    config = tiny_config(None, {"dropout": 0.5}, ema=0.9, seed=3, schedule=CONSTANT)
    with pytest.raises(ValueError, match=r"model\.dropout was None") as refused:
        Trainer(config, whole, resume=True)
    for key in ("train.seed was 0, is 3", "train.schedule.kind was 'step', is 'constant'"):
        assert key in str(refused.value)
    assert "model.init=" in str(refused.value)


def test_what_does_not_change_the_result_may_differ_when_it_goes_on(whole: Path) -> None:
    config = tiny_config(ema=0.9, workers=1, save_every=7, log_every=1, keep=9, threads=None)
    assert Trainer(config, whole, resume=True).iteration == 20


def test_a_damaged_state_is_named_and_the_one_before_it_serves(tmp_path: Path) -> None:
    config = tiny_config(iterations=2, save_every=1, validate_every=0)
    Trainer(config, tmp_path).run()
    damaged = state(tmp_path, 2)
    whole_state = tensors(damaged)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"00000002\.safetensors is damaged"):
        Trainer(config, tmp_path, resume=True)
    damaged.unlink()
    Trainer(config, tmp_path, resume=True).run()
    assert same_bits(whole_state, tensors(damaged))


# -- one update ----------------------------------------------------------------------------------


def trained(tmp_path: Path, name: str, model: dict[str, Any], **settings: Any) -> Trainer:
    fixed: dict[str, Any] = {"validate_every": 0, "schedule": CONSTANT, "iterations": 3}
    trainer = Trainer(tiny_config(None, model, **{**fixed, **settings}), tmp_path / name)
    trainer.run()
    return trainer


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_make_the_update_of_the_whole_batch(parts: int, tmp_path: Path) -> None:
    # Their labelled pixels differ widely, so a mean of their means would not do.
    settings: dict[str, Any] = {"freeze_norm": True, "seed": 5}
    one = trained(tmp_path, "one", {"dropout": 0.0}, **settings)
    split = trained(tmp_path, "split", {"dropout": 0.0}, accumulate=parts, **settings)
    for (name, first), second in zip(
        one.model.named_parameters(), split.model.parameters(), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=0, atol=2e-6, msg=name)
    losses = [lines(tmp_path / name, "train")[-1]["loss"] for name in ("one", "split")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_class_weights_for_other_classes_are_refused_before_it_begins(tmp_path: Path) -> None:
    config = tiny_config(loss=LossConfig(class_weights=(1.0, 2.0)))
    with pytest.raises(ValueError, match=r"train\.loss\.class_weights"):
        Trainer(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_clipping_limits_the_norm_of_the_update(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"iterations": 1, "optimiser": SGD}
    config = tiny_config(schedule=CONSTANT, validate_every=0, clip_norm=0.01, **settings)
    trainer = Trainer(config, tmp_path)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.run()
    after = trainer.model.parameters()
    moved = math.sqrt(
        sum(float((b - a.detach()).square().sum()) for b, a in zip(before, after, strict=True))
    )
    assert moved == pytest.approx(0.05 * 0.01, rel=1e-3)


def test_frozen_norms_keep_their_statistics_and_learn(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "frozen", {}, freeze_norm=True)
    fresh = build_model(trainer.model.config)
    assert all(map(torch.equal, trainer.model.buffers(), fresh.buffers()))
    norms = [m for m in trainer.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert any(not torch.equal(m.weight, torch.ones_like(m.weight)) for m in norms)


def test_the_average_follows_the_weights_and_copies_the_statistics() -> None:
    config = tiny_config().model.network(4)
    torch.manual_seed(0)
    model, later = build_model(config), build_model(config)
    first = [parameter.detach().clone() for parameter in model.parameters()]
    averaged = AveragedModel(model, decay=0.5)
    for buffer in later.buffers():
        buffer.fill_(3)
    averaged.update(later, 0)  # decay 1 / 10 at first
    averaged.update(later, 1000)  # then 0.5
    for a, b, average in zip(first, later.parameters(), averaged.model.parameters(), strict=True):
        torch.testing.assert_close(average, b + (a - b) * 0.1 * 0.5)
    assert all(bool((buffer == 3).all()) for buffer in averaged.model.buffers())


def test_a_loss_that_is_not_finite_stops_and_its_batch_is_kept(tmp_path: Path) -> None:
    config = tiny_config(schedule=ScheduleConfig(rate=1e9, warmup=0.0), iterations=9, save_every=1)
    trainer = Trainer(config, tmp_path)
    with pytest.raises(NonFiniteError, match="learning rate") as error:
        trainer.run()
    iteration = trainer.iteration
    assert iteration < 9
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())
    path = tmp_path / f"nonfinite-{iteration:08d}.safetensors"
    assert str(path) in str(error.value)
    batch = next(TrainingData(config, Processes(torch.device("cpu"))).batches(iteration))
    assert same_bits(tensors(path), batch._asdict())


def test_bfloat16_trains_float32_weights(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "half", {}, precision="bfloat16", iterations=1)
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    trained(tmp_path, "exact", {}, iterations=1)
    half, full = (lines(tmp_path / n, "train")[-1]["loss"] for n in ("half", "exact"))
    assert half != full
    assert half == pytest.approx(full, rel=0.01)


# -- first weights -------------------------------------------------------------------------------


def test_one_seed_gives_one_training_another_gives_another(tmp_path: Path) -> None:
    runs = [trained(tmp_path, str(i), {}, seed=seed) for i, seed in enumerate((7, 7, 8))]
    first, again, other = (dict(run.model.state_dict()) for run in runs)
    assert same_bits(first, again)
    assert not same_bits(first, other)


def test_a_training_may_start_from_a_checkpoint_of_the_same_network(
    whole: Path, tmp_path: Path
) -> None:
    init = str(whole / "last.safetensors")

    def starting(**changes: Any) -> Trainer:
        config = tiny_config()
        model = ModelConfig(changes={**config.model.changes, **changes}, init=init)
        return Trainer(replace(config, model=model), tmp_path)

    assert same_bits(starting().model.state_dict(), load_checkpoint(init).state_dict())
    with pytest.raises(ValueError, match="decoder_channels"):
        starting(decoder_channels=12)
