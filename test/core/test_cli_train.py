"""`fafnet train` as a user runs it, and as a scheduler ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_training import assert_same_training, same_bits, state, tensors

from fafnet_core.cli.main import main
from fafnet_core.inference import Segmenter

pytestmark = pytest.mark.usefixtures("torch_threads")

SETTINGS = """\
model: {preset: fafnet-nano, width_multiplier: 0.0625, decoder_channels: 8}
data: {name: synthetic, frames: 4, held_out: 2, width: 64, height: 48, cache: CACHE}
transform: {crop: [33, 33], scale: [0.8, 1.2]}
train:
  iterations: 20
  batch_size: 2
  ema: 0.9
  validate_every: 10
  save_every: 5
  log_every: 5
  workers: 0
  threads: 1
evaluate: {workers: 0}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    path = folder / "tiny.yaml"
    path.write_text(SETTINGS.replace("CACHE", str(folder / "cache")))
    return path


@pytest.fixture(scope="module")
def whole(settings: Path) -> Path:
    """A training that nothing has interrupted."""
    out = settings.parent / "whole"
    assert main(["train", str(settings), "--out", str(out), "--device", "cpu"]) == 0
    return out


def start(settings: Path, out: Path) -> subprocess.Popen[str]:
    """Start `fafnet train`, and return once it has ten iterations on disk."""
    command = [sys.executable, "-m", "fafnet_core", "train", str(settings), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 300
    while not state(out, 10).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "ten iterations took too long"
        time.sleep(0.001)
    return process


def test_it_trains_a_network_that_segments(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = Segmenter.from_checkpoint(whole / "best.safetensors", "cpu", runtime="torch")
    assert segmenter.torch.model.config.decoder_channels == 8
    assert segmenter.notice is None
    assert main(["train", str(whole / "config.yaml"), "--out", str(whole), "--resume"]) == 0
    assert "trained: 20 iterations; best mIoU" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_training_goes_on_bit_for_bit(settings: Path, whole: Path, tmp_path: Path) -> None:
    process = start(settings, tmp_path)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not state(tmp_path, 20).exists()
    assert main(["train", str(settings), "--out", str(tmp_path), "--resume"]) == 0
    assert_same_training(whole, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_sigterm_writes_a_state_and_leaves(settings: Path, whole: Path, tmp_path: Path) -> None:
    process = start(settings, tmp_path)
    process.terminate()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1
    newest = max((tmp_path / "states").iterdir())
    assert 10 <= int(newest.stem) < 20
    assert f"stopped by SIGTERM after iteration {int(newest.stem)};" in said
    assert "--resume" in said
    assert "Traceback" not in said
    assert main(["train", str(settings), "--out", str(tmp_path), "--resume"]) == 0
    assert same_bits(tensors(state(whole, 20)), tensors(state(tmp_path, 20)))


def test_without_out_it_is_the_configuration_s_name(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = ["--set", "train.iterations=1", "--set", "train.validate_every=0"]
    assert main(["train", str(settings), "--device", "cpu", *changes]) == 0
    assert (tmp_path / "runs/tiny/last.safetensors").is_file()


def test_json_tells_how_it_ended(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--set", "train.iterations=2", "--set", "train.log_every=1", "--json"]
    assert main(["train", str(settings), "--out", str(tmp_path), *changes]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["iteration"], report["finished"], report["stopped_by"]) == (2, True, None)
    assert report["best"]["iteration"] == 2
    assert report["out"] == str(tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in log if line["kind"] == "train"] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.itrations=3"], "unknown train key 'itrations': did you mean 'iterations'?"),
        (["train.precision=float16"], "train.precision float16 needs a GPU"),
        (["data.name=nyuv2"], "unknown data key 'frames'"),
        (["model.init=nothing.safetensors"], "no checkpoint at nothing.safetensors"),
    ],
)
def test_errors_are_one_line_and_status_1(
    settings: Path,
    tmp_path: Path,
    changes: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overrides = [word for change in changes for word in ("--set", change)]
    out = tmp_path / "out"
    assert main(["train", str(settings), "--out", str(out), "--device", "cpu", *overrides]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_folder_with_a_training_is_kept(
    settings: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(settings), "--out", str(whole)]) == 1
    assert "holds a training of 20 iterations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "message"),
    [("none.yaml", "there is no file none.yaml"), ("{settings}", "--out is a file")],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    settings: Path, config: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(["train", config.format(settings=settings), "--out", str(settings)])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_help_has_an_example_and_does_not_wait_for_pytorch(verb: str) -> None:
    code = (
        "import sys; from fafnet_core.cli.main import main\n"
        f"try: main(['{verb}', '--help'])\n"
        "finally: assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"fafnet {verb} config/nyuv2.yaml" in done.stdout.split("example")[1]
