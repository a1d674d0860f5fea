# ruff: noqa: PLW0108 - where a lambda stands is the line that an error must tell
"""Processors and sources: what users write, and what its node is called."""

from __future__ import annotations

import copy
import functools
import inspect
import operator
import pickle
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import cloudpickle
import pytest

from conveyor import AUTO, Feed, Pipe, Processor, Source, UsageError, processor, source
from tests.dsl.refusals import refused

pytestmark = pytest.mark.quick

T = TypeVar("T")


@processor
def shout(text: str, *, mark: str = "!") -> str:
    """Say it loud."""
    return text.upper() + mark


@processor
def letters(text):
    yield from text


@source
def numbers(n: int = 3, *, start: int = 0):
    """Count."""
    yield from range(start, start + n)


loud = shout.bind(mark="!!").options(name="loud")
patient = shout.options(retries=0, name="patient")


class Clean(Processor[str, str]):
    def __init__(self, stop: str = ""):
        self.stop = stop

    def process(self, text):
        return text.replace(self.stop, "") if self.stop else text


class Lines(Source[str]):
    def generate(self):
        return ["a", "b"]


def run(element, *items):
    return (Feed() >> element).run(items, engine="inline")


# -- functions --


def test_a_decorated_function_is_called_as_before():
    assert shout("a") == "A!"
    assert shout("a", mark="?") == "A?"
    assert list(letters("ab")) == ["a", "b"]
    assert list(numbers(2)) == [0, 1]
    assert list(numbers(n=1, start=5)) == [5]


def test_a_decorated_function_keeps_its_name_and_text():
    assert shout.__name__ == "shout"
    assert shout.__doc__ == "Say it loud."
    assert shout.__module__ == __name__
    assert numbers.__doc__ == "Count."
    assert list(inspect.signature(shout).parameters) == ["text", "mark"]


def test_a_decorated_function_is_an_element():
    assert isinstance(shout, Processor)
    assert isinstance(numbers, Source)
    assert run(shout, "a", "b") == ["A!", "B!"]
    assert run(letters, "ab") == ["a", "b"]
    assert numbers.run(engine="inline") == [0, 1, 2]


def test_bind_fixes_arguments_for_the_call_and_for_the_pipeline():
    quiet = shout.bind(mark=".")
    assert quiet("a") == "A."
    assert quiet("a", mark="?") == "A?"
    assert run(quiet, "a") == ["A."]
    assert list(numbers.bind(n=1)()) == [0]
    assert numbers.bind(n=1).bind(start=4).run(engine="inline") == [4]


def test_bind_changes_nothing_in_the_function_itself():
    shout.bind(mark=".")
    assert shout("a") == "A!"
    assert shout.bind(mark=".") != shout


def test_bind_refuses_what_the_function_does_not_take():
    with pytest.raises(UsageError, match="volume"):
        shout.bind(volume=3)


def decorated(inner):
    return processor(functools.wraps(shout._function)(inner))


def test_bind_asks_what_decorates_the_function_and_what_that_hands_on():
    closed = decorated(lambda text, volume=1: text)
    handing_on = decorated(lambda *args, volume=1, **more: more)
    assert closed.bind(volume=3)("a") == "a"
    assert handing_on.bind(volume=3, mark=".")("a") == {"mark": "."}
    for refused_by, argument in ((closed, "mark"), (handing_on, "mork")):
        with pytest.raises(UsageError, match=argument):
            refused_by.bind(**{argument: "."})


def test_what_neither_a_decorator_nor_its_function_has_is_told():
    def needy(text, path):
        return text

    lacking = functools.wraps(needy)(lambda text, path: needy(text, path))
    assert "path" in refused(lambda: Processor(lacking).compile(), "element-type").message
    assert Processor(functools.wraps(needy)(lambda *args: args)).compile()


def test_what_bind_gave_has_options_too():
    assert run(loud, "a") == ["A!!"]
    assert run(shout.options(name="x").bind(mark="?"), "a") == ["A?"]
    assert loud("a") == "A!!"
    assert (Feed() >> loud).compile().processors[1].id == "loud"


