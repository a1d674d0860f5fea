"""Items that end the process which loads them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import types
from collections import Counter

import numpy as np
import pytest

from conveyor import Feed, Join, NotPicklable, Pipe, Processor, StageError, WorkerDied
from tests.faults.scripts import run

COUNT, FATAL, WRONG = 60, 23, 24


class Item:
    """A number; as one of them is loaded by a worker, that ends."""

    def __init__(self, number):
        self.number = number

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self.number == FATAL and multiprocessing.parent_process() is not None:
            os._exit(7)

    def __repr__(self):
        return f"Item({self.number})"


def number(item):
    if item.number == WRONG:
        raise ValueError("wrong")
    return item.number


def test_it_is_left_out_and_those_beside_it_are_as_ever():
    stage = Processor(number).options(restarts=3, on_error="dead_letter")
    results = (Feed() >> stage).run(map(Item, range(COUNT)), ordered=True)
    assert results == [n for n in range(COUNT) if n not in (FATAL, WRONG)]
    fatal, wrong = results.dead_letters
    assert (type(fatal.error), type(wrong.error)) == (WorkerDied, StageError)
    assert fatal.attempts == 2
    assert "as it was loaded" in fatal.error.item
    assert repr(fatal.item) == "<not loaded: Item()>"
    assert repr(wrong.item) == f"Item({WRONG})"  # as it came, though it was loaded once more
    assert results.stats["number"].dead == 2


def test_where_it_is_not_told_what_to_do_with_it_the_run_ends():
    with pytest.raises(WorkerDied, match=r"on item number \d+ of a batch .* as it was loaded"):
        (Feed() >> Processor(number).options(restarts=3)).run(map(Item, range(COUNT)))


def test_where_a_join_loads_it_that_is_said():
    pipeline = Feed() >> Pipe() * Pipe() & Join("zip") >> Processor(len)
    with pytest.raises(WorkerDied, match="as they were loaded") as caught:
        pipeline.run(map(Item, range(COUNT)))
    assert caught.value.stage == "len"


class Unfit(Exception):
    """An exception that takes more than it keeps: its pickle can't be loaded."""

    def __init__(self, number, why):
        super().__init__(number)
        self.number, self.why = number, why


def some_unfit(number):
    return Unfit(number, "it is odd") if number % 2 else number


same = Processor(lambda item: item).options(name="same")


