"""What the rules say over time: of slow cameras, of pauses, and of what a stream's stamps tell.

`test_diagnostics` plants each sentence beside a running node.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fafnet_ros.diagnostics.events import (
    INVALID_DEPTH,
    OVER_AGE,
    OVER_RATE,
    REGISTERED_HERE,
    REPLACED,
    UNWATCHED,
)
from fafnet_ros.diagnostics.rules import findings, why_nothing_pairs
from fafnet_ros.diagnostics.state import (
    ActiveState,
    Finding,
    FrameInWork,
    InputState,
    NodeState,
    PublisherState,
    SaidOfFrame,
    StampState,
)
from fafnet_ros.diagnostics.statistics import Statistics, rate_text
from fafnet_ros.inputs.senders import Senders
from fafnet_ros.inputs.stamps import StampOffsets

IMAGE = "sensor_msgs/msg/Image"
CAMERA = PublisherState(node="/camera", reliability="reliable", type_name=IMAGE)
EPOCH_NS = 1_700_000_000 * 10**9
STEADY = {"colour": 1, "depth": 1, "paired": 1, "published": 1}


COLOUR = InputState(
    event="colour",
    name="rgb/image",
    topic="/rgb/image",
    type_name=IMAGE,
    reliability="reliable",
    publishers=(CAMERA,),
    is_deaf=False,
    are_several_heard=False,
    same_type_topics=(),
    published_s=math.inf,
)
DEPTH = replace(COLOUR, event="depth", name="depth/image", topic="/depth/image")


class Node:
    """A node that counts frame by frame, by a clock of its own.

    Args:
        frames: counted by each `run`.
        rate: frames a second.
        depth_ahead_s: of the stamps of colour, which are those of the clock.
    """

    def __init__(
        self, *, frames: int = 300, rate: float = 30.0, depth_ahead_s: float = 0.0
    ) -> None:
        self.now = 0.0
        self.statistics = Statistics(lambda: self.now)
        self._stamps = StampOffsets()
        self._frames, self._rate, self._depth_ahead_s = frames, rate, depth_ahead_s

    def count(self, *events: str) -> None:
        """Count events, now."""
        for event in events:
            self.statistics.count(event)
            if event in ("colour", "depth"):
                stamp_s = self.now + (self._depth_ahead_s if event == "depth" else 0.0)
                self._stamps.add(event, EPOCH_NS + round(1e9 * stamp_s), self.now)

    def run(self, **every: int) -> Node:
        """Count each event with every n-th frame."""
        for i in range(self._frames):
            self.now += 1 / self._rate
            self.count(*(event for event, n in every.items() if i % n == 0))
        return self

    def said(self, *inputs: InputState, **more: Any) -> Any:
        """Return what is said now, as a list of findings."""
        return findings(self.state(*inputs, **more))

    def state(
        self, colour: InputState = COLOUR, depth: InputState = DEPTH, **more: Any
    ) -> NodeState:
        """Return the node as it is now."""
        active: dict[str, Any] = {
            "active_s": 3600.0,
            "inputs": (colour, depth),
            "stamps": self._stamps.state(),
            "slop_s": 0.04,
            "pairing_counts": {},
            "refusal": SaidOfFrame(),
            "doubt": SaidOfFrame(),
            "missing": (),
            "max_latency_s": 0.2,
            "in_work": FrameInWork(stage="hha", seconds=0.0, limit_s=60.0),
            "memory": None,
        }
        return NodeState(
            name="/fafnet",
            namesakes=1,
            lifecycle="active",
            failure="",
            network={},
            device="cpu float32",
            gpu_was_full=False,
            figures=self.statistics.figures(),
            active=ActiveState(**active | more),
        )


def the(found: list[Finding], severity: str, *parts: str) -> str:
    """Return the one finding's text, which has this severity and holds these parts."""
    assert [finding.severity for finding in found] == [severity], found
    for part in parts:
        assert part in found[0].text
    return found[0].text


SLOW = pytest.mark.parametrize("rate", [0.05, 0.1, 0.33, 0.45, 1.0])
"""Frames a second of a camera that is slow, but well."""


def over_a_cycle(node: Node, rate: float) -> list[list[Finding]]:
    """Return what is said at twenty moments between two messages of a slow stream."""
    found = []
    for _ in range(19):
        node.now += 0.05 / rate
        found.append(node.said(active_s=node.now))
    return found


@SLOW
def test_a_slow_stream_that_is_well_is_never_found_fault_with(rate: float) -> None:
    assert over_a_cycle(Node(frames=4, rate=rate).run(**STEADY), rate) == [[]] * 19


