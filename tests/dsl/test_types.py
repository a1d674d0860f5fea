# ruff: noqa: PLW0108 - where a lambda stands is the line that an error must tell
"""The rule `types`: what surely can't fit is refused, what might fit never is."""

from __future__ import annotations

import decimal
import enum
import functools
import io
import operator
import os
import pathlib
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Protocol,
    TypedDict,
    TypeVar,
)

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from conveyor import (
    AUTO,
    ConstructionError,
    Feed,
    Join,
    Pipe,
    Pipeline,
    Processor,
    Source,
    processor,
    source,
)
from conveyor.dsl import compose
from tests.dsl.refusals import refused

pytestmark = pytest.mark.quick

T = TypeVar("T")
Given = TypeVar("Given")
Taken = TypeVar("Taken")
Bound = TypeVar("Bound", bound=int)
Ts = typing.TypeVarTuple("Ts")


class Animal: ...


class Dog(Animal): ...


class Cat(Animal): ...


class Barker: ...


class Puppy(Dog, Barker): ...


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Barks(Protocol):
    def bark(self) -> str: ...


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    title: str


class Colour(enum.Enum):
    RED = 1


class Code(enum.IntEnum):
    OK = 200


UserId = NewType("UserId", int)


def gives(hint: Any) -> Processor[Any, Any]:
    class Gives(Processor[Any, hint]):
        def process(self, item):
            return item

    return Gives()


def takes(hint: Any) -> Processor[Any, Any]:
    class Takes(Processor[hint, Any]):
        def process(self, item):
            return item

    return Takes()


CAN_NOT_FIT = [
    (int, str),
    (str, int),
    (bytes, str),
    (str, bytes),
    (Dog, Cat),
    (Animal, int),
    (pathlib.Path, str),
    (decimal.Decimal, float),
    (Colour, int),
    (list, dict),
    (list[int], str),
    (list[int], list[str]),
    (list[int], Sequence[str]),
    (dict[str, int], Mapping[str, str]),
    (dict[str, int], list[str]),
    (list[list[int]], list[list[str]]),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, int], tuple[int, int, int]),
    (tuple[int, ...], tuple[str, ...]),
    (tuple[int, ...], tuple[str, int]),
    (tuple[int, str], tuple[str, ...]),
    (tuple[int, ...], Sequence[str]),
    (Sequence[int], tuple[str, ...]),
    (tuple[int, str], Sequence[int]),
    (Box[int], Box[str]),
    (int | None, str),
    (int | bytes, str | list[int]),
    (str, Literal[1, 2]),
    (Literal["a"], int),
    (Literal["a"], Literal["b"]),
    (Literal["a", "b"], Literal["c", "d"]),
    (Literal[1], Literal["1"]),
    (Literal[Colour.RED], Literal[1]),
    (list[Literal["a"]], list[Literal["b"]]),
    (UserId, str),
    (Movie, list),
    (Movie, str),
    (Annotated[int, "metres"], str),
    (int, Iterable[int]),
    (int, typing.TextIO),
    (typing.IO[bytes], list[bytes]),
    (np.datetime64, str),
    (type[int], int),
]

