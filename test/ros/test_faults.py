"""Faults planted while a node runs: what it says, how soon it is back, what was lost.

`make test` plants those that other tests do not; `make trust-faults` all, for longer, and prints a
table. Each is described once, in `FAULTS`; one node goes through all of them, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from fault_bench import (
    THOROUGH,
    Fault,
    FaultBench,
    changed,
    deaf_reader,
    full_disk,
    killed_camera,
    little_memory,
    namesake,
    write_table,
)

SOON_S = 1.0
"""Seconds from the first healthy frame to its labels, at most; a busy machine may take longer."""

FAULTS = (
    Fault(
        title="Depth silent: colour alone",
        camera=changed(silent_depth=True),
        says=("/depth/image has a publisher but is silent: /camera sends nothing",),
        thoroughly_s=60.0,
    ),
    Fault(
        title="Colour silent",
        camera=changed(silent_colour=True),
        says=("/rgb/image has a publisher but is silent: /camera sends nothing",),
    ),
    Fault(title="Another resolution", camera=changed(size=(96, 72)), daily=True),
    Fault(
        title="Depth of another encoding (32FC1)",
        camera=changed(depth_encoding="32FC1"),
        daily=True,
    ),
    Fault(
        title="Colour of an unknown encoding",
        camera=changed(colour_encoding="rgb16x"),
        says=("colour encoding 'rgb16x' came; wanted rgb8",),
    ),
    Fault(
        title="No depth in the depth images",
        camera=changed(empty_depth=True),
        says=("100 % of the pixels of /depth/image have no depth",),
    ),
    Fault(title="10 % of the images lost", camera=changed(lost=0.1)),
    Fault(title="50 % of the images lost", camera=changed(lost=0.5), daily=True),
    Fault(
        title="Delays up to 0.3 s, out of order",
        camera=changed(jitter_s=0.3),
        daily=True,
    ),
    Fault(
        title="Stamps that stand still",
        camera=changed(still=True),
        says=("the stamps of /rgb/image stand still at",),
    ),
    Fault(title="Stamps that run backwards", camera=changed(backwards=True), daily=True),
    Fault(title="Stamps an hour ahead", camera=changed(ahead_s=3600.0), daily=True),
    Fault(
        title="Another node of the same name",
        plant=namesake,
        says=("2 nodes are named /fafnet",),
        daily=True,
    ),
    Fault(title="A subscriber that never reads", plant=deaf_reader),
    Fault(title="Disk full: log and output cannot be written", plant=full_disk, daily=True),
    Fault(
        title="Memory full",
        camera=changed(size=(1600, 1200)),
        plant=little_memory,
        says=(" failed: ", "see the log for the traceback"),
    ),
    # The last: DDS takes 20 s to notice that the first camera is gone.
    Fault(title="Camera killed and started again", plant=killed_camera, daily=True),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultBench]:
    domain = Ros(tmp_path_factory.mktemp("faults"))
    begun = FaultBench.begin(domain)
    yield begun
    begun.close()
    domain.close()
    if THOROUGH:
        print("\n" + write_table(begun.costs))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_a_fault_is_said_and_got_over(bench: FaultBench, fault: Fault) -> None:
    if not (fault.daily or THOROUGH):
        pytest.skip("make trust-faults plants it")
    cost = bench.cost(fault)
    assert bench.node.is_running
    if THOROUGH:
        assert cost.recovery_s < SOON_S
