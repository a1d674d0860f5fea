"""What a worker prints and logs, on its way to the parent's streams: whole lines.

The beginning of one goes ahead only where the user's code flushes it, for the worker may not live
to end it. It waits in the parent for the rest.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from conveyor.log import loaded

if TYPE_CHECKING:
    from typing_extensions import Buffer

Hold = Callable[[], AbstractContextManager[None]]
Emit = Callable[[int, int, str], None]
"""Called with the stream, 1 or 2, the thread that writes, and whole lines or a part of one."""

AT_ONCE, A_SECOND = 100, 100
"""Flushed parts of lines that go to the parent at once, and then: a loop that shows its progress by
dots is not to wait for it. Those beyond go with what comes next."""


class _Lines(io.BufferedIOBase):
    """The bytes that a text stream writes, handed on by whole lines.

    Each thread has a line of its own that is not whole yet, so that none gets into another.

    Args:
        fd: where the caller's stream writes, and what a process may that is started from here.
        name: the name of the stream.
        emit: called with the thread and bytes, which end in a newline unless they were flushed.
        held: makes what breaks off the user's code wait until a write is done.

    Attributes:
        is_copy: whether this process has been forked, and what carries the lines is not its own.
    """

    def __init__(self, fd: int, name: str, emit: Callable[[int, bytes], None], held: Hold) -> None:
        self.name = name
        self._fd = fd
        self._emit = emit
        self._held = held
        self._partial: dict[int, bytes] = {}
        self.is_copy = False
        self._room: float = AT_ONCE
        self._since = monotonic()

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor: what is written there goes past the lines, to the caller's own stream."""
        return self._fd

    def write(self, data: Buffer, /) -> int:
        """Take bytes; hand on the lines that are whole."""
        new = data if isinstance(data, bytes) else memoryview(data).tobytes()
        thread = threading.get_ident()
        if b"\n" not in new:
            # Most of what print() writes: one piece at a time. Nothing is taken off, nor sent, so
            # there is nothing to hold.
            self._partial[thread] = self._partial.get(thread, b"") + new
            return len(new)
        with self._held():
            lines, newline, partial = (self._partial.pop(thread, b"") + new).rpartition(b"\n")
            if partial:
                self._partial[thread] = partial
            if newline:
                self._emit(thread, lines + newline)
        return len(new)

    def flush(self) -> None:
        """Hand on the line that is not whole yet; the text stream calls this after each line."""
        thread = threading.get_ident()
        if thread not in self._partial or self.is_copy:
            return
        with self._held():
            partial = self._partial.pop(thread, b"")
            if partial and self._has_room() and _is_text(partial):
                self._room -= 1
                self._emit(thread, partial)
            elif partial:
                self._partial[thread] = partial

    def _has_room(self) -> bool:
        now = monotonic()
        self._room = min(self._room + (now - self._since) * A_SECOND, AT_ONCE)
        self._since = now
        return self._room >= 1

    def drain(self) -> None:
        """Hand on what is left, as lines."""
        with self._held():
            while self._partial:
                thread, partial = self._partial.popitem()
                self._emit(thread, partial + b"\n")


def _is_text(data: bytes) -> bool:
    """Whether bytes end with a character, and not within one."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _opened(fd: int, name: str, emit: Emit, held: Hold) -> io.TextIOWrapper:
    def decoded(thread: int, data: bytes) -> None:
        emit(fd, thread, data.decode(stream.encoding, "backslashreplace"))

    lines: Any = _Lines(fd, name, decoded, held)
    stream = io.TextIOWrapper(
        lines, "utf-8", "backslashreplace", line_buffering=True, write_through=True
    )
    return stream


def redirect(emit: Emit, held: Hold) -> Callable[[], None]:
    """Send what this process prints and logs to ``emit``.

    Args:
        emit: see :data:`Emit`.
        held: makes what breaks off the user's code wait until a write is done.

    Returns:
        What hands on the rest of a line, to be called at the end.
    """
    out, err = _opened(1, "<stdout>", emit, held), _opened(2, "<stderr>", emit, held)
    # Kept here, for the user may take them off.
    streams: list[Any] = [out.buffer, err.buffer]
    sys.stdout, sys.stderr = out, err
    os.register_at_fork(after_in_child=partial(_leave, out, err, streams))
    if (logger := loaded()) is not None:
        # The sinks of the fork server write to its own stream.
        logger.remove()
        logger.add(err.write)

    def drain() -> None:
        for stream in streams:
            stream.drain()

    return drain


def _leave(out: io.TextIOWrapper, err: io.TextIOWrapper, streams: list[Any]) -> None:
    """In a process that the user's code has forked: what carries the lines is not its own."""
    for stream in streams:
        stream.is_copy = True
    if sys.stdout is out:
        sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stderr is err:
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


class Printed:
    """What comes from one worker process, shown in the parent by whole lines."""

    def __init__(self) -> None:
        self._begun: dict[tuple[int, int], list[str]] = {}
        """By stream and thread, the parts of a line that is not whole yet."""

    def take(self, stream: int, thread: int, text: str) -> None:
        """Take in what the worker sent, see :data:`Emit`."""
        place = (stream, thread)
        if not text.endswith("\n"):
            self._begun.setdefault(place, []).append(text)
            return
        _show(stream, "".join([*self._begun.pop(place, ()), text]))

    def end(self) -> None:
        """The worker is gone: show, as lines, what it has not ended."""
        while self._begun:
            (stream, _), parts = self._begun.popitem()
            with suppress(Exception):  # for the worker is to be cleared away, whatever comes
                _show(stream, "".join([*parts, "\n"]))


def _show(stream: int, text: str) -> None:
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
        except TimeoutError:
            raise
        except (OSError, ValueError):
            # The stream is closed. That is the user's to see to; the run goes on.
            pass
