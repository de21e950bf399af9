"""The executable `segment_node`: runs the node `/fafnet` (see `fafnet_ros.node.fafnet_node`)."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the node."""
    try:
        # PyTorch takes seconds to import: Ctrl-C during that is no fault either.
        from fafnet_ros.node.fafnet_node import SegmentNode
        from fafnet_ros.running import run
    except KeyboardInterrupt:
        return 0
    return run(SegmentNode)


if __name__ == "__main__":
    sys.exit(main())
