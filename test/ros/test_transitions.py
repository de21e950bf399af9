"""Many lifecycle transitions in any order: the node lives on and keeps nothing."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Process, Ros
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

POSSIBLE = {
    "unconfigured": {"configure": "inactive"},
    "inactive": {"activate": "active", "cleanup": "unconfigured"},
    "active": {"deactivate": "inactive"},
}
LABELS = ("configure", "activate", "deactivate", "cleanup")
TRANSITIONS = 140
SETTLED = 100
"""After so many transitions everything that stays has been made: thread pools, caches, DDS."""

GROWTH_MB = 3
"""What the resident memory may grow by in the transitions after that (1 MB in 280, seen)."""


@dataclass(frozen=True)
class Footprint:
    """What a node's process holds in one state, as seen from outside."""

    publishers: Counter[str]
    subscriptions: Counter[str]
    services: int
    threads: int
    files: int


class Node:
    """A segment node whose state the test knows without asking."""

    def __init__(self, ros: Ros, process: Process) -> None:
        self._ros = ros
        self._proc = Path("/proc", str(process._process.pid))
        self.state = "unconfigured"
        self.made = 0

    def ask(self, label: str) -> None:
        """Ask for a transition; it has to be answered, and made if it is possible now."""
        after = POSSIBLE[self.state].get(label)
        assert self._ros.change_state(label) is (after is not None), (self.state, label)
        if after is not None:
            self.state = after
            self.made += 1

    def wander(self, chance: random.Random, transitions: int) -> None:
        """Make so many transitions, and ask for impossible ones on the way."""
        while self.made < transitions:
            labels = LABELS if chance.random() < 0.3 else tuple(POSSIBLE[self.state])
            self.ask(chance.choice(labels))
            self._ros.spin(chance.choice((0.0, 0.0, 0.05)))  # frames come and go meanwhile

    def go_back(self) -> None:
        """Go back to the state `unconfigured`."""
        for label in ("deactivate", "cleanup"):
            if label in POSSIBLE[self.state]:
                self.ask(label)

    def kept_mb(self) -> float:
        """The least resident memory of two seconds: work under way has 16 or 55 MB for a moment."""
        readings = []
        for _ in range(20):
            status = (self._proc / "status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
            readings.append(int(line.split()[1]) / 1024)
            time.sleep(0.1)
        return min(readings)

    def footprint(self) -> Footprint:
        node = self._ros.node
        topics = [topic for topic, _ in node.get_topic_names_and_types()]
        infos = node.get_publishers_info_by_topic, node.get_subscriptions_info_by_topic
        publishers, subscriptions = (
            Counter(t for t in topics for info in infos_of(t) if info.node_name == "fafnet")
            for infos_of in infos
        )
        services = node.get_service_names_and_types_by_node("fafnet", "/")
        return Footprint(
            publishers=publishers,
            subscriptions=subscriptions,
            services=len(services),
            threads=len(list((self._proc / "task").iterdir())),
            files=len(list((self._proc / "fd").iterdir())),
        )

    def settled_footprint(self, expected: Footprint | None, timeout: float = 10.0) -> Footprint:
        """Return the footprint once discovery is through: as expected, or unchanged for long."""
        end = time.monotonic() + timeout
        found, since = self.footprint(), time.monotonic()
        while found != expected and time.monotonic() < end:
            if expected is None and time.monotonic() - since > 0.5:
                break
            self._ros.spin(0.1)
            now = self.footprint()
            if now != found:
                found, since = now, time.monotonic()
        return found


def tour(
    ros: Ros, node: Node, labels: list[Image], expected: dict[str, Footprint] | None = None
) -> dict[str, Footprint]:
    """Go through all states, labels in the active one, and return what the node holds in each."""
    footprints = {}
    node.go_back()
    for step in ("", "configure", "activate"):
        if step:
            node.ask(step)
        if step == "activate":
            labels.clear()
            ros.wait_for(lambda: len(labels) > 2, "labels")
        wanted = expected[node.state] if expected else None
        footprints[node.state] = node.settled_footprint(wanted)
    node.go_back()
    return footprints


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="/proc is Linux's")
def test_transitions_in_any_order_leak_nothing(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    # New threads get any of many arenas otherwise, which fill up one after the other: by 34 MB in
    # 20 transitions once, and by nothing in the next 100.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", width=128, height=96, frames=4, rate=10.0)
    options: dict[str, Any] = {"gravity": "imu", "mask_classes": ["wall", "floor"]}
    process = ros.start(
        "segment_node", autostart=False, checkpoint="untrained:fafnet-nano", **options
    )
    node = Node(ros, process)
    assert not ros.change_state("nonsense")
    # A bare id that is not possible now ends the process in plain rclpy of Jazzy.
    activate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    assert not ros.call(ChangeState, "/fafnet/change_state", activate).success
    chance = random.Random(5)
    node.wander(chance, SETTLED)
    # The first frame starts thread pools, and the way so far may have been too quick for one.
    tour(ros, node, labels)
    before = tour(ros, node, labels)
    kept = node.kept_mb()
    node.wander(chance, node.made + TRANSITIONS - SETTLED)
    assert tour(ros, node, labels, before) == before
    assert node.kept_mb() - kept < GROWTH_MB
    # In the states themselves: publishers come with the network, subscriptions with the camera.
    unconfigured, inactive, active = before.values()
    assert unconfigured.publishers < inactive.publishers == active.publishers
    assert unconfigured.subscriptions == inactive.subscriptions < active.subscriptions
    assert {"/fafnet/labels", "/fafnet/mask/wall", "/fafnet/mask/floor"} <= set(active.publishers)
    assert {"/rgb/image", "/depth/image", "/imu"} <= set(active.subscriptions)
    assert set(active.publishers.values()) == set(active.subscriptions.values()) == {1}
    assert ros.change_state("shutdown")
    assert not any(ros.change_state(label) for label in (*LABELS, "shutdown"))
    assert ros.state() == "finalized"
    assert process.is_running
    assert "Traceback" not in process.output
    assert process.stop() == 0
