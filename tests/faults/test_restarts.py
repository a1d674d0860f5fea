"""Workers that die and are started again: nothing is lost, nothing comes out twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from conveyor import (
    Feed,
    Join,
    NotPicklable,
    Pipe,
    Processor,
    Source,
    StageError,
    StageTimeout,
    UsageError,
    WorkerDied,
)
from tests.strategies import Add, Tally

pytestmark = pytest.mark.conveyor(limit=100)  # then it tells all stacks, also of workers


WAYS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
}


def kill():
    WAYS["kill"]()


def once(folder, name):
    """Whether this is the first time that this is asked, in any process."""
    try:
        (folder / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Dies(Processor):
    """Dies once in each phase that it is told; gives each item twice, and how many at the end."""

    def __init__(self, folder, die, phases):
        self.folder, self.die, self.phases = folder, die, phases
        self.count = 0

    def at(self, phase):
        if phase in self.phases and once(self.folder, phase):
            self.die()

    def setup(self):
        self.at("setup")

    def process(self, item):
        if item == 50:
            self.at("before")
        yield item
        if item == 51:
            self.at("between")
        yield item
        self.count += 1
        if item == 52:
            self.at("behind")

    def finish(self):
        self.at("finish")
        yield ("count", self.count)

    def snapshot(self):
        self.at("snapshot")
        return self.count

    def restore(self, state):
        self.at("restore")
        self.count = state


PHASES = ("setup", "before", "between", "behind", "snapshot", "finish")


@pytest.mark.parametrize(
    ("way", "phase", "place"),
    [
        *(("kill", phase, "middle") for phase in PHASES),
        *(("kill", "all", place) for place in ("first", "last")),
        *((way, "all", "middle") for way in WAYS),
    ],
)
def test_whenever_a_worker_dies_its_work_is_done_once(tmp_path, way, phase, place):
    phases = PHASES if phase == "all" else (phase,)
    dies = Dies(tmp_path, WAYS[way], (*phases, "restore")).options(restarts=9)
    stages = {"first": [dies, Add(0)], "middle": [Add(0), dies, Add(0)], "last": [Add(0), dies]}
    pipeline = Feed()
    for stage in stages[place]:
        pipeline = pipeline >> (Processor(lambda item: item) if isinstance(stage, Add) else stage)
    results = pipeline.run(range(100), ordered=True)
    assert results == [n for item in range(100) for n in (item, item)] + [("count", 100)]
    assert results.stats["dies"].items_in == 100
    assert (tmp_path / phases[0]).exists()


def test_inline_nothing_dies_and_restarts_change_nothing():
    assert Add(1).options(restarts=3).run([1, 2], engine="inline") == [2, 3]


def test_a_warm_pipeline_goes_on_after_a_death(tmp_path):
    def fatal(item):
        if item == 5 and once(tmp_path, "died"):
            kill()
        return item

    with (Feed() >> Processor(fatal).options(restarts=1)).open() as live:
        for _ in range(3):
            assert live.run(
                range(10),
            ) == list(range(10))


def test_each_run_has_all_its_restarts(tmp_path):
    def fatal(item):
        if once(tmp_path, str(item)):
            kill()
        return item

    with (Feed() >> Processor(fatal).options(restarts=1)).open() as live:
        for run in range(3):
            assert live.run([run]) == [run]


# -- items that kill their worker --


def poison(item):
    if item % 10 == 5:
        kill()
    return item


def test_an_item_that_kills_its_worker_twice_has_failed_and_its_neighbours_live():
    pipeline = Feed() >> Processor(poison).options(restarts=4, on_error="dead_letter")
    results = pipeline.run(range(20))
    assert sorted(results) == [n for n in range(20) if n % 10 != 5]
    letters = [(one.item, one.attempts, type(one.error)) for one in results.dead_letters]
    assert sorted(letters) == [(5, 2, WorkerDied), (15, 2, WorkerDied)]
    assert results.dead_letters[0].error.exitcode == -signal.SIGKILL
    row = results.stats["poison"]
    assert (row.dead, row.retried, row.restarts) == (2, 2, 4)


def test_where_it_is_not_told_what_to_do_with_it_the_run_ends():
    with pytest.raises(WorkerDied, match="item 5") as caught:
        Processor(poison).options(restarts=9).run(range(20))
    assert (caught.value.stage, caught.value.item) == ("poison", "5")


def test_more_attempts_are_made_where_they_are_asked_for(tmp_path):
    def thrice(item):
        if item == 5 and any(once(tmp_path, name) for name in "abc"):
            kill()
        return item

    assert sorted(Processor(thrice).options(restarts=3, retries=3).run(range(9))) == [*range(9)]


def test_in_a_large_batch_of_cheap_items_it_is_found_as_well():
    def rare(item):
        if item == 70_000:
            kill()
        return item

    results = Processor(rare).options(restarts=3, on_error="skip").run(range(100_000))
    assert sorted(results) == [n for n in range(100_000) if n != 70_000]
    assert results.stats["rare"].skipped == 1


def test_one_that_can_not_be_broken_off_is_an_item_that_failed():
    def stuck(item):
        return sum(range(10**12)) if item == 3 else item

    slow = Processor(stuck).options(restarts=2, timeout=0.1, on_error="dead_letter")
    results = slow.run(range(6))
    assert sorted(results) == [0, 1, 2, 4, 5]
    (letter,) = results.dead_letters
    assert (letter.item, letter.attempts, type(letter.error)) == (3, 1, StageTimeout)


def test_when_there_are_no_more_restarts_the_run_ends(tmp_path):
    def fatal(item):
        if item % 10 == 0:
            kill()
        return item

    with pytest.raises(WorkerDied):
        Processor(fatal).options(restarts=2, on_error="skip").run(range(100))


def test_an_exception_is_no_death():
    with pytest.raises(StageError, match="ZeroDivisionError"):
        Processor(lambda item: 1 // item).options(restarts=9).run([0])


# -- shapes --

ITEMS = 80
"""Enough for each worker to die three times."""


def mortal(folder, name):
    """A function whose worker dies now and then, each time for another item."""

    def work(item):
        number = item if isinstance(item, int) else hash(item) % 100
        if number % 25 == 7 and once(folder, f"{name} {number}"):
            kill()
        return item

    return Processor(work).options(restarts=99, name=name)


def shapes(folder):
    def dies(name):
        return mortal(folder, name)

    def twice(item):
        yield from (item, -item)

    return {
        "chain": Feed() >> dies("a") >> dies("b") >> dies("c"),
        "zip": Feed() >> dies("a") * dies("b") * Pipe() & Join("zip") >> dies("c"),
        "ordered": Feed() >> dies("a") % 2 & Join("ordered") >> dies("b"),
        "nested": Feed() >> dies("a") * (Pipe() >> dies("b") % 2 & dies("c")) & Join("ordered"),
        "interleaved": Feed() >> dies("a") % 2 >> dies("b") & dies("c") % 2,
        "flat": Feed() >> Processor(twice).options(restarts=9) >> Pipe(capacity=1) >> dies("a"),
        "tight": Feed() >> Pipe(capacity=1) >> dies("a") >> Pipe(capacity=2) >> dies("b"),
        "state": Feed() >> dies("a") >> Tally(0).options(restarts=9) >> dies("b"),
        "some": Feed() >> Processor(abs) >> dies("a") >> Processor(abs) % 2 & dies("b"),
        "source": Source(range(ITEMS)) >> dies("a") * dies("b") & dies("c"),
    }


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("shape", shapes(None))
def test_shapes_keep_their_meaning(tmp_path, shape, ordered):
    pipeline = shapes(tmp_path)[shape]
    items = () if shape == "source" else (range(ITEMS),)
    results = pipeline.run(*items, ordered=ordered)
    deaths = len(list(tmp_path.iterdir()))
    wanted = pipeline.run(*items, engine="inline")  # all have died once by now
    assert deaths > 0
    assert results == wanted if ordered else Counter(results) == Counter(wanted)


def test_large_items_get_through(tmp_path):
    def grown(item):
        if once(tmp_path, str(item)):
            kill()
        return bytes(item)

    sizes = [0, 100, 70_000, 3 << 20, 50 << 20]
    pipeline = Feed() >> Processor(grown).options(restarts=9) >> Processor(len).options(restarts=1)
    assert sorted(pipeline.run(sizes)) == sizes


def test_neighbours_that_share_a_process_are_started_again_together(tmp_path):
    pipeline = Feed() >> mortal(tmp_path, "a") >> mortal(tmp_path, "b") >> mortal(tmp_path, "c")
    assert sorted(pipeline.run(range(100), processes=1)) == [*range(100)]


# -- what is refused --


class Gathers(Processor):
    def process(self, item):
        pass

    def finish(self):
        return 1


def test_state_that_would_be_lost_is_refused_with_advice():
    with pytest.raises(UsageError, match=r"snapshot\(self\)"):
        Gathers().options(restarts=1)
    Gathers().options(restarts=0)


def test_a_source_can_not_be_started_again():
    with pytest.raises(UsageError, match="is a source"):
        Source([1]).options(restarts=1)
    with pytest.raises(UsageError, match="is a source"):
        (Source([1]) >> Add(1)).options(restarts=1)


def test_a_processor_may_have_a_method_that_a_source_has():
    class Model(Processor):
        def generate(self, prompt):
            return prompt.upper()

        def process(self, prompt):
            return self.generate(prompt)

    assert Model().options(restarts=1).run(["a"]) == ["A"]


def test_a_process_is_not_shared_with_one_that_would_be_lost():
    with pytest.raises(UsageError, match=r"would share the process .* allow two, or give both"):
        (Feed() >> Add(1).options(restarts=1) >> Add(2)).run([1], processes=1)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_where_there_are_more_each_has_its_like_beside_it(processes, tmp_path):
    same = Processor(abs)
    pipeline = same >> mortal(tmp_path, "a") >> mortal(tmp_path, "b") % 2 & same >> same
    results = pipeline.run(range(100), processes=processes, ordered=True)
    assert results == [*range(100)]
    assert sum(results.stats.restarts.values()) >= 2


def test_nobody_is_told_to_give_restarts_to_a_join():
    step = Processor(abs).options(restarts=1)
    inner = step % (step % 2) & Join("ordered") >> step
    pipeline = Feed() >> step * inner & Join("zip") >> Processor(len).options(restarts=1)
    with pytest.raises(UsageError, match=r"with 'join', .*: allow two$"):
        pipeline.explain(processes=1)


def test_a_snapshot_that_can_not_travel_is_named():
    class Holds(Processor):
        def process(self, item):
            return item

        def snapshot(self):
            return {"file": Path(os.devnull).open()}

        def restore(self, state):
            pass

    with pytest.raises(NotPicklable, match=r"state\['file'\]"):
        Holds().options(restarts=1).run([1])
