"""Each planted fault is named: the topic or parameter, the figure, and the remedy."""

from __future__ import annotations

import dataclasses
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from fafnet_ros.diagnostics.input_rules import nearest_topics
from fafnet_ros.diagnostics.message import (
    STAGES,
    Report,
    describe_load,
    describe_memory,
    describe_numbers,
    describe_stamps,
    device_memory,
)
from fafnet_ros.diagnostics.rules import (
    INVALID_DEPTH,
    REGISTERED_HERE,
    UNWATCHED,
    Finding,
    FrameState,
    InputState,
    LoadState,
    MemoryState,
    PairingState,
    PublisherState,
    StampOffsets,
    findings,
    is_recent,
)
from fafnet_ros.diagnostics.statistics import Statistics, rate_text
from fafnet_ros.node.load import OVER_AGE, OVER_RATE, REPLACED

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
COLOUR = InputState(event="colour", name="rgb/image", topic="/rgb/image", type_name=IMAGE)
DEPTH = InputState(event="depth", name="depth/image", topic="/depth/image", type_name=IMAGE)
PAIRED = PairingState(slop_s=0.04)
EPOCH_NS = 1_700_000_000 * 10**9


class Node:
    """Statistics of a node that has run for ten seconds, frame by frame."""

    def __init__(self, *, frames: int = 300, rate: float = 30.0) -> None:
        self.now = 0.0
        self.statistics = Statistics(lambda: self.now)
        self._frames, self._rate = frames, rate

    def run(self, **every: int) -> Node:
        """Count each event with every n-th frame."""
        for i in range(self._frames):
            self.now += 1 / self._rate
            for event, n in every.items():
                if i % n == 0:
                    self.statistics.count(event)
        return self


def publisher(**changes: str) -> PublisherState:
    state = {"node": "/camera", "reliability": "reliable", "durability": "volatile"}
    return PublisherState(**{**state, "type_name": IMAGE, **changes})


def said(
    inputs: list[InputState] | None = None,
    node: Node | None = None,
    pairing: PairingState = PAIRED,
    active_s: float = 60.0,
    **more: Any,
) -> list[Finding]:
    node = node or Node().run(colour=1, depth=1, paired=1, published=1)
    inputs = [COLOUR, DEPTH] if inputs is None else inputs
    return findings(inputs, node.statistics, pairing, active_s=active_s, **more)


def the(found: list[Finding], severity: str, *parts: str) -> str:
    """Return the one finding's text, which has this severity and holds these parts."""
    assert [finding.severity for finding in found] == [severity], found
    for part in parts:
        assert part in found[0].text
    return found[0].text


def silent(entry: InputState, **changes: Any) -> list[Finding]:
    node = Node().run(**{"colour" if entry.event == "depth" else "depth": 1})
    return said([dataclasses.replace(entry, **changes)], node)


def test_a_healthy_node_has_nothing_to_say() -> None:
    memory = MemoryState(device="cpu", used=1, free=50, total=100)
    load = LoadState(max_latency_s=0.5)
    assert said(frame=FrameState(), load=load, memory=memory) == []


def test_nothing_is_found_wrong_in_the_first_moments() -> None:
    the(said(node=Node(frames=0), active_s=1.9), "IDLE", "waiting for images")
    assert len(said(node=Node(frames=0), active_s=2.1)) == 2
    assert said(active_s=1.9) == []  # the first labels are there


# Inputs


def test_a_topic_without_publisher_names_the_nearest_of_its_type() -> None:
    others = (
        "/camera/color/image_raw",
        "/camera/depth/image_raw",
        "/camera/infra1/image_raw",
        "/rear/image",
        "/thermal",
        "/debug/picture",
    )
    text = the(
        silent(DEPTH, same_type_topics=others),
        "WARN",
        "/depth/image has no publisher",
        "-r depth/image:=/camera/depth/image_raw",
        "5 of 6 topics",
    )
    assert sum(other in text for other in others) == 5
    text = the(silent(COLOUR, same_type_topics=others), "WARN", "/rgb/image has no publisher")
    assert "-r rgb/image:=/camera/color/image_raw" in text


