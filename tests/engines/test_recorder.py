"""What a worker writes down, as another process reads it."""

from __future__ import annotations

import os

import pytest

from conveyor.engines.counters import BLOCKED, BUSY, STARVED
from conveyor.engines.processes.gauge import Reading
from conveyor.engines.processes.recorder import Recorder, create

pytestmark = pytest.mark.quick


@pytest.fixture
def recorders():
    """Both ends of the recorder of a process with the workers 3 and 7."""
    memory = create(2)
    writing, reading = (Recorder(os.dup(memory), (3, 7)) for _ in range(2))
    os.close(memory)
    yield writing, reading
    writing.close()
    reading.close()


def test_a_worker_that_has_not_begun_has_done_nothing(recorders):
    _, reading = recorders
    assert reading.gauge(7).read() == Reading(0, 0, 0.0, 0.0, 0.0)


def test_items_are_counted_for_each_worker(recorders):
    writing, reading = recorders
    writing.gauge(3).count(5)
    writing.gauge(3).count(0)
    writing.gauge(7).count(2)
    three, seven = (reading.gauge(n).read() for n in (3, 7))

    assert (three.items, three.batches, seven.items, seven.batches) == (5, 2, 2, 1)


def test_time_goes_to_the_state_that_a_worker_is_in_and_a_state_that_lasts_is_seen(recorders):
    writing, reading = recorders
    states, seen = (BUSY, STARVED, BLOCKED, BUSY), [reading.gauge(3).read()]
    for state in states:
        writing.gauge(3).enter(state)
        seen += [reading.gauge(3).read() for _ in "12"]

    for number, state in enumerate(states):
        before, after = seen[2 * number + 1 : 2 * number + 3]
        grown = [
            later > earlier for earlier, later in zip(times(before), times(after), strict=True)
        ]
        assert grown == [one == state for one in (BUSY, STARVED, BLOCKED)]


def times(reading):
    return reading.busy, reading.starved, reading.blocked


def test_gauges_and_what_is_in_work_do_not_touch(recorders):
    writing, reading = recorders
    writing.begin(7, 2, b"payload")
    writing.gauge(3).count(9)
    writing.gauge(7).count(9)

    assert (reading.worker, reading.place, reading.payload) == (7, (range(1), 2), b"payload")
