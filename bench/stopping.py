"""A clean end when the scheduler asks for one: SIGTERM, SIGUSR1 and SIGUSR2 (submitit) become
a checkpoint, then the signal goes on its way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GRACE_S = 20.0  # how long after the signal an epoch may still end by itself; then the last checkpoint on disk must do

START = time.monotonic()  # about when the command began: `deadline` counts from here, over all its cells
SIGNALS = [getattr(signal, s) for s in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, s)]

_PARENT = os.getppid()
_ignored: list[bool] = []
_watched: list[int] = []  # signals that `watch` has taken over at present
_asked: list[tuple[int, float]] = []  # (signal, time) of the first request


def asked() -> bool:
    """Whether a signal asked this process to stop, or the sweep that it works for is gone."""
    return bool(_asked) or _orphaned()


def _orphaned() -> bool:
    """Whether this is a worker of a joblib sweep whose main process was killed: nobody would stop it or see its lines."""
    return os.getppid() != _PARENT and multiprocessing.current_process().name.startswith("Loky")


def overdue() -> bool:
    """Whether the request is older than GRACE_S."""
    return bool(_asked) and time.monotonic() - _asked[0][1] > GRACE_S


def _note(signum: int, frame: Any) -> None:
    if not _asked:
        _asked.append((signum, time.monotonic()))


def ignore() -> None:
    """For a follower of trainer=ddp: rank 0 decides for all, whoever else the scheduler or the keyboard signals."""
    for signum in (*SIGNALS, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    _ignored.append(True)


def renew() -> None:
    """Inside `watch`, take the signals back from a library that installed handlers of its own (Lightning ends the process)."""
    for signum in _watched:
        signal.signal(signum, _note)
    if _ignored:
        ignore()


@contextmanager
def watch() -> Iterator[None]:
    """Inside, these signals are only noted; on leaving, the handlers of before are back and get a noted signal.

    A launcher's own handler (submitit's, which requeues the job) therefore runs after the checkpoint is written.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return

    before = {s: signal.signal(s, _note) for s in SIGNALS}
    _watched.extend(SIGNALS)
    try:
        yield
    finally:
        _watched.clear()
        for signum, handler in before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        if _orphaned():
            os._exit(75)  # the pool would wait here for work from a process that is gone
        if _asked:
            signum = _asked.pop()[0]
            os.kill(os.getpid(), signum)
