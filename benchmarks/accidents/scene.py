"""One contestant meets one accident: ``python -m benchmarks.accidents.scene CONTESTANT ACCIDENT``.

This is the caller's process, a script as a user has it. It notes what it takes, gets and is told;
what becomes of it and of the processes below it, `watch` sees from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

from benchmarks.accidents.deeds import ACCIDENTS, Accident, read_page
from benchmarks.accidents.newcomers import NEWCOMERS, Stream
from benchmarks.accidents.notes import FILE, note, read

FEW = 5
"""Pages after which the consumer leaves."""

SLOW = 0.01
"""Seconds that a slow consumer takes for a result."""

WATCHED, LOOKS = 4.0, 8
"""Seconds that an endless stream is looked at, and how often."""

NOTES = Path(os.environ[FILE]) if FILE in os.environ else Path(os.devnull)


class Counts:
    """How many pages were taken in, and how many came out."""

    taken = 0
    came = 0

    def endless(self) -> Iterator[str]:
        """Pages without an end."""
        while True:
            self.taken += 1
            yield f"page-{self.taken:03}"

    def watch(self) -> None:
        """Note them now and then, and end the process: some would never be done."""
        for _ in range(LOOKS):
            sleep(WATCHED / LOOKS)
            note("flow", taken=self.taken, came=self.came)
        os._exit(0)


def consume(stream: Stream, accident: Accident, counts: Counts) -> Any:
    """Take what comes; give the pages that were set aside, if any were."""
    while True:
        try:
            page = next(stream)
        except StopIteration as end:
            return end.value
        counts.came += 1
        if accident.ending == "endless":
            sleep(SLOW)
            continue
        note("came", page=str(page))
        if accident.ending == "leave" and counts.came == FEW:
            while accident.deed and not any(one["kind"] == "stuck" for one in read(NOTES)):
                sleep(0.005)
            note("struck")
            stream.close()
            return None


def main(contestant: str, name: str) -> None:
    """Meet it; what is told goes on as in any script, and ends this one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    accident, counts = ACCIDENTS[name], Counts()
    pages = (
        counts.endless()
        if accident.ending == "endless"
        else [f"page-{number:03}" for number in range(accident.pages)]
    )
    if accident.ending == "endless":
        Thread(target=counts.watch, daemon=True).start()
    try:
        stream = NEWCOMERS[contestant].run(read_page, pages, accident.limit)
        aside = consume(stream, accident, counts)
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        note("told", error=type(error).__name__, text=text)
        raise
    note("done", aside=aside or [])


if __name__ == "__main__":
    main(*sys.argv[1:])