@SLOW
def test_what_is_wrong_with_a_slow_stream_is_said_without_a_break(rate: float) -> None:
    apart = Node(frames=12, rate=rate, depth_ahead_s=0.1).run(colour=1, depth=1)
    few = Node(frames=12, rate=rate).run(colour=1, depth=1, paired=3, published=3)
    flickers = Node(frames=12, rate=rate).run(**STEADY, **{REGISTERED_HERE: 2})
    left = Node(frames=40, rate=rate).run(colour=1, depth=1, paired=1, **{UNWATCHED: 1})
    for node, severity, part in (
        (apart, "WARN", "do not pair"),
        (few, "WARN", "images a second find a partner"),
        (flickers, "WARN", f" of {rate_text(rate)} frames a second are not registered"),
        (left, "IDLE", "nobody subscribes"),
    ):
        for found in over_a_cycle(node, rate):
            the(found, severity, part)


@SLOW
def test_a_slow_stream_that_stops_or_hangs_is_told(rate: float) -> None:
    node = Node(frames=12, rate=rate).run(**STEADY)
    node.now += max(2.0, 2.5 / rate) + 0.01
    assert [finding.severity for finding in node.said()] == ["WARN", "WARN"]
    stuck = Node(frames=30, rate=rate).run(colour=1, depth=1, paired=1)
    the(stuck.said(), "ERROR", "no labels for", f"{rate_text(rate)} pairs a second come")


def test_depth_that_is_slower_than_colour_leaves_frames_without_labels() -> None:
    even = Node().run(colour=1, depth=1, paired=1, published=1)
    assert even.said() == []
    half = Node().run(colour=1, depth=2, paired=2, published=2)
    the(
        half.said(),
        "OK",
        "15.0 of 30.0 colour images a second have no depth image",
        "/depth/image comes at 15.0 Hz; run both streams at one rate",
    )
    assert Node().run(colour=2, depth=1, paired=2, published=2).said() == []


def test_why_nothing_pairs_is_worded_for_the_log() -> None:
    alone = Node().run(colour=1)
    unmatched = {"unmatched_colour": 290}
    assert why_nothing_pairs(alone.state(pairing_counts=unmatched)) == (
        "no colour image finds a depth image (290 so far): /depth/image has a publisher but is"
        " silent: /camera sends nothing, or its messages are lost on the way; check it with: ros2"
        " topic hz /depth/image"
    )
    apart = Node(depth_ahead_s=0.016).run(colour=1, depth=1)
    assert "their stamps do not pair" in why_nothing_pairs(apart.state())
    for well in (
        Node().run(**STEADY).state(),
        Node().run(depth=1).state(),  # no colour: that is said of colour
        alone.state(active_s=1.0),
        replace(alone.state(), active=None),
    ):
        assert why_nothing_pairs(well) == ""


def test_publishers_of_whom_only_one_is_heard_are_no_fault() -> None:
    node = Node().run(**STEADY)
    two = replace(COLOUR, publishers=(CAMERA, CAMERA))
    assert node.said(two) == []
    for heard in (True, None):  # None: a middleware that does not number its messages
        said = node.said(replace(two, are_several_heard=heard))
        the(said, "WARN", "/rgb/image has 2 publishers (/camera), whose messages mix")


@pytest.mark.parametrize(
    ("numbers", "are_several"),
    [
        ([*range(1, 200)], False),
        ([*range(500, 600), *range(1, 50)], False),  # started again
        ([n for i in range(20) for n in (900 + i, 1 + i)], True),
        ([n for i in range(1, 20) for n in (i, i)], True),  # started at one moment
        ([n for i in range(90) for n in ((900 + i, 1 + i) if i % 30 == 0 else (900 + i,))], True),
        ([*([n for i in range(20) for n in (900 + i, 1 + i)]), *range(920, 1100)], False),  # left
        ([None] * 9, None),
        ([], None),
    ],
)
def test_numbers_of_messages_tell_how_many_publishers_are_heard(
    numbers: list[int | None], are_several: bool | None
) -> None:
    senders = Senders()
    for number in numbers:
        senders.add(number)
    assert senders.are_several is are_several


def test_a_publisher_of_a_slow_stream_that_has_just_come_back_is_waited_for() -> None:
    node = Node(frames=5, rate=0.25).run(colour=1, depth=1)
    node.now += 60
    for seconds, severity in ((9.9, "IDLE"), (10.1, "WARN")):
        back = [replace(each, published_s=seconds) for each in (COLOUR, DEPTH)]
        assert [finding.severity for finding in node.said(*back)] == [severity] * 2


def test_a_network_that_takes_very_long_is_not_stuck() -> None:
    node = Node(frames=120, rate=2.0).run(colour=1, depth=1, paired=1, published=24)
    for _ in range(23):
        node.now += 0.5
        node.count("colour", "depth", "paired")
        assert node.said() == []


