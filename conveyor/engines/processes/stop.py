"""How a worker is told to stop, also in the middle of the user's code: by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

SOON = 0.01
"""Seconds after which a stop that was swallowed comes again."""

TIMES = 50
"""So often, at most, since it may be swallowed once more."""

_signals: Any = signal
_set_mask: Callable[[int, Iterable[int]], Collection[int]] = _signals._signal.pthread_sigmask
"""That of the module makes enums of all numbers, which takes longer than the rest of a print."""

_ALARM = (signal.SIGALRM,)


def ignore_interrupts() -> None:
    """Let Ctrl-C pass by this process, but not by programs that the user's code starts.

    A handler is not inherited by them; that a signal is ignored is.
    """
    signal.signal(signal.SIGINT, _nothing)


def _nothing(*_: object) -> None:
    """What becomes of a run that is interrupted is for the caller to decide."""


class Stopped(BaseException):
    """The worker has been told to stop; raised wherever it is, inside of ``armed()``."""


class StopSignal:
    """Turns SIGTERM into :class:`Stopped`, where the worker is ready for it; else it waits."""

    def __init__(self) -> None:
        self._held = 1
        self._mask = threading.local()
        self.has_come = False
        self._holding = _Holding(self)

    def install(self) -> None:
        """Listen from now on."""
        signal.signal(signal.SIGTERM, self._on_signal)
        os.register_at_fork(
            before=self._hold_back, after_in_parent=self._let_come, after_in_child=self._leave
        )
        report = sys.unraisablehook

        def on_unraisable(unraisable: Any) -> None:
            if isinstance(unraisable.exc_value, Stopped):
                self._come_again()
            else:
                report(unraisable)

        sys.unraisablehook = on_unraisable

    def _hold_back(self) -> None:
        """The user's code forks: a signal to the new process is not for us, and not to be lost."""
        self._mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _let_come(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask.before)

    def _leave(self) -> None:
        """In the new process: let the signal end it as any other."""
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._let_come()

    def _come_again(self) -> None:
        """Send the signal once more: it came in a destructor, and what is raised there ends there.

        By a thread, for sent from here it would come here.
        """
        self._held += 1
        try:
            threading.Thread(target=self._repeat, daemon=True).start()
        except RuntimeError:
            pass  # no more threads: the grace of the parent ends it
        finally:
            self._held -= 1

    def _repeat(self) -> None:
        for _ in range(TIMES):
            time.sleep(SOON)
            if not self._held:  # it is still being worked
                os.kill(os.getpid(), signal.SIGTERM)

    def _on_signal(self, *_: object) -> None:
        self.has_come = True
        self._raise_if_ready()

    def _raise_if_ready(self) -> None:
        if self.has_come and not self._held:
            raise Stopped

    @contextmanager
    def armed(self) -> Generator[None, None, None]:
        """Let the signal break off what is inside."""
        self._held -= 1
        try:
            self._raise_if_ready()
            yield
        finally:
            self._held += 1

    def held(self) -> AbstractContextManager[None]:
        """Let the signal wait until what is inside is done.

        It never comes in another thread than the main one, so there is nothing to hold there.
        """
        is_main = threading.current_thread() is threading.main_thread()
        return self._holding if is_main else _NOTHING


class _Holding(AbstractContextManager[None]):
    """Holds the signal, in the main thread; within itself there is nothing more to hold.

    A class and not a generator, which takes three times as long: each line that is printed is held.
    """

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._depth = 0
        self._mask: Collection[int] = ()

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        self._stop._held += 1
        try:
            # The alarm of an item that takes too long waits, too.
            self._mask = _set_mask(signal.SIG_BLOCK, _ALARM)
        except BaseException:  # it had rung just before, and is heard here
            _set_mask(signal.SIG_UNBLOCK, _ALARM)
            self._depth -= 1
            self._stop._held -= 1
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        self._stop._held -= 1
        _set_mask(signal.SIG_SETMASK, self._mask)
        if kind is None:
            self._stop._raise_if_ready()


_NOTHING = nullcontext()
