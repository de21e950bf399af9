"""Preparing a data set: what is written, and that nothing which was done is ever lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_rooms import CAMERA_MATRIX, SHAPE, TinyRooms, tiny_splits

from fafnet_core import __version__
from fafnet_core.datasets.prepare import Preparation, preparation, prepare
from fafnet_core.datasets.prepare.frame import FrameEncoder, to_millimetres
from fafnet_core.datasets.prepare.journal import JOURNAL_FILE, Journal, locked
from fafnet_core.datasets.prepare.layout import MANIFEST_FILE
from fafnet_core.datasets.prepare.records import FrameRecord
from fafnet_core.labels import NYU40

HERE = Path(__file__).resolve().parent
# Of a script: its neighbours here, and this package wherever it is imported from.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
SOURCE = {"data": "tiny", "window": (44, 471)}

SCRIPT = """
import resource, sys
from fafnet_core.datasets.prepare import prepare
from tiny_rooms import tiny_splits
if __name__ == "__main__":
    out, limit, trouble = sys.argv[1], int(sys.argv[2]), eval(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    prepare(tiny_splits(**trouble), out, source={"data": "tiny", "window": [44, 471]}, jobs=2)
"""


def run(out: Path, jobs: int = 1, **trouble: Any) -> tuple[Preparation, list[str]]:
    """Prepare the tiny rooms; returns what was done, and the warnings."""
    warnings: list[str] = []
    done = prepare(tiny_splits(**trouble), out, source=SOURCE, jobs=jobs, warn=warnings.append)
    return done, warnings


def files(root: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder prepared without any trouble; not to be changed."""
    out = tmp_path_factory.mktemp("prepared") / "whole"
    done, warnings = run(out, jobs=2)
    assert (done.written, done.kept, done.failed, warnings) == (9, 0, {}, [])
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def begun(copy: Path) -> Path:
    """The same with four frames, 0002 to 0005, still to be made."""
    settings = json.loads((copy / MANIFEST_FILE).read_text())["settings"]
    journal = Journal(copy, settings)
    kept = [record for record in journal.records.values() if record.name[-1] not in "2345"]
    with journal.open(kept, journal.made_by):
        pass
    for path in copy.rglob("000[2345].png"):
        path.unlink()
    return copy


def picture(path: Path) -> Any:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image[..., ::-1] if image.ndim == 3 else image


def test_every_picture_is_exact(whole: Path) -> None:
    for dataset in tiny_splits().values():
        for sample in dataset:
            assert sample.depth_m is not None
            name = f"{sample.name}.png"
            np.testing.assert_array_equal(picture(whole / "rgb" / name), sample.rgb)
            np.testing.assert_array_equal(picture(whole / "labels" / name), sample.label)
            # Of the depth as it came, with its mask and gravity: not of whole millimetres.
            np.testing.assert_array_equal(picture(whole / "hha" / name), sample.with_hha().hha)
            depth = picture(whole / "depth" / name)
            assert depth.dtype == np.uint16
            np.testing.assert_array_equal(depth, np.rint(sample.depth_m.astype(float) * 1000))
            if sample.missing is None:
                assert not (whole / "missing" / name).exists()
            else:
                np.testing.assert_array_equal(
                    picture(whole / "missing" / name), sample.missing * 255
                )


def test_lists_and_manifest_say_what_is_there(whole: Path) -> None:
    splits = tiny_splits()
    manifest = json.loads((whole / MANIFEST_FILE).read_text())
    assert manifest["counts"] == {"train": 6, "test": 3}
    assert manifest["settings"]["data"] == "tiny"
    assert manifest["label_set"]["names"] == list(NYU40.names)
    sizes: dict[str, int] = {}
    for split, dataset in splits.items():
        assert (whole / f"{split}.txt").read_text().split() == dataset.names
    order = [name for dataset in splits.values() for name in dataset.names]
    assert [frame["name"] for frame in manifest["frames"]] == order
    for frame in manifest["frames"]:
        np.testing.assert_array_equal(frame["camera_matrix"], CAMERA_MATRIX)
        assert frame["size"] == list(SHAPE)
        assert frame["sensor"] == frame["name"][:3]
        assert frame["scene"].startswith("kitchen_")
        sizes |= {f"{k}/{frame['name']}.png": f["size"] for k, f in frame["files"].items()}
    there = {name: len(content) for name, content in files(whole).items() if ".png" in name}
    assert sizes == there


def test_a_second_run_does_nothing(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    done, _ = run(whole)
    assert (done.written, done.kept) == (0, 9)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def has_processes(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    script = tmp_path / "script.py"  # spawned processes import the main one anew
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(out), "0", "{'seconds': 0.1}"],
        env=ENVIRONMENT,
        start_new_session=True,
    )
    journal = out / JOURNAL_FILE
    wait_until(lambda: journal.is_file() and journal.read_bytes().count(b"\n") >= 4)
    process.kill()
    process.wait()
    wait_until(lambda: not has_processes(process.pid))  # its workers do not outlive it
    recorded = [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]]
    assert 3 <= len(recorded) < 9
    for record in recorded:
        assert FrameRecord.from_dict(record).is_whole(out)
    (out / "rgb" / "kv1" / ".0000.png.1.partial").write_bytes(b"half")
    done, _ = run(out)
    assert done.kept == len(recorded)
    assert done.written == 9 - len(recorded)
    assert files(out) == files(whole)


