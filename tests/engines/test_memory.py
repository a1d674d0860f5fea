"""The memory of the whole process tree stays flat, whatever the shape and however many items."""

from __future__ import annotations

import gc
import itertools

import psutil
import pytest

from conveyor import Feed, Join, Pipe, Processor

pytestmark = pytest.mark.slow

ROOM = 25_000_000
"""Bytes that a process tree may grow by once it is under way: allocators are no clockwork."""


def of_the_tree() -> int:
    """Bytes that only this process and those below it hold."""
    me = psutil.Process()
    tree = [me, *me.children(recursive=True)]
    return sum(process.memory_full_info().uss for process in tree)


def busy(item):
    """About a hundred times the work of handing an item on."""
    sum(range(2_000))
    return item


def first_of(item):
    return item[0]


slow, fast, first = Processor(busy), Processor(bytes), Processor(first_of)


@pytest.mark.parametrize(
    "pipeline",
    [
        Feed() >> fast >> slow,
        Feed() >> fast * slow & Join("zip") >> first,
        Feed() >> fast * slow & Join("ordered") >> fast,
        Feed() >> fast % slow & fast,
        Feed() >> fast * Pipe() * (fast % slow) & fast,
    ],
    ids=["chain", "zip", "ordered", "balanced", "nested"],
)
def test_an_endless_source_into_a_slow_sink(pipeline):
    outputs = pipeline.stream(b"%d" % number * 2_000 for number in itertools.count())
    early = late = 0
    for number, output in enumerate(outputs):
        busy(output)
        if number % 500 == 499:
            early = max(early, of_the_tree()) if number < 2_500 else early
            late = max(late, of_the_tree()) if number > 7_500 else late
        if number > 9_000:
            break
    outputs.close()
    assert early
    assert late < early + ROOM


def test_ten_million_small_items():
    def rare(item):
        return item if item % 1_000_000 == 0 else None

    outputs = (Feed() >> Processor(rare) >> Processor(int)).stream(range(10_000_001))
    samples = [of_the_tree() for _ in outputs]
    assert len(samples) == 11
    assert max(samples[5:]) < max(samples[1:4]) + ROOM


def objects():
    gc.collect()
    return len(gc.get_objects())


def test_runs_leave_no_objects_in_the_caller():
    def run_anew():
        (Feed() >> fast >> first).run([b"item"] * 50)

    for _ in range(5):
        run_anew()
    before = objects()
    for _ in range(20):
        run_anew()
    assert objects() < before + 20

    with (Feed() >> fast >> first).open() as live:
        for _ in range(20):
            live.run([b"item"] * 50)
        before = objects()
        for _ in range(200):
            live.run([b"item"] * 50)
        assert objects() < before + 200
