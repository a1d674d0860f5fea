"""Chaos: random pipelines whose workers are killed at random moments, for as long as it takes.

    python -m tests.faults.chaos --kills 10000 --seed 1

Every run must give what the inline engine gives, its account must add up, and at the end nothing
may be left. It prints what was killed, and how long the pipelines took to get over it.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from loguru import logger

from conveyor import Element, Feed, Join, Pipe, Processor
from conveyor.engines.processes import look
from tests.leaks import Snapshot, leaks

ITEMS = 400
HANG = 80
"""Seconds that one run may take before it counts as hung; the stacks are printed then."""

OFTEN = {"restarts": 1_000_000, "retries": 1_000_000}
"""An item may be in work in any number of deaths."""


# -- what runs: nothing that takes long to import, or workers would die of nothing else --


BEGUN = "CHAOS_BEGUN"
"""The variable that names a file with a byte for each item that any stage began to process."""


def begin() -> None:
    """Count an item that goes into work: it does so again where its worker dies of something."""
    fd = os.open(os.environ[BEGUN], os.O_WRONLY | os.O_APPEND)
    os.write(fd, b".")
    os.close(fd)


def spin(item: int) -> int:
    """Some work: what is killed in the middle of it has to be done again."""
    begin()
    for _ in range(2_000):
        pass
    return item


def twice(item: int) -> Iterator[int]:
    begin()
    yield item
    yield -item


def third(item: int) -> int | None:
    begin()
    return item if item % 3 else None


class Running(Processor[int, int]):
    """The sum so far, and at the end how many there were."""

    def __init__(self) -> None:
        self.state = (0, 0)

    def process(self, item: int) -> int:
        begin()
        total, count = self.state
        self.state = (total + item, count + 1)
        return total + item

    def finish(self) -> int:
        return self.state[1]

    def snapshot(self) -> tuple[int, int]:
        return self.state

    def restore(self, state: tuple[int, int]) -> None:
        self.state = state


def work(function: Callable[[int], Any] = spin) -> Element:
    return Processor(function).options(**OFTEN)


def some(random_: random.Random) -> Element:
    return work(random_.choice([spin, twice, third]))


def running() -> Element:
    return Running().options(**OFTEN)


Shape = Callable[[random.Random], Element]
SHAPES: list[Shape] = [
    lambda r: Feed() >> some(r) >> some(r) >> some(r),
    lambda r: Feed() >> work() * work(third) * Pipe() & Join("zip") >> Processor(sum),
    lambda r: Feed() >> some(r) % r.randint(2, 3) & Join("ordered") >> running(),
    lambda r: Feed() >> some(r) * (Pipe() >> some(r) % 2 & work()) & Join("ordered") >> some(r),
    lambda r: Feed() >> work() % 2 >> work() & some(r) % 2,
    lambda r: Feed() >> some(r) >> Pipe(capacity=r.randint(1, 5)) >> some(r),
    lambda r: Feed() >> running() >> some(r),
    lambda r: Feed() >> Processor(abs) >> some(r) >> Processor(abs) % 2 & some(r),
    lambda r: Feed() >> some(r) * some(r) * some(r) & work(),
]
"""Pipelines that know all ways in and out."""


@dataclass
class Report:
    """What has happened.

    Attributes:
        runs: how many runs there were.
        signals: how often each signal was sent.
        restarts: how many workers were started again, as the library's log told.
        detections: seconds from a signal that kills to its being noticed.
        items: how many items all stages had to process, and
        begun: how often they began to.
        recoveries: seconds from a signal that kills to another worker being ready.
        wrong: what did not hold.
    """

    runs: int = 0
    signals: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    items: int = 0
    begun: int = 0
    recoveries: list[float] = field(default_factory=list)
    detections: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.restarts


class Killer(threading.Thread):
    """Sends signals to workers of this process, at random moments, until it is told to end.

    Args:
        random_: what decides.
        report: where it is noted.
        mortal: the names of the workers that it may choose: those that may be started again.
    """

    def __init__(self, random_: random.Random, report: Report, mortal: set[str]) -> None:
        super().__init__(daemon=True)
        self._random = random_
        self._report = report
        self._mortal = mortal
        self._ended = threading.Event()
        self.struck: dict[int, float] = {}
        """When a process was sent a signal that ends it."""

    def run(self) -> None:
        mean = self._random.choice([0.01, 0.03, 0.06])
        while not self._ended.wait(self._random.expovariate(1 / mean)):
            self._strike()

    def _strike(self) -> None:
        workers = [pid for pid in pids_of(self._mortal) if pid not in self.struck]
        if not workers:
            return
        try:
            victim = psutil.Process(self._random.choice(workers))
        except psutil.NoSuchProcess:
            return
        number = self._random.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], [12, 2, 2])[
            0
        ]
        try:
            victim.send_signal(number)
        except psutil.NoSuchProcess:
            return
        self._report.signals[signal.Signals(number).name] += 1
        if number == signal.SIGSTOP:
            time.sleep(self._random.random() * 0.05)
            try:
                victim.send_signal(signal.SIGCONT)
            except psutil.NoSuchProcess:
                return
        else:
            self.struck[victim.pid] = time.perf_counter()

    def end(self) -> None:
        self._ended.set()
        self.join()


def pids_of(names: set[str]) -> list[int]:
    """The processes of the workers with these names, of all pipelines that run here."""
    try:
        seen = [sight for sights in look.pipelines() for sight in sights]
    except RuntimeError:  # a worker has just come or gone
        return []
    return [sight.pid for sight in seen if sight.pid is not None and sight.worker in names]


class Listener:
    """Learns from the library's log what it notices, and when."""

    def __init__(self, report: Report, killer: Killer) -> None:
        self._report = report
        self._struck = killer.struck
        self._heirs: dict[str, float] = {}

    def __call__(self, message: str) -> None:
        now, words = time.perf_counter(), message.split()
        if "it is started again" in message:
            self._report.restarts += 1
            if (at := self._struck.get(int(words[-1]))) is not None:
                self._report.detections.append(now - at)
        elif "takes the place of" in message:
            if (at := self._struck.get(int(words[-1]))) is not None:
                self._heirs[words[1]] = at
        elif "is ready" in message and words[1] in self._heirs:
            self._report.recoveries.append(now - self._heirs[words[1]])


