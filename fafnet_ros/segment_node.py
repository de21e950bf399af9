"""The executable `segment_node`: runs the node `/fafnet` (see `fafnet_ros.node.fafnet_node`)."""

from __future__ import annotations

import sys

_SWITCH_INTERVAL_S = 2e-4
"""Receiving, HHA and network are threads of Python. At its 5 ms HHA beside the network took 8 ms in
place of 4, and the network 3 ms more: each waited for the other's turn to end."""


def main() -> int:
    """Run the node."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        # PyTorch takes seconds to import: Ctrl-C during that is no fault either.
        from fafnet_ros.node.fafnet_node import SegmentNode
        from fafnet_ros.running import run
    except KeyboardInterrupt:
        return 0
    return run(SegmentNode)


if __name__ == "__main__":
    sys.exit(main())
