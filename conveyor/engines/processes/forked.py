"""Copies of a worker that the user's code has forked, and that have come out of that code.

Such a copy has the worker's pipes, and would answer in its place. What it does instead is what a
script does at its end: the usual way to end a forked process is ``sys.exit()``.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

from conveyor.flow.batch import Frame


def end_copy(error: BaseException | None = None) -> NoReturn:
    """End this process, and let nothing of the worker's end with it.

    Args:
        error: what the user's code has raised.
    """
    code = _code(error)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code & 0xFF)


def _code(error: BaseException | None) -> int:
    """The exit code, as Python has it; what is to be told then has been."""
    match error:
        case None | SystemExit(code=None):
            return 0
        case SystemExit(code=int(code)):
            return code
        case SystemExit():
            if sys.stderr is not None:
                sys.stderr.write(f"{error.code}\n")
        case _:
            traceback.print_exception(error)
    return 1


class EndOfCopy:
    """In a copy, what it has in place of the end of a channel."""

    is_flushed = True

    def send(self, frame: Frame) -> None:  # noqa: ARG002
        """There is nobody to send it to."""
        end_copy()

    def close(self) -> None:
        """There is nothing to close."""
