"""How a worker is told to stop, also in the middle of the user's code: by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

SOON = 0.01
"""Seconds after which a stop that was swallowed comes again."""

TIMES = 50
"""So often, at most, since it may be swallowed once more."""


class Stopped(BaseException):
    """The worker has been told to stop; raised wherever it is, inside of ``armed()``."""


class StopSignal:
    """Turns SIGTERM into :class:`Stopped`, where the worker is ready for it; else it waits."""

    def __init__(self) -> None:
        self._held = 1
        self.has_come = False

    def install(self) -> None:
        """Listen from now on."""
        signal.signal(signal.SIGTERM, self._on_signal)
        report = sys.unraisablehook

        def on_unraisable(unraisable: Any) -> None:
            if isinstance(unraisable.exc_value, Stopped):
                self._come_again()
            else:
                report(unraisable)

        sys.unraisablehook = on_unraisable

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

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Let the signal wait until what is inside is done.

        It never comes in another thread than the main one, so there is nothing to hold there.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        # The alarm of an item that takes too long waits, too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            yield
        finally:
            self._held -= 1
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._raise_if_ready()