def test_a_ros_domain_without_any_camera_is_said() -> None:
    the(silent(COLOUR), "WARN", "/rgb/image has no publisher", IMAGE, "ROS_DOMAIN_ID")


def test_nearest_topics_first_and_five_at_most() -> None:
    assert nearest_topics("/depth/image", ["/a", "/b/image", "/cam/depth/image"]) == [
        "/cam/depth/image",
        "/b/image",
        "/a",
    ]
    assert len(nearest_topics("/x", [f"/{i}" for i in range(9)])) == 5
    assert nearest_topics("/x", []) == []


def test_a_silent_publisher() -> None:
    the(
        silent(COLOUR, publishers=(publisher(),)),
        "WARN",
        "/rgb/image has a publisher but is silent",
        "/camera",
        "ros2 topic hz /rgb/image",
    )


def test_a_publisher_that_has_just_come_is_waited_for() -> None:
    found = silent(COLOUR, publishers=(publisher(),), published_s=1.9)
    the(found, "IDLE", "/rgb/image: waiting for the first message of /camera")
    the(silent(COLOUR, publishers=(publisher(),), published_s=2.0), "WARN", "is silent")


def test_a_publisher_of_a_slow_stream_that_has_just_come_back_is_waited_for() -> None:
    node = Node(frames=5, rate=0.25).run(colour=1, depth=1)
    node.now += 60
    back = dataclasses.replace(COLOUR, publishers=(publisher(),), published_s=9.9)
    the(said([back], node), "IDLE", "/rgb/image: waiting for the first message of /camera")
    back = dataclasses.replace(back, published_s=10.1)
    the(said([back], node), "WARN", "is silent")


def over_a_cycle(node: Node, rate: float, pairing: PairingState = PAIRED) -> list[list[Finding]]:
    """Return what is said at twenty moments between two messages of a slow stream."""
    found = []
    inputs = [dataclasses.replace(entry, publishers=(publisher(),)) for entry in (COLOUR, DEPTH)]
    for _ in range(19):
        node.now += 0.05 / rate
        unpaired_s = node.statistics.age("paired")
        state = dataclasses.replace(pairing, unpaired_s=unpaired_s)
        found.append(said(inputs, node, state, active_s=node.now))
    return found


SLOW = pytest.mark.parametrize("rate", [0.05, 0.1, 0.33, 0.45, 1.0])
"""Frames a second of a camera that is slow, but well."""


@SLOW
def test_a_slow_stream_that_is_well_is_never_found_fault_with(rate: float) -> None:
    node = Node(frames=4, rate=rate).run(colour=1, depth=1, paired=1, published=1)
    assert over_a_cycle(node, rate) == [[]] * 19


@SLOW
def test_what_is_wrong_with_a_slow_stream_is_said_without_a_break(rate: float) -> None:
    node = Node(frames=12, rate=rate).run(colour=1, depth=1)
    for found in over_a_cycle(node, rate):
        the(found, "WARN", "do not pair")
    node = Node(frames=12, rate=rate).run(colour=1, depth=1, paired=3, published=3)
    for found in over_a_cycle(node, rate):
        the(found, "WARN", "images a second find a partner")
    steady = {"colour": 1, "depth": 1, "paired": 1, "published": 1}
    node = Node(frames=12, rate=rate).run(**steady, **{REGISTERED_HERE: 2})
    for found in over_a_cycle(node, rate):
        text = the(found, "WARN", "/depth/image flickers")
        assert f" of {rate_text(rate)} frames" in text
    node = Node(frames=40, rate=rate).run(colour=1, depth=1, paired=1, **{UNWATCHED: 1})
    for found in over_a_cycle(node, rate):
        the(found, "IDLE", "nobody subscribes")


@SLOW
def test_a_slow_stream_that_stops_or_hangs_is_told(rate: float) -> None:
    node = Node(frames=12, rate=rate).run(colour=1, depth=1, paired=1, published=1)
    node.now += max(2.0, 2.5 / rate) + 0.01
    alive = dataclasses.replace(COLOUR, publishers=(publisher(),))
    the(said([alive], node), "WARN", "/rgb/image has a publisher but is silent")
    node = Node(frames=30, rate=rate).run(colour=1, depth=1, paired=1)
    stuck = said(node=node, active_s=1000.0)
    the(stuck, "ERROR", "no labels for", f"{rate_text(rate)} pairs a second come")


