"""Processes that help this one, forked from a server that has neither threads nor work of its own.

A process has one such server, whoever asks for it first; so it is always made the same way here.
torchrun, Slurm and systemd end a training by SIGTERM to all its processes, and the one that trains
needs its helpers until the running iteration ends. So the server and what it forks are deaf to
SIGTERM: helpers end with what they help, or `hear_sigterm` first.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext


def helper_context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return what starts helpers: by the server, or each anew where it cannot be had.

    Args:
        preload: modules that the server imports, so that helpers need not; for nothing where the
            server runs already.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


@contextmanager
def deaf_to_sigterm() -> Iterator[None]:
    """Helpers that are started here do not hear SIGTERM; this process hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_sigterm() -> None:
    """In a helper: SIGTERM, which `Process.terminate` sends, ends it."""
    if hasattr(signal, "pthread_sigmask"):  # Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
