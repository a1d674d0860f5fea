"""Items that come when they will do not hold up what came of those before."""

from __future__ import annotations

import os

import pytest

from conveyor import Element, Feed, Processor
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