MIGHT_FIT = [
    (int, int),
    (Any, int),
    (int, Any),
    (object, int),
    (int, object),
    (Dog, Animal),
    (Animal, Dog),
    (int, float),
    (float, int),
    (bool, float),
    (int, complex),
    (np.float64, float),
    (np.int64, int),
    (float, np.float32),
    (np.generic, float),
    (bool, np.bool_),
    (np.bool_, bool),
    (np.generic, str),
    (bytearray, bytes),
    (int, int | str),
    (int | str, int),
    (int | None, int),
    (int | None, int | None),
    (int, typing.Optional[int]),  # noqa: UP045
    (str, Sequence[str]),
    (str, Iterable[int]),
    (list, list[int]),
    (list[int], list),
    (list[Any], list[int]),
    (list[int], list[float]),
    (list[Dog], Sequence[Animal]),
    (list[Animal], list[Dog]),
    (list[int], Iterable[int]),
    (list[int | str], list[int]),
    (deque[int], Sequence[int]),
    (dict[str, int], Mapping[str, float]),
    (dict[str, int], Iterable[str]),
    (dict, Mapping[str, int]),
    (Counter[str], dict[str, int]),
    (defaultdict[str, int], dict[str, int]),
    (OrderedDict[str, int], Mapping[str, int]),
    (tuple[int, str], tuple[int, str]),
    (tuple[int, str], tuple),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, int], tuple[int, ...]),
    (tuple[int, int], Sequence[int]),
    (tuple[int, ...], tuple[float, ...]),
    (tuple[int, ...], tuple[Any, ...]),
    (tuple[int, ...], Sequence[float]),
    (Sequence[int], tuple[int, str | float]),
    (tuple[int, str], Iterable[int | str]),
    (tuple[()], tuple[int, ...]),
    (tuple[int, *Ts], tuple[int, str, bytes]),
    (tuple[int, *tuple[str, ...]], tuple[int, str, str]),
    (tuple[int, str], tuple[*Ts]),
    (Point, tuple[int, int]),
    (tuple[int, int], Point),
    (Box[int], Box),
    (Box, Box[int]),
    (IntBox, Box[int]),
    (Box[int], IntBox),
    (Dog, Barks),
    (Barks, Dog),
    (int, Barks),
    (Sized, Iterable),
    (Sized, Iterable[int]),
    (Iterable[int], Sized),
    (UserId, int),
    (int, UserId),
    (Movie, dict[str, Any]),
    (dict[str, str], Movie),
    (Movie, Mapping[str, object]),
    (Literal["a", "b"], str),
    (str, Literal["a"]),
    (Literal["a"], Literal["a", "b"]),
    (Literal["a", "b"], Literal["b", "c"]),
    (Literal["a"], str | None),
    (Literal[1], float),
    (Literal[1], Literal[True]),
    (Literal[Colour.RED], Colour),
    (Literal[Code.OK], Literal[200]),
    (Literal[Code.OK], int),
    (Literal["a"], Sequence[str]),
    (typing.Never, int),
    (typing.NoReturn, list[int]),
    (Annotated[int, "metres"], int),
    (int, Annotated[float, "feet"]),
    (T, int),
    (int, T),
    (list[T], list[int]),
    (Bound, int),
    ("Missing", int),
    (int, "Missing"),
    (pathlib.Path, os.PathLike),
    (pathlib.Path, str | os.PathLike[str]),
    (io.TextIOWrapper, typing.IO[str]),
    (typing.IO[str], io.TextIOWrapper),
    (io.StringIO, typing.TextIO),
    (io.BytesIO, typing.BinaryIO),
    (io.BytesIO, typing.IO[bytes]),
    (typing.TextIO, typing.IO[str]),
    (Dog, Barker),
    (Callable[[int], str], Callable[[bool], str]),
    (Callable[[int], str], Callable[..., Any]),
    (type[int], type),
    (np.ndarray, np.ndarray[Any, np.dtype[np.float64]]),
    (typing.List[int], list[int]),  # noqa: UP006
    (typing.Dict[str, int], typing.Mapping[str, int]),  # noqa: UP006
]


@pytest.mark.parametrize(("out", "into"), CAN_NOT_FIT, ids=str)
def test_what_surely_can_not_fit_is_refused(out, into):
    assert refused(lambda: gives(out) >> takes(into), "types").marked == ["Takes()"]


@pytest.mark.parametrize(("out", "into"), MIGHT_FIT, ids=str)
def test_what_might_fit_is_not_refused(out, into):
    assert (gives(out) >> takes(into)).compile()


PLAIN = (int, float, str, bytes, list[int], list[str], dict[str, int], tuple[int, str], type(None))
plain = st.sampled_from((*PLAIN, Any, object, Animal, Dog, Cat, Barks, T, Movie, Point, UserId))


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda x: list[x]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        st.tuples(inner, inner).map(lambda pair: typing.Union[pair]),  # noqa: UP007
        inner.map(lambda x: Mapping[str, x]),
        inner.map(lambda x: Annotated[x, "note"]),
    )


hints = st.one_of(plain, composed(plain), composed(composed(plain)))


@given(hints)
def test_every_type_fits_itself(hint):
    assert (gives(hint) >> takes(hint)).compile()


@given(hints, st.sampled_from((Any, object)))
def test_what_is_not_said_fits_everything(hint, unsaid):
    assert (gives(hint) >> takes(unsaid) >> gives(unsaid) >> takes(hint)).compile()