def test_a_missing_argument_is_told_before_anything_runs():
    @source
    def needy(path):
        return [path]

    assert "needy.bind(path=...)" in refused(lambda: needy.run(), "element-type").hints[0]
    assert needy.bind(path="a").run(engine="inline") == ["a"]


@pytest.mark.parametrize(
    ("wrapped", "item", "output"),
    [
        (lambda x: x + 1, 1, 2),
        (abs, -1, 1),
        (str.upper, "a", "A"),
        (int, "3", 3),
        (functools.partial(pow, 2), 3, 8),
        (functools.partial(lambda x, *, y: x + y, y=3), 1, 4),
        (operator.itemgetter(0), "ab", "a"),
        ("-".join, ["a", "b"], "a-b"),
    ],
)
def test_any_callable_of_one_argument_is_a_processor(wrapped, item, output):
    assert run(Processor(wrapped), item) == [output]


def test_a_callable_object_is_a_processor():
    class Adder:
        def __call__(self, x):
            return x + 1

    class Repeater:
        def __call__(self, x):
            yield x
            yield x

    assert run(Processor(Adder()), 1) == [2]
    assert run(Processor(Repeater()), 1) == [1, 1]


def test_a_partial_of_a_generator_function_yields():
    def repeat(n, x):
        for _ in range(n):
            yield x

    assert run(Processor(functools.partial(repeat, 2)), "a") == ["a", "a"]


def test_a_closure_is_a_processor():
    factor = 3
    assert run(Processor(lambda x: x * factor), 2) == [6]


def test_an_iterable_is_a_source():
    for iterable in ([1, 2], (1, 2), range(1, 3), {1: 0, 2: 0}, "12"):
        assert Source(iterable).run(engine="inline") == list(iterable)


def test_a_source_function_may_return_an_iterable():
    @source
    def few():
        return [1, None]

    assert few.run(engine="inline") == [1, None]


# -- what is refused --


async def later(x):
    return x


async def later_on(x):
    yield x


class Later:
    async def __call__(self, x):
        return x


@pytest.mark.parametrize("function", [later, later_on, Later(), functools.partial(Later())])
def test_async_functions_are_refused(function):
    assert "asyncio.run" in refused(lambda: Processor(function), "element-type").hints[0]
    assert "async" in refused(lambda: processor(function), "element-type").message
    assert "async" in refused(lambda: source(function), "element-type").message


def test_a_decorated_method_is_told_how_to_be_one():
    class Cleaner:
        @processor
        def clean(self, item):
            return item

    told = refused(lambda: Cleaner.clean.compile(), "element-type")
    assert "write Processor(x.clean)" in told.hints[0]


@pytest.mark.parametrize("method", ["process", "setup", "finish", "teardown"])
def test_async_methods_are_refused(method):
    cls = type("Late", (Clean,), {method: later})
    assert f"Late.{method} is async" in refused(lambda: cls(), "element-type").message


@pytest.mark.parametrize("method", ["setup", "teardown"])
def test_what_would_never_run_since_it_yields_is_refused(method):
    def yields(self):
        yield

    cls = type("Late", (Clean,), {method: yields})
    told = refused(lambda: cls(), "element-type")
    assert f"Late.{method} yields" in told.message
    assert "plain function" in told.hints[0]


def test_a_class_without_process_is_refused():
    class Empty(Processor[int, int]): ...

    class EmptySource(Source[int]): ...

    assert "process" in refused(lambda: Empty(), "element-type").hints[0]
    assert "generate" in refused(lambda: EmptySource(), "element-type").hints[0]


def test_an_abstract_class_is_refused():
    class Base(Processor[int, int]):
        @abstractmethod
        def process(self, item): ...

    class Abc(Processor[int, int], ABC):
        @abstractmethod
        def score(self, item): ...

        def process(self, item):
            return self.score(item)

    class Whole(Abc):
        def score(self, item):
            return item

    assert "process" in refused(lambda: Base(), "element-type").hints[0]
    assert "score" in refused(lambda: Abc(), "element-type").hints[0]
    assert run(Whole(), 1) == [1]


@pytest.mark.parametrize("value", [3, None, "text", [1]])
def test_processor_wraps_callables_only(value):
    refused(lambda: Processor(value), "element-type")


