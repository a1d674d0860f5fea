"""Items that come when they will do not hold up what came of those before."""

from __future__ import annotations

import contextvars
import itertools
import os
import queue
import sqlite3
import threading

import pytest

from conveyor import Element, Feed, Pipe, Processor, StageError
from conveyor.engines.arriving import Arriving


class Bytes(Arriving[int]):
    """The bytes of a pipe that a test writes to."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._next = b""
        self._has_ended = False

    def is_ready(self) -> bool:
        if not (self._next or self._has_ended):
            try:
                self._next = os.read(self._reader, 1)
            except BlockingIOError:
                return False
            self._has_ended = not self._next
        return True

    def __next__(self) -> int:
        assert self.is_ready(), "it is asked only where it need not wait"
        if self._has_ended:
            raise StopIteration
        given, self._next = self._next, b""
        return given[0]

    def fileno(self) -> int:
        return self._reader

    def close(self) -> None:
        os.close(self._reader)


PIPELINES: list[Element] = [
    Feed() >> Processor(abs),
    Feed() >> Processor(abs) * Processor(abs),
    Feed(),
]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)
def test_outputs_come_before_the_next_item_is_there(pipeline):
    items = Bytes()
    outputs = pipeline.stream(items)
    copies = 2 if "*" in repr(pipeline) else 1

    for given in (b"\1", b"\2\3", b"\4"):
        os.write(items.writer, given)
        got = sorted(next(outputs) for _ in range(copies * len(given)))
        assert got == sorted([*given] * copies)

    os.close(items.writer)
    assert list(outputs) == []
    items.close()


def test_a_stream_can_be_left_while_an_item_is_awaited():
    items = Bytes()
    outputs = (Feed() >> Processor(abs)).stream(items)
    os.write(items.writer, b"\1")

    assert next(outputs) == 1
    outputs.close()

    os.close(items.writer)
    items.close()


def test_a_pipeline_that_stays_open_takes_one_after_another():
    with (Feed() >> Processor(abs)).open() as live:
        for _ in range(3):
            items = Bytes()
            os.write(items.writer, b"\1\2")
            os.close(items.writer)
            assert live.run(items) == [1, 2]
            items.close()


# -- any iterator, whose items nobody can tell to be there --


def test_outputs_can_be_what_the_next_items_are_made_of():
    todo = queue.SimpleQueue()
    todo.put(1)
    given = []
    for output in Processor(lambda item: item * 2).stream(iter(todo.get, None)):
        given.append(output)
        todo.put(output if output < 1000 else None)
    assert given == [2**n for n in range(1, 11)]


def test_a_failure_is_told_while_an_item_is_waited_for():
    more = threading.Event()

    def items():
        yield 0
        more.wait(60)
        yield 1

    try:
        with pytest.raises(StageError, match="ZeroDivisionError"):
            Processor(lambda item: 1 // item).run(items())
    finally:
        more.set()


def test_what_the_iterator_raises_comes_as_it_is_behind_what_it_gave():
    def items():
        yield from range(3)
        raise KeyError("mine")

    outputs = []
    with pytest.raises(KeyError, match="mine"):
        outputs.extend(iter((Feed() >> Processor(abs)).stream(items())))
    assert outputs in ([], [0], [0, 1], [0, 1, 2])


def test_it_is_pulled_only_as_there_is_room():
    pulled = []

    def items():
        for item in itertools.count():
            pulled.append(item)
            yield item

    outputs = (Feed() >> Pipe(capacity=1) >> Processor(lambda item: bytes(100_000))).stream(items())
    for _ in range(20):
        next(outputs)
    assert len(pulled) < 20 + 200
    outputs.close()


def test_the_context_of_the_caller_is_there():
    setting = contextvars.ContextVar("setting")
    setting.set("here")
    assert (Feed() >> Processor(str)).run(setting.get() for _ in range(2)) == ["here", "here"]


def test_a_cursor_of_sqlite_stays_in_its_thread():
    connection = sqlite3.connect(":memory:")
    cursor = connection.execute("select 1 union select 2")
    assert sorted((Feed() >> Processor(lambda row: row[0])).run(cursor)) == [1, 2]
    connection.close()