def test_a_network_that_takes_very_long_is_not_stuck() -> None:
    node = Node(frames=120, rate=2.0).run(colour=1, depth=1, paired=1, published=24)
    for _ in range(23):
        node.now += 0.5
        for event in ("colour", "depth", "paired"):
            node.statistics.count(event)
        assert said(node=node) == []


# What was said of the last frames


@SLOW
def test_what_each_frame_of_a_slow_stream_is_refused_for_stays(rate: float) -> None:
    node = Node(frames=6, rate=rate).run(colour=1, depth=1, paired=1, refused=1)
    for _ in range(19):
        node.now += 0.05 / rate
        assert is_recent("refused", node.statistics)
    node.now += 2 / rate + 2
    assert not is_recent("refused", node.statistics)


def test_what_a_single_frame_was_refused_for_goes_after_two_seconds() -> None:
    assert not is_recent("refused", Statistics())
    node = Node().run(colour=1, depth=1, paired=1, published=1)
    for _ in range(3):  # one of six hundred each time
        node.statistics.count("refused")
        for _ in range(600):
            node.now += 1 / 30
            since = node.statistics.age("refused")
            assert is_recent("refused", node.statistics) == (since <= 2.0)
            for event in ("colour", "depth", "paired", "published"):
                node.statistics.count(event)


def test_what_is_refused_of_few_frames_stays_until_one_is_labelled() -> None:
    # max_rate lets a frame through every five seconds.
    node = Node().run(colour=1, depth=1, paired=1)
    for i in range(600):
        if i % 150 == 0:
            node.statistics.count("refused")
        node.now += 1 / 30
        node.statistics.count("paired")
        assert is_recent("refused", node.statistics) or i < 150
    node.statistics.count("published")
    node.now += 0.01
    assert not is_recent("refused", node.statistics)


def test_a_publisher_without_a_name_is_a_publisher() -> None:
    the(silent(COLOUR, publishers=(publisher(node=""),)), "WARN", "silent: a publisher sends")


def test_no_remapping_to_the_other_stream_is_proposed() -> None:
    text = the(silent(DEPTH, same_type_topics=("/cam/color/image_raw",)), "WARN", "no publisher")
    assert "-r " not in text
    assert "are published: /cam/color/image_raw" in text
    aligned = "/cam/aligned_depth_to_color/image_raw"
    text = the(silent(DEPTH, same_type_topics=(aligned, "/cam/color/image_raw")), "WARN")
    assert f"-r depth/image:={aligned}" in text
    others = ("/cam/depth/image_raw", "/cam/infra1/image_raw")
    text = the(silent(COLOUR, same_type_topics=others), "WARN", "/cam/depth/image_raw")
    assert "-r rgb/image:=/cam/infra1/image_raw" in text


def test_a_reliability_that_does_not_fit_names_both_sides() -> None:
    shy = publisher(node="/driver", reliability="best_effort")
    the(
        silent(COLOUR, publishers=(shy, publisher()), unfit_policy="reliability"),
        "ERROR",
        "/rgb/image: /driver offers reliability best_effort",
        "asks for reliable",
        "reliability:=auto",
        "ros2 topic info -v /rgb/image",
    )


def test_another_policy_is_named() -> None:
    entry = {"publishers": (publisher(reliability="unknown"),), "unfit_policy": "deadline"}
    the(silent(COLOUR, **entry), "ERROR", "/rgb/image", "deadline", "ros2 topic info -v")


@pytest.mark.parametrize(
    ("entry", "ours", "theirs", "remedy"),
    [
        (COLOUR, IMAGE, COMPRESSED, "set transport:=compressed"),
        (DEPTH, IMAGE, COMPRESSED, "set depth_transport:=compressedDepth"),
        (COLOUR, COMPRESSED, IMAGE, "set transport:=raw"),
        (DEPTH, COMPRESSED, IMAGE, "set depth_transport:=raw"),
        (COLOUR, IMAGE, "sensor_msgs/msg/PointCloud2", "remap rgb/image to a topic of"),
    ],
)
def test_another_type_names_the_transport(
    entry: InputState, ours: str, theirs: str, remedy: str
) -> None:
    found = silent(entry, type_name=ours, publishers=(publisher(type_name=theirs),))
    the(found, "ERROR", f"{entry.topic} carries {theirs}", f"reads {ours}", remedy)