@pytest.mark.parametrize("value", [3, None, len, object()])
def test_source_wraps_iterables_only(value):
    refused(lambda: Source(value), "element-type")


def test_what_wraps_nothing_is_shown_as_it_was_written():
    told = refused(lambda: Processor(), "element-type")
    assert (told.shown, told.marked) == (["Processor()"], ["Processor()"])
    assert "Processor(function)" in told.hints[0]
    assert refused(lambda: Processor(None)).shown == ["Processor(None)"]
    assert refused(lambda: Source()).shown == ["Source()"]
    assert "Source(items)" in refused(lambda: Source()).hints[0]


def test_an_element_is_not_wrapped_again():
    refused(lambda: Processor(shout), "element-type")
    assert "Clean()" in refused(lambda: Processor(Clean), "element-type").hints[0]


def test_source_decorates_functions_only():
    refused(lambda: source([1, 2]), "element-type")
    refused(lambda: processor(3), "element-type")


# -- classes --


def test_a_subclass_need_not_call_super_init():
    class Counter(Processor[int, int]):
        def __init__(self, start):
            self.count = start

        def process(self, item):
            self.count += item
            return self.count

    assert run(Counter(10), 1, 2) == [11, 13]
    assert run(Counter(10).options(name="x"), 1, 2) == [11, 13]


def test_a_subclass_may_call_super_init():
    class Polite(Clean):
        def __init__(self, stop):
            super().__init__(stop)
            super(Clean, self).__init__()

    assert run(Polite("x"), "axb") == ["ab"]


@dataclass
class Scale(Processor[float, float]):
    factor: float
    seen: list = field(default_factory=list)

    def process(self, item):
        self.seen.append(item)
        return item * self.factor


@dataclass(frozen=True)
class Shift(Processor[float, float]):
    by: float

    def process(self, item):
        return item + self.by


def test_dataclasses_are_processors():
    scale = Scale(2.0)
    assert run(scale >> Shift(1.0), 1, 2) == [3.0, 5.0]
    assert scale.seen == []
    assert repr(scale >> Shift(by=1)) == "Scale(factor=2.0, seen=[]) >> Shift(by=1)"


def test_dataclasses_compare_by_instance_as_all_processors():
    for one, other in ((Scale(1), Scale(1)), (Shift(1), Shift(1))):
        assert one == one
        assert one != other
        assert {one: 1}[one] == 1


@dataclass
class Point:
    x: int = 1


@dataclass
class Spot(Point, Processor):
    def process(self, item):
        return item + self.x


class Place(Point, Processor):
    process = Spot.process


@pytest.mark.parametrize("kind", [Spot, Place])
def test_a_base_that_is_no_element_compares_as_before(kind):
    one, other = kind(2), kind(2)
    assert (one == one, one == other, {one: 1}[one]) == (True, False, 1)
    assert run(one, 1) == [3]
    assert Point(1) == Point(1) != Point(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))


def test_a_dataclass_takes_options():
    named = Shift(1).options(name="moved")
    assert (named.by, (Feed() >> named).compile().processors[1].id) == (1, "moved")


def test_a_generic_subclass_is_a_processor():
    class Same(Processor[T, T], Generic[T]):
        def process(self, item):
            return item

    assert run(Same(), 1) == [1]
    assert run(Same[int](), 1) == [1]


class Slotted(Processor[int, int]):
    __slots__ = ("__hidden", "n")

    def __init__(self, n):
        self.n = n
        self.__hidden = 1

    def process(self, item):
        return item + self.n + self.__hidden


def test_a_class_with_slots_is_a_processor():
    assert run(Slotted(2), 1) == [4]
    assert run(Slotted(2).options(name="x"), 1) == [4]
    assert run(pickle.loads(pickle.dumps(Slotted(2))), 1) == [4]


def test_a_processor_with_what_can_not_be_copied_runs():
    class Holder(Processor):
        def __init__(self):
            self.lines = (line for line in "ab")
            self.seen = []

        def process(self, item):
            self.seen.append(item)
            return len(self.seen)

    holder = Holder()
    assert run(holder, 5, 6) == [1, 2]
    assert holder.seen == []


