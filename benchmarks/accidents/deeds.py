"""The accidents, and the work in the middle of which they happen.

The work is `read_page`: from a page to its words in capitals. One page is the victim. Which
accident it is to be, the processes learn from a variable that they inherit.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any, Literal

from benchmarks.accidents.notes import FILE, note

NAME = "CONVEYOR_ACCIDENT"
"""The variable that says which accident it is to be."""

STAGE = "read_page"
PAGES = 60
VICTIM = "page-020"
EARLY = "page-006"
"""One that is in work when the first few have come."""

LIMIT_OF_AN_ITEM = 3.0
"""Some count the start of their processes as a part of the first item."""

Ending = Literal["all", "leave", "interrupt", "kill", "endless"]


@dataclass(frozen=True, slots=True)
class Accident:
    """Something that goes wrong.

    Attributes:
        name: as it is called on the command line.
        title: as it stands in the table.
        deed: what the worker does with the victim; what it gives is the result.
        victim: the page.
        ending: what the accident is. "all": the deed, and all pages are wanted; "leave": the
            consumer leaves after a few; "interrupt", "kill": Ctrl-C, or SIGKILL for the caller's
            process, after a few; "endless": the pages do not end. But for the first and the last,
            the deed is done before that.
        takes: seconds of work for a page.
        pages: how many there are.
        limit: seconds that a page may take, for those that know such a limit.
        may_finish: whether all pages could be done in spite of it.
    """

    name: str
    title: str
    deed: Callable[[str], Any] | None = None
    victim: str = VICTIM
    ending: Ending = "all"
    takes: float = 0.002
    pages: int = PAGES
    limit: float | None = None
    may_finish: bool = False


class NeedsTwo(Exception):
    """It can be pickled, and not unpickled: the most usual mistake with exceptions."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")


class HoldsLock(Exception):
    """It can't be pickled."""

    def __init__(self) -> None:
        super().__init__("bad page")
        self.lock = Lock()


def raise_(_: str) -> None:
    """Fail, as code does."""
    raise ValueError("no title")


def raise_what_can_not_be_loaded(_: str) -> None:
    """Fail with what the other side can't build."""
    raise NeedsTwo("bad page", "no title")


def raise_what_can_not_travel(_: str) -> None:
    """Fail with what can't be sent."""
    raise HoldsLock


def give_what_can_not_travel(_: str) -> object:
    """Give what nobody can pickle."""
    return Lock()


def be_killed_once(page: str) -> str:
    """Be killed, as by the kernel where memory is short; another attempt goes well."""
    try:
        Path(os.environ[FILE]).with_name("killed").touch(exist_ok=False)
    except FileExistsError:
        return words(page)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave_without_a_word(_: str) -> None:
    """End the process, with the code of success."""
    os._exit(0)


def leave(_: str) -> None:
    """End the program, as a script does."""
    sys.exit(3)


def crash(_: str) -> None:
    """Crash, as an extension in C does."""
    faulthandler.disable()
    ctypes.string_at(0)


def never_end(_: str) -> None:
    """Wait for something that does not come."""
    while True:
        sleep(0.05)


STUCK = " while an item never ends"

ACCIDENTS = {
    one.name: one
    for one in (
        Accident("raises", "the function raises", raise_),
        Accident("odd-error", "it raises what can't be unpickled", raise_what_can_not_be_loaded),
        Accident("bad-error", "it raises what can't be pickled", raise_what_can_not_travel),
        Accident("bad-result", "a result can't be pickled", give_what_can_not_travel),
        Accident("killed", "SIGKILL for a worker, once", be_killed_once, may_finish=True),
        Accident("exits", "`os._exit(0)` in a worker", leave_without_a_word),
        Accident("sys-exit", "`sys.exit(3)` in the function", leave),
        Accident("crashes", "a segfault in a worker", crash),
        Accident("stuck", "an item never ends", never_end),
        Accident(
            "stuck-limit", "an item never ends, and may take 3 s", never_end, limit=LIMIT_OF_AN_ITEM
        ),
        Accident("left", "the consumer leaves", ending="leave", takes=0.05),
        Accident("left-stuck", f"the consumer leaves{STUCK}", never_end, EARLY, "leave", 0.05),
        Accident("interrupted", "Ctrl-C", ending="interrupt", takes=0.05),
        Accident("interrupted-stuck", f"Ctrl-C{STUCK}", never_end, EARLY, "interrupt", 0.05),
        Accident("caller-killed", "SIGKILL for the caller", ending="kill", takes=0.05),
        Accident(
            "caller-killed-stuck", f"SIGKILL for the caller{STUCK}", never_end, EARLY, "kill", 0.05
        ),
        Accident("endless", "endless items, slow consumer", ending="endless", takes=0.0, pages=0),
    )
}


def words(page: str) -> str:
    """What the work is, where all goes well."""
    return page.upper()


def read_page(page: str) -> Any:
    """A little work for each page, and the accident for one of them."""
    accident = ACCIDENTS[os.environ[NAME]]
    sleep(accident.takes)
    if accident.deed is None or page != accident.victim:
        return words(page)
    note("struck" if accident.ending == "all" else "stuck")
    return accident.deed(page)
