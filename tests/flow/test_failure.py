"""What becomes of an item that failed, and when a run has failed too often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.failure import LEAST_ITEMS, Policy, Tolerance

pytestmark = pytest.mark.quick

counts = st.integers(0, 1000)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(counts, st.sampled_from(["fail", "skip", "dead_letter"]))
def test_an_item_has_one_attempt_more_than_retries(retries, on_error):
    policy = Policy(retries, on_error)
    verdicts = [policy.verdict(attempts) for attempts in range(1, retries + 3)]
    assert verdicts == ["retry"] * retries + [on_error] * 2


@given(counts, counts)
def test_no_limit_bears_every_failure(failures, items):
    assert not Tolerance().is_exceeded(failures, items, at_end=True)


@given(counts, counts, counts, st.booleans())
def test_a_count_is_exceeded_by_one_more(limit, failures, items, at_end):
    assert Tolerance(limit).is_exceeded(failures, items, at_end=at_end) == (failures > limit)


@given(shares, counts, counts)
def test_a_share_is_of_all_items_at_the_end(share, failures, items):
    exceeded = Tolerance(share).is_exceeded(failures, items, at_end=True)
    assert exceeded == (failures > share * items)


@given(shares, counts, counts)
def test_a_share_counts_before_the_end_once_there_are_items_enough(share, failures, items):
    at_end = Tolerance(share).is_exceeded(failures, items, at_end=True)
    so_far = Tolerance(share).is_exceeded(failures, items)
    assert so_far == (at_end and items >= LEAST_ITEMS)
