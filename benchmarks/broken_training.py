"""What a training meets but SIGKILL: a full disk, a corrupt frame, dead workers, a lost process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from killed_training import Uninterrupted, finish

from fafnet_core.training.monitor import LOG

_PATIENCE_S = 60.0
_FULL_AT_KIB = 16 * 1024
_TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@dataclass(frozen=True)
class Outcome:
    """How a training with a fault ended.

    Attributes:
        fault: what happened to it.
        status: of the process; None where it had to be killed.
        seconds: from the fault to the end, where the fault has a moment.
        said: its own line.
        traceback: whether it showed one.
        broken: files that cannot be read, or hold other values than the undisturbed training's.
        differs: how the end differs from the undisturbed training's once the cause is repaired and
            it has gone on; None: it does not.
    """

    fault: str
    status: int | None
    seconds: float | None
    said: str
    traceback: bool
    broken: tuple[str, ...]
    differs: str | None

    @property
    def is_survived(self) -> bool:
        """Whether it ended by itself, in time and with a message, and lost nothing."""
        ended = self.status == 1 and (self.seconds or 0) < _PATIENCE_S and not self.traceback
        return ended and bool(self.said) and not self.broken and self.differs is None


def full_disk(whole: Uninterrupted, out: Path) -> Outcome:
    """Fill the disk while states are written: one of 16 MiB, or a limit on the size of a file."""
    out.mkdir()
    with _small_disk(out) as limit:
        command = _fafnet(whole.settings, out / "run", "--set", "train.keep=100")
        ended = _wait(_start(command if limit is None else ["/bin/sh", "-c", limit, *command]))
        kept = out.with_suffix(".kept")
        shutil.copytree(out / "run", kept)
    return _outcome("the disk is full", whole, kept, ended)


def corrupt_frame(whole: Uninterrupted, out: Path, *, workers: int = 0) -> Outcome:
    """Cut a frame of the data set short, while the training has not read it yet."""
    frame = sorted(whole.cache.glob("train-*/*.npy"))[2]
    content = frame.read_bytes()
    frame.write_bytes(content[: len(content) // 2])
    try:
        ended = _wait(_start(_fafnet(whole.settings, out, "--set", f"train.workers={workers}")))
        read_by = f"{workers} workers" if workers else "the process that trains"
        return _outcome(f"a frame is cut short, read by {read_by}", whole, out, ended, frame)
    finally:
        frame.write_bytes(content)


def dead_worker(whole: Uninterrupted, out: Path, victim: str = "worker") -> Outcome:
    """Kill (SIGKILL) a process that reads data, or the server that such processes come from."""
    process = _start(_fafnet(whole.settings, out, "--set", "train.workers=1"))
    _until(process, lambda: _lines(out) > 2)
    # The server is the only child with a child: the worker.
    servers = {worker: server for server in _children(process.pid) for worker in _children(server)}
    (worker, server) = next(iter(servers.items()))
    killed = time.monotonic()
    os.kill(worker if victim == "worker" else server, signal.SIGKILL)
    ended = _wait(process, killed)
    name = "a worker" if victim == "worker" else "the server of the workers"
    return _outcome(f"{name} is killed", whole, out, ended)


def lost_process(whole: Uninterrupted, out: Path, rank: int) -> Outcome:
    """Kill (SIGKILL) one of two processes that train together.

    Args:
        whole: a training of two processes that nothing disturbs.
        out: folder of the training.
        rank: of the process.
    """
    process = _start([*_TWO, *_fafnet(whole.settings, out)])
    _until(process, lambda: _lines(out) > 4)
    victim = next(
        pid for pid in _children(process.pid) if _environment(pid).get("RANK") == f"{rank}"
    )
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended = _wait(process, killed)
    return _outcome(f"process {rank} of two is killed", whole, out, ended, together=True)


def train_together(settings: Path, out: Path, *options: str) -> None:
    """Train in two processes, or go on, until the end."""
    ended = _wait(_start([*_TWO, *_fafnet(settings, out, *options)]))
    if ended.status != 0:
        raise RuntimeError(f"status {ended.status}: {ended.text}")


@dataclass(frozen=True)
class _Ended:
    status: int | None
    seconds: float | None
    text: str


def _fafnet(settings: Path, out: Path, *options: str) -> list[str]:
    resume = ["--resume"] if out.exists() else []
    train = ["-m", "fafnet_core", "train", str(settings), "--out", str(out), "--device", "cpu"]
    return [*train, *options, *resume]


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command if command[0].startswith("/") else [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _kill(process: subprocess.Popen[str]) -> str:
    """Kill a process and those that it started, which would hold its output open; return that."""
    # Once it has ended, its number may be another's.
    for pid in [] if process.poll() is not None else [*_children(process.pid), process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return process.communicate()[1]


def _wait(process: subprocess.Popen[str], since: float | None = None) -> _Ended:
    """Wait until a process ends; where it does not in time after `since`, kill it."""
    try:
        _, text = process.communicate(timeout=2 * _PATIENCE_S)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        text = _kill(process)
        status = None
    return _Ended(status, None if since is None else time.monotonic() - since, text)


def _outcome(
    fault: str,
    whole: Uninterrupted,
    out: Path,
    ended: _Ended,
    repaired: Path | None = None,
    *,
    together: bool = False,
) -> Outcome:
    """Look at what a training has left, repair the cause and let it go on to the end."""
    broken = tuple(whole.broken(out))
    if repaired is not None:
        repaired.unlink()  # as the message says: it is made again
    try:
        (train_together if together else finish)(whole.settings, out)
        differs = whole.differs(out)
    except RuntimeError as error:
        differs = str(error)
    lines = [line for line in ended.text.splitlines() if "fafnet: " in line]
    traceback = any("Traceback" in line and "fafnet" in text for line, text in _pairs(ended.text))
    said = lines[-1].partition("fafnet: ")[2] if lines else ""
    return Outcome(fault, ended.status, ended.seconds, said, traceback, broken, differs)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line and the three after it: torchrun has a traceback of its own."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        yield line, "\n".join(lines[index + 1 : index + 8])


@contextmanager
def _small_disk(folder: Path) -> Iterator[str | None]:
    """Mount a small disk where that is allowed; else give a shell line that limits files."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_FULL_AT_KIB}k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield f'ulimit -f 100; exec {sys.executable} "$0" "$@"'
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 2 * _PATIENCE_S
    while not happened():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the training does not train: {_kill(process)}")
        time.sleep(0.005)


def _lines(out: Path) -> int:
    try:
        return (out / LOG).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _environment(pid: int) -> dict[str, str]:
    content = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(entry.split("=", 1) for entry in content.split("\0") if "=" in entry)
