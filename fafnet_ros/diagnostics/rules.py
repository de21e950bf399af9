"""What is wrong, where, and what to do: plain data in, sentences out. Knows nothing of ROS.

Every sentence names the topic or the parameter, the figure, and the remedy. WARN and ERROR are for
what somebody has to mend; what is only worth knowing (a camera faster than the network) is OK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fafnet_ros.diagnostics.input_rules import input_findings, pairing_findings
from fafnet_ros.diagnostics.state import (
    Finding,
    FrameState,
    InputState,
    LoadState,
    MemoryState,
    PublisherState,
)
from fafnet_ros.diagnostics.statistics import SILENT_AFTER, Statistics, rate_text
from fafnet_ros.inputs.stamps import PairingState, StampOffsets, StreamStamps
from fafnet_ros.node.load import OVER_AGE, OVER_RATE, REPLACED

__all__ = [
    "INVALID_DEPTH",
    "REGISTERED_HERE",
    "UNWATCHED",
    "Finding",
    "FrameState",
    "InputState",
    "LoadState",
    "MemoryState",
    "PairingState",
    "PublisherState",
    "StampOffsets",
    "StreamStamps",
    "findings",
    "is_recent",
    "pace",
]

INVALID_DEPTH = "invalid depth share"
"""The gauge of the share of depth pixels without a value, 0..1."""

INPUT_SCALE = "input scale"
"""The gauge of the network's input over the image, by their sides."""

UNWATCHED = "unwatched"
"""The event of a pair that nobody wants labels of."""

REGISTERED_HERE = "registered here"
"""The event of a frame whose depth this node registers to the colour image."""

_MOST = 0.5
_OFTEN = 0.3
_NEARLY_ALL = 0.8
_LARGEST_INVALID = 0.9
_SMALLEST_FREE_MEMORY = 0.05
_LONGEST_WORK = 10.0
"""Seconds without labels, though pairs come, after which the work counts as stuck."""

_WAITING = Finding("IDLE", "waiting for images")
_UNWATCHED_NOW = Finding("IDLE", "nobody subscribes to an output, so that nothing is computed")


def findings(
    inputs: Sequence[InputState],
    statistics: Statistics,
    pairing: PairingState,
    *,
    active_s: float,
    frame: FrameState | None = None,
    load: LoadState | None = None,
    memory: MemoryState | None = None,
) -> list[Finding]:
    """Return everything that is to be said of an active node now.

    Args:
        inputs: the inputs that have to be heard.
        statistics: what the node counted.
        pairing: how the stamps of colour and depth lie.
        active_s: seconds since activation; in the first two only refusals are told.
        frame: what the pipeline said of the last frames.
        load: how the load control stands.
        memory: of the device that the network runs on.
    """
    frame = frame or FrameState()
    # Said at once and always: it is why there are no labels, whatever else may be.
    found = [Finding("ERROR", frame.refusal)] if frame.refusal else []
    if active_s < SILENT_AFTER:
        waits = statistics.age("published") >= active_s
        return found or ([_WAITING] if waits else [])
    found += input_findings(inputs, statistics)
    topics = {entry.event: entry.topic for entry in inputs}
    images_come = not any(statistics.is_silent(event) for event in ("colour", "depth"))
    if images_come:
        # There was nothing to pair before both came.
        come_s = min(statistics.lasting(event) for event in ("colour", "depth"))
        pairing = replace(pairing, unpaired_s=min(pairing.unpaired_s, come_s))
        mixed = {entry.event for entry in inputs if len(entry.publishers) > 1}
        found += pairing_findings(pairing, statistics, topics, mixed)
        found += frame_findings(frame, statistics, topics)
        if _is_watched(statistics):
            found += depth_findings(statistics, topics)
            found += load_findings(
                statistics, load or LoadState(), active_s, are_refused=bool(frame.refusal)
            )
    found += memory_findings(memory) if memory else []
    if not found and not images_come:
        found.append(_WAITING)
    elif not found and not _is_watched(statistics):
        found.append(_UNWATCHED_NOW)
    return found


def _is_watched(statistics: Statistics) -> bool:
    """Tell whether somebody wants labels: the last pairs were not left alone."""
    left_alone = statistics.age(UNWATCHED)
    is_long_ago = left_alone > statistics.silent_after("paired")
    return is_long_ago or statistics.age("published") <= left_alone


def pace(statistics: Statistics) -> float:
    """Return the seconds for which what was seen of the last frame holds: till some would follow.

    By the pairs that come and by the frames that leave: camera or network may be slow.
    """
    return max(statistics.silent_after(event) for event in ("paired", "published"))


