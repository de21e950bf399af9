"""The names of what the node counts and measures; `/diagnostics` has them as `frames: <name>`."""

INVALID_DEPTH = "invalid depth share"
"""The gauge of the share of depth pixels without a value, 0..1."""

INPUT_SCALE = "input scale"
"""The gauge of the network's input over the image, by their sides."""

REGISTERED_HERE = "registered here"
"""A frame whose depth this node registers to the colour image."""

DOUBTFUL = "doubtful"
"""A frame that is labelled, though its depth may not be registered to colour."""

CALIBRATION_CHANGED = "calibration changes"
"""A camera_info in use that differs from the one before."""

# Pairs that get no labels, by cause

UNWATCHED = "unwatched"
"""Nobody wants labels."""

OVER_RATE = "over max_rate"
OVER_AGE = "over max_latency"
REPLACED = "replaced by a newer one"

NO_INFO = "without camera_info"
"""It came before any camera_info."""

LEFT = "left at deactivation"
"""It was waiting for the worker when that was stopped."""
