"""A processor in the hands of an engine: batches, in one part or in several."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import Processor, StageError
from conveyor.engines.stage import PART_SECONDS, STRIDE, Batch, Stage

pytestmark = pytest.mark.quick


class Halve(Processor):
    """Lets even numbers through; what it is told to is too much for it."""

    def __init__(self, fails=None):
        self.fails = fails

    def process(self, number):
        if number == self.fails:
            raise ValueError(number)
        return number // 2 if number % 2 == 0 else None


class Never(BaseException):
    """What nobody raises."""


def stage_with(seconds, fails=None):
    """A stage whose items have taken so long each, up to now."""
    stage = Stage("halve", lambda: Halve(fails), warm=False, passes=Never)
    stage.setup()
    stage.begin()
    stage.seconds = seconds
    return stage


def batch_of(items, at, *, traced):
    return Batch(items, at, lambda: 1, traced, lambda: lambda index: items[index], lambda _: None)


seconds = st.sampled_from([0.0, 1e-7, PART_SECONDS / 200, PART_SECONDS / 10, PART_SECONDS, 1.0])
numbers = st.lists(st.integers(0, 99), max_size=3 * STRIDE)


@given(items=numbers, taking=seconds, traced=st.booleans())
def test_parts_hold_together_what_a_batch_gives(items, taking, traced):
    stage = stage_with(taking)

    parts = list(stage.batch(batch_of(list(items), array("q", [0, 1, 0]), traced=traced)))

    assert [output for part in parts for output in part.outputs] == [
        number // 2 for number in items if number % 2 == 0
    ]
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert sum(part.taken for part in parts) == len(items)
    if traced:
        assert all(part.origins is not None for part in parts if len(parts) > 1)
        origins = [
            index
            for part in parts
            for index in (range(len(items)) if part.origins is None else part.origins)
        ]
        assert origins == [index for index, number in enumerate(items) if number % 2 == 0]
    account = stage.account
    assert (account.items_in, account.filtered) == (len(items), sum(n % 2 for n in items))


@given(items=numbers.filter(bool), taking=seconds, most=st.integers(1, 9))
def test_no_more_are_processed_together_than_there_can_be_room_for(items, taking, most):
    batch = batch_of(list(items), array("q", [0, 1, 0]), traced=False)._replace(most=most)
    parts = list(stage_with(taking).batch(batch))
    assert all(part.taken <= most for part in parts)
    assert sum(part.taken for part in parts) == len(items)


def test_what_is_slow_comes_in_parts_and_what_is_quick_at_once():
    def parts(taking):
        batch = batch_of([2] * 100, array("q", [0, 1, 0]), traced=False)
        return next(stage_with(taking).batch(batch)).taken

    assert parts(0.0) == parts(PART_SECONDS / 100) == 100
    assert parts(PART_SECONDS / 10) == 10
    assert parts(PART_SECONDS) == parts(1.0) == 1


@given(items=numbers.filter(bool), taking=seconds, traced=st.booleans(), data=st.data())
def test_the_item_that_failed_is_named_and_noted(items, taking, traced, data):
    index = data.draw(st.integers(0, len(items) - 1))
    items[index] = 1000
    at = array("q", [0, 1, 0])
    stage = stage_with(taking, fails=1000)

    with pytest.raises(StageError) as caught:
        list(stage.batch(batch_of(items, at, traced=traced)))

    assert caught.value.item == "1000"
    assert at[0] == index