# What was said of the last frames

REFUSED = SaidOfFrame("uncalibrated", "refused")


def is_said(node: Node) -> bool:
    """Tell whether the refusal is said."""
    return any(finding.text == REFUSED.text for finding in node.said(refusal=REFUSED))


@SLOW
def test_what_each_frame_of_a_slow_stream_is_refused_for_stays(rate: float) -> None:
    node = Node(frames=6, rate=rate).run(colour=1, depth=1, paired=1, refused=1)
    for _ in range(19):
        node.now += 0.05 / rate
        assert is_said(node)
    node.now += 2 / rate + 2
    assert not is_said(node)


def test_what_a_single_frame_was_refused_for_goes_after_two_seconds() -> None:
    assert not is_said(Node())
    node = Node().run(**STEADY)
    node.count("refused")
    for _ in range(300):
        node.now += 1 / 30
        assert is_said(node) == (node.statistics.event("refused").age_s <= 2.0)
        node.count(*STEADY)


def test_what_is_refused_of_few_frames_stays_until_one_is_labelled() -> None:
    # max_rate lets a frame through every five seconds.
    node = Node().run(colour=1, depth=1, paired=1)
    for i in range(600):
        if i % 150 == 0:
            node.count("refused")
        node.now += 1 / 30
        node.count("paired")
        if i % 10 == 0:
            assert is_said(node) or i < 150
    node.count("published")
    node.now += 0.01
    assert not is_said(node)


def test_frames_that_are_refused_are_not_called_a_hang() -> None:
    stuck = Node(frames=600).run(colour=1, depth=1, paired=1, refused=1)
    the(stuck.said(refusal=REFUSED), "ERROR", "uncalibrated")


# Inputs


@pytest.mark.parametrize(
    ("entry", "others", "proposed"),
    [
        (DEPTH, ("/cam/color/image_raw",), ""),
        (DEPTH, ("/cam/aligned_depth_to_color/raw", "/cam/color/raw"), "/cam/aligned_depth_to_"),
        (COLOUR, ("/cam/depth/image_raw", "/cam/infra1/image_raw"), "/cam/infra1/image_raw"),
    ],
)
def test_no_remapping_to_the_other_stream_is_proposed(
    entry: InputState, others: tuple[str, ...], proposed: str
) -> None:
    node = Node().run(**{"colour" if entry is DEPTH else "depth": 1})
    unpublished = {entry.event: replace(entry, publishers=(), same_type_topics=others)}
    text = the(node.said(**unpublished), "WARN", "has no publisher", "are published: ", *others)
    assert ("-r " in text) == bool(proposed)
    assert f"-r {entry.name}:={proposed}" in text or not proposed


def test_the_nearest_five_topics_are_named() -> None:
    node = Node().run(colour=1)
    others = ("/a", "/b/image", "/c", "/d", "/e", "/cam/depth/image")
    depth = replace(DEPTH, publishers=(), same_type_topics=others)
    text = the(node.said(depth=depth), "WARN")
    assert "5 of 6 topics of its type that are published: /cam/depth/image, /b/image, " in text


# Pauses and load


def test_a_camera_that_comes_after_a_pause_is_given_time() -> None:
    """Nothing has hung, and nothing failed to pair, while there was nothing to work on."""
    node = Node(depth_ahead_s=0.1).run(**STEADY)
    node.now += 60
    node.count("colour", "depth")
    assert node.said() == []
    node.run(colour=1, depth=1)
    the(node.said(), "WARN", "do not pair")
    again = Node().run(**STEADY)
    again.now += 60
    assert again.run(colour=1, depth=1, paired=2).said() == []


def test_what_was_seen_of_the_last_frame_is_forgotten_while_nobody_watches() -> None:
    node = Node().run(**STEADY)
    node.statistics.gauge(INVALID_DEPTH, 0.89)
    assert node.said() == []
    node.statistics.gauge(INVALID_DEPTH, 0.96)
    the(node.said(), "WARN", "96 % of the pixels of /depth/image")
    node.run(colour=1, depth=1, paired=1, **{UNWATCHED: 1})
    the(node.said(), "IDLE", "nobody subscribes")
    node.count("published")
    the(node.said(), "WARN", "96 % of the pixels")  # somebody does again


def test_work_that_nobody_asks_for_does_not_hang() -> None:
    events = {"colour": 1, "depth": 1, "paired": 1}
    stuck = Node(frames=600).run(**events)
    the(stuck.said(), "ERROR", "no labels for 20 s", "30.0 pairs a second")
    assert stuck.said(active_s=8.0) == []
    frame = FrameInWork(stage="network", seconds=19.0, limit_s=60.0)
    hangs = "one frame has been in the network for 19 s, which is far too slow or hangs; "
    the(stuck.said(in_work=frame), "ERROR", "no labels for 20 s", f"{hangs}at 60 s (watchdog) this")
    the(stuck.said(in_work=replace(frame, limit_s=0.0)), "ERROR", f"{hangs}with watchdog:=0 only")
    assert Node(frames=600).run(**events, **{OVER_RATE: 1}).said() == []