def test_a_frame_whose_line_in_the_journal_is_cut_short_is_made_again(
    whole: Path, begun: Path
) -> None:
    journal = begun / JOURNAL_FILE
    journal.write_bytes(journal.read_bytes()[:-9])
    done, _ = run(begun)
    assert (done.written, done.kept) == (5, 4)
    assert files(begun) == files(whole)


def test_a_journal_without_its_first_line_is_refused(begun: Path) -> None:
    (begun / JOURNAL_FILE).write_bytes((begun / JOURNAL_FILE).read_bytes()[:50])
    with pytest.raises(ValueError, match="damaged"):
        run(begun)


def test_a_worker_that_dies_costs_only_the_frame_that_killed_it(whole: Path, begun: Path) -> None:
    done, warnings = run(begun, jobs=2, deadly=["kv2/0003"])
    assert done.failed.keys() == {"kv2/0003"}
    assert "the worker process that made it died" in done.failed["kv2/0003"]
    assert any("kv2/0003" in line and "trying it again" in line for line in warnings)
    assert done.written == 3
    assert run(begun)[0].written == 1
    assert files(begun) == files(whole)


def test_workers_that_go_on_dying_end_it(begun: Path) -> None:
    with pytest.raises(OSError, match="fewer --jobs"):
        run(begun, deadly=[f"kv{1 + i % 2}/{i:04d}" for i in range(9)])


def test_a_full_disk_ends_it_and_keeps_what_is_done(
    whole: Path, begun: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # The system limits the size of a file: only the noisy frame's colours are larger.
    process = subprocess.run(
        [sys.executable, str(script), str(begun), "8000", "{'noisy': ['kv1/0004']}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    message = process.stderr.strip().splitlines()[-1]
    assert f"cannot write {begun}/rgb/kv1/0004.png: File too large" in message
    assert not list(begun.rglob("*0004*"))
    assert not list(begun.rglob("*.partial"))
    kept = len((begun / JOURNAL_FILE).read_text().splitlines()) - 1
    assert kept >= 6
    done, _ = run(begun)
    assert done.kept == kept
    assert files(begun) == files(whole)


def test_room_on_the_disk_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**5))
    with pytest.raises(OSError, match=r"20 frames need about 4\d\dkB, but .* has 100kB free"):
        run(tmp_path, train=15, test=5)
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("source", "trouble", "message"),
    [
        ({**SOURCE, "crop": True}, {}, "crop nothing, now True"),
        ({**SOURCE, "data": "other"}, {}, "data 'tiny', now 'other'"),
        (SOURCE, {"train": 5, "test": 4}, "splits.test.frames 3, now 4"),
    ],
)
def test_other_settings_than_before_are_refused(
    whole: Path, source: dict[str, Any], trouble: dict[str, int], message: str
) -> None:
    before = files(whole)
    with pytest.raises(ValueError, match=message):
        prepare(tiny_splits(**trouble), whole, source=source)
    assert files(whole) == before


VERSIONS = {"fafnet": __version__, "numpy": np.__version__, "opencv": cv2.__version__}


def made_by(root: Path) -> Any:
    return json.loads((root / MANIFEST_FILE).read_text())["made_by"]


