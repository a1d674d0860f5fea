"""How fast a worker has been of late: what it tells those before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.pace import Pace

pytestmark = pytest.mark.quick

batches = st.lists(
    st.tuples(st.integers(1, 4096), st.floats(0, 10), st.integers(0, 9999)), min_size=1, max_size=50
)


def after(taken):
    pace = Pace()
    for items, seconds, outputs in taken:
        pace.add(items, seconds, outputs)
    return pace


def test_at_first_nothing_is_known_and_each_item_may_give_one():
    assert (Pace().seconds, Pace().outputs) == (0.0, 1.0)


@given(batches)
def test_it_lies_between_the_fastest_batch_and_the_slowest(taken):
    pace = after(taken)
    each = [seconds / items for items, seconds, _ in taken]
    gave = [outputs / items for items, _, outputs in taken]
    assert min(each) <= pace.seconds * (1 + 1e-9)
    assert pace.seconds <= max(each) * (1 + 1e-9)
    assert min(gave) <= pace.outputs * (1 + 1e-9)
    assert pace.outputs <= max(gave) * (1 + 1e-9)


@given(batches, st.floats(1e-7, 1))
def test_what_was_long_ago_is_forgotten(before, each):
    pace = after(before)
    for _ in range(100):
        pace.add(100, 100 * each, 200)
    assert pace.seconds == pytest.approx(each, rel=1e-6)
    assert pace.outputs == pytest.approx(2, rel=1e-6)


def test_a_large_batch_tells_more_than_many_small_ones():
    """Each takes 50 us besides its items, of 0.1 us: what small ones say is nearly all of that."""
    pace = after([(1, 50.1e-6, 1)] * 20)
    assert pace.seconds > 50e-6
    pace.add(1000, 150e-6, 1000)
    assert pace.seconds < 0.5e-6
