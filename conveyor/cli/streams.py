"""The standard streams of a command, as its own."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from conveyor import UsageError


def standard(stream: TextIO | None, name: str) -> TextIO:
    """A standard stream, which may be closed.

    Raises:
        UsageError: it is.
    """
    if stream is None:
        raise UsageError(f"the standard {name} is closed")
    return stream


@contextmanager
def output_apart(out: TextIO) -> Generator[TextIO]:
    """The standard output for what a command gives; the standard error has what else goes there.

    That is what the user's code prints, here and in workers, and what programs that it starts and
    libraries in C write to the descriptor.

    Args:
        out: the standard output.
    """
    with redirect_stdout(sys.stderr):
        try:
            fd = out.fileno()
        except OSError:  # no file: nobody else has it
            yield out
            return
        own = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _BEHIND_STANDARD)
        _point_to_errors(fd)
        # What the encoding has not is shown, as where workers print. A run sets one for its data.
        stream = os.fdopen(own, "w", encoding=out.encoding, errors="backslashreplace")
        try:
            yield stream
            stream.flush()
        finally:
            os.dup2(own, fd)
            with suppress(OSError):  # that it can't be written has been told, or what came before
                stream.close()


_BEHIND_STANDARD = 3
"""The least descriptor that is none of a standard stream, which may be closed."""


def _point_to_errors(fd: int) -> None:
    """Let a descriptor write to the standard error, or nowhere where that is closed."""
    if sys.stderr is not None:
        os.dup2(sys.stderr.fileno(), fd)
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)
