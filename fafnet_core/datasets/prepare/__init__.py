"""Preparing data sets: from original files to a folder, see docs/datasets.md."""

from fafnet_core.datasets.prepare.preparation import Preparation, prepare

__all__ = ["Preparation", "prepare"]
