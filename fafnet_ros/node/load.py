"""Which frames the node takes: not more a second than it may."""

from __future__ import annotations

import math

_JITTER = 0.25
"""A frame may come early by this share of the interval and still count as the next one."""


class RateLimit:
    """Lets frames through at no more than a given rate, evenly spaced.

    Args:
        max_rate_hz: frames a second; 0 lets everything through.
    """

    def __init__(self, max_rate_hz: float) -> None:
        self.max_rate_hz = max_rate_hz
        self._due = -math.inf

    def admits(self, now_s: float) -> bool:
        """Tell whether a frame that comes now may pass.

        Frames are due on an even grid, so that a camera's jitter does not add up; a pause, or a
        clock that jumps back, begins a new grid.

        Args:
            now_s: seconds of any clock.
        """
        if self.max_rate_hz == 0:
            return True
        interval = 1 / self.max_rate_hz
        early = self._due - now_s
        if early > _JITTER * interval and early <= interval * (1 + _JITTER):
            return False
        # On the grid while frames keep to it; from this frame on after a pause: no burst.
        keeps_to_grid = abs(early) < interval
        self._due = (self._due if keeps_to_grid else now_s) + interval
        return True