def test_two_cameras_on_one_topic() -> None:
    both = dataclasses.replace(COLOUR, publishers=(publisher(), publisher(node="/left/camera")))
    text = the(said([both, DEPTH]), "WARN", "/rgb/image has 2 publishers", "namespace")
    assert "/camera, /left/camera" in text
    # Gaps between the stamps of two cameras tell nothing of lost images.
    interleaved = [EPOCH_NS + 10**8 * i + 10**7 * j for i in range(32) for j in range(2)]
    pairing = offsets(interleaved, interleaved).state(0.04)
    assert pairing.colour is not None
    assert pairing.colour.missing > 0.5
    depth = dataclasses.replace(DEPTH, publishers=both.publishers)
    found = said([both, depth], pairing=pairing)
    assert ["has 2 publishers" in finding.text for finding in found] == [True, True]


# Stamps


def offsets(
    colour: list[int], depth: list[int], *, depth_late_s: float = 0.0, rate: float = 30.0
) -> StampOffsets:
    """Feed stamps in nanoseconds as they would come at this rate."""
    stamps = StampOffsets()
    for i, stamp in enumerate(colour):
        stamps.add("colour", stamp, 50 + i / rate)
    for i, stamp in enumerate(depth):
        stamps.add("depth", stamp, 50 + i / rate + depth_late_s)
    return stamps


def stamps_of(count: int, *, begin_s: float = 0.0, rate: float = 30.0) -> list[int]:
    return [EPOCH_NS + round(1e9 * (begin_s + i / rate)) for i in range(count)]


def unpaired(stamps: StampOffsets, slop_s: float = 0.04) -> list[Finding]:
    node = Node().run(colour=1, depth=1)
    return said(node=node, pairing=stamps.state(slop_s, 5.0))


def test_stamps_that_fall_between_name_the_slop_that_pairs_them() -> None:
    rate = 5.0
    colour, depth = stamps_of(60, rate=rate), stamps_of(60, begin_s=0.08, rate=rate)
    stamps = offsets(colour, depth, depth_late_s=0.08, rate=rate)
    state = stamps.state(0.04)
    assert state.nearest_s == pytest.approx(0.08)
    assert state.clock_offset_s == pytest.approx(0.0, abs=1e-6)
    text = the(unpaired(stamps), "WARN", "do not pair", "80 ms apart", "slop is 0.04 s")
    assert "slop:=0.09" in text
    assert "ros2 topic echo --field header.stamp /rgb/image" in text


def test_the_named_slop_pairs_what_the_old_one_did_not() -> None:
    rng = np.random.default_rng(2)
    colour = stamps_of(60, rate=5)
    depth = [stamp + int(rng.uniform(50e6, 95e6)) for stamp in colour]
    state = offsets(colour, depth, rate=5).state(0.04)
    assert state.within_s is not None
    distances = np.abs(np.array(depth) - np.array(colour)) / 1e9
    assert 0.85 <= np.mean(distances <= state.within_s + 0.011) <= 1.0


def test_partners_that_come_late_name_the_queue() -> None:
    colour = stamps_of(64)
    stamps = offsets(colour, colour[:34], depth_late_s=1.0)
    text = the(unpaired(stamps), "WARN", "do not pair", "depth comes 1.00 s after its partner")
    assert "queue_size:=45" in text


def test_an_offset_that_fits_the_stamps_names_both_causes() -> None:
    colour = stamps_of(64, rate=10)
    stamps = offsets(colour, colour[:34], depth_late_s=3.0, rate=10)
    text = the(unpaired(stamps), "WARN", "/depth/image are 3.00 s behind those of /rgb/image")
    assert "either depth comes so late, or the clocks differ" in text
    assert "queue_size:=45" in text


