"""Items that end the process which loads them."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from conveyor import Feed, Join, Pipe, Processor, StageError, WorkerDied

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
