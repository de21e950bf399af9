"""The old door to the metrics: import them from `fafnet_core.evaluation.metrics`."""

from fafnet_core.evaluation.metrics import ConfusionMatrix

__all__ = ["ConfusionMatrix"]
