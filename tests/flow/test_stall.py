"""When a run stands still: told after the limit, once, and never while somebody computes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.stall import LATE, Look, Stillness

pytestmark = pytest.mark.quick

LIMIT = 10.0
PERIOD = Stillness(LIMIT).period

gaps = st.floats(0, 3 * LIMIT)
steps = st.lists(
    st.tuples(
        gaps,
        st.integers(0, 9).map(lambda n: n == 0),  # whether something moves
        st.integers(0, 9).map(lambda n: n > 0),  # whether something should
        st.booleans(),  # whether somebody computes
    ),
    max_size=60,
)


class Run:
    """A run as it is looked at, and for how long it counts as still, and as idle."""

    def __init__(self):
        self.stillness = Stillness(LIMIT)
        self.now = self.cpu = self.still = self.idle = 0.0
        self.marks = 0
        self.look()

    def look(self, *, is_due=True, is_running=False):
        return self.stillness.look(self.now, Look(self.marks, is_due, is_running, self.cpu))

    def step(self, gap, moves=False, is_due=True, computes=False):
        self.now += gap
        self.marks += moves
        self.cpu += computes * gap
        gap = min(gap, LATE * PERIOD)
        self.still = 0.0 if moves or not is_due else self.still + gap
        self.idle = 0.0 if not self.still or computes else self.idle + gap
        return self.look(is_due=is_due, is_running=computes)


@given(steps)
def test_it_is_told_after_the_limit_and_once_for_each_stall(steps):
    run, told = Run(), []
    for step in steps:
        verdict = run.step(*step)
        if not run.still:
            told = []
            assert verdict is None
        elif verdict is not None:
            told.append(verdict)
            assert run.still >= LIMIT * 0.999
    assert told in ([], ["slow"], ["stalled"], ["slow", "stalled"])


@given(steps)
def test_it_is_not_called_stalled_before_nobody_has_computed_for_that_long(steps):
    run = Run()
    for step in steps:
        if run.step(*step) == "stalled":
            assert run.idle >= LIMIT * 0.999


@given(steps, st.lists(st.floats(0.01, 1).map(lambda part: part * PERIOD), min_size=1))
def test_one_that_nobody_works_at_is_told_in_the_end_whatever_was_before(before, gaps):
    run = Run()
    for step in before:
        run.step(*step)
    run.step(PERIOD, moves=True)
    told, began = [], run.now
    while run.now - began < LIMIT + PERIOD:
        told += [run.step(gap) for gap in gaps]
    assert [one for one in told if one] == ["stalled"]


@given(st.lists(st.floats(0.1, 1).map(lambda part: part * PERIOD), min_size=1))
def test_one_item_that_takes_long_is_slow_and_nothing_else(gaps):
    run, told = Run(), []
    while run.now < 3 * LIMIT:
        told += [run.step(gap, computes=True) for gap in gaps]
    assert [one for one in told if one] == ["slow"]


def test_work_without_a_core_and_work_of_processes_that_end_count():
    for cpu, is_running in ((0.0, True), (-1.0, False)):
        run, told = Run(), []
        while run.now < 2 * LIMIT:
            run.now += PERIOD
            run.cpu += cpu
            told.append(run.look(is_running=is_running))
        assert [one for one in told if one] == ["slow"]


def test_what_falls_silent_is_slow_first_and_stalled_then():
    run, told = Run(), []
    while run.now < 3 * LIMIT:
        told.append(run.step(PERIOD, computes=run.now < 1.2 * LIMIT))
    assert [one for one in told if one] == ["slow", "stalled"]


@given(gaps)
def test_the_time_when_nobody_looked_hardly_counts(gap):
    run = Run()
    run.step(gap)
    assert run.stillness.still <= LATE * PERIOD


def test_a_run_begins_anew():
    run = Run()
    while run.step(PERIOD) is None:
        pass
    run.stillness.begin()
    assert run.stillness.still == 0
    assert [run.step(PERIOD) for _ in range(5)] == [None] * 5