@given(hints, hints)
def test_a_union_takes_each_of_its_members(hint, other):
    union = typing.Union[hint, other]  # noqa: UP007
    assert (gives(hint) >> takes(union)).compile()
    assert (gives(union) >> takes(other)).compile()


@given(hints, hints)
def test_whatever_the_types_are_they_pass_or_are_refused_by_name(out, into):
    try:
        rules = (gives(out) >> takes(into)).compile() and ()
    except ConstructionError as error:
        rules = error.rules
    assert rules in ((), ("types",))


# -- where the types are said --


@processor
def length(text: str) -> int:
    return len(text)


@processor
def doubled(n: int) -> int | None:
    return n * 2 or None


@processor
def words(text: str) -> Iterator[str]:
    yield from text.split()


def test_the_annotations_of_a_function_count():
    assert (length >> doubled).compile()
    assert refused(lambda: doubled >> length, "types").marked == ["length"]


def test_a_filter_gives_what_is_not_none():
    assert (doubled >> doubled).compile()
    assert "gives int\n" in refused(lambda: doubled >> length).message


def test_a_generator_gives_what_it_yields():
    assert (words >> length).compile()
    refused(lambda: words >> doubled, "types")


def test_a_function_that_returns_a_list_gives_a_list():
    @processor
    def split(text: str) -> list[str]:
        return text.split()

    assert (split >> takes(list[str])).compile()
    refused(lambda: split >> length, "types")


def test_the_annotations_of_process_count():
    class Half(Processor):
        def process(self, item: int) -> float:
            return item / 2

    assert (Half() >> takes(float)).compile()
    refused(lambda: length >> Half() >> length, "types")


def test_generic_arguments_go_before_annotations():
    class Odd(Processor[int, str]):
        def process(self, item: bytes) -> bytes:
            return item

    assert (gives(int) >> Odd() >> takes(str)).compile()


def test_type_arguments_of_the_instance_count():
    refused(lambda: Processor[str, int](len) >> Processor[str, str](str.upper), "types")
    assert (Source[str](["a"]) >> Processor[str, int](len)).compile()


def test_a_generic_subclass_says_what_it_is_made_with():
    class Same(Processor[T, T]):
        def process(self, item):
            return item

    class SameInts(Same[int]): ...

    assert (gives(str) >> Same() >> takes(bytes)).compile()
    assert (gives(str) >> Same[str]() >> takes(str)).compile()
    for wrong in (
        lambda: gives(str) >> Same[int](),
        lambda: gives(str) >> SameInts(),
        lambda: SameInts() >> takes(str),
    ):
        refused(wrong, "types")


def test_the_arguments_of_a_generic_subclass_may_stand_in_another_order():
    class Back(Processor[Taken, Given], Generic[Given, Taken]):
        def process(self, item):
            return item

    assert (gives(str) >> Back[int, str]() >> takes(int)).compile()
    refused(lambda: gives(int) >> Back[int, str](), "types")


class Collected(Processor[T, list[T]], Generic[T]):
    def process(self, item):
        return [item]


class CollectedInts(Collected[int]): ...


@pytest.mark.parametrize("made", [Collected[int], CollectedInts])
def test_what_a_generic_subclass_is_made_with_counts_inside_of_other_types(made):
    assert (made() >> takes(list[int])).compile()
    assert (Collected() >> takes(list[str])).compile()
    for wrong in (lambda: made() >> takes(list[str]), lambda: gives(str) >> made()):
        refused(wrong, "types")


def test_what_stands_for_any_number_of_types_is_not_known():
    class Row(Processor[T, tuple[T, *Ts]], Generic[T, *Ts]):
        def process(self, item):
            return (item,)

    assert (Row[int, str, bytes]() >> takes(tuple[int, str, bytes])).compile()
    assert (Row() >> takes(tuple[int, str])).compile()


def test_hints_that_have_no_hash_do_no_harm():
    odd = Annotated[list[T], []]

    class Odd(Processor[odd, odd], Generic[T]):
        def process(self, item):
            return item

    assert (gives(list[int]) >> Odd[int]() >> takes(list[int])).compile()


