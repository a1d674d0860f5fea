"""The histogram of times: fixed bounds, sums, and quantiles that are nearly right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.engines.histogram import BUCKETS, Histogram, Times, bounds, bucket

pytestmark = pytest.mark.quick

times = st.integers(0, 3 * 10**13)


def histogram(nanoseconds):
    counting = Times()
    for one in nanoseconds:
        counting.add(one)
    return counting.histogram()


@given(times)
def test_a_time_is_within_the_bounds_of_its_bucket(nanoseconds):
    low, high = bounds(bucket(nanoseconds))
    assert low <= nanoseconds / 1e9 < high


def test_buckets_follow_one_another_without_a_gap():
    edges = [bounds(number) for number in range(BUCKETS)]
    assert [low for low, _ in edges[1:]] == [high for _, high in edges[:-1]]


def test_what_takes_very_long_is_in_the_last_bucket():
    assert bucket(10**18) == BUCKETS - 1


@given(st.lists(times, min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_off_by_a_sixteenth_at_most(nanoseconds, share):
    ranked = sorted(nanoseconds)
    exact = next(n for k, n in enumerate(ranked, 1) if k >= share * len(ranked)) / 1e9
    assert histogram(nanoseconds).quantile(share) == pytest.approx(exact, rel=1 / 16, abs=1e-9)


@given(st.lists(times), st.lists(times))
def test_histograms_add_up(some, others):
    both = histogram(some) + histogram(others)
    whole = histogram([*some, *others])
    assert both.counts == whole.counts
    assert both.total == pytest.approx(whole.total)


def test_many_items_count_at_once():
    counting = Times()
    counting.add(2_000, 3)
    counting.add(4_000)
    made = counting.histogram()
    assert (made.items, made.mean) == (4, pytest.approx(2.5e-6))
    assert [items for _, _, items in made.buckets()] == [3, 1]


def test_where_nothing_was_timed_all_is_zero():
    empty = Histogram()
    assert empty.to_dict() == {"items": 0, "mean": 0.0, "p50": 0.0, "p90": 0.0, "p99": 0.0}
