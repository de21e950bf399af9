"""What goes wrong in a training loses nothing that was done: it goes on bit for bit."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import Squares, SquaresData, numbers, same_bits, tensors, tiny_config

from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.files import written_beside
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split
from fafnet_core.training import folder
from fafnet_core.training.folder import TrainingFolder
from fafnet_core.training.loop import Trainer
from fafnet_core.training.monitor import FolderMonitor
from fafnet_core.training.schedule import ScheduleConfig
from fafnet_core.training.state import latest_state, write_state
from fafnet_core.training.step import NonFiniteError

SELDOM = 1000
"""A `save_every` beyond the end: what is saved was saved for another reason."""


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Eventful(Squares):
    """As `Squares`, but something happens at a read."""

    def __init__(self, count: int, seed: int, at: int, event: Callable[[], None]) -> None:
        super().__init__(count, seed)
        self._at, self._event = at, event

    def read(self, index: int) -> RgbdSample:
        if self.reads == self._at:
            self._event()
        return super().read(index)


@dataclass(kw_only=True)
class EventfulData(SquaresData):
    """The `data` section of `Eventful`; events are by split: the read, and what happens."""

    events: dict[str, tuple[int, Callable[[], None]]] = field(
        default_factory=dict, init=False, compare=False
    )

    @classmethod
    def at(cls, split: Split, read: int, event: Callable[[], None]) -> EventfulData:
        data = cls()
        data.events[split] = (read, event)
        return data

    def open(self, split: Split) -> RgbdSegmentationDataset:
        if split not in self.events:
            return super().open(split)
        count, seed = {"train": (self.train, 1), "val": (self.val, 2)}[split]
        return Eventful(count, seed, *self.events[split])


def damaged() -> None:
    raise ValueError("label/3.png is cut short")


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def state(out: Path, iteration: int) -> Path:
    return out / f"states/{iteration:08d}.safetensors"


def newest(out: Path) -> int | None:
    found = latest_state(out)
    return None if found is None else int(found.stem)


def trainer(out: Path, data: SquaresData | None = None, *, resume: bool = False) -> Trainer:
    config = tiny_config(data or EventfulData(), ema=0.9, save_every=SELDOM)
    return Trainer(config, out, resume=resume, progress=False)


def assert_goes_on(out: Path, whole: Path) -> None:
    """It goes on, and ends with what the training has made that nothing has interrupted."""
    assert trainer(out, resume=True).run().finished
    assert same_bits(tensors(state(whole, 20)), tensors(state(out, 20)))
    assert numbers(state(whole, 20)) == numbers(state(out, 20))
    for name in ("last.safetensors", "best.safetensors"):
        assert same_bits(tensors(whole / name), tensors(out / name))
        assert read_metadata(whole / name).notes == read_metadata(out / name).notes


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
    with pytest.raises(ValueError, match=r"label/3\.png is cut short"):
        trainer(tmp_path, EventfulData.at("train", 30, damaged)).run()
    assert newest(tmp_path) == 7
    assert read_metadata(tmp_path / "last.safetensors").notes["iterations"] == 7
    assert "7 iterations are saved" in capsys.readouterr().err
    assert_goes_on(tmp_path, whole)


def test_a_damaged_frame_of_the_validation_loses_no_iteration(whole: Path, tmp_path: Path) -> None:
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"label/3\.png is cut short"):
            trainer(tmp_path, EventfulData.at("val", 2, damaged), resume=resume).run()
        assert newest(tmp_path) == 10
    assert_goes_on(tmp_path, whole)


def test_it_is_saved_before_it_is_validated(tmp_path: Path) -> None:
    # Whoever is killed while it validates, for want of memory for example, cannot save then.
    found: list[int | None] = []
    data = EventfulData.at("val", 0, lambda: found.append(newest(tmp_path)))
    trainer(tmp_path, data).run()
    assert found == [10]


@pytest.mark.parametrize(
    ("name", "owner", "iteration"),
    [
        ("picture", FolderMonitor, 10),
        ("write_network", TrainingFolder, 10),
    ],
    ids=["picture", "best"],
)
def test_what_cannot_be_written_loses_no_iteration(
    name: str,
    owner: type,
    iteration: int,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
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
    assert newest(tmp_path) == iteration
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
        trainer(tmp_path, EventfulData.at("train", 0, damaged)).run()
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
        runs.append(Trainer(config, tmp_path / str(save_every), progress=False))
        with pytest.raises(NonFiniteError, match=r"model\.init=.*last\.safetensors"):
            runs[-1].run()
    often, seldom = runs
    assert 1 < often.iteration == seldom.iteration < 20
    first, second = (state(run.out, run.iteration) for run in runs)
    # Weights and averages, and the statistics of batch norms, which that batch had moved.
    assert same_bits(tensors(first), tensors(second))
    kept = {**numbers(first), "config": None}
    assert kept == {**numbers(second), "config": None}
    assert f"{seldom.iteration} iterations are saved" in capsys.readouterr().err


def test_memory_that_runs_out_in_an_update_loses_no_iteration(whole: Path, tmp_path: Path) -> None:
    running = trainer(tmp_path)
    calls = 0

    def exhausted(*_: object) -> None:
        nonlocal calls
        calls += 1
        if running.iteration == 7:
            raise MemoryError("out of memory")

    # After the forward pass, which has moved the statistics of batch norms.
    hook = running.model.register_forward_hook(exhausted)
    with pytest.raises(MemoryError):
        running.run()
    hook.remove()
    assert calls == 8
    assert newest(tmp_path) == 7
    assert_goes_on(tmp_path, whole)


@pytest.mark.parametrize("part", ["optimiser", "averaged"])
def test_half_an_update_is_not_saved(
    part: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(EventfulData(), ema=0.9, save_every=5)
    running = Trainer(config, tmp_path, progress=False)
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
    assert ("no state: it begins" in capsys.readouterr().err) == resume
    assert again.run().finished
    assert same_bits(tensors(state(whole, 20)), tensors(state(tmp_path, 20)))


def test_an_error_stays_itself_where_its_state_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "write_state", full)
    with pytest.raises(ValueError, match="cut short"):
        trainer(tmp_path, EventfulData.at("train", 30, damaged)).run()


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
    found = Trainer(tiny_config(), tmp_path, progress=False).state()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match=r"states/00000000\.safetensors cannot be written: "):
            write_state(tmp_path, found, keep=1)
        with (
            pytest.raises(OSError, match=r"File too large: '.*network'"),
            written_beside(tmp_path / "network") as beside,
        ):
            beside.write_bytes(bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.rglob("*")] == ["states"]
