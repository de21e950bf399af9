"""The old door to label sets, kept for one version: import them from `fafnet_core.labels`."""

from fafnet_core.labels import NYU40, SUN37, UNLABELLED, LabelSet

__all__ = ["NYU40", "SUN37", "UNLABELLED", "LabelSet"]
