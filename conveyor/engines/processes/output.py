"""What a worker prints and logs, on its way to the parent's streams: whole lines."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from conveyor.log import loaded

Hold = Callable[[], AbstractContextManager[None]]


class LineStream(io.TextIOBase):
    """A text stream that hands on whole lines.

    Args:
        emit: called with text that ends in a newline.
        held: makes what breaks off the user's code wait until a write is done.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, emit: Callable[[str], None], held: Hold) -> None:
        self._emit = emit
        self._held = held
        self._partial = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text; hand on the lines that are whole."""
        if not isinstance(text, str):
            raise TypeError(f"write() takes str, not {type(text).__name__}")
        with self._held(), self._lock:
            lines, newline, self._partial = (self._partial + text).rpartition("\n")
            if newline:
                self._emit(lines + newline)
        return len(text)

    def drain(self) -> None:
        """Hand on what is left, as a line."""
        with self._held(), self._lock:
            partial, self._partial = self._partial, ""
            if partial:
                self._emit(partial + "\n")


def redirect(emit: Callable[[int, str], None], held: Hold) -> Callable[[], None]:
    """Send what this process prints and logs to ``emit(1 or 2, text)``.

    Args:
        emit: called with whole lines.
        held: makes what breaks off the user's code wait until a write is done.

    Returns:
        What hands on the rest of a line, to be called at the end.
    """
    out = LineStream(lambda text: emit(1, text), held)
    err = LineStream(lambda text: emit(2, text), held)
    sys.stdout, sys.stderr = out, err
    if (logger := loaded()) is not None:
        # The sinks of the fork server write to its own stream.
        logger.remove()
        logger.add(err.write)

    def drain() -> None:
        out.drain()
        err.drain()

    return drain


def show(stream: int, text: str) -> None:
    """Write what came from a worker to the parent's stream."""
    target = sys.stdout if stream == 1 else sys.stderr
    if target is not None:
        try:
            target.write(text)
            target.flush()
        except (OSError, ValueError):
            # The stream is closed. That is the user's to see to; the run goes on.
            pass
