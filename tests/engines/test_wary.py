"""Items of which one kills whoever loads it: it is found by its index, or left out."""

from __future__ import annotations

import collections
import datetime as dt
import fractions
import pickle
from typing import ClassVar, NamedTuple

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.engines.letters import Unloaded
from conveyor.engines.processes import wary

pytestmark = pytest.mark.quick


class Point(NamedTuple):
    x: object
    y: object


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
items = st.recursive(
    plain | st.fractions() | st.dates() | st.builds(Point, plain, plain),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(lambda value: collections.OrderedDict(a=value), inner)
        | st.builds(lambda value: collections.deque([value]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(items, max_size=6))
def test_all_are_loaded_as_ever_and_each_is_noted_before(batch):
    noted: list[int] = []
    assert wary.load(pickle.dumps(batch, 5), noted.append, ()) == batch
    assert [index for index in noted if index < len(batch)] == list(range(len(batch)))


class Noted:
    """Tells when it is loaded."""

    loaded: ClassVar[list[int]] = []

    def __init__(self, number):
        self.number = number

    def __getstate__(self):
        return {"number": self.number}

    def __setstate__(self, state):
        self.number = state["number"]
        Noted.loaded.append(self.number)


@pytest.mark.parametrize("count", [1, 2, 7, 2_500])
def test_what_is_noted_is_the_one_whose_code_runs(count):
    noted: list[int] = []
    Noted.loaded = []
    batch = [[number, Noted(number)] if number % 3 else Noted(number) for number in range(count)]

    def note(index):
        assert len(Noted.loaded) == index  # those before it, and not this one
        noted.append(index)

    wary.load(pickle.dumps(batch, 5), note, ())
    assert noted[:count] == list(range(count))


class Args:
    def __new__(cls, *arguments, **_names):
        self = super().__new__(cls)
        self.arguments = arguments
        return self

    def __getnewargs_ex__(self):
        return self.arguments, {"a": 1}


class Kept(list):
    pass


def fatal(kind):
    """An item that is loaded in some way, with code of the user's."""
    return {
        "reduce": fractions.Fraction(1, 3),
        "new": Noted(7),
        "names": Args(1, 2),
        "list": Kept([1, Noted(7)]),
        "deep": {"a": [(Noted(7), dt.date(2000, 1, 1))]},
    }[kind]


@pytest.mark.parametrize("kind", ["reduce", "new", "names", "list", "deep"])
def test_one_is_left_out_and_its_code_does_not_run(kind):
    batch = [Noted(0), fatal(kind), Noted(2), fractions.Fraction(1, 2), Args(3)]
    data = pickle.dumps(batch, 5)
    Noted.loaded = []
    first, left_out, other, half, arguments = wary.load(data, lambda _: None, {1})
    assert (first.number, other.number, half, arguments.arguments) == (0, 2, batch[3], (3,))
    assert Noted.loaded == [0, 2]
    if kind != "deep":
        assert isinstance(left_out, Unloaded)
    assert "not loaded" in repr(left_out)


def test_a_class_that_came_by_value_with_it_is_there_for_the_others():
    class Local:
        def __init__(self, number):
            self.number = number

        def twice(self):
            return 2 * self.number

    data = cloudpickle.dumps([Local(1), Local(2)], 5)
    left_out, other = wary.load(data, lambda _: None, {0})
    assert isinstance(left_out, Unloaded)
    assert other.twice() == 4


def test_what_has_a_part_in_common_with_it_is_not_loaded_without_that():
    part = Noted(1)
    with pytest.raises(pickle.UnpicklingError, match="item 1 has a part in common"):
        wary.load(pickle.dumps([[part], [part]], 5), lambda _: None, {0})


class Calls:
    def __reduce__(self):
        return int, ("no number",)


class Needs:
    """Is made with an argument, and loaded with none."""

    def __new__(cls, *arguments):
        assert arguments
        return super().__new__(cls)


class NeedsNoNames:
    def __new__(cls, **names):
        assert not names
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"a": 1}


class Fussy:
    def __init__(self):
        self.a = 1

    def __setstate__(self, state):
        raise ValueError("not like that")


class Missing:
    """Is not there where it is loaded."""


unfit = st.sampled_from([Calls(), Needs(1), NeedsNoNames(), Fussy(), Missing()])


@given(st.lists(items | unfit, max_size=6), st.integers(0, 3))
def test_what_cannot_be_loaded_is_told_and_all_else_is_loaded(batch, depth):
    kinds = (Calls, Needs, NeedsNoNames, Fussy, Missing)
    failing = [index for index, item in enumerate(batch) if isinstance(item, kinds)]
    data = pickle.dumps([within(item, depth) for item in batch], 5)
    data = data.replace(b"Missing", b"Missink")
    loaded, failed = wary.spare(data, lambda _: None, ())
    assert list(failed) == failing
    for index, item in enumerate(batch):
        if index in failed:
            assert "not loaded" in repr(loaded[index])
        else:
            assert loaded[index] == within(item, depth)


def within(item, depth):
    """An item deep inside of another one."""
    return [within(item, depth - 1)] if depth else item


def test_what_refers_to_what_cannot_be_loaded_cannot_be_loaded_either():
    wrong = Fussy()
    batch = [[wrong, 1], 2, {"a": wrong}, [3]]
    loaded, failed = wary.spare(pickle.dumps(batch, 5), lambda _: None, ())
    assert (list(failed), loaded[1], loaded[3]) == ([0, 2], 2, [3])


def test_what_is_given_twice_can_be_loaded_in_neither_place():
    half = {"a": 1, "b": Calls()}  # it is there before the part that fails
    loaded, failed = wary.spare(pickle.dumps([half, half, {"c": half}, 4], 5), lambda _: None, ())
    assert (list(failed), loaded[3]) == ([0, 1, 2], 4)


class Logging(dict):
    """Is filled as it is loaded, before it has its attributes."""

    def __init__(self):
        self.log = []

    def __setitem__(self, key, value):
        self.log.append(key)
        super().__setitem__(key, value)


class Counting(list):
    def __init__(self):
        self.number = 0

    def append(self, item):
        self.number += 1
        super().append(item)

    def extend(self, items):
        for item in items:
            self.append(item)


class Unhashable:
    """Has a hash only where it was made."""

    def __init__(self):
        self.hash = 1

    def __getstate__(self):
        return {}

    def __hash__(self):
        return self.hash


def filled(kind):
    if kind == "dict":
        (item := Logging())["a"] = 1
    elif kind == "list":
        (item := Counting()).append(1)
    else:
        item = (set if kind == "set" else frozenset)([Unhashable()])
    return item


@pytest.mark.parametrize("kind", ["dict", "list", "set", "frozenset"])
def test_what_cannot_be_filled_is_told(kind):
    item = filled(kind)
    loaded, failed = wary.spare(pickle.dumps([1, [item, (2,)], 3], 5), lambda _: None, ())
    assert (list(failed), loaded[0], loaded[2]) == ([1], 1, 3)
    assert isinstance(failed[1], AttributeError)
    assert isinstance(loaded[1][0], Unloaded)


def test_a_stand_in_is_all_that_is_left_of_what_was_half_made():
    wrong = Fussy()
    loaded, _ = wary.spare(pickle.dumps([[wrong, [wrong]], {"a": wrong}], 5), lambda _: None, ())
    assert all(isinstance(one, Unloaded) for one in (loaded[0][0], loaded[0][1][0], loaded[1]["a"]))


def test_what_others_have_in_common_with_it_is_loaded_if_it_can_be():
    config = Noted(7)
    batch = [{"error": Needs(1), "config": config}, {"error": None, "config": config}, [config]]
    loaded, failed = wary.spare(pickle.dumps(batch, 5), lambda _: None, ())
    assert list(failed) == [0]
    assert loaded[1]["config"] is loaded[2][0] is loaded[0]["config"]
    assert loaded[2][0].number == 7


def test_what_would_be_made_of_a_stand_in_is_not_made():
    batch = [fractions.Fraction(1, 2), Point(Calls(), 1), collections.deque([Calls()])]
    loaded, failed = wary.spare(pickle.dumps(batch, 5), lambda _: None, ())
    assert (list(failed), loaded[0]) == ([1, 2], batch[0])
    assert isinstance(loaded[1], Unloaded)
    assert "not loaded: int" in repr(loaded[1])


def test_a_stand_in_may_itself_be_an_item():
    batch = [Calls(), Unloaded("Item()"), 3]
    loaded, failed = wary.spare(pickle.dumps(batch, 5), lambda _: None, ())
    assert (list(failed), loaded[2]) == ([0], 3)
    assert repr(loaded[1]) == "<not loaded: Item()>"
