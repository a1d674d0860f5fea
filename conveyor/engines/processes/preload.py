"""What the fork server imports once, so that workers start in milliseconds.

Workers inherit what is done here: they ignore Ctrl-C from their first instruction on. It
reaches the whole process group, and what becomes of it is for the parent to decide.
"""

import importlib
import os
import signal
import sys
import warnings
from contextlib import suppress

from conveyor.engines.processes import worker
from conveyor.engines.processes.launch import MODULES

__all__ = ["worker"]

signal.signal(signal.SIGINT, signal.SIG_IGN)
# It was blocked up to now, see `launch`, and what comes of that goes to nobody.
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
# Some packages start threads when they are imported, numpy's linear algebra for one. They see to
# it themselves that a process may be forked then.
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)

for _name in os.environ.pop(MODULES, "").split():
    # What is wrong with it, the worker will tell that imports it again.
    with suppress(BaseException):
        importlib.import_module(_name)


_SERVER = os.getpid()


def _draw_anew() -> None:
    """Let a worker draw other numbers than those beside it, as Python does with its own.

    What the user's code forks is its own affair.
    """
    if os.getppid() == _SERVER:
        sys.modules["numpy.random"].seed()


if "numpy.random" in sys.modules:
    os.register_at_fork(after_in_child=_draw_anew)
