"""Evaluation: metrics, boundaries, several scales, reports and sheets."""
