"""Which deaths are put down to the kernel: never more than it has counted since."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.kills import Kills

pytestmark = pytest.mark.quick

events = st.lists(
    st.tuples(st.sampled_from(["start", "kill", "death"]), st.sampled_from(["a", "b"]))
)


@given(events, st.integers(0, 5))
def test_every_count_explains_one_death_and_no_other_counter_does(events, first):
    kills, counts, explained, known = Kills(), {"a": first, "b": 0}, {}, {}
    for what, counter in events:
        match what:
            case "start":
                kills.begin(counter, counts[counter])
                known.setdefault(counter, counts[counter])
                explained.setdefault(counter, 0)
            case "kill":
                counts[counter] += 1
            case "death" if counter in known:
                left = counts[counter] - known[counter] - explained[counter]
                assert kills.explain(counter, counts[counter]) == (left > 0)
                explained[counter] += left > 0
            case _:
                assert not kills.explain(counter, counts[counter])


def test_what_can_not_be_read_explains_nothing():
    kills = Kills()
    kills.begin("unread", None)
    kills.begin("lost", 1)
    assert not kills.explain("unread", 5)
    assert not kills.explain("lost", None)
