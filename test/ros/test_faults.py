"""Faults planted while a node runs: what it says, how soon it is back, what was lost.

`make test` plants those that other tests do not; `make trust-faults` all, for longer, and prints a
table. Each is described once, in `FAULTS`; one node goes through all of them, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from fault_bench import (
    HEALTHY,
    THOROUGH,
    Cost,
    Fault,
    FaultBench,
    changed,
    deaf_reader,
    full_disk,
    killed_camera,
    little_memory,
    namesake,
    touched,
)

FAILS = """
from pathlib import Path
from fafnet_core.inference import Segmenter
label = Segmenter.label
def failing(self, seen):
    if Path({fails!r}).exists():
        raise RuntimeError("planted")
    return label(self, seen)
Segmenter.label = failing
"""
"""Python runs this before the node: its network fails while there is a file."""

SOON_S = 1.0
"""Seconds from the first healthy frame to its labels, at most; a busy machine may take longer."""


def failing_network(bench: FaultBench) -> AbstractContextManager[None]:
    """The network fails."""
    return touched(bench.ros.folder / "fails")


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
    Fault(
        title="An exception in the worker",
        plant=failing_network,
        says=("a frame failed: RuntimeError: planted", "see the log for the traceback"),
    ),
    Fault(
        title="Camera killed and started again",
        plant=killed_camera,
        # Though DDS takes 20 s to notice that the first one is gone.
        says=("segmenting",),
        daily=True,
    ),
)


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, fault_costs: list[Cost]
) -> Iterator[FaultBench]:
    domain = Ros(tmp_path_factory.mktemp("faults"))
    before = FAILS.format(fails=str(domain.folder / "fails"))
    begun = FaultBench(domain, fault_costs, before=before)
    yield begun
    begun.close()
    domain.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_a_fault_is_said_and_got_over(bench: FaultBench, fault: Fault) -> None:
    if not (fault.daily or THOROUGH):
        pytest.skip("make trust-faults plants it")
    cost = bench.cost(fault)
    assert bench.node.is_running
    if THOROUGH:
        assert cost.recovery_s < SOON_S


@pytest.mark.skipif(not THOROUGH, reason="make trust-faults starts them")
def test_one_of_four_cameras_is_killed_and_the_others_go_on(
    ros: Ros, fault_costs: list[Cost]
) -> None:
    with ExitStack() as stack:
        killed, *others = (
            stack.enter_context(closing(FaultBench(ros, fault_costs, namespace=f"/camera{i}")))
            for i in range(4)
        )
        for bench in others:
            bench.until_well()
        begun = [(bench.camera.become(HEALTHY).sent, len(bench.stamps)) for bench in others]
        for bench in others:
            bench.said.reports.clear()
        killed.cost(
            Fault(title="One of four cameras killed and started again", plant=killed_camera)
        )
        ended = [(bench.camera.become(HEALTHY).sent, len(bench.stamps)) for bench in others]
        said = {text for bench in others for text in bench.said.messages}
    sent, labelled = (
        sum(after[i] - before[i] for before, after in zip(begun, ended, strict=True))
        for i in range(2)
    )
    wrong = {text for text in said if not text.startswith("segmenting")}
    fault_costs.append(
        Cost(
            title="... the other three meanwhile",
            said="; ".join(sorted(wrong)) or "segmenting",
            recovery_s=0.0,
            sent=sent,
            lost=max(sent - labelled, 0),
        )
    )
    assert all(after[1] > before[1] for before, after in zip(begun, ended, strict=True))
    assert not any("silent" in text or "publisher" in text for text in wrong)
