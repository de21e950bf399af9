"""Two processes that train together, over gloo, started by torchrun: they equal one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import largest_difference, state, tensors
from two_processes import configurations

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata
from fafnet_core.evaluation.evaluate import evaluate
from fafnet_core.normalisation import Normalisation
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loop import Trainer
from fafnet_core.training.state import latest_state

SCRIPT = Path(__file__).with_name("two_processes.py")

TOLERANCE = 5e-6
"""Of weights and momentum after two updates in float32; sums of another order differ by that."""


pytestmark = [
    pytest.mark.usefixtures("torch_threads"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="no torch.distributed"),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two processes have made."""
    out = tmp_path_factory.mktemp("two")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", str(SCRIPT), str(out)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", list(configurations()))
def test_two_processes_train_as_one_with_the_whole_batch(
    name: str, two: Path, tmp_path: Path
) -> None:
    trainer = Trainer(configurations()[name], tmp_path)
    fresh = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.run()
    one, both = (tensors(state(out, 2)) for out in (tmp_path, two / name))
    assert largest_difference(one, both) < TOLERANCE
    # The tolerance means something: training has moved the weights a thousand times as far.
    assert largest_difference(fresh, dict(trainer.model.state_dict())) > 1000 * TOLERANCE


def test_every_process_s_frames_are_validated(two: Path, tmp_path: Path) -> None:
    # Of the one best network, but loaded anew and run with other threads: a few pixels may get
    # another label, one of 1600, the fewest that are scored.
    tolerance = 2e-3
    for name, config in configurations().items():
        best = two / name / "best.safetensors"
        network, frames = load_checkpoint(best), config.data.open("val")
        share = range(0, len(frames), 2)  # of the first process
        scored, alone = (
            evaluate(network, frames, normalisation=Normalisation(), frames=indices).scores
            for indices in (None, share)
        )
        figures = read_metadata(best).notes["figures"]
        assert figures["mean_iou"] == pytest.approx(scored.mean_iou, abs=tolerance)
        assert figures["pixel_accuracy"] == pytest.approx(scored.pixel_accuracy, abs=tolerance)
        if len(share) < len(frames):
            assert abs(figures["pixel_accuracy"] - alone.pixel_accuracy) > 2 * tolerance


def outcomes(two: Path, name: str) -> list[str]:
    return [path.read_text() for path in sorted((two / name).glob("outcome-*"))]


def test_a_signal_to_one_process_stops_both_after_the_same_iteration(two: Path) -> None:
    assert outcomes(two, "stopped") == ["2 another process", "2 SIGTERM"]
    assert latest_state(two / "stopped") == state(two / "stopped", 2)


def test_a_loss_that_is_not_finite_stops_both_and_keeps_both_batches(two: Path) -> None:
    first, second = outcomes(two, "diverged")
    assert "the loss is" in first
    assert "the loss is" in second
    kept = sorted((two / "diverged").glob("nonfinite-*"))
    assert [path.name[-18:] for path in kept] == ["-rank0.safetensors", "-rank1.safetensors"]
    assert all(tensors(path)["rgb"].shape == (2, 3, 33, 33) for path in kept)


def test_a_frame_that_one_process_cannot_read_ends_both_and_loses_no_iteration(two: Path) -> None:
    first, second = outcomes(two, "damaged")
    assert "another process" in first
    assert second.endswith("label/3.png is cut short")
    assert latest_state(two / "damaged") == state(two / "damaged", 3)


def test_the_first_process_saves_though_the_other_is_dead(two: Path) -> None:
    assert len(outcomes(two, "left")) == 1
    assert latest_state(two / "left") == state(two / "left", 3)


def test_a_batch_that_does_not_divide_over_the_processes_is_refused(tmp_path: Path) -> None:
    own = Processes(torch.device("cpu"), rank=1, world=3)
    with pytest.raises(ValueError, match="3 processes"):
        Trainer(configurations()["whole"], tmp_path, own)