@pytest.mark.parametrize("more", [{}, {"restarts": 1}, {"retries": 2}, {"timeout": 60}])
def test_what_can_not_be_loaded_is_an_item_that_has_failed(more):
    pipeline = Processor(some_unfit) >> same.options(on_error="dead_letter", **more)
    results = pipeline.run(range(COUNT), ordered=True)
    assert results == list(range(0, COUNT, 2))
    assert [repr(letter.item) for letter in results.dead_letters] == [
        f"<not loaded: Unfit({number},)>" for number in range(1, COUNT, 2)
    ]
    error = results.dead_letters[0].error
    assert isinstance(error, NotPicklable)
    assert (error.stage, error.where) == ("same", "loading it")
    assert (results.stats["same"].dead, results.stats.total.dead) == (COUNT // 2, COUNT // 2)
    assert pipeline.run(range(COUNT), ordered=True) == results


def test_of_a_module_that_workers_cannot_import_that_is_said(monkeypatch):
    module = types.ModuleType("made_here")
    exec("def same(item): return item", vars(module))
    monkeypatch.setitem(sys.modules, "made_here", module)
    with pytest.raises(NotPicklable, match=r"No module named 'made_here'\n.* by their names"):
        Processor(module.same).run([1])


def large(number):
    return np.full(20_000, number), some_unfit(number)


@pytest.mark.parametrize("more", [{}, {"restarts": 1}, {"retries": 2}])
def test_it_may_come_along_with_what_is_large(more):
    pipeline = Processor(large) >> same.options(on_error="dead_letter", **more)
    results = pipeline.run(range(10), ordered=True)
    assert [(int(array.sum()) // 20_000, rest) for array, rest in results] == [
        (number, number) for number in range(0, 10, 2)
    ]
    assert [int(letter.item[0][0]) for letter in results.dead_letters] == [1, 3, 5, 7, 9]


def test_where_it_is_skipped_no_letter_tells_of_it():
    results = (Processor(some_unfit) >> same.options(on_error="skip")).run(range(COUNT))
    assert (len(results), results.dead_letters) == (COUNT // 2, [])
    assert results.stats["same"].skipped == COUNT // 2


@pytest.mark.parametrize(
    ("pipeline", "stage"),
    [
        (Processor(some_unfit), "output"),
        (Processor(some_unfit) >> same, "same"),
        (Processor(some_unfit) >> same.options(restarts=1), "same"),
        (Feed() >> Processor(some_unfit) * Pipe() & Join("zip") >> same, "same"),
    ],
)
def test_where_nothing_bears_it_the_run_says_which_it_was(pipeline, stage):
    with pytest.raises(NotPicklable, match="loading it: TypeError") as caught:
        pipeline.run(range(COUNT))
    assert (caught.value.stage, caught.value.item) == (stage, "<not loaded: Unfit(1,)>")
    assert isinstance(caught.value.__cause__, TypeError)


class Holds(Processor):
    def __init__(self):
        self.default = Unfit(1, "it is odd")

    def process(self, item):
        return item


@pytest.mark.parametrize("more", [{}, {"restarts": 1}])
def test_a_processor_that_can_not_be_loaded_is_told(more):
    with pytest.raises(NotPicklable, match=r"missing .* 'why'\n.*more arguments") as caught:
        (Feed() >> same >> Holds().options(**more)).run([1])
    assert (caught.value.stage, caught.value.item) == ("holds", None)
    assert isinstance(caught.value.__cause__, TypeError)


def test_what_kills_who_loads_it_does_not_kill_the_caller_that_tells_of_another(tmp_path):
    ended = run(
        tmp_path,
        """
        class Killer:
            def __reduce__(self):
                return os._exit, (9,)

        @processor
        def gives(_):
            yield from [*range(200), Killer(), 5, -1, 3]

        def work(item):
            if item == -1:
                os.kill(os.getpid(), signal.SIGKILL)
            return item

        pipeline = gives >> Processor(work).options(on_error="dead_letter", restarts=9)
        results = pipeline.run([0], ordered=True)
        print(len(results), [type(letter.error).__name__ for letter in results.dead_letters])
        """,
    )
    assert (ended.code, ended.out) == (0, "202 ['WorkerDied', 'WorkerDied']\n"), ended.err


# -- where several workers share a process --


class Odd(Processor):
    """Fails for odd numbers in some way, and gives much, so that there is no room for it."""

    def __init__(self, fail):
        self.fail = fail

    def process(self, number):
        if number % 2:
            self.fail(number)
        yield number, bytes(3000)


def raises(number):
    raise ValueError(number)


def dies_at_fifty_one(number):
    if number == 51:
        os._exit(7)


def shared(fail, **options):
    step = Odd(fail).options(**options) >> Pipe(capacity=1)
    return Feed() >> step * step * step & Processor(len)


@pytest.mark.parametrize("more", [{}, {"restarts": 1}])
def test_each_letter_is_kept_though_others_had_their_turn_meanwhile(more):
    results = shared(raises, on_error="dead_letter", **more).run(range(100), processes=2)
    assert len(results) == 150
    told = Counter((letter.stage, letter.item) for letter in results.dead_letters)
    assert len(told) == told.total() == 150


def test_the_item_is_named_though_others_had_their_turn_meanwhile():
    with pytest.raises(WorkerDied) as caught:
        shared(dies_at_fifty_one).run(range(100), processes=2)
    assert caught.value.item == "51"


def test_an_item_has_failed_after_two_deaths_though_others_had_their_turn_meanwhile():
    pipeline = shared(dies_at_fifty_one, on_error="dead_letter", restarts=6)
    results = pipeline.run(range(100), processes=2)
    assert len(results) == 297
    assert [letter.item for letter in results.dead_letters] == [51] * 3
