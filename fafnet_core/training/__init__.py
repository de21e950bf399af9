"""Training and evaluation: configuration, loop, losses, metrics. Importing it costs nothing."""