def test_a_source_says_what_it_makes():
    class Numbers(Source[int]):
        def generate(self):
            return range(3)

    @source
    def lines() -> Iterator[str]:
        yield "a"

    assert (Numbers() >> doubled).compile()
    assert (lines >> length).compile()
    refused(lambda: Numbers() >> length, "types")
    refused(lambda: lines >> doubled, "types")


@pytest.mark.parametrize(
    ("hint", "into"),
    [
        (list[int], int),
        (dict[str, int], str),
        (tuple[int, str], str),
        (Iterator[int] | None, int),
        (Box[int], str),
        (str, str),
        (Annotated[list[str], "note"], str),
    ],
    ids=str,
)
def test_what_a_source_function_returns_says_what_is_in_it(hint, into):
    def items():
        return []

    items.__annotations__["return"] = hint
    assert (source(items) >> takes(into)).compile()


def test_a_feed_may_say_what_goes_in():
    assert (Feed[str]() >> length).compile()
    refused(lambda: Feed[int]() >> length, "types")


# -- through forks and joins --


def test_every_branch_must_take_what_comes():
    assert refused(lambda: gives(int) >> doubled * length, "types").marked == ["length"]


def test_every_branch_must_give_what_is_taken_behind_a_join():
    told = refused(lambda: Feed() >> gives(int) * gives(str) & takes(int), "types")
    assert told.marked == ["Takes()"]
    assert "gives str" in told.message


def test_a_join_takes_what_each_branch_may_give():
    assert (Feed() >> gives(int) * gives(str) & takes(int | str)).compile()
    assert (Feed() >> gives(int) * gives(int | str) & takes(str | int)).compile()


def test_a_zip_gives_tuples():
    fork = Feed() >> gives(int) * gives(str)
    assert (fork & Join("zip") >> takes(tuple[int, str])).compile()
    assert (fork & Join("zip") >> takes(tuple)).compile()
    assert (fork & Join("zip") >> takes(Sequence[int | str])).compile()
    for wrong in (tuple[str, int], tuple[int, str, int], int, list):
        refused(lambda wrong=wrong: fork & Join("zip") >> takes(wrong), "types")


def test_a_zip_of_what_is_not_said_fits():
    fork = Feed() >> Processor(abs) * gives(str) * gives(T)
    assert (fork & Join("zip") >> takes(tuple[int, str, bytes])).compile()


def test_the_join_in_the_order_of_the_source_changes_no_type():
    refused(lambda: Feed() >> gives(int) * gives(int) & Join("ordered") >> takes(str), "types")


def test_identity_branches_give_what_they_take():
    refused(
        lambda: gives(int) >> Pipe() * gives(str) & Join("zip") >> takes(tuple[str, str]), "types"
    )
    assert (gives(int) >> Pipe() * gives(str) & Join("zip") >> takes(tuple[int, str])).compile()


@pytest.mark.parametrize("width", [1, 3, AUTO])
def test_a_mistake_on_many_branches_is_told_once(width):
    assert refused(lambda: gives(int) >> length % width).rules == ("types",)


def test_a_mistake_behind_an_open_fork_is_told_once():
    assert refused(
        lambda: Feed() >> (Processor(abs) * Processor(len)) >> doubled >> length
    ).rules == ("types",)


# -- when it is found --


def test_the_operator_finds_what_its_operands_show():
    assert refused(lambda: gives(int) >> takes(str), "types").shown == ["Gives() >> Takes()"]
    told = refused(lambda: gives(bytes) >> gives(int) >> takes(str) >> takes(str), "types")
    assert told.shown == ["Gives() >> Gives() >> Takes()"]
    assert told.marked == ["Takes()"]


def test_the_first_use_of_an_instance_is_marked():
    taker = takes(str)
    told = refused(lambda: gives(int) >> (taker >> gives(str) >> taker), "types")
    assert told.message.splitlines()[2].index("^") == len("    Gives() >> (")


def test_what_a_fragment_passes_on_is_seen_through_it():
    refused(lambda: gives(int) >> (Pipe() >> takes(str)), "types")
    refused(lambda: gives(int) >> Pipe(capacity=3) >> (Pipe(capacity=2) >> takes(str)), "types")
    refused(lambda: gives(int) >> (Pipe() * gives(str) & takes(str)), "types")
    refused(lambda: (gives(int) >> Pipe() * gives(str)) & Join() >> takes(str), "types")
    right = Pipe() * gives(str) & Join("zip") >> takes(tuple[int, str])
    assert (gives(int) >> right).compile()
    assert refused(lambda: gives(bytes) >> right, "types").marked == ["Takes()"]


