"""Changes the source at random places, and lists the changes that no test notices.

pip install cosmic-ray
python benchmarks/mutants.py --out output/trust/mutants.md     # 40 changes of each part
python benchmarks/mutants.py rvl metrics --sample 10           # of some parts; printed

It works on a copy. Each change runs the tests of its part only, so a survivor may be noticed by
another part's. Annotations are left alone: they are not evaluated. Survivors are either a test that
is missing or a change that means the same: docs/trust.md says which.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import PROJECT, at_least, command_line, markdown
from tqdm import tqdm

from fafnet_core.files import written_beside

_TIMEOUT_S = 120
_MEMORY = 12 << 30
"""Address space of a test, bytes: a loop that no longer ends takes all there is."""
_Span = tuple[tuple[int, int], tuple[int, int]]
"""Line and column of a beginning and an end."""


@dataclass(frozen=True)
class Part:
    """What is changed, and what has to notice.

    Attributes:
        modules: files in `fafnet_core`.
        tests: files in `test`.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "hha": Part(
        tuple(
            f"hha/{name}.py"
            for name in (
                "arrays",
                "channels",
                "checks",
                "encoding",
                "geometry",
                "gravity",
                "holes",
                "normals",
                "stream",
                "torch_way",
                "tracking",
            )
        ),
        tuple(
            f"core/test_hha_{name}.py"
            for name in ("gravity", "tracking", "encoding", "holes", "stream", "parity")
        ),
    ),
    "warp": Part(("models/warp.py", "models/fam.py"), ("core/test_models_fam.py",)),
    "synchronizer": Part(("messages/synchronizer.py",), ("core/test_synchronizer.py",)),
    "registration": Part(
        tuple(f"registration/{name}.py" for name in ("depth", "extrinsics", "lens", "squares")),
        (
            "core/test_registration_extrinsics.py",
            "core/test_registration_lens.py",
            "core/test_depth_registration.py",
        ),
    ),
    "metrics": Part(("evaluation/metrics.py",), ("core/test_metrics.py",)),
    "images": Part(
        ("messages/images.py",),
        ("core/test_messages_images.py", "core/test_messages_compressed.py", "ros/test_images.py"),
    ),
    "rvl": Part(("messages/rvl.py",), ("core/test_messages_rvl.py",)),
    "compressed": Part(("messages/compressed.py",), ("core/test_messages_compressed.py",)),
}


@dataclass(frozen=True)
class Found:
    """The changes of a part.

    Attributes:
        possible: how many there are.
        tried: how many were made.
        survivors: place and difference of those that no test noticed.
    """

    possible: int
    tried: int
    survivors: list[tuple[str, str]]


def mutate(part: Part, sample: int, seed: int) -> Found:
    """Change a copy of the project `sample` times, one place each, and run the part's tests."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "project"
        _copy_project(copy)
        tests = " ".join(f"test/{test}" for test in part.tests)
        command = f"{shlex.quote(sys.executable)} -m pytest -x -q -p no:cacheprovider {tests}"
        # Tests that fail on their own would seem to notice everything.
        subprocess.run(shlex.split(command), cwd=copy, check=True, stdout=subprocess.DEVNULL)
        (copy / "mutants.toml").write_text(_configuration(part, command))
        _cosmic_ray(copy, "init", "mutants.toml", "mutants.sqlite")
        with use_db(copy / "mutants.sqlite", WorkDB.Mode.open) as database:
            annotated = {
                module: _annotations(copy / "fafnet_core" / module) for module in part.modules
            }
            items = sorted(
                (item for item in database.work_items if not _is_in(item.mutations[0], annotated)),
                key=lambda item: _place(item.mutations[0]),
            )
            chosen = random.Random(seed).sample(items, min(sample, len(items)))
            left_out = {item.job_id for item in database.work_items}
            left_out -= {item.job_id for item in chosen}
            database.set_multiple_results(
                left_out, WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
            )
        _cosmic_ray(copy, "exec", "mutants.toml", "mutants.sqlite")
        with use_db(copy / "mutants.sqlite", WorkDB.Mode.open) as database:
            survivors = [
                (_said(item.mutations[0]), _changed(result.diff))
                for item, result in database.completed_work_items
                if result.test_outcome == TestOutcome.SURVIVED
            ]
    return Found(len(items), len(chosen), sorted(survivors))


def _copy_project(copy: Path) -> None:
    copy.mkdir()
    for name in ("fafnet_core", "fafnet_ros", "test", "benchmarks", "config"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "package.xml"):
        shutil.copy(PROJECT / name, copy)


def _configuration(part: Part, command: str) -> str:
    # A string of JSON is one of TOML.
    return "\n".join(
        [
            "[cosmic-ray]",
            f"module-path = {json.dumps([f'fafnet_core/{module}' for module in part.modules])}",
            f"timeout = {_TIMEOUT_S}.0",
            "excluded-modules = []",
            f"test-command = {json.dumps(command)}",
            "[cosmic-ray.distributor]",
            'name = "local"',
        ]
    )


def _annotations(module: Path) -> list[_Span]:
    """Return where each annotation of a module begins and ends: line and column."""
    found = []
    for node in ast.walk(ast.parse(module.read_text())):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr):
                end = (annotation.end_lineno or 0, annotation.end_col_offset or 0)
                found.append(((annotation.lineno, annotation.col_offset), end))
    return found


def _is_in(mutation: Any, annotated: dict[str, list[_Span]]) -> bool:
    module = str(mutation.module_path).removeprefix("fafnet_core/")
    return any(begin <= mutation.start_pos < end for begin, end in annotated[module])


def _cosmic_ray(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cosmic_ray.cli", *arguments], cwd=folder, check=True)


def _place(mutation: Any) -> tuple[str, ...]:
    names = ("module_path", "start_pos", "operator_name", "occurrence", "operator_args")
    return tuple(str(getattr(mutation, name)) for name in names)


def _said(mutation: Any) -> str:
    module, (line, _), operator = (
        getattr(mutation, name) for name in ("module_path", "start_pos", "operator_name")
    )
    return f"{module}:{line:04d} {operator.removeprefix('core/')}"


def _changed(diff: str | None) -> str:
    lines = [line for line in (diff or "").splitlines() if line[:1] in "+-"]
    return " ".join(f"`{line}`" for line in lines if not line.startswith(("+++", "---")))


def report(found: dict[str, Found], seed: int) -> str:
    """Return the table and the survivors in Markdown."""
    rows = [
        [name, one.possible, one.tried, one.tried - len(one.survivors), len(one.survivors)]
        for name, one in found.items()
    ]
    table = markdown(["part", "possible changes", "tried", "noticed", "survived"], rows)
    survivors = [f"- {place}: {diff}" for one in found.values() for place, diff in one.survivors]
    return (
        "\n\n".join([f"# Changes of the source (seed {seed})", table, "\n".join(survivors)]) + "\n"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--sample", type=at_least(1), default=40, help="changes of each part")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--out", type=Path, help="the report (default: print it)")
    parsed = parser.parse_args(arguments)
    if strange := set(parsed.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(strange))}; there are {', '.join(PARTS)}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> None:
    """Change, test and report."""
    parsed = _parse(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    found = {
        name: mutate(PARTS[name], parsed.sample, parsed.seed)
        for name in tqdm(parsed.parts or list(PARTS), unit="part", disable=None)
    }
    text = report(found, parsed.seed)
    if parsed.out is None:
        print(text, end="")
    else:
        with written_beside(parsed.out) as beside:
            beside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
