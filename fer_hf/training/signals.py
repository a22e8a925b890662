"""Ctrl-C and SIGTERM, which a shell, a launcher or a queue sends to every process of a run.

A room of its own, and without torch, because the command line listens before anything is imported.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ECHO_SECONDS = 2.0
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class _Listener:
    """Handles a signal, and knows when one was handled last, by itself or around it."""

    def __init__(self, handle: Callable[[], None], around: object) -> None:
        self._handle = handle
        self._moments: list[float] = around._moments if isinstance(around, _Listener) else []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - max(self._moments, default=-math.inf) > _ECHO_SECONDS:
            self._moments.append(now)
            self._handle()


@contextmanager
def handling_signals(handle: Callable[[], None]) -> Iterator[None]:
    """Call `handle` on either signal for as long as the context lasts; in the main thread only.

    What follows within two seconds counts as the same one: `torchrun`, and so `accelerate launch`,
    passes on to its processes what they got already with their group.
    """
    listener = _Listener(handle, signal.getsignal(signal.SIGTERM))
    previous = {number: signal.signal(number, listener) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raise a KeyboardInterrupt on either signal, whatever the code it meets makes of it.

    Raises:
        KeyboardInterrupt: In place of the error into which a library turned it, too.
    """
    asked = []

    def interrupt() -> None:
        asked.append(True)
        raise KeyboardInterrupt

    try:
        with handling_signals(interrupt):
            yield
    except Exception as error:
        if asked:
            raise KeyboardInterrupt from error
        raise


def init_worker(seed: Callable[[int], None] | None, worker_id: int) -> None:
    """Let a process of a DataLoader outlive the signal that its group gets, and seed it.

    Without it the main process could not finish its step. A second SIGTERM ends it, as torch may
    have to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    if seed:
        seed(worker_id)