def test_what_follows_an_open_fork_must_take_what_each_branch_gives():
    fork = Feed() >> gives(int) * gives(str)
    assert refused(lambda: fork >> doubled, "types").rules == ("types",)
    assert refused(lambda: fork >> length * doubled, "types").marked == ["length", "doubled"]
    assert refused(lambda: fork & doubled, "types").marked == ["doubled"]


def test_a_fragment_that_begins_with_a_join_takes_what_it_joins():
    fork = Feed() >> gives(int) * gives(int)
    refused(lambda: fork & (Join() >> length), "types")
    assert repr(Join("zip") >> takes(tuple[int, str]))
    refused(lambda: Join("zip") >> takes(int), "types")
    refused(lambda: fork >> (Join("zip") >> takes(tuple[int, str])), "types")
    assert (fork >> (Pipe() >> Join("zip") >> takes(tuple[int, int]))).compile()


def test_an_explicit_pipeline_finds_it_too():
    told = refused(lambda: Pipeline(gives(int), Pipe(), takes(str), Pipe(), doubled), "types")
    assert told.marked == ["Takes()"]
    told = refused(lambda: Pipeline(gives(int), Pipe(), length, Pipe(), length), "types")
    assert told.rules == ("types", "types")
    assert told.shown == ["Pipeline(Gives(), Pipe(), length, Pipe(), length)"] * 2


def hands(item) -> Later:  # noqa: F821
    return item


def halves(item: int) -> Later:  # noqa: F821
    return item


def test_a_class_that_is_not_there_yet_is_looked_at_by_compile(monkeypatch):
    pipeline = Processor(hands) >> length
    assert pipeline.compile()
    monkeypatch.setitem(globals(), "Later", int)
    assert refused(lambda: pipeline.compile(), "types").marked == ["length"]
    assert refused(lambda: Processor(hands) >> length, "types").marked == ["length"]


def test_a_class_that_is_not_there_yet_hides_nothing_else():
    assert (gives(int) >> Processor(halves) >> length).compile()
    refused(lambda: gives(str) >> Processor(halves), "types")


def test_compile_tells_each_mistake(monkeypatch):
    pipeline = Processor(hands) >> length >> Processor(hands) >> takes(str)
    monkeypatch.setitem(globals(), "Later", int)
    told = refused(lambda: pipeline.compile())
    assert told.rules == ("types", "types")
    assert told.marked == ["length", "Takes()"]


def test_a_property_that_fails_says_nothing():
    class Late(Processor):
        @property
        def process(self):
            raise RuntimeError

    assert (gives(int) >> Late() >> takes(str)).compile()


typed = st.sampled_from([p(hint) for p in (gives, takes) for hint in (int, str, Any)])
atoms = typed | st.sampled_from([Pipe(), Pipe(capacity=2), Join(), Join("zip")])
trees = st.recursive(atoms, lambda of: st.tuples(st.sampled_from(">*%&"), of, of), max_leaves=12)
BUILD = {">": operator.rshift, "*": operator.mul, "%": operator.mod, "&": operator.and_}


def built(tree):
    if not isinstance(tree, tuple):
        return tree
    return BUILD[tree[0]](built(tree[1]), built(tree[2]))


def rules_of(tree):
    try:
        (Feed() >> built(tree)).compile()
    except ConstructionError as error:
        return {*error.rules}
    return set()


@given(trees)
@example((">", gives(int), ("&", ("*", Pipe(), gives(str)), (">", Join("zip"), takes(int)))))
def test_operators_find_what_compile_finds_and_no_more(tree):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "misfits_between", lambda left, right: [])
        of_the_whole = rules_of(tree)
    assume(of_the_whole <= {"types"})
    assert rules_of(tree) == of_the_whole


# -- where nothing can be said --


def test_lambdas_and_builtins_and_partials_say_nothing():
    silent = (lambda x: x, len, functools.partial(pow, 2), str.upper, int, print, np.abs)
    for function in silent:
        assert (gives(bytes) >> Processor(function) >> takes(Dog)).compile()


