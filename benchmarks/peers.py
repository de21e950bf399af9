"""Networks of others, from checkouts of their own repositories, to compare ours with.

None of their code is kept here. Modules that they import only for pictures, tables or logging are
replaced by stand-ins where they are not installed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from torch import nn

_PICTURES = ("PIL", "sklearn", "sklearn.decomposition", "torchvision", "visdom")
_TABLES = ("pandas",)


def release_module(checkout: Path) -> Any:
    """Return the module with the network of FAFNet's authors."""
    return _load(checkout, "models.fafnet_alignD", _PICTURES)


def release(checkout: Path, num_classes: int = 40, depths: Sequence[int] = (3, 4, 23, 3)) -> Any:
    """Return the network that FAFNet's authors train, (rgb, hha) -> logits, random weights."""
    theirs = release_module(checkout)
    backbone = theirs.DualResNet(
        theirs.DualBottleneck, list(depths), nn.BatchNorm2d, deep_stem=True, stem_width=64
    )
    return theirs.TestNet(backbone, num_classes).eval()


def release_loss(checkout: Path) -> Any:
    """Return the loss of the launch file of FAFNet's authors: focal with gamma 0."""
    return _load(checkout, "utils.loss", _PICTURES).FocalLoss(ignore_index=255, gamma=0)


def esanet(checkout: Path) -> Any:
    """Return ESANet R34-NBt1D for NYUv2 as in its README, (rgb, depth) -> logits, random weights.

    Its options have their defaults; only the ImageNet file is left out.
    """
    build_model = _load(checkout, "src.build_model", _TABLES).build_model
    parser = _load(checkout, "src.args", _TABLES).ArgumentParserRGBDSegmentation()
    parser.set_common_args()
    options = parser.parse_args(["--dataset", "nyuv2", "--no_imagenet_pretraining"])
    # It prints the whole network, and moves it to a GPU where there is one.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        network, _ = build_model(options, n_classes=40)
    return network.cpu().eval()


def _load(checkout: Path, module: str, stand_ins: Sequence[str]) -> ModuleType:
    if not checkout.is_dir():
        raise SystemExit(f"there is no folder {checkout}: give a checkout of that repository")
    absent = [name for name in stand_ins if not _is_installed(name)]
    with (
        mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}),
        mock.patch.object(sys, "path", [str(checkout), *sys.path]),
        mock.patch.object(sys, "dont_write_bytecode", True),  # leave the checkout as it is
    ):
        return importlib.import_module(module)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None
