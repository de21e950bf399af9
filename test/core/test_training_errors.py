"""After an error a training loses no finished iteration, and is resumed bit for bit."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import (
    SquaresData,
    assert_same_training,
    damaged,
    numbers,
    same_bits,
    state,
    tensors,
    tiny_config,
)

from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.training import folder
from fafnet_core.training.folder import TrainingFolder
from fafnet_core.training.loop import Trainer
from fafnet_core.training.monitor import FolderMonitor
from fafnet_core.training.schedule import ScheduleConfig
from fafnet_core.training.state import latest_state, write_state
from fafnet_core.training.step import NonFiniteError

pytestmark = pytest.mark.usefixtures("torch_threads")

SELDOM = 1000
"""A `save_every` beyond the end: what is saved was saved for another reason."""


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def newest(out: Path) -> int | None:
    found = latest_state(out)
    return None if found is None else int(found.stem)


def trainer(out: Path, data: SquaresData | None = None, *, resume: bool = False) -> Trainer:
    return Trainer(tiny_config(data, ema=0.9, save_every=SELDOM), out, resume=resume)


def assert_goes_on(out: Path, whole: Path) -> None:
    """Resumed, it ends like the training that was not interrupted."""
    assert trainer(out, resume=True).run().finished
    assert_same_training(whole, out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of 20 iterations that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert trainer(out).run().finished
    return out


# -- errors between two updates ------------------------------------------------------------------


def test_a_damaged_frame_of_a_batch_loses_no_iteration(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The read of frame 30 belongs to the eighth batch of four.
    with pytest.raises(ValueError, match="cut short"):
        trainer(tmp_path, SquaresData.at("train", 30, damaged)).run()
    assert newest(tmp_path) == 7
    assert read_metadata(tmp_path / "last.safetensors").notes["iterations"] == 7
    assert "7 iterations are saved" in capsys.readouterr().err
    assert_goes_on(tmp_path, whole)


def test_a_damaged_frame_of_the_validation_loses_no_iteration(whole: Path, tmp_path: Path) -> None:
    for resume in (False, True):
        with pytest.raises(ValueError, match="cut short"):
            trainer(tmp_path, SquaresData.at("val", 2, damaged), resume=resume).run()
        assert newest(tmp_path) == 10
    assert_goes_on(tmp_path, whole)


def test_it_is_saved_before_it_is_validated(tmp_path: Path) -> None:
    # A process that is killed while it validates, when memory runs out, cannot save.
    found: list[int | None] = []
    data = SquaresData.at("val", 0, lambda: found.append(newest(tmp_path)))
    trainer(tmp_path, data).run()
    assert found == [10]


@pytest.mark.parametrize(
    ("name", "owner"), [("picture", FolderMonitor), ("write_network", TrainingFolder)]
)
def test_what_cannot_be_written_loses_no_iteration(
    name: str, owner: type, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = getattr(owner, name)

    def refused(self: Any, first: Any, *rest: Any) -> None:
        if first == "last.safetensors":
            kept(self, first, *rest)
        else:
            full()

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, refused)
        with pytest.raises(OSError, match="No space left"):
            trainer(tmp_path).run()
    assert newest(tmp_path) == 10
    assert_goes_on(tmp_path, whole)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is full")
def test_a_log_that_cannot_be_written_is_named_and_loses_no_iteration(
    whole: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    log.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*log\.jsonl'"):
        trainer(tmp_path).run()
    assert newest(tmp_path) == 4
    log.unlink()
    assert_goes_on(tmp_path, whole)


def test_an_error_before_the_first_update_leaves_no_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cut short"):
        trainer(tmp_path, SquaresData.at("train", 0, damaged)).run()
    assert newest(tmp_path) is None
    assert trainer(tmp_path).run().finished


# -- errors in an update -------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_leaves_the_state_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"schedule": ScheduleConfig(rate=1e4, warmup=0.0), "ema": 0.9}
    runs = []
    for save_every in (1, SELDOM):
        config = tiny_config(**settings, validate_every=0, save_every=save_every)
        runs.append(Trainer(config, tmp_path / str(save_every)))
        with pytest.raises(NonFiniteError, match=r"model\.init=.*last\.safetensors"):
            runs[-1].run()
    done = runs[0].iteration
    assert 1 < done < 20
    first, second = (state(run.out, done) for run in runs)
    # Weights and averages, and the statistics of batch norms, which that batch had moved.
    assert same_bits(tensors(first), tensors(second))
    kept = {**numbers(first), "config": None}
    assert kept == {**numbers(second), "config": None}
    assert f"{done} iterations are saved" in capsys.readouterr().err


def test_memory_that_runs_out_in_an_update_loses_no_iteration(whole: Path, tmp_path: Path) -> None:
    running = trainer(tmp_path)

    def exhausted(*_: object) -> None:
        if running.iteration == 7:
            raise MemoryError("out of memory")

    # After the forward pass, which has moved the statistics of batch norms.
    hook = running.model.register_forward_hook(exhausted)
    with pytest.raises(MemoryError):
        running.run()
    hook.remove()
    assert newest(tmp_path) == 7
    assert_goes_on(tmp_path, whole)


@pytest.mark.parametrize("part", ["optimiser", "averaged"])
def test_half_an_update_is_not_saved(
    part: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Trainer(tiny_config(ema=0.9, save_every=5), tmp_path)
    owner, name = (
        (running.optimiser, "step") if part == "optimiser" else (running.averaged, "update")
    )
    kept = getattr(owner, name)

    def broken(*arguments: Any, **options: Any) -> Any:
        if running.iteration == 7:
            with torch.no_grad():
                next(running.model.parameters()).add_(1)
            raise RuntimeError("device lost")
        return kept(*arguments, **options)

    setattr(owner, name, broken)
    with pytest.raises(RuntimeError, match="device lost"):
        running.run()
    assert newest(tmp_path) == 5
    assert "goes on from its newest state, of 5 iterations" in capsys.readouterr().err
    assert_goes_on(tmp_path, whole)


# -- states that cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True])
def test_a_first_state_that_cannot_be_written_does_not_lock_the_folder(
    resume: bool,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_state", full)
        with pytest.raises(OSError, match="No space left"):
            trainer(tmp_path).run()
    assert "10 iterations cannot be saved ([Errno 28] No space left" in capsys.readouterr().err
    assert not (tmp_path / "last.safetensors").exists()
    again = trainer(tmp_path, resume=resume)
    assert again.iteration == 0
    assert ("no state" in capsys.readouterr().err) == resume
    assert again.run().finished
    assert_same_training(whole, tmp_path)


def test_an_error_stays_itself_where_its_state_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "write_state", full)
    with pytest.raises(ValueError, match="cut short"):
        trainer(tmp_path, SquaresData.at("train", 30, damaged)).run()


def test_a_network_that_was_not_written_after_its_state_is_when_it_goes_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = TrainingFolder.write_network

    def refused(self: TrainingFolder, name: str, network: Any, iteration: int, *rest: Any) -> None:
        if name == "last.safetensors" and iteration == 20:
            full()
        kept(self, name, network, iteration, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingFolder, "write_network", refused)
        with pytest.raises(OSError, match="No space left"):
            trainer(tmp_path).run()
    assert newest(tmp_path) == 20
    assert read_metadata(tmp_path / "last.safetensors").notes["iterations"] == 10
    assert_goes_on(tmp_path, whole)


def test_a_full_disk_is_an_oserror_that_names_the_file(tmp_path: Path) -> None:
    found = Trainer(tiny_config(), tmp_path).state()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match=r"states/00000000\.safetensors cannot be written: "):
            write_state(tmp_path, found, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.rglob("*")] == ["states"]