def is_recent(event: str, statistics: Statistics) -> bool:
    """Tell whether what befell a frame still holds: it did so of late, or no frame fared better.

    Of late is by the pace of what comes and of what leaves, so that what is wrong with each frame
    of a slow camera is said all the time, and what was wrong with one of a fast camera goes.

    Args:
        event: the name under which such frames are counted.
        statistics: for that event, and for `paired` and `published`.
    """
    since = statistics.age(event)
    if since <= pace(statistics):
        return True
    return not statistics.is_silent(event) and statistics.age("published") > since


def frame_findings(
    frame: FrameState, statistics: Statistics, topics: Mapping[str, str]
) -> list[Finding]:
    """Say which frames may be wrong, and whether depth changes its alignment."""
    found = []
    if frame.doubt:
        found.append(Finding("WARN", frame.doubt))
    here, all_frames = statistics.rate(REGISTERED_HERE), statistics.rate("published")
    if 0 < here < _NEARLY_ALL * all_frames:
        text = (
            f"{topics.get('depth', 'depth')} flickers: {rate_text(here)} of"
            f" {rate_text(all_frames)} frames a second are not registered to the colour image, the"
            " others are; each is treated as what it is, but let the driver register all or none,"
            " and stop a second publisher"
        )
        found.append(Finding("WARN", text))
    return found


def depth_findings(statistics: Statistics, topics: Mapping[str, str]) -> list[Finding]:
    """Say so where nearly all depth is missing."""
    share = statistics.gauges.get(INVALID_DEPTH, 0.0)
    if share <= _LARGEST_INVALID:
        return []
    text = (
        f"{100 * share:.0f} % of the pixels of {topics.get('depth', 'depth')} have no depth:"
        " labels lean on colour alone; keep the camera further away than its minimum range (0.3 to"
        " 0.5 m as a rule), out of direct sun and uncovered, and look at the image in RViz"
    )
    return [Finding("WARN", text)]


def load_findings(
    statistics: Statistics, load: LoadState, active_s: float, *, are_refused: bool
) -> list[Finding]:
    """Say what the load costs: pairs dropped for being late, work that hangs.

    Frames that are refused leave no labels either, and what says why is enough.
    """
    pairs = statistics.rate("paired")
    if pairs == 0:
        return []
    aged, replaced = (min(statistics.rate(event), pairs) for event in (OVER_AGE, REPLACED))
    # The newest pair waits, so that after one which is too old the next comes fresh: every second
    # turn is the most that can be lost, unless something holds up the worker.
    turns = aged + statistics.rate("published")
    if aged > _OFTEN * turns:
        text = (
            f"{rate_text(aged)} of {rate_text(turns)} pairs a second whose turn has come are"
            f" dropped, older than max_latency ({load.max_latency_s:g} s): raise it above a frame's"
            " interval, or take a smaller checkpoint or a faster device"
        )
        return [Finding("WARN", text)]
    # Frames were taken all this time: some subscriber wants them, and max_rate lets them through.
    silent = min(
        statistics.age("published"),
        statistics.age(UNWATCHED),
        statistics.lasting("paired"),
        active_s,
    )
    if (
        silent > max(_LONGEST_WORK, pace(statistics))
        and statistics.rate(OVER_RATE) < _NEARLY_ALL * pairs
    ):
        text = (
            f"no labels for {silent:.0f} s, though {rate_text(pairs)} pairs a second come: take a"
            " smaller checkpoint or a faster device; the log may say more"
        )
        return [] if are_refused else [Finding("ERROR", text)]
    if replaced > _MOST * pairs:
        text = (
            f"the network is slower than the camera: {rate_text(replaced)} of"
            f" {rate_text(pairs)} pairs a second give way to newer ones; a smaller checkpoint or"
            " input_size, or a GPU, labels more of them"
        )
        return [Finding("OK", text)]
    return []


def memory_findings(memory: MemoryState) -> list[Finding]:
    """Say so where the device's memory is nearly full."""
    if not memory.total or memory.free is None:
        return []
    if memory.free > _SMALLEST_FREE_MEMORY * memory.total:
        return []
    show = "nvidia-smi" if memory.device.startswith("cuda") else "free -h, top"
    text = (
        f"{memory.free / 2**20:.0f} of {memory.total / 2**20:.0f} MiB of memory of {memory.device}"
        f" are free, this node uses {memory.used / 2**20:.0f}: end other processes ({show}), or"
        " take a smaller checkpoint"
    )
    return [Finding("WARN", text)]