def test_attributes_stay_the_users():
    clean = Clean("x")
    clean.stop = "y"
    assert run(clean, "xy") == ["x"]


class Crowded(Processor):
    """Calls its own things what we might have called ours."""

    _settings = ("a",)

    def __init__(self):
        self._origin = (0, 0)
        self._has_arguments = self._tail = self._parts = self._root = None
        self._atoms = self._instance = ["x"]
        self._bound = self._function = self._decorated = self._label = 3

    def _key(self, item):
        return item

    def _with(self, item):
        return self._key(item) + len(self._atoms)

    def _compose(self):
        raise AssertionError

    def process(self, item):
        return self._with(item) + self._origin[0] + len(self._settings)


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_private_names_are_the_users(engine):
    one, other = Crowded(), Crowded()
    assert one != other
    named = one.options(name="x")
    assert (named == one, named == one.options(name="x")) == (False, True)
    assert repr(one >> named % 2) == "Crowded() >> Crowded().options(name='x') % 2"
    assert (one >> named).run([1, 2], engine=engine) == [5, 6]


# -- options --


def test_options_make_a_new_element_of_the_same_instance():
    clean = Clean("x")
    named = clean.options(name="first")
    assert type(named) is Clean
    assert named.stop == "x"
    assert named != clean
    assert repr(clean) == "Clean(...)"
    assert repr(named) == "Clean(...).options(name='first')"


def test_options_add_up():
    element = Clean().options(name="x").options(retries=2).options(retries=1)
    assert repr(element) == "Clean().options(name='x', retries=1)"


def test_options_reach_the_graph():
    element = shout.options(name="loud", retries=2, on_error="dead_letter", timeout=1.5, restarts=3)
    (_, node) = (Feed() >> element).compile().processors
    settings = node.settings
    assert node.id == "loud"
    assert (settings.retries, settings.on_error) == (2, "dead_letter")
    assert (settings.timeout, settings.restarts) == (1.5, 3)


# -- pickling --


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("element", [shout, letters, numbers], ids=["shout", "letters", "numbers"])
def test_a_decorated_function_pickles_as_itself(pickler, element):
    assert pickle.loads(pickler.dumps(element)) is element


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_bound_function_pickles(protocol):
    again = pickle.loads(pickle.dumps(loud, protocol))
    assert again("a") == "A!!"
    assert run(again, "a") == ["A!!"]
    assert repr(again) == repr(loud)


def test_a_function_with_options_pickles_to_an_equal_element():
    assert pickle.loads(pickle.dumps(patient)) == patient
    assert repr(pickle.loads(pickle.dumps(patient))) == "shout.options(name='patient')"


def test_a_bound_source_pickles():
    assert pickle.loads(pickle.dumps(numbers.bind(n=1))).run(engine="inline") == [0]


def test_a_wrapped_function_pickles():
    for element in (Processor(len), Processor(str.upper), Processor(len).options(name="x")):
        assert run(pickle.loads(pickle.dumps(element)), "a") == run(element, "a")


def test_instances_pickle_with_their_options():
    again = pickle.loads(pickle.dumps(Clean("x").options(name="c")))
    assert (again.stop, repr(again)) == ("x", "Clean(...).options(name='c')")
    assert run(pickle.loads(pickle.dumps(Scale(2.0))), 1) == [2.0]
    assert run(pickle.loads(pickle.dumps(Shift(2.0))), 1) == [3.0]


class Bare(Processor):
    """Says for itself what travels."""

    def __init__(self, amount):
        self.amount = amount

    def __getstate__(self):
        return {"amount": self.amount}

    def process(self, item):
        return item + self.amount


class Rebuilt(Bare):
    def __reduce__(self):
        return Rebuilt, (self.amount,)


class WithOwnNew(Bare):
    def __new__(cls, amount):
        self = super().__new__(cls)
        self.made = True
        return self

    def __getnewargs__(self):
        return (self.amount,)


@pytest.mark.parametrize("cls", [Bare, Rebuilt, WithOwnNew])
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_options_stay_whatever_a_class_gives_of_itself(cls, again):
    before = cls(2).options(name="more", on_error="skip")
    element = again(before)
    assert repr(element) == repr(before)
    assert run(element, 1) == [3]
    assert hasattr(element, "made") == (cls is WithOwnNew)


