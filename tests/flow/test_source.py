"""The window and the sizes of batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conveyor.flow.source import (
    BATCH_SECONDS,
    FIRST_ITEMS,
    FULL_BATCHES,
    FULL_SECONDS,
    MOST_BYTES,
    MOST_ITEMS,
    Sizer,
    Window,
)

pytestmark = pytest.mark.quick

seconds = st.floats(0, 10) | st.sampled_from((5e-324, 1e-9, 1e-6, 1e-3))


class WindowRules(RuleBasedStateMachine):
    """No more batches are under way than the window allows, and each has its own number."""

    @initialize(limit=st.integers(1, 5))
    def open(self, limit):
        self.window = Window(limit)
        self.limit = limit
        self.begin()

    @rule()
    def begin(self):
        self.window.begin()
        self.under_way = 0
        self.numbers: list[int] = []
        self.is_held = False

    @rule(is_held=st.booleans())
    def hold(self, is_held):
        self.window.is_held = self.is_held = is_held

    @precondition(lambda self: self.window.is_open)
    @rule()
    def send(self):
        (part,) = self.window.next_path()
        self.numbers.append(part)
        self.under_way += 1

    @precondition(lambda self: self.under_way)
    @rule()
    def retire(self):
        self.window.retired += 1
        self.under_way -= 1

    @invariant()
    def the_window_is_open_while_there_is_room_and_it_is_not_held(self):
        assert self.window.is_open == (self.under_way < self.limit and not self.is_held)

    @invariant()
    def batches_are_numbered_from_0_and_none_is_the_last(self):
        assert self.numbers == [2 * number for number in range(len(self.numbers))]


TestWindowRules = WindowRules.TestCase


@given(st.integers(0, 5))
def test_the_end_is_the_last_batch(batches):
    window = Window(10)
    paths = [window.next_path() for _ in range(batches)]

    assert window.next_path(end=True) == (2 * batches + 1,)
    assert window.sent == len(paths) + 1


@given(st.lists(seconds, min_size=1))
def test_a_batch_has_at_least_one_item_and_not_too_many(services):
    sizer = Sizer()

    for number, service in enumerate(services):
        assert 1 <= sizer.size(service, full=False, retired=number) <= MOST_ITEMS


@given(st.lists(seconds, min_size=1))
def test_a_batch_is_at_most_twice_as_large_as_the_one_before(services):
    sizer, before = Sizer(), 1
    sizer.pulled(10**9, 1.0)
    for number, service in enumerate(services):
        size = sizer.size(service, full=False, retired=number)
        assert size <= before * 2
        before = size


@pytest.mark.parametrize(("full", "worth"), [(False, BATCH_SECONDS), (True, FULL_SECONDS)])
@given(service=st.floats(1e-9, 1))
def test_a_batch_comes_to_be_worth_its_time(full, worth, service):
    sizer = Sizer()
    for number in range(14):
        sizer.pulled(MOST_ITEMS, 0.0)
        size = sizer.size(service, full=full, retired=number)

    assert size == max(1, min(MOST_ITEMS, int(worth / service)))


@given(st.lists(st.booleans(), min_size=20, max_size=40))
def test_a_batch_grows_large_only_as_batches_come_out(come_out):
    """However fast all that is up says it is: what is slow to start may be behind it."""
    sizer, retired = Sizer(), 0
    sizer.pulled(10**9, 1.0)
    for has_come_out in come_out:
        retired += has_come_out
        sizer.pulled(MOST_ITEMS, 0.0)
        size = sizer.size(1e-9, full=True, retired=retired)
        assert size <= min(MOST_ITEMS, FIRST_ITEMS << retired)

    assert size >= FIRST_ITEMS


def test_batches_are_large_as_long_as_some_wait_for_room_now_and_then():
    sizer = Sizer()
    for number in range(14 + FULL_BATCHES):
        sizer.pulled(MOST_ITEMS, 0.0)
        full = number % FULL_BATCHES == 0
        size = sizer.size(BATCH_SECONDS, full=full, retired=number)
    assert size == FULL_SECONDS // BATCH_SECONDS
    for _ in range(FULL_BATCHES):
        size = sizer.size(BATCH_SECONDS, full=False, retired=0)
    assert size == 1


def test_items_travel_alone_until_something_is_known():
    sizer = Sizer()
    sizer.pulled(1000, 0.0)

    assert [sizer.size(0.0, full=False, retired=number) for number in range(5)] == [1] * 5


def test_a_batch_shrinks_at_once_when_items_turn_out_slow():
    sizer = Sizer()
    for number in range(10):
        sizer.pulled(MOST_ITEMS, 0.0)
        sizer.size(1e-6, full=False, retired=number)

    assert sizer.size(1.0, full=False, retired=10) == 1


@given(st.integers(1, 100), st.floats(0.01, 10))
def test_items_that_come_slowly_do_not_wait_for_others(items, pull):
    sizer = Sizer()
    for number in range(14):
        sizer.pulled(items, pull)
        size = sizer.size(1e-9, full=False, retired=number)

    assert size == max(1, int(BATCH_SECONDS * items / pull))


@given(st.integers(1, 1000), st.integers(0, 10**9))
def test_a_batch_of_large_items_is_small(items, size):
    sizer = Sizer()
    for number in range(14):
        sizer.pulled(MOST_ITEMS, 0.0)
        sizer.weighed(items, size)
        count = sizer.size(1e-9, full=False, retired=number)

    assert count == 1 or count * (size / items) <= MOST_BYTES


def test_an_empty_batch_teaches_nothing():
    sizer = Sizer()
    for _ in range(5):
        sizer.pulled(100, 0.0)
        sizer.size(1e-9, full=False, retired=0)
    sizer.pulled(0, 1e9)
    sizer.weighed(0, 10**9)

    assert sizer.size(1e-9, full=False, retired=0) > 1


@given(seconds)
def test_the_parts_of_an_answer_need_no_caution(service):
    size = Sizer.settled(service)

    assert size == (1 if service == 0 else max(1, int(min(MOST_ITEMS, BATCH_SECONDS / service))))
