"""Signals in the caller's process, where what they raise would leave something half done.

That is Ctrl-C, and whatever else has a handler that may raise: limits of time are made of SIGALRM.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


class _Held:
    """Takes signals in place of the caller's handlers, and hands them on when it may.

    Args:
        handlers: those of the caller, by their signals.
    """

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self._handlers = handlers
        self._came: list[tuple[int, FrameType | None]] = []
        self.lets_through = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.lets_through:
            self._handlers[number](number, frame)
        else:
            self._came.append((number, frame))

    def take_over(self) -> None:
        """Be the handler from now on."""
        for number in self._handlers:
            signal.signal(number, self)

    def give_back(self) -> None:
        """Let the handlers of the caller be there again, and have what came."""
        self.lets_through = True
        try:
            self._restore(list(self._handlers.items()))
        finally:
            self.hand_on()

    def _restore(self, left: list[tuple[int, Handler]]) -> None:
        try:
            while left:
                signal.signal(*left[-1])
                left.pop()
        finally:
            if left:  # one of them has raised meanwhile
                self._restore(left)

    def hand_on(self) -> None:
        """Let the handlers have what came; one that raises keeps the others from nothing."""
        if self._came:
            number, frame = self._came.pop(0)
            try:
                self._handlers[number](number, frame)
            finally:
                self.hand_on()


_all_held: list[_Held] = []
"""Who has taken over in the main thread: the last one. More than one where a handler runs a
pipeline, that was let in by another one."""


@contextmanager
def interrupts_held() -> Generator[None, None, None]:
    """Let signals wait until what is inside is done; it is to take no longer than a moment.

    Only the main thread is ever interrupted. To block signals would not do: another thread may get
    them, and have the main one interrupted.
    """
    if not _is_main() or (_all_held and not _all_held[-1].lets_through):
        yield
        return
    found = {number: signal.getsignal(number) for number in _signals()}
    held = _Held({number: handler for number, handler in found.items() if callable(handler)})
    try:
        held.take_over()
        _all_held.append(held)
        yield
    finally:
        if held in _all_held:
            _all_held.remove(held)
        held.give_back()


@contextmanager
def interrupts_let_in() -> Generator[None, None, None]:
    """Let signals come, inside of :func:`interrupts_held`, where there is something to wait for."""
    if not _is_main() or not _all_held or _all_held[-1].lets_through:
        yield
        return
    held = _all_held[-1]
    try:
        held.lets_through = True
        held.hand_on()
        yield
    finally:
        held.lets_through = False


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@cache
def _signals() -> tuple[int, ...]:
    return tuple(map(int, signal.valid_signals()))
