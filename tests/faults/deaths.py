"""A stage that dies, in a way and a phase of its work that are chosen, once or each time."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from pathlib import Path

from conveyor import Processor


def segfault():
    faulthandler.disable()
    ctypes.string_at(0)


WAYS = {
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    "terminate": (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    "segfault": (segfault, -signal.SIGSEGV),
    "abort": (os.abort, -signal.SIGABRT),
    "exit 0": (lambda: os._exit(0), 0),
    "exit 7": (lambda: os._exit(7), 7),
}
"""What a process does to die, and the exit code that tells of it."""

PHASES = ("setup", "load", "process", "give", "finish", "teardown")
FATAL = 11
"""The item at which it dies, where it is an item's work."""

ENDED = 1000

here: list[Dies] = []
"""The stage of this process, if it is one of ours."""


def loaded(number):
    if here and number == FATAL:
        here[0].at("load")
    return Item(number)


class Item:
    """A number that takes notice of its being loaded."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return loaded, (self.number,)

    def __repr__(self):
        return f"Item({self.number})"


class Given(Item):
    """One that takes notice of its being pickled, too."""

    def __reduce__(self):
        if here and self.number == FATAL:
            here[0].at("give")
        return super().__reduce__()


class Dies(Processor):
    """Gives what it gets, and at the end how many there were, and dies in one phase.

    Args:
        phase: when.
        way: how.
        once: a file that is made when it dies, and then it does not do so again; None to die
            each time.
    """

    def __init__(self, phase: str, way: str, once: Path | None) -> None:
        self.phase, self.way, self.once = phase, way, once
        self.count = 0

    def at(self, phase: str) -> None:
        if phase != self.phase:
            return
        if self.once is not None:
            try:
                self.once.touch(exist_ok=False)
            except FileExistsError:
                return
        WAYS[self.way][0]()

    def setup(self):
        here.append(self)
        self.at("setup")

    def process(self, item):
        if item.number == FATAL:
            self.at("process")
        self.count += 1
        return Given(item.number)

    def finish(self):
        self.at("finish")
        return Item(ENDED + self.count)

    def teardown(self):
        self.at("teardown")

    def snapshot(self):
        return self.count

    def restore(self, state):
        self.count = state