def run_once(random_: random.Random, report: Report) -> None:
    """One pipeline, one run, while its workers are killed."""
    with tempfile.NamedTemporaryFile() as file:
        os.environ[BEGUN] = file.name
        run_counted(random_, report, lambda: Path(file.name).stat().st_size)


def run_counted(random_: random.Random, report: Report, begun: Callable[[], int]) -> None:
    """The same, where it is known how many items have been begun so far."""
    made = random_.choice(SHAPES)(random_)
    ordered = random_.random() < 0.5
    items = [random_.randint(-99, 99) for _ in range(ITEMS)]
    inline = made.run(items, engine="inline")
    needed = begun()
    mortal = {node.id for node in made.compile().processors if node.settings.restarts}
    killer = Killer(random.Random(random_.random()), report, mortal)
    sink = logger.add(Listener(report, killer), format="{message}", level="DEBUG")
    faulthandler.dump_traceback_later(HANG, exit=True)
    killer.start()
    try:
        results = made.run(items, ordered=ordered)
    except Exception as error:  # noqa: BLE001
        report.wrong.append(f"{made!r}, ordered={ordered}: {error!r}")
        return
    finally:
        killer.end()
        logger.remove(sink)
        faulthandler.cancel_dump_traceback_later()
    report.runs += 1
    report.items += needed
    report.begun += begun() - needed
    same = results == inline if ordered else Counter(results) == Counter(inline)
    if not same:
        lost, extra = Counter(inline) - Counter(results), Counter(results) - Counter(inline)
        report.wrong.append(f"{made!r}, ordered={ordered}: lost {lost}, extra {extra}")


def chaos(kills: int, seed: int) -> Report:
    """Run pipelines until so many workers have died and were started again."""
    assert Processor(abs).run([-1]) == [1]  # the fork server is there from now on
    before = Snapshot.take()
    random_, report = random.Random(seed), Report()
    logger.remove()
    logger.enable("conveyor")
    while report.kills < kills and len(report.wrong) < 3:
        run_once(random_, report)
    report.wrong += leaks(before)
    return report


def told(report: Report, seconds: float) -> str:
    """The report for people."""
    lines = [
        f"{report.runs} runs, {report.kills} workers started again, in {seconds:.0f} s",
        ", ".join(f"{count} x {name}" for name, count in sorted(report.signals.items())),
    ]
    again = report.begun - report.items
    share = again / max(1, report.items)
    lines.append(f"{report.items} items in all stages, {again} ({share:.2%}) begun once more")
    for name, times in (("noticed", report.detections), ("replaced", report.recoveries)):
        if len(times) > 1:
            cuts = statistics.quantiles(times, n=100)
            lines.append(f"{name} after {cuts[49] * 1e3:.1f} ms (p50), {cuts[98] * 1e3:.1f} (p99)")
    lines += [f"WRONG: {one}" for one in report.wrong] or ["nothing lost, doubled or left behind"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.perf_counter()
    report = chaos(asked.kills, asked.seed)
    print(told(report, time.perf_counter() - began))
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
