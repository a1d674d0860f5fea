"""What is kept of batches that no bytes are there of: as much as is cheap, of plain values only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.engines.processes.noted import CREDIT, SHARE, Noter, around, is_note
from conveyor.engines.stage import MANY

pytestmark = pytest.mark.quick

values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
plain = (
    values
    | st.lists(values | st.lists(values, max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), values, max_size=3)
)


class Clock:
    """Goes on each time that somebody looks."""

    def __init__(self, step):
        self.step = step
        self.now = 0.0

    def __call__(self):
        self.now += self.step
        return self.now


def noter():
    """One for which time stands still, and notes cost nothing."""
    return Noter(Clock(0.0), Clock(0.0))


@given(st.lists(plain, min_size=1, max_size=50), st.data())
def test_each_item_of_a_small_batch_is_known(items, data):
    note = noter().note(items)
    place = data.draw(st.integers(0, len(items) - 1))
    assert is_note(note)
    assert around(note, range(place, place + 1), len(items)) == (items[place], items[place], 1)


def test_of_many_items_it_is_known_between_which_one_is():
    note = noter().note(list(range(MANY)))
    assert around(note, range(64, 128), MANY) == (0, MANY - 1, MANY)


@given(
    st.lists(st.tuples(st.integers(1, 2 * MANY), st.floats(0, 0.1), st.floats(0, 0.1)), min_size=1)
)
def test_notes_take_a_small_share_of_the_time_and_what_they_may_take_at_once(batches):
    clock, spent = Clock(0.0), Clock(0.0)
    noter, costs = Noter(clock, spent), []
    for count, pause, cost in batches:
        clock.now += pause
        before, spent.step = spent.now, cost
        noter.note([1] * count)
        if spent.now > before:  # it looks twice
            costs.append(cost)
            spent.now = before + cost
            assert sum(costs[:-1]) <= CREDIT + SHARE * clock.now


def test_of_what_is_costly_some_items_are_known_and_all_once_there_is_time():
    clock, spent = Clock(0.0), Clock(0.6 * CREDIT)
    noter, batch = Noter(clock, spent), [1, 2, 3]
    notes = [noter.note(batch) for _ in range(3)]
    assert [around(note, range(1, 2), 3) for note in notes[:2]] == [(2, 2, 1), (1, 3, 3)]
    assert notes[2] is None
    clock.now += 2 * CREDIT / SHARE
    assert around(noter.note(batch), range(1, 2), 3) == (2, 2, 1)


@pytest.mark.parametrize(
    "item", [object(), [object()], {1: {2: object()}}, range(3), b"x" * 9999, [0] * 99, [[[[[]]]]]]
)
def test_of_what_is_large_or_not_plain_nothing_is_kept(item):
    assert noter().note([item]) is None


def test_no_code_of_the_users_is_called():
    class Mine(int):
        def __reduce__(self):
            raise AssertionError

        __repr__ = __reduce__

    assert noter().note([Mine()]) is None
    assert noter().note([[Mine()]]) is None
    assert noter().note([1, Mine()]) is None
