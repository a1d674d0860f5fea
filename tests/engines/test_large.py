"""Large items: they go through shared memory, and nobody can tell by what they are."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from conveyor import Feed, Join, NotPicklable, Pipe, Processor, Source, WorkerDied
from conveyor.engines.processes import memory, staff
from conveyor.testing.leaks import PATIENCE, Snapshot, leaks
from tests.faults.scripts import run

BIG = 100_000
"""Items of an array that is large by far."""


def arrays(count=20, size=BIG):
    return [np.full(size, float(number)) for number in range(count)]


def place(array):
    """How the memory of an array is mapped, "own" where it is not shared, and where in the file."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        found = re.match(r"(\w+)-(\w+) ..(.)(.) (\w+) .*conveyor-arena", line)
        if found and int(found[1], 16) <= address < int(found[2], 16):
            kind = {"s": "shared", "p": "private"}[found[4]]
            return kind, address - int(found[1], 16) + int(found[5], 16)
    return "own", 0


def arena_bytes():
    """The memory behind the arenas of this process."""
    sizes = [
        fd.stat().st_blocks * 512
        for fd in Path("/proc/self/fd").iterdir()
        if fd.is_symlink() and "conveyor-arena" in str(fd.readlink())
    ]
    return sum(sizes)


class Add(Processor):
    """Changes what it gets, and gives it on."""

    def __init__(self, number=1):
        self.number = number

    def process(self, array):
        array += self.number
        return array


class Places(Processor):
    """Gives an array on together with the places where it was so far."""

    def process(self, item):
        array, places = item if isinstance(item, tuple) else (item, [])
        return array, [*places, place(array)]


def places(results):
    return [[kind for kind, _ in found] for _, found in results]


# -- how they go --


def test_an_array_for_one_reader_is_shared_and_one_for_several_is_private():
    both = (Feed() >> Places() * Places()).run(arrays(3))
    assert places((Feed() >> Places()).run(arrays(3))) == [["shared"]] * 3
    assert places(both) == [["private"]] * 6


def test_what_is_passed_on_stays_where_it_is():
    for array, found in (Feed() >> Places() >> Places() >> Places()).run(arrays()):
        assert len({*found, place(array)}) == 1


def test_small_items_go_by_the_pipe():
    assert places((Feed() >> Places()).run(arrays(3, size=10))) == [["own"]] * 3


class Large:
    """What holds an array."""

    def __init__(self, array):
        self.array = array


def test_what_is_inside_of_other_things_goes_by_itself():
    pipeline = Feed() >> Processor(lambda large: place(large["a"].array)[0])
    assert pipeline.run([{"a": Large(array)} for array in arrays(3)]) == ["shared"] * 3


# -- what they are --


@dataclass
class Record:
    name: str
    table: np.ndarray
    raw: dict = field(default_factory=dict)


def local_class(array):
    class Local:
        def __init__(self):
            self.array = array

    return Local()