def test_another_opencv_goes_on_and_the_manifest_says_both(
    whole: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made_by(whole) == VERSIONS
    with monkeypatch.context() as upgraded:
        upgraded.setattr(cv2, "__version__", "99.1")
        assert run(begun, damaged={"kv1/0002": "cut short"})[0].written == 3
    assert run(begun)[0].written == 1
    assert made_by(begun) == {**VERSIONS, "opencv": f"{cv2.__version__}, 99.1"}
    there, wanted = files(begun), files(whole)
    del there[MANIFEST_FILE], wanted[MANIFEST_FILE]
    assert there == wanted


@pytest.mark.parametrize("folder", ["begun", "copy"])
def test_frames_of_two_versions_of_this_program_are_not_mixed(
    copy: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    request.getfixturevalue(folder)
    (copy / "rgb/kv1/0000.png").unlink()
    before = files(copy)
    monkeypatch.setattr(preparation, "__version__", "99.1")
    with pytest.raises(ValueError, match=rf"{copy} .*version {__version__} .*version 99\.1"):
        run(copy)
    assert files(copy) == before


def test_a_complete_folder_is_left_to_the_versions_that_made_it(
    whole: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "__version__", "99.1")
    monkeypatch.setattr(cv2, "__version__", "99.1")
    assert run(copy)[0].written == 0
    (copy / "test.txt").unlink()
    assert run(copy)[0].written == 0
    assert files(copy) == files(whole)


def test_where_no_frame_is_left_another_version_makes_them_all(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = (begun / JOURNAL_FILE).read_bytes().split(b"\n")[0]
    (begun / JOURNAL_FILE).write_bytes(head + b"\n")
    monkeypatch.setattr(preparation, "__version__", "99.1")
    assert run(begun)[0].written == 9
    assert made_by(begun) == {**VERSIONS, "fafnet": "99.1"}


def test_another_version_of_the_layout_is_refused(copy: Path) -> None:
    manifest = (copy / MANIFEST_FILE).read_text()
    (copy / MANIFEST_FILE).write_text(manifest.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="version 2"):
        run(copy)


def test_a_folder_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    (tmp_path / "rgb" / "mine.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds rgb"):
        run(tmp_path)
    assert files(tmp_path) == {"rgb/mine.png": b"mine"}


def test_what_was_lost_since_is_made_again(whole: Path, copy: Path) -> None:
    (copy / "rgb/kv1/0000.png").unlink()
    (copy / "hha/kv2/0001.png").write_bytes(b"short")
    (copy / "test.txt").unlink()
    done, _ = run(copy)
    assert (done.written, done.kept) == (2, 7)
    assert files(copy) == files(whole)


def test_two_preparations_of_one_folder_do_not_run_at_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OSError, match="another process"):
        run(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/a", "a//b", "a\\b", "a\nb", "a ", "a/"])
def test_names_that_are_no_path_inside_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    splits = tiny_splits()
    splits["test"].names = [name, *splits["test"].names[1:]]
    with pytest.raises(ValueError, match="is no frame name"):
        prepare(splits, tmp_path, source=SOURCE)
    assert files(tmp_path) == {}


def test_two_frames_of_one_name_are_refused(tmp_path: Path) -> None:
    splits = tiny_splits()
    splits["test"] = TinyRooms([5, 6])
    with pytest.raises(ValueError, match="kv2/0005 of train and kv2/0005 of test"):
        prepare(splits, tmp_path, source=SOURCE)
    splits["test"].names = ["KV2/0005", "kv1/0006"]
    with pytest.raises(ValueError, match="share their files"):
        prepare(splits, tmp_path, source=SOURCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth_m": None}, "no metric depth"),
        ({"camera": None}, "no metric depth"),
        ({"depth_m": np.full(SHAPE, 70.0, np.float32)}, "70 m"),
        ({"depth_m": np.ones((24, 32), np.float32)}, r"depth has shape \(24, 32\)"),
        ({"rgb": np.zeros((*SHAPE, 4), np.uint8)}, r"colour has shape \(48, 64, 4\)"),
        ({"rgb": np.zeros((*SHAPE, 3), np.float32)}, "colour is float32"),
        ({"label": np.full(SHAPE, 40, np.uint8)}, r"holds \[40\]"),
        ({"label": np.zeros(SHAPE, np.int64)}, "label is int64"),
    ],
)
def test_samples_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    sample = replace(TinyRooms([0]).read(0), **change)
    with pytest.raises(ValueError, match=message):
        FrameEncoder(NYU40).encode(sample)


def test_whole_millimetres_are_kept_and_what_is_no_depth_becomes_zero() -> None:
    millimetres = np.arange(1, 65535, dtype=np.uint16)[None]
    depth_m = millimetres.astype(np.float32) * np.float32(0.001)
    np.testing.assert_array_equal(to_millimetres(depth_m), millimetres)
    depth_m = np.array([[0, -1, np.nan, np.inf, -np.inf, 0.0004, 0.0006]], np.float32)
    assert to_millimetres(depth_m).tolist() == [[0, 0, 0, 0, 0, 0, 1]]
