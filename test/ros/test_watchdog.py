"""A network that never returns: the process ends by itself, and says where it hung."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from fault_bench import THOROUGH, Cost, FaultBench

HANGS = """
import ctypes, os
from fafnet_core.inference import Segmenter
label = Segmenter.label
def hang(self, seen):
    # PyDLL keeps the interpreter's lock: no line of Python runs any more.
    library = ctypes.PyDLL(None) if os.path.exists({kept!r}) else ctypes.CDLL(None)
    while os.path.exists({hangs!r}):
        library.sleep(1000)
    return label(self, seen)
Segmenter.label = hang
"""


@dataclass(frozen=True)
class Hanging:
    """A node that labels frames until it is told to hang.

    Args:
        folder: for the files that tell it.
        keeps_lock: it hangs with the interpreter's lock.
    """

    folder: Path
    keeps_lock: bool = False

    @property
    def before(self) -> str:
        """What Python runs before the node."""
        return HANGS.format(hangs=str(self.folder / "hangs"), kept=str(self.folder / "kept"))

    def hang(self) -> None:
        """Have the next frame hang."""
        if self.keeps_lock:
            (self.folder / "kept").touch()
        (self.folder / "hangs").touch()

    def let_go(self) -> None:
        """Have no further frame hang."""
        (self.folder / "hangs").unlink()


@pytest.mark.parametrize("keeps_lock", [False, True] if THOROUGH else [True])
def test_a_frame_that_never_ends_ends_the_process(
    ros: Ros, tmp_path: Path, fault_costs: list[Cost], keeps_lock: bool
) -> None:
    hanging = Hanging(tmp_path, keeps_lock=keeps_lock)
    # Diagnostics speak of a hang after 10 s; without the lock they cannot.
    limit_s = 15.0 if THOROUGH and not keeps_lock else 1.0
    with closing(
        FaultBench(ros, fault_costs, before=hanging.before, parameters={"watchdog": limit_s})
    ) as bench:
        bench.until_well()
        ros.wait_for(lambda: len(bench.stamps) > 10, "frames that are not the first of their size")
        node = bench.node

        def end() -> None:
            hanging.hang()
            ros.wait_for(lambda: not node.is_running, "the end of the process")
            hanging.let_go()

        if THOROUGH:
            held = ", with the interpreter's lock" if keeps_lock else ""
            cost = bench.cost_of_end(f"A frame that never ends{held}", end)
            assert keeps_lock or "one frame has been in the network" in cost.said
        else:
            end()
    assert node.wait() == 1
    assert "Timeout (0:00:" in node.output
    assert "in hang" in node.output


@pytest.mark.skipif(not THOROUGH, reason="make trust-faults waits for it")
def test_a_node_that_hangs_can_be_interrupted(
    ros: Ros, tmp_path: Path, fault_costs: list[Cost]
) -> None:
    hanging = Hanging(tmp_path)
    with closing(
        FaultBench(ros, fault_costs, before=hanging.before, parameters={"watchdog": 0.0})
    ) as bench:
        bench.until_well()
        hanging.hang()
        ros.spin(1.0)
        assert bench.node.is_running
        assert bench.node.stop() == 1
