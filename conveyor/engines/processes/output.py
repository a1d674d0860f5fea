"""What a worker prints and logs, on its way to the parent's streams: whole lines."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from conveyor.log import loaded

if TYPE_CHECKING:
    from typing_extensions import Buffer

Hold = Callable[[], AbstractContextManager[None]]


class _Lines(io.BufferedIOBase):
    """The bytes that a text stream writes, handed on by whole lines.

    Each thread has a line of its own that is not whole yet, so that none gets into another.

    Args:
        fd: where the caller's stream writes, and what a process may that is started from here.
        name: the name of the stream.
        emit: called with bytes that end in a newline.
        held: makes what breaks off the user's code wait until a write is done.
    """

    def __init__(self, fd: int, name: str, emit: Callable[[bytes], None], held: Hold) -> None:
        self.name = name
        self._fd = fd
        self._emit = emit
        self._held = held
        self._partial: dict[int, bytes] = {}

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor: what is written there goes past the lines, to the caller's own stream."""
        return self._fd

    def write(self, data: Buffer, /) -> int:
        """Take bytes; hand on the lines that are whole."""
        new, thread = memoryview(data).tobytes(), threading.get_ident()
        with self._held():
            lines, newline, partial = (self._partial.pop(thread, b"") + new).rpartition(b"\n")
            if partial:
                self._partial[thread] = partial
            if newline:
                self._emit(lines + newline)
        return len(new)

    def drain(self) -> None:
        """Hand on what is left, as lines."""
        with self._held():
            while self._partial:
                _, partial = self._partial.popitem()
                self._emit(partial + b"\n")


def _opened(fd: int, name: str, emit: Callable[[int, str], None], held: Hold) -> io.TextIOWrapper:
    def decoded(data: bytes) -> None:
        emit(fd, data.decode(stream.encoding, "backslashreplace"))

    lines: Any = _Lines(fd, name, decoded, held)
    stream = io.TextIOWrapper(
        lines, "utf-8", "backslashreplace", line_buffering=True, write_through=True
    )
    return stream


def redirect(emit: Callable[[int, str], None], held: Hold) -> Callable[[], None]:
    """Send what this process prints and logs to ``emit(1 or 2, text)``.

    Args:
        emit: called with whole lines.
        held: makes what breaks off the user's code wait until a write is done.

    Returns:
        What hands on the rest of a line, to be called at the end.
    """
    out, err = _opened(1, "<stdout>", emit, held), _opened(2, "<stderr>", emit, held)
    # Kept here, for the user may take them off.
    streams: list[Any] = [out.buffer, err.buffer]
    sys.stdout, sys.stderr = out, err
    os.register_at_fork(after_in_child=partial(_leave, out, err))
    if (logger := loaded()) is not None:
        # The sinks of the fork server write to its own stream.
        logger.remove()
        logger.add(err.write)

    def drain() -> None:
        for stream in streams:
            stream.drain()

    return drain


def _leave(out: io.TextIOWrapper, err: io.TextIOWrapper) -> None:
    """In a process that the user's code has forked: what carries the lines is not its own."""
    if sys.stdout is out:
        sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stderr is err:
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def show(stream: int, text: str) -> None:
    """Write what came from a worker to the parent's stream."""
    target = sys.stdout if stream == 1 else sys.stderr
    if target is not None:
        try:
            try:
                target.write(text)
            except UnicodeEncodeError as error:
                known = text.encode(error.encoding, "backslashreplace")
                target.write(known.decode(error.encoding))
            target.flush()
        except (OSError, ValueError):
            # The stream is closed. That is the user's to see to; the run goes on.
            pass
