"""Which frames of a recording to label: those that would teach a network most.

score    what one frame says for itself: how unsure the network is, and what is in the picture
choice   the frames that are worth it together
"""

from __future__ import annotations

from fafnet_core.picking.choice import choose_frames
from fafnet_core.picking.score import FrameScore, score_frame

__all__ = ["FrameScore", "choose_frames", "score_frame"]
