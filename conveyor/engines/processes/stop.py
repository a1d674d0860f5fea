"""How a worker is told to stop, also in the middle of the user's code: by SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager


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
        """Let the signal wait until what is inside is done."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self._raise_if_ready()
