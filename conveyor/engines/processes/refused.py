"""What the system refuses a run: in words, with what can be done about it."""

from __future__ import annotations

import errno
import os
import resource

from conveyor.engines.processes.descriptors import close_all
from conveyor.engines.processes.interrupts import interrupts_held
from conveyor.errors import ResourceError

SPARE = 16
"""Descriptors that the start of one process needs for a moment, or for good."""

NO_MEMORY = "there is no memory left for it: see ulimit -v, and the limits of the container"
"""What to do where memory has run out."""

_PROCESSES = (
    "the limit of processes may be reached: see ulimit -u, and pids.max of the container; use "
    "fewer branches or run(processes=n)"
)
_MACHINE = "the whole machine has no file descriptors left"
_DESCRIPTORS = (
    "the process has all {} file descriptors that it may have: raise that with ulimit -n, use "
    "fewer branches or run(processes=n), or close what is not needed"
)
_CURRENT_FOLDER = (
    "the current folder has been removed, and workers begin in it: change to another one, with "
    "os.chdir()"
)
_FOLDER = "let the variable TMPDIR name a folder that can be written to and has room"


def refused(what: str, error: BaseException) -> ResourceError:
    """An error of the system's, in words.

    Args:
        what: what can't be done.
        error: an OSError, MemoryError or EOFError.
    """
    return ResourceError(what, said(error), _hint(error))


def no_folder(error: OSError) -> ResourceError:
    """There is no folder for temporary files that can be used."""
    what = "there is no folder for the socket by which workers are started"
    return ResourceError(what, said(error), _FOLDER)


def said(error: BaseException) -> str:
    """The type and text of an error of the system's."""
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name


def _hint(error: BaseException) -> str:
    match error:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return NO_MEMORY
        case EOFError() | ConnectionError():
            return f"the process that starts workers ends when it is asked to; {_PROCESSES}"
        case RuntimeError() | OSError(errno=errno.EAGAIN):
            return _PROCESSES
        case OSError(errno=errno.EMFILE):
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return _DESCRIPTORS.format(limit)
        case OSError(errno=errno.ENFILE):
            return _MACHINE
        case _:
            return _CURRENT_FOLDER if _is_of_current_folder(error) else ""


def _is_of_current_folder(error: BaseException) -> bool:
    """Whether something is not there because the current folder is not."""
    if isinstance(error, FileNotFoundError):
        try:
            os.getcwd()  # noqa: PTH109 - workers do without pathlib, which is slow to import
        except FileNotFoundError:
            return True
    return False


def need_room(descriptors: int) -> None:
    """See to it that so many descriptors can be opened: who fails halfway may leave some.

    Raises:
        OSError: there are fewer.
    """
    spare: list[int] = []
    with interrupts_held():
        try:
            for _ in range(descriptors):
                spare.append(os.eventfd(0))  # noqa: PERF401
        finally:
            close_all(spare)


def duplicated(fds: list[int]) -> list[int]:
    """Other descriptors of the same: all of them, or none.

    Raises:
        OSError: there is no room for them.
    """
    new: list[int] = []
    try:
        for fd in fds:
            new.append(os.dup(fd))  # noqa: PERF401
    except OSError:
        close_all(new)
        raise
    return new
