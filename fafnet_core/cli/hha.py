"""`fafnet hha`: depth images to HHA images, one or a folder of them."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fafnet_core.datasets.frames import (
    DEPTH_FOLDERS,
    CameraFile,
    find_camera_file,
    read_camera_file,
    read_depth,
)
from fafnet_core.files import write_png
from fafnet_core.hha import HHAEncoder

_EXAMPLES = """\
examples:
  fafnet hha recordings/kitchen --out hha
  fafnet hha depth.png --out hha.png --fx 518.86 --fy 519.47 --cx 324.58 --cy 252.74
  fafnet hha inpainted --raw raw --out hha --camera camera.yaml --jobs 8

Writes PNGs of 8 bits whose red, green and blue are disparity, height and angle. What is already
there and newer than its depth image is skipped.
"""

_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".pgm", ".pfm", ".exr")
_BATCH = 8


@dataclass(frozen=True)
class _Job:
    """One depth image to convert."""

    depth: Path
    raw: Path | None
    output: Path


@dataclass(frozen=True)
class _Settings:
    """What all images have in common; goes to the worker processes."""

    camera: CameraFile
    camera_file: Path | None
    gravity: tuple[float, float, float] | None


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "hha",
        help="convert depth images to HHA",
        description="Encode depth as horizontal disparity, height above ground and angle.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        type=Path,
        help="a depth image (16-bit PNG or TIFF, or .npy in metres), or a folder of them, "
        "searched with its subfolders; of a folder that holds depth/, only that",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the results; for one image also a .png"
    )
    parser.add_argument("--camera", type=Path, help="camera file (default: the camera.yaml there)")
    for name, meaning in (("fx", "focal length"), ("cx", "principal point, counted from 0")):
        for axis in "xy":
            option = f"--{name[0]}{axis}"
            parser.add_argument(option, type=float, metavar="PIXELS", help=f"{meaning}, in {axis}")
    parser.add_argument(
        "--depth-unit", type=float, metavar="METRES", help="of one count (default: camera file's)"
    )
    parser.add_argument(
        "--raw", type=Path, help="raw depth, as a file or a folder of the same names: its zeros "
        "are in-painted in the input and stay out of the normals"
    )  # fmt: skip
    parser.add_argument(
        "--gravity",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="downward direction in the camera frame (x right, y down, z forward), if known",
    )
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    parser.add_argument("--force", action="store_true", help="convert also what is there already")
    parser.add_argument("--json", action="store_true", help="print counts as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert what was asked for; 1 if any image failed."""
    settings = _settings(arguments)
    jobs = _jobs(arguments)
    processes = (os.cpu_count() or 1) if arguments.jobs is None else arguments.jobs
    if processes < 1:
        arguments.parser.error(f"--jobs is {processes}; wanted at least 1")
    todo = jobs if arguments.force else [job for job in jobs if not _is_done(job, settings)]
    failed = 0
    with tqdm(total=len(todo), unit="image", disable=None) as progress:
        for errors, converted in _convert_all(todo, settings, processes):
            progress.update(converted)
            failed += len(errors)
            for message in errors:
                tqdm.write(f"fafnet hha: {message}", file=sys.stderr)
    skipped = len(jobs) - len(todo)
    counts = {"written": len(todo) - failed, "skipped": skipped, "failed": failed}
    if arguments.json:
        print(json.dumps(counts))
    else:
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
        if skipped:
            print("skipped: there already, maybe with other options; --force converts them again")
    return 1 if failed else 0


