"""What is wrong with a node, where, and what to do: its state in, sentences out. Knows no ROS.

Every sentence names the topic or the parameter, the figure, and the remedy. WARN and ERROR are for
faults; mere information (a camera faster than the network) is OK.
"""

from __future__ import annotations

from fafnet_ros.diagnostics.events import (
    INVALID_DEPTH,
    OVER_AGE,
    OVER_RATE,
    REGISTERED_HERE,
    REPLACED,
    UNWATCHED,
)
from fafnet_ros.diagnostics.input_rules import input_findings
from fafnet_ros.diagnostics.memory import MemoryState
from fafnet_ros.diagnostics.stamp_rules import stamp_findings
from fafnet_ros.diagnostics.state import (
    ActiveState,
    Finding,
    FrameInWork,
    NodeState,
    SaidOfFrame,
)
from fafnet_ros.diagnostics.statistics import SILENT_AFTER, Figures, rate_text

_MOST = 0.5
_OFTEN = 0.3
_NEARLY_ALL = 0.8
_LARGEST_INVALID = 0.9
_SMALLEST_FREE_MEMORY = 0.05
_LONGEST_WORK = 10.0
"""Seconds without labels, though pairs come, after which the work counts as stuck."""

_TO_ACTIVE = {"unconfigured": "configure", "inactive": "activate"}
"""The next transition on the way to the active state."""

_WAITING = Finding("IDLE", "waiting for images")
_UNWATCHED_NOW = Finding("IDLE", "nobody subscribes to an output, so that nothing is computed")


def findings(state: NodeState) -> list[Finding]:
    """Return everything that is to be said of a node now."""
    found = _namesake_findings(state)
    if state.gpu_was_full:
        found.append(Finding("WARN", gpu_full_text(state.name)))
    if state.active is None:
        return found + _inactive_findings(state)
    return found + _active_findings(state.active, state.figures)


def gpu_full_text(node: str) -> str:
    """Say that the network was taken from a full GPU, and how it gets back there.

    Args:
        node: its full name.
    """
    return (
        "the GPU's memory was full: the network has gone over to the CPU, where it takes longer;"
        " end other processes on the GPU (nvidia-smi), or take a smaller checkpoint or a lower"
        f" precision, then go back: ros2 lifecycle set {node} deactivate, cleanup, configure and"
        " activate, or a restart"
    )


def _namesake_findings(state: NodeState) -> list[Finding]:
    """Say so where other nodes have the same name: their topics and services are the same, too."""
    if state.namesakes < 2:
        return []
    text = (
        f"{state.namesakes} nodes are named {state.name}: their outputs mix, and parameters reach"
        " any of them; give each camera a namespace of its own (namespace:=left), and end nodes"
        " that were left running (ros2 node list)"
    )
    return [Finding("WARN", text)]


def _active_findings(active: ActiveState, figures: Figures) -> list[Finding]:
    refusal = _now(active.refusal, figures)
    # Said at once and always: it is why there are no labels.
    found = [Finding("ERROR", refusal)] if refusal else []
    if active.active_s < SILENT_AFTER:
        waits = figures.event("published").age_s >= active.active_s
        return found or ([_WAITING] if waits else [])
    found += input_findings(active.inputs, figures)
    images_come = not any(figures.event(stream).is_silent for stream in ("colour", "depth"))
    if images_come:
        found += stamp_findings(active, figures)
        found += _frame_findings(active, figures)
        if _is_watched(figures):
            found += _depth_findings(active, figures)
            # Frames that are refused leave no labels either, and what says why is enough.
            found += [f for f in _load_findings(active, figures) if not refusal]
    found += _memory_findings(active.memory)
    found += [Finding("WARN", text) for text in active.missing]
    if not found and not images_come:
        found.append(_WAITING)
    elif not found and not _is_watched(figures):
        found.append(_UNWATCHED_NOW)
    return found


def why_nothing_pairs(state: NodeState) -> str:
    """Return why no colour image finds a depth image, for the log; empty where they do."""
    active, figures = state.active, state.figures
    if active is None or active.active_s < SILENT_AFTER:
        return ""
    if figures.event("colour").is_silent or not figures.event("paired").is_silent:
        return ""
    if figures.event("depth").is_silent:
        found = input_findings([each for each in active.inputs if each.event == "depth"], figures)
    else:
        found = stamp_findings(active, figures)
    why = [finding.text for finding in found if finding.severity in ("WARN", "ERROR")]
    if not why:
        return ""
    count = active.pairing_counts.get("unmatched_colour", 0)
    return f"no colour image finds a depth image ({count} so far): {'; '.join(why)}"


def _inactive_findings(state: NodeState) -> list[Finding]:
    text = f"{state.lifecycle}: not segmenting until it is active"
    if state.lifecycle in _TO_ACTIVE:
        text += f"; ros2 lifecycle set {state.name} {_TO_ACTIVE[state.lifecycle]}"
    found = [Finding("WARN", text)]
    return [Finding("ERROR", state.failure), *found] if state.failure else found


def _is_watched(figures: Figures) -> bool:
    """Tell whether somebody wants labels: the last pairs were not left unsegmented."""
    left_alone = figures.event(UNWATCHED).age_s
    is_long_ago = left_alone > figures.event("paired").silent_after_s
    return is_long_ago or figures.event("published").age_s <= left_alone


