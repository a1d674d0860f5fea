"""How long an item may take: an alarm breaks off the user's code, where it runs Python."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, MutableSequence
from time import perf_counter, perf_counter_ns
from typing import Any, TypeAlias, TypeVar

from conveyor.errors import ConveyorError, StageTimeout

T = TypeVar("T")
Notes: TypeAlias = "MutableSequence[int] | memoryview[int]"

DEADLINE = 2
"""The place in the notes of what is in work, see ``Batch.at``, for when an item is overdue."""

AGAIN = 0.5
"""Seconds after which the alarm rings again, if the user's code swallowed it."""


class TimedOut(BaseException):
    """An item has taken too long; raised in the user's code."""


class Limit:
    """The time that one item may take.

    What takes longer is broken off by SIGALRM. That needs the main thread, and it is not done under
    a debugger, where people take their time. In other threads what took too long is told once it is
    done.

    Args:
        seconds: the limit.
        at: notes what is in work; :data:`DEADLINE` is the place for when that is overdue, in
            nanoseconds of the clock that all processes share, or 0.
    """

    def __init__(self, seconds: float, at: Notes | None = None) -> None:
        self.seconds = seconds
        self._at: Notes = [0, 0, 0] if at is None else at
        self._is_armed = False
        self._is_exceeded = False
        self._until = 0.0
        self._before: tuple[Any, tuple[float, float], float] | None = None

    def call(self, stage: str, item: Callable[[], str | None], work: Callable[[], T]) -> T:
        """What ``work`` gives, if it is in time, whatever it makes of being broken off.

        Args:
            stage: whose work it is, for the error.
            item: called for a short repr of the item, for the error.
            work: takes no argument.

        Raises:
            StageTimeout: it took too long.
        """
        self._is_exceeded = False
        try:
            result = self._called(work)
        except (ConveyorError, TimedOut):
            if not self._is_exceeded:
                raise
        else:
            if not self._is_exceeded:
                return result
        raise StageTimeout(stage, item(), self.seconds) from None

    def _called(self, work: Callable[[], T]) -> T:
        # The alarm may ring anywhere from the moment it is set to the moment it is not.
        try:
            self._arm()
            return work()
        finally:
            try:
                self._disarm()
            except TimedOut:
                self._disarm()

    def _arm(self) -> None:
        now = perf_counter()
        self._until = now + self.seconds
        if sys.gettrace() is None and threading.current_thread() is threading.main_thread():
            self._at[DEADLINE] = perf_counter_ns() + int(self.seconds * 1e9)
            handler = signal.signal(signal.SIGALRM, self._ring)
            self._before = handler, signal.getitimer(signal.ITIMER_REAL), now
            self._is_armed = True
            signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN)

    def _disarm(self) -> None:
        """Stop the alarm; one that was set before, by somebody else, goes on."""
        self._is_armed = False
        if sys.gettrace() is None and perf_counter() > self._until:
            self._is_exceeded = True
        if self._before is None:
            return
        handler, (left, interval), since = self._before
        self._before = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._at[DEADLINE] = 0
        signal.signal(signal.SIGALRM, handler)
        if left:
            left = max(1e-6, left - (perf_counter() - since))
            signal.setitimer(signal.ITIMER_REAL, left, interval)

    def _ring(self, *_: object) -> None:
        if self._is_armed:
            self._is_exceeded = True
            raise TimedOut