def _settings(arguments: argparse.Namespace) -> _Settings:
    refuse = arguments.parser.error
    given = {name: getattr(arguments, name) for name in ("fx", "fy", "cx", "cy")}
    numbers = {name: value for name, value in given.items() if value is not None}
    if numbers and (arguments.camera or len(numbers) < len(given)):
        refuse("wanted either --camera, or --fx, --fy, --cx and --cy together")
    if not arguments.input.exists():
        refuse(f"no depth image or folder at {arguments.input}")
    try:
        camera_file = None if numbers else arguments.camera or find_camera_file(arguments.input)
        camera = read_camera_file(camera_file) if camera_file else CameraFile(**numbers)
        if arguments.depth_unit is not None:
            camera = replace(camera, depth_unit_m=arguments.depth_unit)
    except (OSError, ValueError) as error:
        refuse(str(error))
    gravity = arguments.gravity and tuple(arguments.gravity)
    if gravity is not None and not (np.isfinite(gravity).all() and np.any(gravity)):
        refuse(f"--gravity is {gravity}; wanted a direction, not zero")
    return _Settings(camera, camera_file, gravity)


def _jobs(arguments: argparse.Namespace) -> list[_Job]:
    """Return the images to convert, in the order of their names."""
    refuse = arguments.parser.error
    source: Path = arguments.input
    raw: Path | None = arguments.raw
    out: Path = arguments.out
    if source.is_file():
        output = out if out.suffix.lower() == ".png" else out / f"{source.stem}.png"
        if output.resolve() == source.resolve():
            refuse(f"--out is the input itself, {source}")
        return [_Job(source, raw / source.name if raw and raw.is_dir() else raw, output)]
    if raw and not raw.is_dir():
        refuse(f"--raw {raw} is no folder, but the input is one")
    source = next((source / name for name in DEPTH_FOLDERS if (source / name).is_dir()), source)
    if out.resolve() == source.resolve():
        refuse(f"--out is the folder of the depth images itself, {source}")
    jobs: dict[Path, _Job] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or out.resolve() in path.resolve().parents:
            continue
        if path.name.startswith("."):  # hidden, as macOS's ._NAME.png
            continue
        name = path.relative_to(source)
        output = out / name.with_suffix(".png")
        if output in jobs:
            refuse(f"{path} and {jobs[output].depth} would both become {output}")
        jobs[output] = _Job(path, raw / name if raw else None, output)
    if not jobs:
        refuse(f"no depth image in {source}; wanted {', '.join(_SUFFIXES)}")
    return list(jobs.values())


def _is_done(job: _Job, settings: _Settings) -> bool:
    """Tell whether the result is newer than the images and the camera file it was made from."""
    if not job.output.is_file():
        return False
    candidates = (job.depth, job.raw, settings.camera_file)
    sources = [path for path in candidates if path and path.exists()]
    return all(job.output.stat().st_mtime >= path.stat().st_mtime for path in sources)


def _convert_all(
    jobs: Sequence[_Job], settings: _Settings, processes: int
) -> Iterator[tuple[list[str], int]]:
    """Yield the errors and the number of images of each batch as it ends."""
    batches = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
    processes = min(processes, len(batches))
    if processes <= 1:
        yield from ((_convert_batch(settings, batch), len(batch)) for batch in batches)
        return
    # Not a fork: OpenCV's and BLAS's threads do not survive one.
    with ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=partial(cv2.setNumThreads, 1),
    ) as pool:
        futures = {pool.submit(_convert_batch, settings, batch): len(batch) for batch in batches}
        try:
            for future in as_completed(futures):
                yield future.result(), futures[future]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _convert_batch(settings: _Settings, jobs: Sequence[_Job]) -> list[str]:
    """Convert some images; returns what went wrong, a line an image."""
    errors = []
    encoder: HHAEncoder | None = None
    for job in jobs:
        try:
            depth_m = read_depth(job.depth, settings.camera.depth_unit_m)
            camera = settings.camera.camera(depth_m, job.depth)
            if encoder is None or encoder.camera != camera:
                encoder = HHAEncoder(camera)
            missing = None
            if job.raw is not None:
                raw_m = read_depth(job.raw)
                missing = ~(np.isfinite(raw_m) & (raw_m > 0))
            hha = encoder.encode(depth_m, missing=missing, gravity=settings.gravity)
            write_png(job.output, hha)  # on disk red is disparity
        except (OSError, ValueError, cv2.error) as error:
            errors.append(f"{job.depth}: {error}")
    return errors
