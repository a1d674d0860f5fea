"""Signals in the caller's process, where what they raise would leave something half done.

That is Ctrl-C, and whatever else has a handler that may raise: limits of time are made of SIGALRM.
Many of them raise a ``TimeoutError``. That is an OSError, but none of those that we ask for, since
nothing in here has such a limit: where others are dealt with, it is let through.
"""

from __future__ import annotations

import os
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
        is_firm: whether nothing is to be let in.
    """

    def __init__(self, handlers: dict[int, Handler], *, is_firm: bool) -> None:
        self._handlers = handlers
        self.is_firm = is_firm
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
                number, handler = left[-1]
                if signal.getsignal(number) is self:  # none of them has set another one meanwhile
                    signal.signal(number, handler)
                left.pop()
        finally:
            if left:  # one of them has raised meanwhile
                self._restore(left)

    def forget(self) -> None:
        """Let nobody have what came."""
        self._came.clear()

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


def _leave() -> None:
    """In a process that another thread has forked: the caller's handlers are its own."""
    for held in reversed(_all_held):
        held.forget()
        held.give_back()
    _all_held.clear()


os.register_at_fork(after_in_child=_leave)


@contextmanager
def interrupts_held(*, firmly: bool = False) -> Generator[None, None, None]:
    """Let signals wait until what is inside is done; it is to take no longer than a moment.

    Only the main thread is ever interrupted. To block signals would not do: another thread may get
    them, and have the main one interrupted.

    Args:
        firmly: let none in where there is something to wait for, either.
    """
    if not _is_main() or (_all_held and not _all_held[-1].lets_through and not firmly):
        yield
        return
    found = {number: signal.getsignal(number) for number in _signals()}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    held = _Held(handlers, is_firm=firmly)
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
    held = _all_held[-1] if _all_held else None
    if not _is_main() or held is None or held.lets_through or held.is_firm:
        yield
        return
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
