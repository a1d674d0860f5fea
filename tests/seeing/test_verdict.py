"""The verdict names the bottleneck where it is known, and says what would bring something."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from conveyor import AUTO, Feed, Processor, Source
from conveyor.engines.account import Account
from conveyor.engines.figures import Figures
from conveyor.engines.histogram import NO_TIMES, Times
from conveyor.engines.stats import Stats, Width, bare
from conveyor.seeing.verdict import verdict

RUN = 10.0
"""Seconds that the runs took that are made up here."""


class Load(Processor):
    def process(self, item):
        return item


class ModelB(Processor):
    def process(self, item):
        return item


class Files(Source):
    def generate(self):
        yield "a"


@dataclass(frozen=True)
class Seen:
    """What a worker counted."""

    worker: str
    element: str
    process: int
    seen: Figures = field(default_factory=Figures)

    def figures(self):
        return self.seen


def at(busy, *, blocked=0.0, pickling=0.0, elsewhere=0.0, cpu=None, mean=0.01):
    """The figures of a worker with these shares of the time."""
    starved = RUN * max(0.0, 1 - busy - blocked - elsewhere)
    return Figures(
        busy=RUN * busy,
        blocked=RUN * blocked,
        elsewhere=RUN * elsewhere,
        starved=starved,
        pickling=RUN * pickling,
        cpu=RUN * (busy if cpu is None else cpu),
        service=NO_TIMES if mean is None else taking(mean),
    )


def taking(seconds):
    times = Times()
    times.add(int(seconds * 1e9), 100)
    return times.histogram()


def told(pipeline, figures, *, cores, widths=None, elapsed=RUN):
    """The verdict on a run in which the workers of these elements did so."""
    graph = bare(pipeline.compile())
    counted = []
    for process, (element, seen) in enumerate(figures.items()):
        place = -1 if element in ("feed", "output") else process
        several = seen if isinstance(seen, list) else [seen]
        for number, one in enumerate(several):
            counted.append(Seen(f"{element}+{number}", element, place + 100 * number, one))
    accounts = {node.id: Account(100, 100) for node in graph.nodes}
    stats = Stats(graph, accounts, Account(100, 100), elapsed, widths or {}, counted)
    return verdict(stats, cores)


def test_a_slow_processor_is_named_with_the_copies_that_would_bring_something():
    run = {"feed": at(0.05), "load": at(0.4, blocked=0.55), "model_b": at(0.98)}
    assert told(Feed() >> Load() >> ModelB(), run, cores=8) == (
        "model_b is the bottleneck: busy 98 %, the pipe into it was full 55 % of the time. "
        "2 more copies (`ModelB() % 3`) would bring about 2.5 times, and then load is as busy."
    )


def test_copies_are_limited_by_the_cores():
    run = {"feed": at(0.02), "load": at(0.08, blocked=0.9), "model_b": at(1.0)}
    assert told(Feed() >> Load() >> ModelB(), run, cores=2).endswith(
        "1 more copy (`ModelB() % 2`) would bring about 1.8 times, "
        "and then the 2 cores of this machine are at work."
    )


def test_what_waits_while_it_is_busy_is_not_limited_by_the_cores():
    run = {"feed": at(0.1), "model_b": at(1.0, cpu=0.01)}
    words = told(Feed() >> ModelB(), run, cores=2)
    assert words.endswith("1 more copy (`ModelB() % 2`) would bring about 2.0 times.")


def test_the_copies_that_there_are_count_as_one():
    run = {"feed": at(0.1, blocked=0.9), "model_b": at(0.9), "model_b.2": at(1.0)}
    words = told(Feed() >> ModelB() % 2, run, cores=4)
    assert words.startswith("model_b is the bottleneck: busy 95 %, the pipe into it was full 90 %")
    assert "(`ModelB() % 4`) would bring about 2.0 times" in words


def test_where_all_cores_are_at_work_copies_bring_nothing():
    run = {"feed": at(0.0), "model_b": at(1.0), "model_b.2": at(1.0)}
    assert told(Feed() >> ModelB() % 2, run, cores=2).endswith(
        "More copies of it would bring nothing: the 2 cores of this machine are at work."
    )


def test_more_processes_than_cores_are_told():
    run = {"feed": at(0.0), **{name: at(1.0, cpu=0.5) for name in ("load", "model_b", "load.2")}}
    waiting = Figures(busy=RUN, cpu=RUN / 2, queued=RUN / 2, service=taking(0.01))
    words = told(Feed() >> Load() >> ModelB() >> Load(), {**run, "load": waiting}, cores=2)
    assert "3 worker processes are more than 2 cores can serve: run(processes=2)" in words


def test_one_that_waited_for_a_core_would_have_used_it():
    queued = Figures(busy=RUN, cpu=RUN / 2, queued=RUN / 2, service=taking(0.01))
    run = {"feed": at(0.0), "model_b": queued, "model_b.2": queued}
    assert "would bring nothing" in told(Feed() >> ModelB() % 2, run, cores=2)


def test_a_fork_that_follows_the_load_gets_no_advice():
    run = {"feed": at(0.1, blocked=0.8), "model_b": [at(0.97), at(0.99)]}
    widths = {"fork": [Width(0.0, 1, ""), Width(1.0, 2, "")]}
    words = told(Feed() >> ModelB() % AUTO, run, cores=4, widths=widths)
    assert words.endswith("Its fork follows the load, and was 2 wide.")


def test_one_that_shares_its_process_needs_one_of_its_own():
    run = {"feed": at(0.0), "load": at(0.3, elsewhere=0.7), "model_b": at(0.7, elsewhere=0.3)}
    words = told(Feed() >> Load() >> ModelB(), run, cores=4)
    assert "model_b is the bottleneck: busy 70 %" in words
    assert "It shares a process with others" in words


def test_the_items_are_the_bottleneck_where_they_come_slowly():
    run = {"feed": at(0.95), "model_b": at(0.3)}
    words = told(Feed() >> ModelB(), run, cores=4)
    assert words.startswith("The items are the bottleneck: to get them took 95 % of the time.")


def test_a_source_is_the_bottleneck_where_it_is_busiest():
    run = {"files": at(0.99, mean=None), "model_b": at(0.3)}
    words = told(Files() >> ModelB(), run, cores=4)
    assert words.startswith("files is the bottleneck, the source: busy 99 %.")


def test_the_caller_is_the_bottleneck_where_it_keeps_the_outputs():
    run = {"feed": at(0.01), "model_b": at(0.2, blocked=0.7), "output": at(0.96, mean=None)}
    words = told(Feed() >> ModelB(), run, cores=4)
    assert words.startswith("The caller is the bottleneck: it was busy with outputs 96 %")


def test_much_pickling_is_told_of_those_that_matter():
    run = {"feed": at(0.0), "load": at(0.9, pickling=0.36), "model_b": at(0.3, pickling=0.2)}
    words = told(Feed() >> Load() >> ModelB(), run, cores=4)
    assert words.endswith(
        "40 % of load's time is pickling: return less, or fewer objects, as an array for a list."
    )


def test_items_that_are_cheaper_than_the_way_are_told():
    run = {"feed": at(0.4), "load": at(0.7, mean=1e-7), "model_b": at(0.6, mean=2e-6)}
    words = told(Feed() >> Load() >> ModelB(), run, cores=4)
    assert words.endswith(
        "Items are cheaper than the way from one process to the next: try run(processes=1), "
        'engine="inline", or fewer and larger steps.'
    )
    assert "copies" not in words


def test_where_all_wait_nothing_is_the_bottleneck():
    run = {"feed": at(0.1, blocked=0.6), "model_b": at(0.3)}
    words = told(Feed() >> ModelB(), run, cores=4)
    assert words == ("Nothing is the bottleneck: the busiest, model_b, was busy 30 %.")


def test_of_a_short_run_there_is_nothing_to_tell():
    run = {"feed": at(0.1), "model_b": at(0.9)}
    assert "too short" in told(Feed() >> ModelB(), run, cores=4, elapsed=0.02)


# -- real runs whose bottleneck is known --


def naps(item):
    time.sleep(0.02)  # so long that cores are free meanwhile, though others are at work as well
    return item


def slowly(items):
    for item in items:
        time.sleep(0.005)
        yield item


nap = Processor(naps).options(name="nap")
same = Processor(abs)


@pytest.mark.parametrize(
    ("pipeline", "bottleneck"),
    [
        (Feed() >> nap >> same >> Processor(repr), "nap is the bottleneck"),
        (Feed() >> same >> same >> nap, "nap is the bottleneck"),
        (Feed() >> same * nap & Processor(repr), "nap is the bottleneck"),
        (Feed() >> same >> nap % 2 & same, "nap is the bottleneck"),
    ],
    ids=["first", "last", "replicated", "balanced"],
)
def test_the_slow_element_of_a_run_is_found(pipeline, bottleneck):
    words = pipeline.run(range(50)).stats.verdict()
    assert words.startswith(bottleneck)
    # Where others have all cores at work meanwhile, no copies are of use, and it says that.
    assert "(`Processor(naps).options(name='nap') % " in words or "are at work" in words


def test_slow_items_of_a_run_are_found():
    words = (Feed() >> same >> same).run(slowly(range(60))).stats.verdict()
    assert words.startswith("The items are the bottleneck")


def test_a_slow_source_of_a_run_is_found():
    class Slow(Source[int]):
        def generate(self):
            yield from slowly(range(60))

    words = (Slow() >> same).run().stats.verdict()
    assert words.startswith("slow is the bottleneck, the source")


def test_a_slow_consumer_of_a_run_is_found():
    with (Feed() >> same).open() as live:
        for _ in slowly(live.stream(range(60))):
            pass
        assert live.stats().verdict().startswith("The caller is the bottleneck")


def test_inline_tells_who_took_the_time():
    words = (Feed() >> same >> nap).run(range(40), engine="inline").stats.verdict()
    assert words.startswith("nap took ")
    assert words.endswith(
        "On worker processes it could have copies: `Processor(naps).options(name='nap') % 2`."
    )
