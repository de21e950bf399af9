"""The long run: `python test/fuzz/long.py --inputs 100000 --out output/trust`.

Every door in a process of its own, so that a library that crashes is a find and not the end. With
atheris installed, inputs are chosen by the branches of our code that they reach; without it, by
chance alone. Writes a table, fuzz.md, and the inputs of finds beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "core"), str(_HERE.parents[1])]

_HANGS = 30.0
"""Seconds without a new input after which a library hangs."""
_MOST_CRASHES = 20
_MEMORY = Path("/dev/shm")
"""Each input is a file, anew: on a disk they take ten times as long as what they are given to."""


def visit(name: str, inputs: int, folder: Path, *, guided: bool, seconds: float) -> dict[str, Any]:
    """Knock at one door until it has had all inputs, and return what its visitors report."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.monotonic()
    crashes: dict[str, int] = {}
    while True:
        command = [sys.executable, str(_HERE / "visitor.py"), name, str(inputs), str(folder)]
        with (folder / "said").open("ab") as said:
            process = subprocess.Popen(
                command + ["--guided"] * guided, stdout=said, stderr=said, env=_environment()
            )
            ended = _wait(process, folder, begun + seconds)
        report = _report(folder)
        late = time.monotonic() > begun + seconds
        if ended == "" or late or report["inputs"] >= inputs or len(crashes) >= _MOST_CRASHES:
            break
        place = report["inputs"]
        crash = f"{ended} (inputs to {place})"
        crashes[crash] = 1
        if (folder / "input").is_file():
            shutil.copy(folder / "input", folder / f"crash-{len(crashes)}")
        # The report is a second old at most; the next visitor begins behind the input that failed.
        report["inputs"] = place + 1
        (folder / "report.json").write_text(json.dumps(report))
    report["finds"] |= crashes
    return report


def _wait(process: subprocess.Popen[bytes], folder: Path, until: float) -> str:
    """Wait for a visitor; return how it failed, or ""."""
    while process.poll() is None:
        time.sleep(0.2)
        at = folder / "input"
        if at.is_file() and time.time() - at.stat().st_mtime > _HANGS:
            process.kill()
            process.wait()
            return f"hangs for {_HANGS:g} s"
        if time.monotonic() > until:
            process.terminate()
            process.wait()
            return ""
    code = process.returncode
    return "" if code == 0 else f"the process ends with {code}"


def _report(folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    empty = {"inputs": 0, "accepted": 0, "refused": 0, "finds": {}, "slowest": 0.0, "memory": 0}
    return json.loads(path.read_text()) if path.is_file() else empty


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def table(reports: dict[str, dict[str, Any]], how: str) -> str:
    """Return the reports as Markdown."""
    head = "| door | inputs | accepted | refused | kinds of finds | slowest, s | memory, MiB |"
    lines = [f"Inputs chosen {how}.", "", head, "|---|--:|--:|--:|--:|--:|--:|"]
    for name, of in reports.items():
        lines.append(
            f"| {name} | {of['inputs']} | {of['accepted']} | {of['refused']} | {len(of['finds'])}"
            f" | {of['slowest']:.2f} | {of['memory'] / 2**20:.0f} |"
        )
    lines += ["", "Memory is the most beyond the input and what came of it.", ""]
    for name, of in reports.items():
        lines += [f"- {name}: {find} ({times} times)" for find, times in of["finds"].items()]
    return "\n".join(lines) + "\n"


def main(arguments: Iterable[str] | None = None) -> int:
    """Visit the doors; 1 where there is a find."""
    from doors import DOORS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of a door (default 100000)")
    parser.add_argument("--seconds", type=float, default=7200, help="most of a door")
    parser.add_argument("--out", type=Path, default=Path("output/trust"))
    parser.add_argument("--door", action="append", help="a door by its name; several times")
    parser.add_argument("--plain", action="store_true", help="by chance, even with atheris")
    options = parser.parse_args(None if arguments is None else list(arguments))
    guided = not options.plain and importlib.util.find_spec("atheris") is not None
    how = "by the branches they reach (atheris)" if guided else "by chance"
    options.out.mkdir(parents=True, exist_ok=True)
    reports = {}
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as work:
        for name in options.door or DOORS:
            count = max(1, round(options.inputs * DOORS[name].share))
            file_name = "".join(c if c.isalnum() else "-" for c in name)
            folder = Path(work) / file_name
            report = visit(name, count, folder, guided=guided, seconds=options.seconds)
            reports[name] = report
            if report["finds"]:
                kept = options.out / "fuzz" / file_name
                shutil.copytree(folder, kept, dirs_exist_ok=True)
            shutil.rmtree(folder)
            finds = f"{report['inputs']} inputs, {len(report['finds'])} kinds of finds"
            print(f"{name}: {finds}", flush=True)
            (options.out / "fuzz.md").write_text(table(reports, how))
    print(table(reports, how))
    return int(any(report["finds"] for report in reports.values()))


if __name__ == "__main__":
    sys.exit(main())
