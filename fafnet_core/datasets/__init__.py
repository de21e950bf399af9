"""Data sets: one file each, folders, their samples, and how they are prepared."""
