"""Joins, against a plain model: random forks, and all that may go on in their branches."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conveyor.flow.batch import BEHIND, LEAVE, Frame, Scope, component, origin
from conveyor.flow.join import Interleave, LinkIn, Ordered, TwoOutputs, Zip
from conveyor.flow.order import Completion
from tests.flow.forks import (
    END,
    Branch,
    Fork,
    Joined,
    RunningJoin,
    batches,
    ended,
    entering,
    forks,
    joined,
    source_of,
    through,
)

pytestmark = pytest.mark.quick

randoms = st.randoms(use_true_random=True)


def expected(join, sizes):
    """What must come, for each item and then for the end, or None where it is an error."""
    try:
        outputs = [joined(join, through(join.fork, (n,))) for n in range(sum(sizes))]
        return [*outputs, joined(join, ended(join.fork))]
    except TwoOutputs:
        return None


def run_of(running, sizes, random):
    """The frames that come out, or None where it is an error."""
    try:
        return running.take(entering(sizes, random), random)
    except TwoOutputs:
        return None


def items_of(frames):
    return [item for frame in frames for item in frame.items]


def check_addresses(frames, sizes):
    """All batches come out, complete, each once; the end is the last."""
    completion = Completion()
    complete = [frame.path[0] for frame in frames if completion.add(frame.path, 1)]
    assert sorted(complete) == [*(2 * n for n in range(len(sizes))), 2 * len(sizes) + 1]
    assert completion.is_idle
    assert [frame.end for frame in frames] == [0] * (len(frames) - 1) + [1]


def check_origins(frames, sizes):
    """Each item remembers which item of its batch it came from, for a fork further out."""
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    for frame in frames:
        (scope,) = frame.scopes
        for index, item in enumerate(frame.items):
            batch = frame.path[0] >> 1
            place = BEHIND if source_of(item) == END else source_of(item) - starts[batch]
            assert origin(scope, index) == place


# Ends that an interleave in a branch has let overtake each other.
OVERTAKING = Joined(
    Fork("balanced", (Branch((Joined(Fork("balanced", (Branch(),) * 2), "interleave"),)),)),
    "ordered",
)


def check_ordered(join, random, *runs):
    """Runs after each other give what the model gives, in its order."""
    running = RunningJoin(join, in_turn=True)
    for sizes in runs:
        wanted, frames = expected(join, sizes), run_of(running, sizes, random)
        if wanted is None or frames is None:
            assert wanted is frames is None
            return
        check_addresses(frames, sizes)
        assert items_of(frames) == [item for items in wanted for item in items]
        assert [frame.path for frame in frames] == sorted(frame.path for frame in frames)


def check_zip(join, random, *runs, in_turn):
    """Runs after each other give what the model gives, in its order where that is kept."""
    running = RunningJoin(join, in_turn=in_turn)
    for sizes in runs:
        wanted, frames = expected(join, sizes), run_of(running, sizes, random)
        if wanted is None or frames is None:
            assert wanted is frames is None
            return
        check_addresses(frames, sizes)
        if not in_turn:
            frames.sort(key=lambda frame: frame.path)
        assert items_of(frames) == [item for items in wanted for item in items]


ordered_joins = forks(2, zipped=False).map(lambda fork: Joined(fork, "ordered"))
zips = forks(2, zipped=True).map(lambda fork: Joined(fork, "zip"))


@given(ordered_joins, batches, batches, randoms)
@example(OVERTAKING, [], [], Random(3))
def test_ordered_gives_what_the_inline_engine_gives(join, first, second, random):
    check_ordered(join, random, first, second)


@given(zips, batches, batches, st.booleans(), randoms)
def test_zip_gives_one_tuple_for_an_item_with_all_its_parts(join, first, second, in_turn, random):
    check_zip(join, random, first, second, in_turn=in_turn)


@given(ordered_joins | zips, batches, st.booleans(), randoms)
def test_items_still_know_where_they_were_in_a_fork_further_out(join, sizes, in_turn, random):
    frames = run_of(RunningJoin(join, in_turn=in_turn), sizes, random)
    if frames is not None:
        check_origins(frames, sizes)


# -- one by one --


def frame(*path, items=(), end=0, scopes=()):
    return Frame(path, list(items), scopes=scopes, end=end)


def attached(joiner, links):
    for _ in range(links):
        joiner.attach()
    return joiner


@given(st.permutations(range(4)))
def test_interleave_gives_the_ends_in_the_order_of_paths_once_all_have_come(links):
    joiner = attached(Interleave(), 4)
    *waiting, last = (joiner.put(link, frame(9, link * 2, end=1)) for link in links)

    assert waiting == [[]] * 3
    assert [(one.path, one.end) for one in last] == [((9, n * 2), int(n == 3)) for n in range(4)]


@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_items_that_come_along_with_an_end_wait_for_no_other(links, brings):
    joiner, completion = attached(Interleave(), 4), Completion()
    for place, link in enumerate(links):
        path = (9, component(link, last=link == 3))
        items = [link] if brings[link] else []
        came = joiner.put(link, frame(*path, items=items, end=1))
        is_last = place == 3
        assert items_of(came) == items
        assert [one.end for one in came if one.end] == [1] * is_last
        assert [completion.add(one.path, 1) for one in came].count(True) == is_last
    assert came[-1].end
    assert completion.is_idle


def test_interleave_gives_what_comes_at_once():
    joiner = attached(Interleave(), 2)
    first, second = frame(2, items="b"), frame(0, items="a")

    assert [*joiner.put(1, first), *joiner.put(0, second)] == [first, second]


def test_interleave_counts_the_ends_of_each_run():
    joiner = attached(Interleave(), 2)
    for _ in range(2):
        assert joiner.put(1, frame(1, 3, end=1)) == []
        assert [one.end for one in joiner.put(0, frame(1, 0, end=1))] == [0, 1]


def test_a_balanced_branch_that_is_late_holds_back_what_entered_later():
    joiner = attached(Ordered([LinkIn(scopes=1)] * 2, needs_items=False), 2)
    first, second = (frame(2 * turn, scopes=(Scope(1, turn),)) for turn in range(2))

    assert joiner.put(1, second) == []
    assert [one.path for one in joiner.put(0, first)] == [(0,), (2,)]


def test_a_zip_names_the_branch_that_gave_two_outputs():
    joiner = Zip("zip", [LinkIn(1, 0, "left"), LinkIn(1, 1, "right")], in_turn=False)
    twice = Scope(1, -1, traced=True, origins=[0, 0])
    joiner.put(0, frame(0, 0, items="a", scopes=(Scope(1, -1, traced=True),)))

    with pytest.raises(TwoOutputs) as caught:
        joiner.put(1, frame(0, 3, items="bc", scopes=(twice,)))
    assert (caught.value.branch, caught.value.item) == ("right", "c")


def test_a_zip_accounts_for_what_it_left_out():
    joiner = Zip("zip", [LinkIn(1, 0), LinkIn(1, 1)], in_turn=False)
    joiner.put(0, frame(0, 0, items="abc", scopes=(Scope(1, -1, traced=True),)))
    joiner.put(1, frame(0, 3, items="xz", scopes=(Scope(1, -1, traced=True, origins=[0, 2]),)))

    assert (joiner.items_in, joiner.items_out) == (5, 2)
    assert (joiner.filtered, joiner.merged) == (1, 2)


@given(st.booleans(), randoms)
def test_ends_come_by_the_links_that_are_open_then(is_ordered, random):
    """Links come and go between runs and in them; the last end of a run is its only one."""
    joiner = Ordered([LinkIn(scopes=1)], needs_items=False) if is_ordered else Interleave()
    links = 0
    for _ in range(6):
        while links < 1 or random.random() < 0.5:
            joiner.attach()
            links += 1
        leaving = random.randrange(links)
        links -= leaving
        came = [((turn * 2,), turn, LEAVE) for turn in range(leaving)]
        family = [component(branch, last=branch + 1 == links) for branch in range(links)]
        came += [((leaving * 2, member), leaving, 1) for member in family]
        given_frames = []
        for path, turn, end in came:
            ready = joiner.put(0, frame(*path, end=end, scopes=(Scope(1, turn),)))
            assert end != LEAVE or [one.path for one in ready] == [path]
            given_frames += ready
        assert [one.path for one in given_frames] == [path for path, _, _ in came]
        assert [one.end for one in given_frames] == [0] * (len(came) - 1) + [1]


def test_where_all_links_leave_the_last_one_takes_the_rest_along():
    joiner = attached(Interleave(), 2)

    assert [one.end for one in joiner.put(1, frame(6, end=LEAVE))] == [0]
    assert [one.end for one in joiner.put(0, frame(4, end=LEAVE))] == [LEAVE]


def test_a_link_that_leaves_when_the_others_have_ended_lets_the_end_go():
    joiner = attached(Interleave(), 2)

    assert joiner.put(0, frame(9, 0, end=1)) == []
    assert [(one.path, one.end) for one in joiner.put(1, frame(4, end=LEAVE))] == (
        [((4,), 0), ((9, 0), 1)]
    )
