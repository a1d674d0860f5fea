"""What multiprocessing shares with its own processes does not travel; errors say what does."""

from __future__ import annotations

import gc
import multiprocessing as mp
import multiprocessing.connection
from ctypes import c_int
from multiprocessing.sharedctypes import Synchronized

import numpy as np
import pytest

from conveyor import Feed, NotPicklable, Processor
from conveyor.engines.processes import logged

pytestmark = pytest.mark.quick


class Keeps(Processor):
    """Has something, and gives it as its state."""

    def __init__(self, thing):
        self.thing = thing

    def process(self, item):
        return item

    def snapshot(self):
        return [self.thing]

    def restore(self, state):
        self.thing = state[0]


class Opens(Keeps):
    """Has a connection of its own, in each worker."""

    def setup(self):
        self.thing, self.other = mp.Pipe()


@pytest.fixture
def pipe():
    one, other = mp.Pipe()
    with one, other:
        yield one, other


@pytest.mark.parametrize(
    ("where", "run"),
    [
        ("self.thing[0]", lambda end: Keeps([end]).run([1])),
        ("item[1]", lambda end: (Feed() >> Processor(abs)).run([(1, end)])),
        ("item[1]", lambda end: (Feed() >> Processor(abs)).run([(bytes(200_000), end)])),
        ("state[0]", lambda _: Opens(0).options(restarts=1).run(range(5))),
        ("item", lambda _: Processor(lambda _: mp.Pipe()[0]).run([1])),
        ("item[0]", lambda _: Processor(with_a_connection).run([1])),
    ],
)
def test_a_connection_does_not_travel_as_a_number_that_means_something_else(pipe, where, run):
    with pytest.raises(
        NotPicklable, match=r"a connection can't travel(.|\n)*Manager\(\)"
    ) as caught:
        run(pipe[0])
    assert caught.value.where == where
    gc.collect()
    pipe[0].send("still ours")
    assert pipe[1].recv() == "still ours"


def with_a_connection(item):
    return [mp.Pipe()[0], bytes(100_000), np.zeros(20_000), "x" * 100_000]


@pytest.mark.parametrize("shared", [{}, {"processes": 1}])
def test_what_only_speaks_of_connections_travels(shared):
    items = ["multiprocessing.connection", mp.connection.wait] * 2
    items += [[item, bytes(200_000)] for item in items]
    assert Processor(lambda item: item).run(items, **shared, ordered=True) == items


@pytest.mark.parametrize(
    "make", [mp.Lock, mp.Event, mp.Queue, lambda: Synchronized(c_int(0), ctx=mp)]
)
def test_what_multiprocessing_shares_is_refused_with_a_word_on_what_can_travel(make):
    shared = make()
    steps = Feed() >> Processor(abs)
    for run, where in ((Keeps(shared).run, "self.thing"), (steps.run, "item")):
        with pytest.raises(
            NotPicklable, match=r"\n  give what multiprocessing.Manager\(\)"
        ) as caught:
            run([shared])
        assert caught.value.where == where


def test_what_a_manager_makes_travels():
    with mp.Manager() as manager:
        total, lock, queue = manager.Value("i", 0), manager.Lock(), manager.Queue()

        def count(item):
            with lock:
                total.value += item
            queue.put(item)

        (Feed() >> Processor(count) % 2).run(range(10))
        assert (total.value, queue.qsize()) == (45, 10)


def test_a_connection_that_is_logged_is_told_of(pipe):
    assert logged.as_it_travels(pipe[0]) == repr(pipe[0])
    gc.collect()
    pipe[0].send("still ours")
    assert pipe[1].recv() == "still ours"
