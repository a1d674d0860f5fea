"""Frames: how they are addressed, and what their items remember of the forks they are in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.batch import BEHIND, Frame, Scope, at_end, component, cut, origin, traced
from conveyor.flow.order import Completion
from tests.flow.trees import leaves, trees

pytestmark = pytest.mark.quick

counts = st.integers(0, 12)


@st.composite
def selections(draw, count):
    """Which items a stage made its outputs of, in order: filtered, or several times."""
    return sorted(draw(st.lists(st.integers(0, count - 1), max_size=15))) if count else []


def origins_of(scopes, count):
    return [origin(scopes[0], index) for index in range(count)]


@given(trees)
def test_paths_compare_in_the_order_of_the_stream(tree):
    paths = list(leaves(tree, (component(7, last=False),)))

    assert sorted(paths) == paths


@given(st.integers(0, 99), st.booleans())
def test_a_component_tells_its_index_and_whether_it_is_the_last(index, is_last):
    made = component(index, last=is_last)

    assert (made >> 1, bool(made & 1)) == (index, is_last)


@given(st.data(), counts)
def test_origins_are_composed_through_two_stages(data, count):
    scopes = (Scope(1, traced=True),)
    first = data.draw(selections(count))
    second = data.draw(selections(len(first)))

    once = traced(scopes, first)
    twice = traced(once, second)

    assert origins_of(once, len(first)) == first
    assert origins_of(twice, len(second)) == [first[index] for index in second]


@given(counts)
def test_items_made_one_to_one_keep_their_origins(count):
    scopes = traced((Scope(1, traced=True),), list(range(0, count * 2, 2)))

    assert traced(scopes, None) is scopes


@given(st.lists(st.integers(0, 3), min_size=1))
def test_scopes_where_no_join_matches_items_remember_none(origins):
    scopes = (Scope(1, 5), Scope(2, -1, traced=True))

    assert traced(scopes, origins) == (scopes[0], scopes[1]._replace(origins=origins))


@given(st.integers(0, 5), st.none() | st.lists(st.integers(0, 9), max_size=5))
def test_what_is_made_at_the_end_is_of_one_item_more(count, before):
    scopes = (Scope(1, 3), Scope(2, -1, traced=True, origins=before))

    assert at_end(scopes, count) == (scopes[0], scopes[1]._replace(origins=[BEHIND] * count))


@given(st.data(), counts, st.integers(1, 5), st.booleans())
def test_the_pieces_of_a_frame_are_a_complete_family(data, count, size, is_end):
    frame = Frame((3,), list(range(count)), end=int(is_end))

    family = cut(frame, size)
    completion = Completion()

    assert [completion.add(one.path, 1) for one in family] == [False] * (len(family) - 1) + [True]
    assert [item for one in family for item in one.items] == list(range(count))
    assert all(one.count == len(one.items) <= size for one in family)
    assert [one.end for one in family] == [0] * (len(family) - 1) + [int(is_end)]


@given(st.data(), counts, st.integers(1, 5))
def test_the_items_of_a_piece_keep_their_origins(data, count, size):
    origins = sorted(data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)))
    frame = Frame((3,), list(range(count)), scopes=(Scope(1, -1, traced=True, origins=origins),))

    pieces = cut(frame, size)

    assert [o for one in pieces for o in origins_of(one.scopes, one.count)] == origins


def test_a_frame_that_is_small_enough_stays_whole():
    frame = Frame((3,), [1, 2, 3])

    assert cut(frame, 3) == [frame]


def test_a_frame_of_unknown_items_stays_whole():
    frame = Frame((3,), None, count=9, payload=b"nine items")

    assert cut(frame, 3) == [frame]


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 1000))
def test_the_pieces_share_the_bytes_of_the_frame(count, size, weight):
    pieces = cut(Frame((3,), [0] * count, payload=bytes(weight)), size)

    assert weight - len(pieces) < sum(piece.size for piece in pieces) <= weight


def test_a_frame_under_another_address_has_the_same_items():
    frame = Frame((3,), [1, 2], scopes=(Scope(1),), end=1, payload=b"12")

    other = frame.readdressed(path=(3, 1), scopes=())

    assert (other.path, other.scopes) == ((3, 1), ())
    assert (other.items, other.payload, other.count, other.end) == ([1, 2], b"12", 2, 1)


def test_a_piece_under_another_address_has_the_same_share_of_the_bytes():
    piece = cut(Frame((3,), [1, 2], payload=b"1234"), 1)[0]

    assert piece.readdressed(path=(4,)).size == piece.size == 2


def test_the_answer_to_a_frame_has_its_address_and_is_no_end():
    frame = Frame((3,), [1, 2], scopes=(Scope(1),), end=1, payload=b"12")

    answer = frame.derived([9])

    assert (answer.path, answer.scopes, answer.items) == ((3,), (Scope(1),), [9])
    assert (answer.payload, answer.end) == (None, 0)


def test_a_frame_shows_itself_as_sections_of_a_book():
    frame = Frame((14, 0, 3), [1], end=1)

    assert repr(frame) == "<frame 7.0.1! of 1 end>"