def test_pairs_of_stamps_far_apart_in_time_of_receipt() -> None:
    ahead = offsets(stamps_of(60), stamps_of(60, begin_s=0.5)).state(0.04)
    text = the(said(pairing=ahead), "WARN", "/rgb/image are 0.50 s behind those of /depth/image")
    assert "the clocks differ" in text
    assert said(pairing=offsets(stamps_of(60), stamps_of(60, begin_s=0.25)).state(0.04)) == []


def test_a_clock_of_another_speed_is_no_offset() -> None:
    """A bag played at twice its speed, depth at a fifth of colour's rate."""
    stamps = StampOffsets()
    for i in range(600):
        moment = i / 60
        stamp = EPOCH_NS + round(2e9 * moment)
        stamps.add("colour", stamp, 50 + moment)
        if i % 5 == 0:
            stamps.add("depth", stamp, 50 + moment)
    assert stamps.state(0.04).clock_offset_s == pytest.approx(0, abs=0.05)


def test_a_slower_stream_is_measured_by_its_own_images() -> None:
    colour = stamps_of(60, rate=30)
    state = offsets(colour, colour[::6], rate=30).state(0.04)
    assert state.nearest_s == 0.0
    assert state.within_s == 0.0


def test_images_that_still_wait_for_their_partner_do_not_count() -> None:
    colour = stamps_of(60)
    state = offsets(colour, colour[:40], depth_late_s=20 / 30).state(0.04)
    assert state.nearest_s == state.within_s == 0.0


@pytest.mark.parametrize("apart_s", [5.0, -5.0, 86400.0])
def test_clocks_that_are_apart_are_named_as_such(apart_s: float) -> None:
    stamps = offsets(stamps_of(60), stamps_of(60, begin_s=apart_s))
    assert stamps.state(0.04).clock_offset_s == pytest.approx(apart_s)
    text = the(unpaired(stamps), "WARN", "different clocks", "2023-11-14", "/depth/image")
    assert ("5.00 s apart" if abs(apart_s) == 5 else "24 hours apart") in text


def test_a_clock_from_the_drivers_start_is_an_epoch_apart() -> None:
    uptime = [stamp - EPOCH_NS + 12 * 10**9 for stamp in stamps_of(60)]
    text = the(unpaired(offsets(stamps_of(60), uptime)), "WARN", "different clocks", "54 years")
    assert "/rgb/image says 2023-11-14 22:13:" in text
    assert "/depth/image 13.967 s since some start" in text


