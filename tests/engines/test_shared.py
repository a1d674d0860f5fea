"""Workers that share processes, and change them while a run is under way: nobody else can tell.

Where a worker is to be moved, the items go on until it has been.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor import Join, Pipe, Processor, Source, StageError, StageTimeout, WorkerDied, processor
from conveyor.engines.processes import placing
from conveyor.engines.processes.look import pipelines
from conveyor.flow.place import Placement
from tests.strategies import inputs, runnables

MOST = 3000
"""Items after which a test gives up waiting for a move."""

LAST = 7
"""Items that follow once a worker has been moved."""


class Step(Processor):
    """Takes so many milliseconds for an item."""

    def __init__(self, milliseconds):
        self.seconds = milliseconds / 1000

    def process(self, item):
        time.sleep(self.seconds)
        return self.give(item)

    def give(self, item):
        return item


class Add(Step):
    def give(self, item):
        return item + 1


class Raises(Step):
    def give(self, item):
        if item == "last":
            raise ValueError(item)
        return item


class Exits(Step):
    def give(self, item):
        if item == "last":
            os._exit(3)
        return item


class Hangs(Step):
    def give(self, item):
        if item == "last":
            time.sleep(60)
        return item


class Total(Step):
    """Adds up what came so far."""

    total = 0

    def give(self, item):
        self.total += item
        return self.total

    def finish(self):
        return -self.total


class Once(Step):
    """Counts in its class, rather than in itself."""

    seen = 0

    def give(self, item):
        type(self).seen += 1
        return item if type(self).seen == item + 1 else "began anew"


calls = []


@processor
def counted(item):
    time.sleep(0.003)
    calls.append(item)
    return len(calls)


class Open(Step):
    """Has something from its setup."""

    def setup(self):
        self.pid = os.getpid()

    def give(self, item):
        return item, self.pid, os.getpid()


class Numbers(Source):
    def generate(self):
        for n in itertools.count():
            time.sleep(0.001)
            yield n


def uneven(step=Add, **options):
    """Four steps. By their number two share a process; by their work the first has its own."""
    second = step(3).options(name="second", **options)
    return Step(6).options(name="first") >> second >> Step(1) >> Add(1).options(name="last")


def until_moved(live, last=()):
    """Numbers, until a worker has been moved, and then some more."""
    for n in range(MOST):
        yield n
        if len(live.stats().placed) > 1:
            break
    yield from range(n + 1, n + 1 + LAST)
    yield from last


def names(stats):
    return [tuple(map(tuple, one.processes)) for one in stats.placed]


BY_COUNT = (("first", "second"), ("step", "last"))
BY_WORK = (("first",), ("second", "step", "last"))


def test_a_heavy_step_ends_alone_in_its_process():
    with uneven().open(processes=2) as live:
        results = live.run(until_moved(live))
    assert names(results.stats) == [BY_COUNT, BY_WORK]
    assert results == list(range(2, len(results) + 2))
    reasons = [one.reason for one in results.stats.placed]
    assert reasons[0] == "at first: by their number"
    assert reasons[1].startswith("process 1 had ")


def test_figures_are_of_both_processes_of_a_worker_that_was_moved():
    with uneven().open(processes=2) as live:
        results = live.run(until_moved(live))
    second = results.stats["second"]
    assert [one.process for one in second.workers] == [0, 1]
    assert all(one.items_in > 0 for one in second.workers)
    assert sum(one.items_in for one in second.workers) == len(results) == second.items_in
    assert second.service.items == len(results)
    assert str(results.stats.placed[1]) in str(results.stats)
    assert results.stats.to_dict()["placed"][1]["processes"] == BY_WORK


def test_a_steady_run_is_left_alone():
    even = Step(2) >> Step(2) >> Step(2) >> Step(2)
    assert len(even.run(range(60), processes=2).stats.placed) == 1


@pytest.mark.parametrize("processes", [None, 1, 4])
def test_where_there_is_nothing_to_choose_nothing_is_placed(processes):
    assert not uneven().run(range(5), processes=processes).stats.placed


def test_an_error_after_a_move_names_the_stage_and_the_item():
    with uneven(Raises).open(processes=2) as live:
        with pytest.raises(StageError) as caught:
            live.run(until_moved(live, ["last"]))
        assert names(live.broken_off)[1:] == [BY_WORK]
    assert (caught.value.stage, caught.value.item) == ("second", "'last'")


def test_a_death_after_a_move_names_the_stage_and_the_item():
    with uneven(Exits).open(processes=2) as live:
        with pytest.raises(WorkerDied) as caught:
            live.run(until_moved(live, ["last"]))
        assert names(live.broken_off)[1:] == [BY_WORK]
    assert (caught.value.stage, caught.value.exitcode) == ("second", 3)
    assert caught.value.item == "'last'"


def test_a_timeout_goes_along_with_a_step():
    with uneven(Hangs, timeout=1.0).open(processes=2) as live:
        with pytest.raises(StageTimeout) as caught:
            live.run(until_moved(live, ["last"]))
        assert names(live.broken_off)[1:] == [BY_WORK]
    assert (caught.value.stage, caught.value.item) == ("second", "'last'")


def test_what_is_done_about_failed_items_goes_along_with_a_step():
    careful = uneven(Raises, retries=2, on_error="dead_letter")
    with (careful >> Processor(str)).open(processes=2) as live:
        results = live.run(until_moved(live, ["last", 5]))
    assert names(results.stats)[1:]
    (letter,) = results.dead_letters
    assert (letter.stage, letter.item, letter.attempts) == ("second", "last", 3)
    assert results[-1] == "6"


def test_a_step_that_keeps_state_stays_with_it():
    results = uneven(Total).run(range(60), processes=2)
    assert names(results.stats) == [BY_COUNT]
    assert results == uneven(Total).run(range(60), engine="inline")


def test_a_step_that_keeps_state_in_its_class_stays_with_it():
    results = uneven(Once).run(range(60), processes=2)
    assert names(results.stats) == [BY_COUNT]
    assert len(results) == 60


def test_a_function_that_keeps_state_stays_with_it():
    seen = set()

    def unseen(item):
        time.sleep(0.003)
        if item % 10 in seen:
            return None
        seen.add(item % 10)
        return item

    steps = Step(6) >> Processor(unseen) >> Step(1) >> Step(1)
    assert steps.run(range(60), processes=2) == list(range(10))


def test_a_function_that_keeps_state_in_a_global_stays_with_it():
    steps = Step(6) >> counted >> Step(1) >> Step(1)
    assert steps.run(range(60), processes=2) == list(range(1, 61))


def test_a_step_with_a_setup_stays_where_that_was():
    steps = Step(6) >> Open(3) >> Step(1) >> Step(1)
    results = steps.run(range(60), processes=2)
    assert len(results.stats.placed) == 1
    assert len({pid for _, *pids in results for pid in pids}) == 1


def test_steps_with_a_setup_begin_in_processes_of_their_own():
    results = (Open(0) >> Open(0) >> Step(0) >> Step(0)).run([0], processes=2)
    (((_, pid, _), other, _),) = results
    assert pid != other
    assert names(results.stats) == [(("open",), ("open.2", "step", "step.2"))]


def test_between_runs_a_step_is_moved_whose_state_begins_anew():
    with uneven(Total).open(processes=2) as live:
        first, second, third = (live.run(range(60)) for _ in range(3))
    assert first == second == third
    assert names(first.stats) == [BY_COUNT]
    assert names(second.stats) == [BY_COUNT, BY_WORK]
    assert names(third.stats) == [BY_WORK]
    assert third.stats.placed[0].reason == "as the run before left it"
    assert [one.process for one in second.stats["second"].workers if one.items_in] == [1]


def test_a_source_is_held_while_workers_move():
    pipeline = Numbers() >> Step(1) >> Add(2) >> Step(4)
    results, more = [], LAST
    with pipeline.open(processes=2) as live:
        for result in live.stream():
            results.append(result)
            more -= len(live.stats().placed) > 1
            if not more or len(results) == MOST:
                break
    assert not more
    assert results == list(range(1, len(results) + 1))


@pytest.mark.parametrize("ordered", [True, False])
def test_workers_move_around_forks_and_joins(ordered):
    fork = (Add(1) >> Add(1)) * (Pipe() >> Add(3) % 2) & Join("ordered")
    pipeline = Step(5) >> Add(3) >> fork >> Add(1)
    with pipeline.open(processes=3, ordered=ordered) as live:
        results = live.run(until_moved(live))
    assert len(results.stats.placed) > 1
    items = range(results.stats.total.items_in)
    assert results == pipeline.run(items, engine="inline")


def test_a_trace_shows_a_moved_worker_in_both_processes(tmp_path):
    path = tmp_path / "run.json"
    with uneven().open(processes=2) as live:
        count = len(live.run(until_moved(live), trace=path))
    events = json.loads(path.read_text())["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "second"
    }
    assert len(threads) == 2
    batches = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) in threads]
    assert sum(e["args"].get("items", 0) for e in batches) == count


def test_workers_that_may_be_started_again_stay_where_they_are():
    steps = [Step(6), Add(3), Step(1), Add(1)]
    first, second, third, last = (step.options(restarts=1) for step in steps)
    pipeline = first >> second >> third >> last
    results = pipeline.run(range(40), processes=2)
    assert results == list(range(2, 42))
    assert not results.stats.placed
    assert "workers that may be started again stay where they are" in pipeline.explain(processes=2)


def test_explain_says_what_decides_who_shares_a_process():
    rules = [line.strip(" -") for line in uneven().explain(processes=2).splitlines()]
    assert "processes=2: first and second share a process" in rules
    assert "processes=2: step and last share a process" in rules
    assert any(rule.startswith("that is at first: ") for rule in rules)


# -- wherever workers move, and whenever --


class _Restless:
    """Decides as chance has it."""

    def __init__(self, chance):
        self.chance = chance
        self.moves = 0

    def __call__(self, work, current, stays):
        workers, processes = len(current), max(current) + 1
        cuts = [
            tuple(sum(n >= end for end in ends) for n in range(workers))
            for ends in itertools.combinations(range(1, workers), processes - 1)
        ]
        allowed = [cut for cut in cuts if all(cut[n] == current[n] for n in stays)]
        placement = self.chance.choice(allowed)
        if placement == tuple(current):
            return None
        self.moves += 1
        return Placement(placement, "by chance")


@pytest.fixture
def restless():
    """Chance decides about placements, as soon and as often as can be."""
    with pytest.MonkeyPatch.context() as patch:
        yield restless_on(patch, 1)


def restless_on(patch, seed):
    decide = _Restless(random.Random(seed))
    patch.setattr(placing, "LOOK_SECONDS", 0)
    patch.setattr(placing, "WORK_SECONDS", 0)
    patch.setattr(placing, "BATCHES", 0)
    patch.setattr(placing, "decide", decide)
    return decide


@settings(max_examples=max(10, settings.default.max_examples // 4))
@given(runnables(items=inputs(60)), st.integers(2, 3), st.integers())
def test_outputs_are_the_same_wherever_workers_move(case, processes, seed):
    pipeline = case.pipeline()
    expected = list(map(repr, pipeline.run(*case.arguments, engine="inline")))
    with pytest.MonkeyPatch.context() as patch:
        restless_on(patch, seed)
        with pipeline.open(ordered=True, processes=processes) as live:
            for _ in range(3):
                assert list(map(repr, live.run(*case.arguments))) == expected


def test_a_death_in_the_midst_of_a_move_ends_the_run(monkeypatch):
    decided = []

    def deadly(work, current, stays):
        decided.append(current)
        if len(decided) == 2:  # all is held, and everybody has been asked
            (sight,) = (one for one in seen_now() if one.worker == "last")
            os.kill(sight.pid, signal.SIGKILL)
        return Placement((0, 1, 1, 1), "it is to be so")

    monkeypatch.setattr(placing, "decide", deadly)
    with uneven().open(processes=2) as live, pytest.raises(WorkerDied) as caught:
        live.run(itertools.count())
    assert len(decided) == 2
    assert caught.value.exitcode == -signal.SIGKILL
    assert caught.value.item is None


def seen_now():
    (pipeline,) = pipelines()
    return pipeline


SHAPES = {
    "chain": lambda: Add(0) >> Total(0) >> Add(0) >> Add(0) >> Add(0),
    "bounded": lambda: Add(0) >> Pipe(capacity=3) >> Add(0) >> Pipe(capacity=7) >> Add(0) >> Add(0),
    "zip": lambda: Add(0) >> (Add(0) >> Add(0)) * Add(0) & Join("zip") >> Processor(sum) >> Add(0),
    "balanced": lambda: Add(0) >> (Add(0) >> Add(0)) % 2 & Add(0) >> Total(0),
    "mesh": lambda: Add(0) >> Add(0) % 2 & Add(0) % 2 & Add(0),
    "large": lambda: Add(0) >> Processor(large) >> Step(0) >> Processor(len) >> Add(0),
}


def large(number):
    """An item that goes through shared memory."""
    return bytes(100_000 + number % 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_items_keep_coming_while_workers_move_to_and_fro(shape, restless):
    pipeline = SHAPES[shape]()
    fed = []

    def items(live):
        for n in range(MOST // 5):
            fed.append(n)
            yield n
            if n % 30 == 29 and len(live.stats().placed) > 2:
                break

    with pipeline.open(processes=3) as live:
        for _ in range(3):
            fed.clear()
            results = live.run(items(live))
            expected = pipeline.run(fed, engine="inline")
            if shape == "balanced":  # the totals depend on the order
                assert len(results) == len(expected)
            else:
                assert Counter(map(repr, results)) == Counter(map(repr, expected))
    assert restless.moves > 4
