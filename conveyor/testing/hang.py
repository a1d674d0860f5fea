"""A test that takes too long: broken off, with a report of who waits for whom."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from conveyor.testing.report import hang_report

_SIGNAL = signal.SIGUSR2


class Overdue(KeyboardInterrupt):
    """Raised in a test that takes too long. Engines let it through, as they do Ctrl-C."""


class Watch:
    """Breaks off what is inside of its ``with`` block if that takes too long.

    It works in the main thread only, which alone gets signals; elsewhere it does nothing.

    Args:
        seconds: the limit.

    Attributes:
        report: what was found when the limit was over, or None.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_on = False
        self.report: str | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._is_on = True
        self._before: Any = signal.signal(_SIGNAL, self._on_signal)
        self._timer = threading.Timer(min(self._seconds, threading.TIMEOUT_MAX), self._ring)
        self._timer.daemon = True
        self._timer.start()
        return self

    def _ring(self) -> None:
        if self._is_on:
            # A signal breaks into what waits in the kernel; an exception alone does not.
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        if not self._is_on:
            return  # the block came to its end in the meantime
        self._is_on = False
        self.report = hang_report(self._seconds, frame, threads=dict(self._others()))
        raise Overdue

    def _others(self) -> Iterator[tuple[str, FrameType]]:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        skipped = (threading.main_thread().ident, self._timer.ident)
        for ident, frame in sys._current_frames().items():
            if ident not in skipped:
                yield names.get(ident, str(ident)), frame

    def cancel(self) -> None:
        """Let it take as long as it likes: somebody is debugging."""
        self._is_on = False

    def __exit__(self, *_: object) -> None:
        if not hasattr(self, "_timer"):
            return
        self._is_on = False
        self._timer.cancel()
        self._timer.join()
        signal.signal(_SIGNAL, self._before)