def test_annotations_that_can_not_be_resolved_say_nothing():
    def odd(item: Missing) -> AlsoMissing:  # noqa: F821
        return item

    assert (gives(int) >> Processor(odd) >> takes(str)).compile()


def test_annotations_that_are_no_types_say_nothing():
    def odd(item: "a text with spaces") -> 3 + 4:  # noqa: F722
        return item

    assert (gives(int) >> Processor(odd) >> takes(str)).compile()


def test_annotations_as_text_count_where_they_can_be_resolved():
    def odd(item: "int") -> "str":  # noqa: UP037
        return str(item)

    assert (gives(int) >> Processor(odd) >> takes(str)).compile()
    refused(lambda: gives(str) >> Processor(odd), "types")


def test_a_bound_method_says_what_its_item_is():
    class Counting:
        def add(self, n: int) -> str:
            return str(n)

    assert (gives(int) >> Processor(Counting().add) >> takes(str)).compile()
    refused(lambda: gives(str) >> Processor(Counting().add), "types")


class Shown:
    unit: str = "m"

    def __call__(self, n: int) -> str:
        return f"{n}{self.unit}"


def test_an_object_that_is_called_says_what_its_item_is():
    assert (gives(int) >> Processor(Shown()) >> takes(str)).compile()
    for wrong in (
        lambda: gives(str) >> Processor(Shown()),
        lambda: Processor(Shown()) >> takes(int),
    ):
        refused(wrong, "types")


def test_an_object_that_yields_gives_what_it_yields():
    class Words:
        def __call__(self, text: str) -> Iterator[str]:
            yield from text.split()

    assert (Processor(Words()) >> length).compile()
    refused(lambda: Processor(Words()) >> doubled, "types")


def added(n: int, text: str, *, sign: bytes = b"+") -> list[str]:
    return [str(n), text, str(sign)]


@pytest.mark.parametrize(
    ("function", "item", "other"),
    [
        (functools.partial(added, 3), str, int),
        (functools.partial(added, text="3"), int, str),
        (functools.partial(functools.partial(added, text="3"), sign=b"-"), int, bytes),
        (functools.partial(Shown()), int, str),
    ],
    ids=["first", "text", "twice", "object"],
)
def test_a_partial_says_what_is_left_to_give(function, item, other):
    assert (gives(item) >> Processor(function) >> takes(list[str] | str)).compile()
    for wrong in (
        lambda: gives(other) >> Processor(function),
        lambda: Processor(function) >> takes(bytes),
    ):
        refused(wrong, "types")


def test_a_static_method_and_one_of_the_class_say_what_their_item_is():
    class Static(Processor):
        @staticmethod
        def process(item: int) -> str:
            return str(item)

    class OfTheClass(Processor):
        @classmethod
        def process(cls, item: int) -> str:
            return str(item)

    for made in (Static(), OfTheClass()):
        assert (gives(int) >> made >> takes(str)).compile()
        refused(lambda made=made: made >> made, "types")


def test_what_a_decorated_function_says_is_what_was_copied():
    def logged(function):
        @functools.wraps(function)
        def inner(item):
            return function(item)

        return inner

    class Logged:
        def __init__(self, function):
            functools.update_wrapper(self, function)

        def __call__(self, *args: bytes) -> bytes:
            return self.__wrapped__(*args)

    def half(item: int) -> float:
        return item / 2

    refused(lambda: gives(str) >> Processor(logged(half)), "types")
    for made in (logged(half), Logged(half), functools.lru_cache(half)):
        assert (gives(int) >> Processor(made) >> takes(float)).compile()
        refused(lambda made=made: Processor(made) >> takes(str), "types")


def test_what_a_class_has_does_not_say_what_calling_it_takes():
    class Settings:
        item: bytes

        def __init__(self, item: int) -> None:
            self.item = bytes(item)

    assert (gives(int) >> Processor(Settings) >> takes(Dog)).compile()


def test_other_arguments_than_the_item_do_not_count():
    @processor
    def scaled(n: int, factor: str = "2", *rest: bytes, **more: bytes) -> int:
        return n * int(factor)

    assert (gives(int) >> scaled.bind(factor="3") >> takes(int)).compile()


def test_what_both_branches_of_a_fork_do_wrong_alike_is_told_once():
    told = refused(lambda: gives(int) >> gives(str) % gives(str) >> takes(int), "types")
    assert told.rules == ("types",)