def test_clocks_that_drift_apart() -> None:
    slow = [EPOCH_NS + (stamp - EPOCH_NS) // 2 for stamp in stamps_of(60)]
    text = the(unpaired(offsets(stamps_of(60), slow)), "WARN", "different clocks", "drift")
    assert "depth 0.50 s" in text


def test_stamps_of_zero_and_what_is_done_with_them() -> None:
    stamps = offsets([0] * 60, stamps_of(60))
    the(unpaired(stamps), "ERROR", "the stamps of /rgb/image are 0", "driver", "ros2 topic echo")
    by_receipt = stamps.state(0.04, is_by_receipt=True)
    the(said(pairing=by_receipt), "WARN", "/rgb/image", "paired by time of receipt")


def test_a_clock_that_stands_still() -> None:
    stamps = offsets(stamps_of(1) * 20, stamps_of(1) * 20)
    found = unpaired(stamps)
    assert [finding.severity for finding in found] == ["ERROR", "ERROR"]
    assert "/rgb/image stand still at 1700000000.000 s" in found[0].text
    assert "do not pair" in found[0].text
    assert "use_sim_time" in found[0].text


def test_too_few_images_to_say_why() -> None:
    the(unpaired(offsets(stamps_of(2), stamps_of(2))), "WARN", "do not pair", "slop of 0.04 s")


def test_a_stream_that_jumps_begins_anew() -> None:
    loop = stamps_of(60) + stamps_of(60, begin_s=-100.0)
    stamps = offsets(loop, loop)
    state = stamps.state(0.04)
    assert state.colour is not None
    assert state.colour.rate_hz == pytest.approx(30)
    assert state.nearest_s == 0.0
    stamps.reset()
    assert stamps.state(0.1, 3.0) == PairingState(slop_s=0.1, unpaired_s=3.0)


def test_rate_speed_and_lost_images_by_stamps() -> None:
    rng = np.random.default_rng(4)
    kept = [stamp for stamp in stamps_of(500) if rng.random() < 0.3]
    state = offsets(stamps_of(64), kept).state(0.04)
    assert state.colour is not None
    assert state.depth is not None
    assert state.colour.rate_hz == pytest.approx(30)
    assert state.colour.speed == pytest.approx(1)
    assert state.colour.missing == pytest.approx(0, abs=1e-6)
    assert state.depth.missing == pytest.approx(0.7, abs=0.1)
    found = said(pairing=dataclasses.replace(state, unpaired_s=0.0))
    the(found, "WARN", "of the images of /depth/image are missing", "fastdds.xml")


def test_ordinary_jitter_is_not_taken_for_losses() -> None:
    rng = np.random.default_rng(5)
    jittered = [stamp + int(rng.normal(0, 3e6)) for stamp in stamps_of(64)]
    state = offsets(jittered, jittered).state(0.04)
    assert state.colour is not None
    assert state.colour.missing < 0.3
    assert said(pairing=state) == []


def missing(stamps_s: Any) -> float:
    """Return the share that a stream's last stamps say is missing."""
    stamps = [EPOCH_NS + round(1e9 * stamp) for stamp in np.sort(stamps_s)]
    colour = offsets(stamps, []).state(0.04).colour
    assert colour is not None
    return colour.missing


@pytest.mark.parametrize("jitter_ms", [3, 8, 15])
def test_stamps_given_on_receipt_are_not_taken_for_losses(jitter_ms: float) -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        assert missing(np.arange(64) / 30 + rng.normal(0, jitter_ms / 1e3, 64)) < 0.05
        assert missing(np.cumsum(rng.gamma(2, 1 / 60, 64))) < 0.05
    bursts = (np.arange(64) // 4) / 7.5 + (np.arange(64) % 4) / 1e3
    assert missing(bursts) == 0


@pytest.mark.parametrize("pause_s", [0.5, 1.9, 9.5])
def test_a_pause_and_a_change_of_rate_are_no_losses(pause_s: float) -> None:
    steady = np.arange(64) / 30
    assert missing(np.where(np.arange(64) < 40, steady, steady + pause_s)) < 1e-6
    for frames in range(64):  # a camera that halves its rate in the dark
        dark = np.maximum(np.arange(64) - frames, 0) / 30
        assert missing(steady + dark) < 0.4


@pytest.mark.parametrize("lost", [0.6, 0.7, 0.8, 0.9])
def test_losses_are_seen_by_the_grid_that_is_left(lost: float) -> None:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(50):
        frames = np.flatnonzero(rng.random(1500) >= lost)[:64]
        found.append(missing(frames / 30 + rng.normal(0, 5e-4, 64)))
    told = [share for share in found if share > 0]
    assert len(told) >= 30
    assert np.median(told) == pytest.approx(lost, abs=0.07)


def test_half_of_the_images_without_partner() -> None:
    node = Node().run(colour=1, depth=1, paired=3, published=3)
    pairing = PairingState(slop_s=0.01, nearest_s=0.011, within_s=0.016)
    found = said(node=node, pairing=pairing)
    the(found, "WARN", "only 10.0 of 30.0 images a second", "11 ms apart", "slop:=0.03")
    found = said(node=node, pairing=PairingState(slop_s=0.01))
    text = the(found, "WARN", "slop is 0.01 s; compare the rates (ros2 topic hz)")
    assert "fit" not in text  # that is not known
    # Depth at a third of colour's rate that all pairs is as it should be.
    assert said(node=Node().run(colour=1, depth=3, paired=3, published=3)) == []


# Frames and load


def test_what_the_pipeline_refuses_or_doubts_is_handed_on() -> None:
    the(said(frame=FrameState(refusal="info is of 640x480: remap")), "ERROR", "info is of 640x480")
    the(said(frame=FrameState(doubt="depth is in frame 'd'")), "WARN", "depth is in frame 'd'")


def test_depth_that_flickers_between_registered_and_not() -> None:
    steady = {"colour": 1, "depth": 1, "paired": 1, "published": 1}
    found = said(node=Node().run(**steady, **{REGISTERED_HERE: 3}))
    the(found, "WARN", "/depth/image flickers", "10.0 of 30.0 frames")
    assert said(node=Node().run(**steady, **{REGISTERED_HERE: 1})) == []


def test_depth_without_values() -> None:
    node = Node().run(colour=1, depth=1, paired=1, published=1)
    node.statistics.gauge(INVALID_DEPTH, 0.89)
    assert said(node=node) == []
    node.statistics.gauge(INVALID_DEPTH, 0.96)
    the(said(node=node), "WARN", "96 % of the pixels of /depth/image", "minimum range", "sun")


def test_a_network_slower_than_the_camera_is_no_fault_but_said() -> None:
    node = Node().run(colour=1, depth=1, paired=1, published=6)
    for _ in range(120):
        node.now += 1 / 30
        for event in ("colour", "depth", "paired", REPLACED):
            node.statistics.count(event)
    node.statistics.count("published")
    the(said(node=node), "OK", "slower than the camera", "of 30.0 pairs", "smaller checkpoint")


def test_frames_that_are_too_old_before_their_turn() -> None:
    node = Node().run(colour=1, depth=1, paired=1, published=10, **{OVER_AGE: 1})
    found = said(node=node, load=LoadState(max_latency_s=0.2))
    the(found, "WARN", "30.0 of 33.0 pairs", "max_latency (0.2 s)", "smaller checkpoint")
    # A network at a sixth of the camera's rate, as a live node has it: every second turn.
    rates = {"colour": 1, "depth": 1, "paired": 1, REPLACED: 1, "published": 6, OVER_AGE: 6}
    found = said(node=Node().run(**rates), load=LoadState(max_latency_s=0.008))
    the(found, "WARN", "5.0 of 10.0 pairs", "max_latency (0.008 s): raise it")
    now_and_then = Node().run(colour=1, depth=1, paired=1, published=1, **{OVER_AGE: 30})
    assert said(node=now_and_then, load=LoadState(max_latency_s=0.03)) == []


def test_work_that_hangs_and_work_that_nobody_asks_for() -> None:
    events = {"colour": 1, "depth": 1, "paired": 1}
    stuck = Node(frames=600).run(**events)
    the(said(node=stuck), "ERROR", "no labels for 20 s", "30.0 pairs a second")
    assert said(node=stuck, active_s=8.0) == []
    # Where it is known why there are no labels, that alone is said.
    the(said(node=stuck, frame=FrameState(refusal="uncalibrated")), "ERROR", "uncalibrated")
    unwatched = Node(frames=600).run(**events, **{UNWATCHED: 1})
    the(said(node=unwatched), "IDLE", "nobody subscribes")
    assert said(node=Node(frames=600).run(**events, **{OVER_RATE: 1})) == []


def test_a_camera_that_comes_after_a_pause_is_given_time() -> None:
    """Nothing has hung, and nothing failed to pair, while there was nothing to work on."""
    node = Node().run(colour=1, depth=1, paired=1, published=1)
    node.now += 60
    for event in ("colour", "depth"):
        node.statistics.count(event)
    waiting = PairingState(slop_s=0.04, unpaired_s=60)
    assert said(node=node, pairing=waiting) == []
    node.run(colour=1, depth=1)
    the(said(node=node, pairing=waiting), "WARN", "do not pair")
    again = Node().run(colour=1, depth=1, paired=1, published=1)
    again.now += 60
    assert said(node=again.run(colour=1, depth=1, paired=2)) == []


def test_what_was_seen_of_the_last_frame_is_forgotten_while_nobody_watches() -> None:
    node = Node().run(colour=1, depth=1, paired=1, published=1)
    node.statistics.gauge(INVALID_DEPTH, 1.0)
    assert len(said(node=node)) == 1
    node.run(colour=1, depth=1, paired=1, **{UNWATCHED: 1})
    the(said(node=node), "IDLE", "nobody subscribes")
    node.statistics.count("published")
    assert len(said(node=node)) == 1  # somebody does again


def test_no_more_pairs_give_way_than_come() -> None:
    node = Node().run(colour=2, depth=2, paired=2, published=6, **{REPLACED: 1})
    the(said(node=node), "OK", "15.0 of 15.0 pairs")


def test_memory_that_is_nearly_full() -> None:
    mib = 2**20
    tight = MemoryState(device="cuda:0", used=900 * mib, free=300 * mib, total=8000 * mib)
    the(said(memory=tight), "WARN", "300 of 8000 MiB", "cuda:0", "900", "nvidia-smi")
    assert said(memory=MemoryState(device="cpu", used=5)) == []


# The message


def test_the_worst_finding_leads_and_decides_the_level() -> None:
    report = Report("/fafnet: segmentation", "cpu float32")
    assert report.to_message().status[0].message == "segmenting"
    report.findings = [Finding("OK", "slow")]
    status = report.to_message().status[0]
    assert (status.level, status.message) == (DiagnosticStatus.OK, "segmenting; slow")
    report.findings += [Finding("IDLE", "waiting")]
    status = report.to_message().status[0]
    assert (status.level, status.message) == (DiagnosticStatus.OK, "waiting; slow")
    report.findings += [Finding("WARN", "warm"), Finding("ERROR", "broken"), Finding("WARN", "wet")]
    report.values = {"state": "active"}
    status = report.to_message().status[0]
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == "broken; warm; wet; slow"
    assert (status.name, status.hardware_id) == ("/fafnet: segmentation", "cpu float32")
    assert [(value.key, value.value) for value in status.values] == [("state", "active")]


def test_the_names_of_the_values_are_stable() -> None:
    node = Node().run(colour=1, depth=1, paired=1, published=2)
    for stage in reversed(STAGES):
        node.statistics.measure(stage, 0.0125)
    node.statistics.gauge(INVALID_DEPTH, 0.125)
    values = describe_numbers(node.statistics, {"pairs": 300})
    assert values["colour rate (Hz)"] == "30.0"
    assert values["published rate (Hz)"] == "15.0"
    assert values["depth age (s)"] == "0.0"
    assert values["pairing: pairs"] == "300"
    assert values["frames: published"] == "150"
    assert values["invalid depth share (%)"] == "12.5"
    stages = [key for key in values if key.endswith("(ms)")]
    assert stages == [f"{stage} {p} (ms)" for stage in STAGES for p in ("p50", "p95", "p99")]
    assert {values[key] for key in stages} == {"12.5"}
    assert describe_stamps(PairingState(slop_s=0.1, nearest_s=0.0123, clock_offset_s=-2.0)) == {
        "nearest stamps (ms)": "12.3",
        "depth clock offset (ms)": "-2000.0",
    }
    assert describe_load(LoadState(max_latency_s=0.1)) == {"max latency (s)": "0.1"}


def test_the_rates_of_a_slow_camera() -> None:
    node = Node(frames=12, rate=0.05).run(colour=1, depth=1, paired=1, published=2)
    values = describe_numbers(node.statistics, {})
    assert values["colour rate (Hz)"] == values["paired rate (Hz)"] == "0.05"
    assert values["published rate (Hz)"] == "0.025"


def test_what_never_happened_has_no_age() -> None:
    values = describe_numbers(Statistics(), {})
    assert not any("age" in key for key in values)
    assert values["colour rate (Hz)"] == "0.0"
    assert describe_stamps(PairingState(slop_s=0.1)) == {}
    assert describe_memory(None) == {}


def test_memory_of_this_process() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is read from /proc, which is not here")
    before = device_memory("cpu")
    # Not from the heap, which may have as much left over from before.
    with mmap.mmap(-1, 64 * 2**20) as held:
        held.write(b"\x01" * len(held))
        after = device_memory("cpu")
    assert before is not None
    assert after is not None
    assert 50 < (after.used - before.used) / 2**20 < 80
    assert after.total is not None
    assert after.free is not None
    assert 0 < after.free <= after.total
    assert list(describe_memory(after)) == [
        "memory used (MiB)",
        "memory free (MiB)",
        "memory total (MiB)",
    ]
