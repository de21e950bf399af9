"""A GPU whose memory is full: the node labels on the CPU, and says so until it is set up anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from fault_bench import THOROUGH, Cost, Fault, FaultBench
from gpu_stand_in import StandInGpu
from onlooker import OK, WARN, Diagnostics
from sensor_msgs.msg import Image

SAID = ("the GPU's memory was full: the network has gone over to the CPU", "/fafnet deactivate")


def test_a_full_gpu_gives_way_to_the_cpu_until_the_node_is_configured_anew(
    ros: Ros, tmp_path: Path
) -> None:
    gpu = StandInGpu(tmp_path)
    said, labels = Diagnostics(ros), ros.collect(Image, "fafnet/labels")

    def on(device: str, *parts: str) -> bool:
        return bool(said.reports) and said.device.startswith(device) and said.has(*parts)

    def labelled(device: str, *parts: str) -> None:
        ros.wait_for(lambda: on(device, *parts), f"{device} {parts}")
        before = len(labels)
        ros.wait_for(lambda: len(labels) > before + 2, f"labels of {device}")

    gpu.fill("loading")
    ros.start("synthetic_camera", width=64, height=48, frames=4, rate=10.0)
    # What a CPU does not have gives way too.
    node = ros.start("segment_node", before=gpu.before, precision="float16")
    labelled("cpu", *SAID)
    assert said.level == WARN
    assert node.output.count(SAID[0]) == 1
    for i, full in enumerate(("hha", "network"), 2):
        gpu.clear()
        assert all(map(ros.change_state, ("deactivate", "cleanup", "configure", "activate")))
        labelled("cuda:0", "segmenting")
        assert said.level == OK
        gpu.fill(full, "once")  # as where PyTorch itself held what was missing
        ros.wait_for(lambda: not gpu.is_full, "the second try")
        labelled("cuda:0", "segmenting")
        gpu.fill(full)
        labelled("cpu", *SAID)
        assert node.output.count(SAID[0]) == i
    # It is what the node says of itself, not of one activation; and no frame was lost.
    assert all(map(ros.change_state, ("deactivate", "activate")))
    labelled("cpu", *SAID)
    assert "frames: failed" not in said.values
    assert "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB" in node.output


@pytest.mark.skipif(not THOROUGH, reason="make trust-faults has it in its table")
def test_what_a_full_gpu_costs(ros: Ros, tmp_path: Path, fault_costs: list[Cost]) -> None:
    gpu = StandInGpu(tmp_path)

    @contextmanager
    def full(bench: FaultBench) -> Iterator[None]:
        gpu.fill("network")
        yield
        gpu.clear()

    with closing(FaultBench(ros, fault_costs, before=gpu.before)) as bench:
        bench.cost(Fault(title="A GPU's memory full (a stand-in)", plant=full, says=SAID))
