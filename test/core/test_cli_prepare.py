"""`fafnet prepare` as a user runs it, from files in the exact formats of the original downloads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fafnet_core.cli.main import main
from fafnet_core.datasets.prepare.journal import JOURNAL_FILE
from fafnet_core.datasets.prepared import PreparedFolder
from fafnet_core.samples import Split

pytest.importorskip("h5py", reason="original files are written and read with h5py")
pytest.importorskip("scipy", reason="original files are written and read with scipy")

from originals import WrittenNYUv2, write_nyuv2, write_sunrgbd


@pytest.fixture(scope="module")
def nyuv2(tmp_path_factory: pytest.TempPathFactory) -> WrittenNYUv2:
    return write_nyuv2(tmp_path_factory.mktemp("nyuv2"), frames=6)


def test_nyuv2_from_its_original_files(
    nyuv2: WrittenNYUv2, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["prepare", "nyuv2", str(nyuv2.root), "--out", str(out), "--jobs", "2", "--json"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["written"], report["kept"]) == (6, 6, 0)
    assert report["failed"] == {}
    assert report["bytes"] == sum(path.stat().st_size for path in out.rglob("*.png"))
    splits: list[tuple[Split, list[int]]] = [("train", nyuv2.train), ("test", nyuv2.test)]
    for split, numbers in splits:
        folder = PreparedFolder(out, split, validation=0)
        assert folder.names == [f"{number:04d}" for number in numbers]
        for number, sample in zip(numbers, folder, strict=True):
            assert sample.depth_m is not None
            np.testing.assert_array_equal(sample.rgb, nyuv2.rgb[number - 1])
            np.testing.assert_array_equal(sample.label, nyuv2.label[number - 1])
            np.testing.assert_array_equal(sample.missing, nyuv2.missing[number - 1])
            assert np.abs(sample.depth_m - nyuv2.depth_m[number - 1]).max() < 0.000_501
    assert main(command[:-1]) == 0
    assert "is complete, nothing to do: 6 frames" in capsys.readouterr().out
    assert main([*command, "--crop"]) == 1
    assert "crop nothing, now True" in capsys.readouterr().err


def test_a_broken_frame_is_named_and_mended_by_a_second_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write_sunrgbd(tmp_path / "original", frames=10, test=[9])
    out = tmp_path / "out"
    # The third of nine training frames is not one of those that the loader looks into up front.
    scene = written.scenes[written.train[2]]
    folder = tmp_path / "original" / scene.folder / "depth_bfx"
    image = folder / scene.image.replace(".jpg", ".png")
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 3])
    command = ["prepare", "sunrgbd", str(tmp_path / "original"), "--out", str(out), "--jobs", "2"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert str(image) in error
    assert "1 of 10 frames failed" in error
    image.write_bytes(content)
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["written"], report["kept"]) == (1, 9)


def test_sigterm_ends_it_cleanly_and_a_second_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["prepare", "synthetic", "--out", str(out), "--frames", "4", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fafnet_core", *command], stderr=subprocess.PIPE, text=True
    )
    journal = out / JOURNAL_FILE
    end = time.monotonic() + 30
    while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in error
    assert "the same command goes on" in error
    assert not list(out.rglob("*.partial"))
    done = journal.read_bytes().count(b"\n") - 1
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kept"], report["written"]) == (done, 8 - done)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nyuv2", "{here}/none", "--out", "{here}/out"], "there is no folder"),
        (["nyuv2", "{here}", "--out", "{here}/file"], "--out is a file"),
        (["nyuv2", "{here}", "--out", "{here}/out", "--jobs", "0"], "wanted at least 1"),
        (["synthetic", "--out", "{here}/out", "--frames", "0"], "frames is 0"),
        (["synthetic"], "--out"),
        (["kitti"], "invalid choice"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SystemExit) as wrong:
        main(["prepare", *(argument.format(here=tmp_path) for argument in arguments)])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_originals_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["prepare", "nyuv2", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 1
    assert "lacks nyu_depth_v2_labeled.mat" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_has_examples_and_is_quick() -> None:
    code = (
        "import sys; from fafnet_core.cli.main import main\n"
        "try: main(['prepare', '--help'])\n"
        "finally: assert not {'torch', 'h5py', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "fafnet prepare nyuv2 " in done.stdout.split("examples")[1]
