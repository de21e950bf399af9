"""`fafnet`: finds the verb, runs it, and turns errors into one line and an exit status.

Exit status: 0 done, 1 failed, 2 asked wrongly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from fafnet_core.cli import (
    benchmark,
    check,
    convert,
    evaluate,
    export,
    hha,
    info,
    labels,
    pick,
    prepare,
    quantize,
    segment,
    train,
)
from fafnet_core.version import __version__

_VERBS = (
    segment,
    hha,
    prepare,
    train,
    evaluate,
    convert,
    export,
    quantize,
    check,
    benchmark,
    labels,
    pick,
    info,
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="fafnet", description="RGB-D semantic segmentation with FAFNet."
    )
    parser.add_argument("--version", action="version", version=f"fafnet {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="<verb>", required=True)
    for verb in _VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fafnet` with these arguments (the command line's where None)."""
    parsed = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except (ValueError, OSError) as error:
        print(f"fafnet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fafnet: interrupted", file=sys.stderr)
        return 1
