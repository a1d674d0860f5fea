"""What only the process engine promises: processes, bounds, and warmth."""

from __future__ import annotations

import gc
import itertools
import os
import time
from collections import Counter

import psutil
import pytest

from conveyor import AUTO, Auto, Feed, Join, Pipe, Processor, Source
from conveyor.engines.processes.cores import physical_cores


class Pid(Processor):
    """Gives the items with the ids of the processes that they went through."""

    def process(self, item):
        pids = item if isinstance(item, tuple) else ()
        return (*pids, os.getpid())


class Walk(Source[int]):
    def generate(self):
        yield from range(5)


same = Processor(abs)
same_item = Processor(lambda item: item)


def test_every_processor_has_its_own_process():
    (pids,) = (Feed() >> Pid() >> Pid() >> Pid()).run([1])
    assert len({*pids, os.getpid()}) == 4


def test_forks_and_joins_have_none():
    with (Feed() >> Pid() * Pid() * Pipe() & Pid()).open() as live:
        live.run([1])
        here = {os.getpid()}
        workers = {pid for item in live.run([1]) for pid in item} - here
        below = psutil.Process().children(recursive=True)
        alive = {child.pid for child in below if "multiprocessing" in " ".join(child.cmdline())}
    assert len(workers) == 3
    assert workers <= alive


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_are_bounded_and_used(count):
    pipeline = Feed() >> Pid() >> Pid() * Pid() & Pid() >> Pid()
    pids = {pid for item in pipeline.run(range(20), processes=count) for pid in item}
    assert len(pids) == count
    assert os.getpid() not in pids


def test_neighbours_share_a_process():
    (pids,) = (Feed() >> Pid() >> Pid() >> Pid() >> Pid()).run([1], processes=2)
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_auto_is_as_wide_as_the_cores_within_its_bounds():
    def width(auto):
        return len((Feed() >> Farewell() % auto).run(range(3)))

    assert width(AUTO) == physical_cores()
    assert width(Auto(min=3, max=3)) == 3
    assert width(Auto(max=1)) == 1


class Farewell(Processor):
    def process(self, item):
        return None

    def finish(self):
        return os.getpid()


def test_a_slow_branch_does_not_hold_up_a_fast_one(tmp_path):
    """While one branch is busy with its first item, the other does all the rest."""

    def wait_for_the_others(item):
        if item == 0:
            while not marker.exists():
                time.sleep(0.001)
        return (item, os.getpid())

    marker = tmp_path / "others are done"
    outputs = []
    for item, pid in (Feed() >> Processor(wait_for_the_others) % 2).stream(range(200)):
        outputs.append((item, pid))
        if len(outputs) == 150:
            marker.touch()
    pids = Counter(pid for _, pid in outputs)
    assert sorted(item for item, _ in outputs) == list(range(200))
    assert min(pids.values()) < 50


@pytest.mark.parametrize(
    ("items", "frames"), [([1], 1), ((1,), 1), (range(1), 1), (iter({1: 2}), 2), (iter([]), 1)]
)
def test_the_end_comes_along_with_items_that_are_known_to_be_the_last(items, frames):
    results = (Feed() >> same >> same).run(items)

    assert {worker.batches for worker in results.stats["abs"].workers} == {frames}
    assert results.stats["abs"].items_in == len(results)


def test_an_item_that_is_the_last_waits_for_no_other_branch(tmp_path):
    def wait_for_the_other(item):
        while not marker.exists():
            time.sleep(0.001)
        return item

    marker = tmp_path / "the other is there"
    came = []
    for item in (Feed() >> Processor(wait_for_the_other) * Processor(str)).stream([1]):
        came.append(item)
        marker.touch()
    assert came == ["1", 1]


def test_an_item_that_is_the_last_waits_for_no_finish(tmp_path):
    class Last(Processor):
        def process(self, item):
            return item

        def finish(self):
            while not marker.exists():
                time.sleep(0.001)
            return "finished"

    marker = tmp_path / "the item is there"
    came = []
    for item in (Feed() >> Last() >> same_item).stream([1]):
        came.append(item)
        marker.touch()
    assert came == [1, "finished"]


def test_what_a_worker_prints_in_a_run_is_there_when_the_run_is_over(capfd):
    with (Feed() >> Processor(print) >> same).open() as live:
        for number in range(20):
            live.run([number])
            assert capfd.readouterr().out == f"{number}\n"


@pytest.mark.parametrize(
    "pipeline",
    [
        Feed() >> same >> same,
        Feed() >> same % 3 & same,
        Feed() >> same * same & Join("zip"),
        Feed() >> same * Processor(lambda item: None) & Join("ordered"),
        Feed() >> same >> Processor(lambda item: [item] * 100),
    ],
    ids=["chain", "balanced", "zip", "ordered", "grown"],
)
def test_items_are_pulled_only_as_there_is_room(pipeline):
    pulled = itertools.count()
    outputs = pipeline.stream(pulled)
    for _ in range(3):
        next(outputs)
    outputs.close()
    assert next(pulled) < 5_000


@pytest.mark.parametrize("is_in_cycle", [False, True])
def test_a_live_pipeline_that_is_left_open_is_cleared_away(tmp_path, is_in_cycle):
    class Told(Processor):
        def process(self, item):
            return item

        def teardown(self):
            (tmp_path / "torn down").touch()

    def leave():
        live = (Feed() >> Told()).open()
        live.run([1], progress=lambda snapshot: None)
        if is_in_cycle:
            live.itself = live

    with pytest.warns(ResourceWarning, match="left open"):
        leave(), gc.collect()
    assert (tmp_path / "torn down").exists()


def test_items_that_turn_slow_are_not_waited_for_by_those_before():
    def items():
        yield from range(20_000)
        for item in range(300):
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:
                pass
            seen.append(len(outputs))
            yield item

    seen, outputs = [], []
    outputs.extend((Feed() >> same).stream(items()))
    assert len(outputs) == 20_300
    assert seen[-1] > seen[0]


def test_memory_does_not_grow_with_the_number_of_items():
    def peak(count):
        """The most memory that the workers had, in bytes, over so many items of 10 kB."""
        outputs = (Feed() >> same_bytes >> same_bytes).stream(b"x" * 10_000 for _ in range(count))
        most = 0
        for number, _ in enumerate(outputs):
            if number % 500 == 0:
                children = psutil.Process().children(recursive=True)
                most = max(most, sum(child.memory_info().rss for child in children))
        return most

    same_bytes = Processor(bytes)
    assert peak(20_000) < peak(2_000) + 30_000_000


def test_a_source_runs_in_its_own_process():
    class Where(Source):
        def generate(self):
            yield os.getpid()

    assert (Where() >> Processor(abs)).run() != [os.getpid()]


def test_a_warm_pipeline_keeps_its_processes():
    with (Feed() >> Pid()).open() as live:
        assert live.run([1]) == live.run([1])


def test_a_source_starts_anew_in_each_run():
    with (Walk() >> same).open() as live:
        assert live.run() == live.run() == [0, 1, 2, 3, 4]


def test_large_items_travel_whole():
    (size,) = (Feed() >> Processor(lambda data: data * 2) >> Processor(len)).run(
        [b"x" * 50_000_000]
    )
    assert size == 100_000_000


def test_many_stages_and_many_branches():
    pipeline = Feed() >> same
    for _ in range(15):
        pipeline = pipeline >> same
    assert (pipeline >> same % 16).run(range(100), ordered=True) == list(range(100))
