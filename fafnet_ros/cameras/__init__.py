"""Cameras to try things with, and the presets of real ones."""