def test_a_whole_pipeline_pickles():
    pipeline = numbers.bind(n=2) >> Processor(abs) * Shift(1).options(name="x") & Scale(2)
    again = pickle.loads(pickle.dumps(pipeline))
    assert repr(again) == repr(pipeline)
    assert again.run(engine="inline") == pipeline.run(engine="inline")


def test_a_local_function_travels_by_value():
    offset = 3

    @processor
    def shifted(x, *, by=0):
        return x + offset + by

    for element in (shifted, shifted.bind(by=1), shifted.options(name="x")):
        assert run(pickle.loads(cloudpickle.dumps(element)), 1) == run(element, 1)


def test_a_copy_of_a_processor_is_another_one():
    clean = Clean("x")
    assert copy.copy(clean) != clean
    assert copy.deepcopy(clean).stop == "x"
    assert copy.deepcopy(shout) is shout


# -- what they are called --


class ModelA(Clean): ...


class HTTPServer(Clean): ...


class parse(Clean): ...  # noqa: N801


class Tokenizer:
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (Clean(), "clean"),
        (ModelA(), "model_a"),
        (HTTPServer(), "http_server"),
        (parse(), "parse"),
        (shout, "shout"),
        (shout.bind(mark="."), "shout"),
        (Processor(len), "len"),
        (Processor(lambda x: x), "lambda"),
        (Processor(str.upper), "upper"),
        (Processor(int), "int"),
        (Processor(functools.partial(pow, 2)), "pow"),
        (Processor(Tokenizer()), "tokenizer"),
        (Clean().options(name="my clean"), "my clean"),
    ],
)
def test_a_node_is_called_what_a_person_would_call_it(element, name):
    assert [node.id for node in (Feed() >> element).compile().processors] == ["feed", name]


def test_sources_are_called_by_their_names_too():
    ids = [x.compile().processors[0].id for x in (Lines(), numbers, Source([1]), Clean())]
    assert ids == ["lines", "numbers", "source", "feed"]


def test_nodes_of_one_name_are_numbered():
    ids = [node.id for node in (parse() >> parse() % 2 & parse()).compile().processors]
    assert ids == ["feed", "parse", "parse.2", "parse.3", "parse.4"]


def test_a_stage_that_is_called_feed_is_called_so():
    @processor
    def feed(item):
        return item

    for element in (feed, Clean().options(name="feed")):
        ids = [node.id for node in (parse() >> element).compile().processors]
        assert ids == ["feed.2", "parse", "feed"]


def test_a_given_name_that_is_taken_is_numbered():
    graph = (Clean() >> shout.options(name="clean") >> shout.options(name="output")).compile()
    assert [node.id for node in graph.processors] == ["feed", "clean", "clean.2", "output.2"]


def test_ids_are_the_same_each_time():
    pipeline = shout >> Clean() * ModelA() & Processor(len) % AUTO
    assert [n.id for n in pipeline.compile().nodes] == [n.id for n in pipeline.compile().nodes]


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (Clean(), "Clean()"),
        (Clean("x"), "Clean(...)"),
        (shout, "shout"),
        (shout.bind(mark="?"), "shout.bind(mark='?')"),
        (loud, "shout.bind(mark='!!').options(name='loud')"),
        (Processor(len), "Processor(len)"),
        (Processor(lambda x: x), "Processor(lambda)"),
        (Source([1, 2]), "Source([1, 2])"),
        (Feed(), "Feed()"),
        (numbers.bind(n=2), "numbers.bind(n=2)"),
        (Processor(max).bind(key=None), "Processor(max).bind(key=None)"),
    ],
)
def test_an_element_is_shown_as_it_was_written(element, text):
    assert repr(element) == text
    assert repr(Pipe() >> element if not isinstance(element, Source | Feed) else element).endswith(
        text
    )


def test_a_local_decorated_function_is_shown_by_its_name():
    @processor
    def local(x, *, y=1):
        return x

    assert repr(local >> local.bind(y=2)) == "local >> local.bind(y=2)"