def test_frames_that_are_too_old_before_their_turn() -> None:
    # A network at a sixth of the camera's rate, as a live node has it: every second turn.
    rates = {"colour": 1, "depth": 1, "paired": 1, REPLACED: 1, "published": 6, OVER_AGE: 6}
    the(Node().run(**rates).said(), "WARN", "5.0 of 10.0 pairs", "max_latency (0.2 s): raise it")
    assert Node().run(**STEADY, **{OVER_AGE: 30}).said() == []


# Stamps


def stamps_of(count: int, *, begin_s: float = 0.0, rate: float = 30.0) -> list[int]:
    return [EPOCH_NS + round(1e9 * (begin_s + i / rate)) for i in range(count)]


def stamp_state(
    colour: list[int], depth: list[int], *, depth_late_s: float = 0.0, rate: float = 30.0
) -> StampState:
    """Feed stamps in nanoseconds as they would come at this rate."""
    stamps = StampOffsets()
    for i, stamp in enumerate(colour):
        stamps.add("colour", stamp, 50 + i / rate)
    for i, stamp in enumerate(depth):
        stamps.add("depth", stamp, 50 + i / rate + depth_late_s)
    return stamps.state()


def test_the_named_slop_pairs_what_the_old_one_did_not() -> None:
    rng = np.random.default_rng(2)
    colour = stamps_of(60, rate=5)
    depth = [stamp + int(rng.uniform(50e6, 95e6)) for stamp in colour]
    state = stamp_state(colour, depth, rate=5)
    assert state.within_s is not None
    distances = np.abs(np.array(depth) - np.array(colour)) / 1e9
    assert 0.85 <= np.mean(distances <= state.within_s + 0.011) <= 1.0


def test_a_clock_of_another_speed_is_no_offset() -> None:
    """A bag played at twice its speed, depth at a fifth of colour's rate."""
    stamps = StampOffsets()
    for i in range(600):
        moment = i / 60
        stamp = EPOCH_NS + round(2e9 * moment)
        stamps.add("colour", stamp, 50 + moment)
        if i % 5 == 0:
            stamps.add("depth", stamp, 50 + moment)
    assert stamps.state().clock_offset_s == pytest.approx(0, abs=0.05)


def test_only_images_that_may_have_a_partner_are_measured() -> None:
    colour = stamps_of(60)
    for depth, late_s in ((colour[::6], 0.0), (colour[:40], 20 / 30)):  # slower; still to come
        state = stamp_state(colour, depth, depth_late_s=late_s)
        assert state.nearest_s == state.within_s == 0.0


@pytest.mark.parametrize(
    ("apart_s", "said"),
    [
        (5.0, "5.00 s apart"),
        (-5.0, "5.00 s apart"),
        (86400.0, "24 hours apart (/rgb/image says 2023-11-14 22:1"),
        (12.0 - EPOCH_NS / 1e9, "54 years apart (/rgb/image says 2023-11-14 22:13:"),
    ],
)
def test_clocks_that_are_apart_are_measured_by_receipt(apart_s: float, said: str) -> None:
    text = the(Node(depth_ahead_s=apart_s).run(colour=1, depth=1).said(), "WARN", said)
    # A clock that began with the driver has no date.
    assert ("/depth/image 22.000 s since some start" in text) == (apart_s < -1e9)


def test_a_stream_that_jumps_begins_anew() -> None:
    loop = stamps_of(60) + stamps_of(20, begin_s=-100.0)
    state = stamp_state(loop, loop)
    assert state.colour is not None
    assert state.colour.newest_ns == loop[-1]
    assert (state.nearest_s, state.colour.lost) == (0.0, 0.0)


def lost(stamps_s: Any) -> float:
    """Return the share that a stream's last stamps say is lost."""
    colour = stamp_state([EPOCH_NS + round(1e9 * stamp) for stamp in stamps_s], []).colour
    assert colour is not None
    return colour.lost


def test_losses_are_seen_by_gaps_and_ordinary_jitter_is_none() -> None:
    rng = np.random.default_rng(7)
    for share in (0.6, 0.7, 0.8):
        found = [lost(np.flatnonzero(rng.random(1500) >= share)[:64] / 30) for _ in range(50)]
        assert np.mean(np.array(found) > 0.4) > 0.9
    for _ in range(50):
        assert lost(np.arange(64) / 30 + rng.normal(0, 0.005, 64)) < 0.4