ITEMS = {
    "array": np.arange(BIG),
    "column-major": np.asfortranarray(np.arange(BIG).reshape(100, -1)),
    "strided": np.arange(BIG)[::2],
    "structured": np.zeros(BIG, dtype=[("a", "<i4"), ("b", "?")]),
    "bytes": bytes(range(256)) * 1000,
    "bytearray": bytearray(range(256)) * 1000,
    "memoryview": memoryview(np.arange(BIG).reshape(100, -1)),
    "text": "größer" * BIG,
    "nested": [{"a": (np.arange(BIG), b"x" * BIG)}, np.ones(3), "y" * BIG],
    "record": Record("r", np.eye(300), {"raw": bytes(BIG)}),
    "many small": [bytes([number % 256]) * 30 for number in range(BIG // 10)],
    "by value": local_class(np.arange(BIG)),
    "empty": np.zeros(0),
}


def same(one, other):
    """Whether two things are of the same types all through, and equal."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
        assert one.flags.writeable == other.flags.writeable
    elif isinstance(one, memoryview):
        assert (one.format, one.shape, one.readonly) == (other.format, other.shape, other.readonly)
        assert one == other
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        assert all(same(one[key], other[key]) for key in one)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        assert all(map(same, one, other))
    elif isinstance(one, Record):
        assert same(vars(one), vars(other))
    elif not hasattr(one, "array"):
        assert one == other
    else:
        assert same(one.array, other.array)
    return True


class View:
    """Looks at bytes, and travels as these."""

    def __init__(self, data):
        self.view = memoryview(data)

    def __reduce_ex__(self, _protocol):
        return View, (pickle.PickleBuffer(self.view),)


class Collects(Processor):
    """Gives views, one of them beside what can't be pickled, and has garbage collected."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.folder = folder

    def process(self, number):
        gc.collect()
        views = [self.kind(bytes(size)) for size in (10, BIG)]
        return [*views, threading.Lock()] if number == 3 else views

    def teardown(self):
        gc.collect()
        (self.folder / "is.torn.down").touch()


@pytest.mark.parametrize("kind", [memoryview, View])
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_view_that_could_not_be_sent_is_no_danger(kind, on_error, tmp_path):
    pipeline = Collects(kind, tmp_path).options(on_error=on_error)
    if on_error == "fail":
        with pytest.raises(NotPicklable):
            pipeline.run(range(6))
    else:
        assert len(pipeline.run(range(6))) == 5
    assert (tmp_path / "is.torn.down").exists()


def test_a_view_that_the_caller_could_not_send_is_no_danger(tmp_path):
    script = """
        import gc, threading
        from conveyor import ConveyorError, Processor
        for size in (10, 100_000):
            try:
                Processor(len).run([[memoryview(bytes(size)), threading.Lock()]])
            except ConveyorError as error:
                print(type(error).__name__)
            gc.collect()
    """
    ended = run(tmp_path, script)
    assert (ended.code, ended.out.split()) == (0, ["NotPicklable"] * 2), ended.err


def identity(item):
    return item


@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_arrives_as_it_was(kind):
    item = ITEMS[kind]
    pipeline = Feed() >> Processor(identity) >> Processor(identity)
    for result in pipeline.run([item, 1, item, item])[:1:-1]:
        if kind == "by value":
            assert same(result.array, item.array)
        else:
            assert same(result, item)


def test_what_may_not_be_changed_may_not_be_changed_anywhere():
    array = np.arange(BIG)
    array.flags.writeable = False
    (result,) = (Feed() >> Processor(identity)).run([array])
    assert not result.flags.writeable


class Halves(Processor):
    def process(self, array):
        yield array[: len(array) // 2]
        yield array[len(array) // 2 :]


class Even(Processor):
    def process(self, array):
        return array if array[0] % 2 == 0 else None


PIPELINES = {
    "chain": lambda: Feed() >> Add() >> Add() >> Add(),
    "changing branches": lambda: Feed() >> Add() >> Add(1) * Pipe() * Add(2) & Join("zip"),
    "a fork behind a join": lambda: Feed() >> Add() * Add(2) & Join("zip") >> Pipe() * Pipe(),
    "a relay into a fork": lambda: (
        Feed() >> Add() % 2 >> Pipe() & Join("ordered") >> Pipe() * Add(3)
    ),
    "balanced": lambda: Feed() >> Add() % 3 >> Add(),
    "flat-map": lambda: Feed() >> Add() >> Halves() >> Add(),
    "flat-map into a fork": lambda: Feed() >> Halves() >> Add() * Halves() & Add(),
    "filter": lambda: Feed() >> Add() >> Even() >> Add() * Add(2),
    "narrow pipes": lambda: (
        Feed() >> Pipe(capacity=1) >> Add() >> Pipe(capacity=2) >> Add() * Add()
    ),
    "empty branch": lambda: Feed() >> Pipe() * Add() & Join("ordered") >> Add(),
}


@pytest.mark.parametrize("processes", [None, 2])
@pytest.mark.parametrize("name", PIPELINES)
def test_engines_agree_on_large_items_that_are_changed_in_place(name, processes):
    pipeline = PIPELINES[name]()
    given = arrays()
    found = pipeline.run(given, ordered=True, processes=processes)
    assert [array[0] for array in given] == list(range(20))
    assert same(list(found), list(pipeline.run(arrays(), ordered=True, engine="inline")))


# -- whose they are --


class Last(Processor):
    """Keeps the last item, and changes it after it was given on."""

    def __init__(self):
        self.last = None

    def process(self, array):
        if self.last is not None:
            self.last += 1000
        self.last = array
        return array


def test_what_is_kept_and_changed_later_is_changed_for_nobody_else():
    results = (Feed() >> Last() >> Processor(identity)).run(arrays())
    assert [set(array) for array in results] == [{float(number)} for number in range(20)]


class KeepEveryFifth(Processor):
    def __init__(self):
        self.kept = []

    def process(self, array):
        if array[0] % 5 == 0:
            self.kept.append(array[10:20])

    def finish(self):
        yield from self.kept


def test_a_part_that_is_kept_stays_as_it_is():
    results = (Feed() >> KeepEveryFifth()).run(arrays(60))
    assert [set(part) for part in results] == [{float(number)} for number in range(0, 60, 5)]


def test_results_stay_as_they_are_and_leave_nothing_open():
    before = Snapshot.take()
    pipeline = Feed() >> Add()
    first = pipeline.run(arrays())
    with pipeline.open() as warm:
        second = warm.run(arrays())
        third = warm.run(arrays())
    for results in (first, second, third):
        assert [set(array) for array in results] == [{float(n)} for n in range(1, 21)]
    assert leaks(before) == []
    first[0][:] = 5
    assert first[1][0] == 2


class Fickle(Processor):
    """Fails for the first time with each item, once it has changed it."""

    def __init__(self):
        self.seen = 0

    def process(self, array):
        array += 1
        self.seen += 1
        if self.seen % 2:
            raise ValueError("not yet")
        return array


def test_another_attempt_gets_a_large_item_as_it_came():
    results = (Feed() >> Fickle().options(retries=1) >> Add()).run(arrays())
    assert [set(array) for array in results] == [{float(number)} for number in range(2, 22)]


class Fork(Processor):
    """Keeps the first item, while a copy of its process drops it and ends."""

    def __init__(self):
        self.first = None

    def process(self, array):
        if self.first is None:
            self.first = array
        elif array[0] == 1:
            child = os.fork()
            if not child:
                self.first = None
                os._exit(0)
            os.waitpid(child, 0)

    def finish(self):
        return self.first


def test_a_copy_of_a_worker_gives_nothing_back():
    (first,) = (Feed() >> Fork()).run(arrays())
    assert set(first) == {0.0}


# -- how much there is of it --


def test_an_endless_stream_takes_little_shared_memory():
    size = 1 << 20
    endless = itertools.repeat(np.ones(size // 8))
    most = 0
    for _ in itertools.islice((Feed() >> Add() >> Add() * Add()).stream(endless), 300):
        most = max(most, arena_bytes())
    assert size < most < 60 * size


def test_memory_that_is_not_used_is_given_back():
    with (Feed() >> Add() >> Processor(np.copy)).open() as warm:
        warm.run(arrays(10, size=4 * BIG))
        until = time.monotonic() + PATIENCE
        used = arena_bytes()
        while arena_bytes() > memory.KEPT / 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert arena_bytes() < used


@pytest.mark.parametrize("size", [0, 1 << 20, 4 << 20])
def test_where_the_arena_is_full_items_go_by_the_pipe(monkeypatch, size):
    monkeypatch.setattr(memory, "bound", lambda: size)
    pipeline = Feed() >> Add() >> Halves() * KeepEveryFifth() >> Add()
    found = pipeline.run(arrays(), ordered=True)
    assert same(list(found), list(pipeline.run(arrays(), ordered=True, engine="inline")))


def test_where_there_is_no_arena_items_go_by_the_pipe(monkeypatch):
    monkeypatch.setattr(staff, "create_arena", lambda: None)
    assert places((Feed() >> Places()).run(arrays(3))) == [["own"]] * 3


class Huge(Source):
    """One item of more bytes than fit in 31 bits."""

    def generate(self):
        array = np.zeros((2 << 30) + BIG, dtype=np.uint8)
        array[-1] = 7
        yield array


class Mark(Processor):
    def process(self, array):
        array[0] = 5
        return array


@pytest.mark.slow
def test_an_item_may_be_larger_than_two_gibibytes():
    pipeline = Huge() >> Mark() >> Processor(lambda a: (a.nbytes, int(a[0]), int(a[-1])))
    assert pipeline.run() == [((2 << 30) + BIG, 5, 7)]


# -- when a worker leaves --


@pytest.fixture
def two():
    """An arena as two processes see it."""
    fd = memory.create_arena()
    assert fd is not None
    one = memory.Memory(fd, 0)
    other = memory.Memory(one.handle(), 1, lends_on=False)
    yield one, other
    other.close()
    one.close()


def test_a_region_has_a_new_owner_once_nothing_of_it_is_lent(two):
    one, other = two
    place = other.placed([bytes(BIG)], readers=2)
    other.leave()
    for ticket in place.tickets:
        assert one.free_region([]) == 2
        one.back(ticket)
    assert one.free_region([]) == 1
    assert one.free_region([1]) == 2


def test_a_new_owner_begins_with_no_memory(two):
    one, other = two
    one.back(other.placed([bytes(BIG)], readers=1).tickets[0])
    used = arena_bytes()
    memory.Memory(one.handle(), 1).close()
    assert arena_bytes() < used


def test_who_leaves_gives_back_what_it_looks_at(two):
    one, other = two
    kept = other.looked(one.placed([bytes(BIG)], readers=1), private=False)
    other.leave()
    one.trim()
    assert one.patience is None
    del kept


def test_who_may_leave_lends_nothing_on(two):
    one, other = two
    place = other.lent_on(one.placed([b"a" * BIG], readers=1), 2)
    one.trim()
    assert one.patience is None
    assert other.copied(place) == b"a" * BIG


def test_who_has_no_region_touches_nothing_of_others(two):
    one, _ = two
    taken = range(one.free_region([]), one.free_region(range(10_000)))
    late = memory.Memory(one.handle(), one.free_region(taken))
    place = one.placed([bytes(BIG)], readers=1)
    assert isinstance(late.placed([bytes(BIG)], readers=1), bytearray)
    one.settle()
    assert one.placed([bytes(BIG)], readers=1).start != place.start
    late.close()


# -- when a worker dies --


class Die(Processor):
    def process(self, array):
        if array[0] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return array


def test_the_large_item_that_killed_its_worker_is_named():
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> Add() >> Die() >> Add()).run(arrays())
    assert caught.value.stage == "die"
    assert caught.value.item.startswith("array([3., 3., 3.,")


@pytest.mark.parametrize("options", [{}, {"restarts": 1}])
def test_a_very_large_item_comes_behind_small_ones(options):
    sizes = [1, 2, 50 << 20, 3]
    made = Processor(bytes).options(**options) >> Processor(len).options(**options)
    assert made.run(sizes) == sizes
