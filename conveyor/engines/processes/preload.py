"""What the fork server imports once, so that workers start in milliseconds.

It outlives a caller that is killed, and its workers, and then takes the socket away.

Workers inherit what is done here: they ignore Ctrl-C from their first instruction on. It
reaches the whole process group, and what becomes of it is for the parent to decide.
"""

import atexit
import errno
import gc
import importlib
import os
import signal
import sys
import warnings
from contextlib import suppress
from multiprocessing import forkserver, reduction
from socket import socket
from time import monotonic, sleep
from typing import Any

from conveyor.engines.processes import stop, worker
from conveyor.engines.processes.imports import CALLER, MODULES

__all__ = ["worker"]

stop.ignore_interrupts()
# It was blocked up to now, see `fork_server`, and what comes of that goes to nobody. What else the
# caller has blocked was for a thread of its own.
signal.pthread_sigmask(signal.SIG_SETMASK, ())
# Some packages start threads when they are imported, numpy's linear algebra for one. They see to
# it themselves that a process may be forked then.
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)

for _name in os.environ.pop(MODULES, "").split():
    # What is wrong with it, the worker will tell that imports it again.
    with suppress(BaseException):
        importlib.import_module(_name)
# What is there now stays. A worker that looked for garbage in it would have copies of its pages.
gc.freeze()


# To be told is better than to look: it may be gone by now.
_SERVER, _CALLER = os.getpid(), int(os.environ.pop(CALLER, os.getppid()))
_LAST_SECONDS = 0.5


def _clear_away() -> None:
    """Where the caller is gone without having done so, remove the socket, and its folder.

    Who else has a socket in that folder keeps it.
    """
    told: Any = forkserver
    path = told._forkserver._forkserver_address
    if os.getpid() != _SERVER or not path or not os.access(path, os.F_OK) or not _is_orphan():
        return
    from pathlib import Path  # slow to import, and workers do without

    with suppress(OSError):
        Path(path).unlink()
        Path(path).parent.rmdir()


def _is_orphan() -> bool:
    """Whether the caller is gone; its descriptors, by which we know, go a moment before it does."""
    until = monotonic() + _LAST_SECONDS
    while os.getppid() == _CALLER and monotonic() < until:
        sleep(0.001)
    return os.getppid() != _CALLER


atexit.register(_clear_away)


_received = reduction.recvfds


def _orders(sock: socket, size: int) -> list[int]:
    """What a caller sends that wants a worker.

    One that Ctrl-C has broken off between its call and its wish sends nothing. The fork server of
    the standard library ends of that, but goes on where a call has been given up.
    """
    try:
        return _received(sock, size)
    except EOFError as error:
        raise ConnectionAbortedError(errno.ECONNABORTED, "the caller gave up") from error


def _leave_to_workers() -> None:
    reduction.recvfds = _received


reduction.recvfds = _orders
os.register_at_fork(after_in_child=_leave_to_workers)


def _draw_anew() -> None:
    """Let a worker draw other numbers than those beside it, as Python does with its own.

    What the user's code forks is its own affair.
    """
    if os.getppid() == _SERVER:
        sys.modules["numpy.random"].seed()


if "numpy.random" in sys.modules:
    os.register_at_fork(after_in_child=_draw_anew)