def _now(said: SaidOfFrame, figures: Figures) -> str:
    """Return what was said of a frame, if it is recent, or if no later frame succeeded.

    What is recent depends on the pace of pairs and results: what is wrong with each frame of a
    slow camera is said all the time, and what was wrong with one of a fast camera disappears.
    """
    event = figures.event(said.event)
    is_late = event.age_s <= figures.pace_s
    holds = is_late or (not event.is_silent and figures.event("published").age_s > event.age_s)
    return said.text if holds else ""


def _frame_findings(active: ActiveState, figures: Figures) -> list[Finding]:
    """Say which frames may be wrong, and whether depth changes its alignment."""
    doubt = _now(active.doubt, figures)
    found = [Finding("WARN", doubt)] if doubt else []
    here = figures.event(REGISTERED_HERE).rate_hz
    all_frames = figures.event("published").rate_hz
    if 0 < here < _NEARLY_ALL * all_frames:
        text = (
            f"{active.topic('depth')} flickers: {rate_text(here)} of"
            f" {rate_text(all_frames)} frames a second are not registered to the colour image, the"
            " others are; each is treated as what it is, but let the driver register all or none,"
            " and stop a second publisher"
        )
        found.append(Finding("WARN", text))
    return found


def _depth_findings(active: ActiveState, figures: Figures) -> list[Finding]:
    """Say so where nearly all depth is missing."""
    share = figures.gauges.get(INVALID_DEPTH, 0.0)
    if share <= _LARGEST_INVALID:
        return []
    text = (
        f"{100 * share:.0f} % of the pixels of {active.topic('depth')} have no depth:"
        " labels lean on colour alone; keep the camera further away than its minimum range (0.3 to"
        " 0.5 m as a rule), out of direct sun and uncovered, and look at the image in RViz"
    )
    return [Finding("WARN", text)]


def _load_findings(active: ActiveState, figures: Figures) -> list[Finding]:
    """Say what the load costs: pairs dropped for being late, or for newer ones; work that hangs."""
    pairs = figures.event("paired").rate_hz
    if pairs == 0:
        return []
    aged, replaced = (min(figures.event(event).rate_hz, pairs) for event in (OVER_AGE, REPLACED))
    # The newest pair waits, so that the one after a pair that is too old is fresh: at most every
    # second turn is lost, unless something delays the worker.
    turns = aged + figures.event("published").rate_hz
    if aged > _OFTEN * turns:
        text = (
            f"{rate_text(aged)} of {rate_text(turns)} pairs a second whose turn has come are"
            f" dropped, older than max_latency ({active.max_latency_s:g} s): raise it above a"
            " frame's interval, or take a smaller checkpoint or a faster device"
        )
        return [Finding("WARN", text)]
    silent = _silent_s(active, figures)
    if silent > max(_LONGEST_WORK, figures.pace_s):
        text = (
            f"no labels for {silent:.0f} s, though {rate_text(pairs)} pairs a second come:"
            f" {_hang_text(active.in_work)}"
        )
        return [Finding("ERROR", text)]
    if replaced > _MOST * pairs:
        text = (
            f"the network is slower than the camera: {rate_text(replaced)} of"
            f" {rate_text(pairs)} pairs a second give way to newer ones; a smaller checkpoint or"
            " input_size, or a GPU, labels more of them"
        )
        return [Finding("OK", text)]
    return []


def _hang_text(frame: FrameInWork) -> str:
    """Tell a frame that hangs from frames that are slow or leave no labels."""
    if frame.seconds < _LONGEST_WORK:
        return "take a smaller checkpoint or a faster device; the log may say more"
    end = "with watchdog:=0 only a restart of the process helps"
    if frame.limit_s > 0:
        end = (
            f"at {frame.limit_s:g} s (watchdog) this process ends, with the stacks of its threads"
            " in its output, so that respawn starts it again"
        )
    return (
        f"one frame has been in the {frame.stage} for {frame.seconds:.0f} s, which is far too slow"
        f" or hangs; {end}"
    )


def _silent_s(active: ActiveState, figures: Figures) -> float:
    """Return for how many seconds frames have been taken without labels."""
    pairs = figures.event("paired")
    if figures.event(OVER_RATE).rate_hz >= _NEARLY_ALL * pairs.rate_hz:
        return 0.0  # max_rate hardly lets one through
    ages = (figures.event(event).age_s for event in ("published", UNWATCHED))
    return min(*ages, pairs.lasting_s, active.active_s)


def _memory_findings(memory: MemoryState | None) -> list[Finding]:
    """Say so where the device's memory is nearly full."""
    if memory is None or memory.free > _SMALLEST_FREE_MEMORY * memory.total:
        return []
    show = "nvidia-smi" if memory.device.startswith("cuda") else "free -h, top"
    text = (
        f"{memory.free / 2**20:.0f} of {memory.total / 2**20:.0f} MiB of memory of {memory.device}"
        f" are free, this node uses {memory.used / 2**20:.0f}: end other processes ({show}), or"
        " take a smaller checkpoint"
    )
    return [Finding("WARN", text)]
