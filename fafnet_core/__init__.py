"""FAFNet, a fully-aligned fusion network for RGB-D semantic segmentation; knows nothing of ROS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fafnet_core.version import __version__

if TYPE_CHECKING:
    from fafnet_core.checkpoints.checkpoint import load_checkpoint, save_checkpoint
    from fafnet_core.models import FAFNet, FAFNetConfig, build_model

__all__ = [
    "FAFNet",
    "FAFNetConfig",
    "__version__",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    # PyTorch takes over a second to import: what needs only HHA or a help text must not pay it.
    if name in ("load_checkpoint", "save_checkpoint"):
        from fafnet_core.checkpoints import checkpoint as weights

        return getattr(weights, name)
    if name in __all__:
        from fafnet_core import models

        return getattr(models, name)
    raise AttributeError(f"module 'fafnet_core' has no attribute '{name}'")
