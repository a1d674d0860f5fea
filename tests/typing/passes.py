"""What both checkers must accept, with the types that they must see. A test also runs it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Never, TypeVar, assert_type

from conveyor import (
    AUTO,
    Auto,
    BalancedFork,
    Element,
    Feed,
    Graph,
    Join,
    Pipe,
    Pipeline,
    Processor,
    ReplicatedFork,
    Snapshot,
    Source,
    processor,
    source,
)
from conveyor.dsl.variables import Closed, Unzippable
from conveyor.engines.base import Live
from conveyor.engines.results import Results, Stream

T = TypeVar("T")


class Load(Source[str]):
    def generate(self) -> Iterator[str]:
        yield "a bb"
        yield "ccc"


class Clean(Processor[str, list[str]]):
    def __init__(self, stop: frozenset[str] = frozenset()) -> None:
        self.stop = stop

    def setup(self) -> None:
        self.seen = 0

    def process(self, text: str) -> list[str]:
        self.seen += 1
        return [word for word in text.split() if word not in self.stop]


class ModelA(Processor[list[str], int]):
    def process(self, words: list[str]) -> int:
        return len(words)


class ModelB(Processor[list[str], bytes]):
    """With the parameter named otherwise."""

    def process(self, item: list[str], /) -> bytes:
        return b" ".join(word.encode() for word in item)


class Report(Processor[int | bytes, str]):
    def process(self, item: int | bytes) -> str:
        return repr(item)


class Pair(Processor[tuple[int, bytes], float]):
    def process(self, pair: tuple[int, bytes]) -> float:
        return pair[0] / len(pair[1])


class Filter(Processor[str, int]):
    def process(self, text: str) -> int | None:
        return int(text) if text.isdigit() else None


class FlatMap(Processor[str, int]):
    def process(self, text: str) -> Iterator[int]:
        yield from map(len, text.split())

    def finish(self) -> Generator[int]:
        yield -1


class Sum(Processor[int, int]):
    def __init__(self) -> None:
        self.total = 0

    def process(self, number: int) -> None:
        self.total += number

    def finish(self) -> int:
        return self.total


class Anything(Processor[object, str]):
    def process(self, item: object) -> str:
        return str(item)


class Bare(Processor):
    def process(self, item: Any) -> Any:
        return item


class Json(Processor[dict[str, Any], dict[str, Any]]):
    def process(self, item: dict[str, Any]) -> dict[str, Any]:
        return item


class Same(Processor[T, T], Generic[T]):
    def process(self, item: T) -> T:
        return item


@dataclass
class Times(Processor[int, int]):
    factor: int = 2

    def process(self, number: int) -> int:
        return number * self.factor


def a_flagship() -> None:
    pipeline = Load() >> Clean() >> (ModelA() * ModelB()) & Report()
    assert_type(pipeline, Pipeline[Never, str, Closed])
    results = pipeline.run(engine="inline")
    assert_type(results, Results[str])
    assert results == ["2", "b'a bb'", "1", "b'ccc'"]
    same = Load() >> Clean() >> ModelA() * ModelB() & Report()
    assert_type(same, Pipeline[Never, str, Closed])
    spelled = Load() >> Clean() >> ModelA() * ModelB() & Join() >> Report()
    assert_type(spelled, Pipeline[Never, str, Closed])


def pipes() -> None:
    assert_type(Clean() >> ModelA(), Pipeline[str, int, Closed])
    assert_type(Clean() >> (ModelA() >> Times()), Pipeline[str, int, Closed])
    assert_type((Clean() >> ModelA()) >> Times(), Pipeline[str, int, Closed])
    assert_type(Clean() >> Pipe() >> ModelA(), Pipeline[str, int, Closed])
    assert_type(Clean() >> (Pipe(capacity=10) >> ModelA()), Pipeline[str, int, Closed])
    assert_type(Clean() >> Pipe(), Pipeline[str, list[str], Closed])
    assert_type(Pipe() >> Clean(), Pipeline[str, list[str], Closed])
    assert_type(Pipe() >> Pipe(1) >> Clean(), Pipeline[str, list[str], Closed])
    assert_type(Clean() >> (Pipe() >> Pipe(1)) >> ModelA(), Pipeline[str, int, Closed])
    narrow = Pipe(1)
    assert_type(Clean() >> narrow >> ModelA(), Pipeline[str, int, Closed])


def a_processor_may_take_more_than_it_is_given() -> None:
    assert_type(Clean() >> Anything(), Pipeline[str, str, Closed])
    assert_type(ModelA() >> Report(), Pipeline[list[str], str, Closed])
    assert_type(ModelA() * ModelB() >> Anything(), Pipeline[list[str], str, tuple[str, str]])


def replicated_forks() -> None:
    two = ModelA() * ModelB()
    assert_type(two, ReplicatedFork[list[str], int | bytes, tuple[int, bytes]])
    assert_type(
        ModelA() * ModelB() * ModelA(),
        ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int]],
    )
    assert_type(
        ModelA() * (ModelB() * ModelA()),
        ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int]],
    )
    assert_type(two * two, ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int, bytes]])
    assert_type(
        ModelA() * (ModelB() >> Anything()),
        ReplicatedFork[list[str], int | str, tuple[int, str]],
    )
    # A fork takes what all of its branches take, on whichever side stands the one that takes less.
    less, more = Clean(), Anything()
    assert_type(less * more, ReplicatedFork[str, list[str] | str, tuple[list[str], str]])
    assert_type(more * less, ReplicatedFork[str, str | list[str], tuple[str, list[str]]])
    assert_type(
        more * more * less, ReplicatedFork[str, str | list[str], tuple[str, str, list[str]]]
    )
    assert_type(Clean() >> two, Pipeline[str, int | bytes, tuple[int, bytes]])


def copies() -> None:
    assert_type(ModelA() * 2, ReplicatedFork[list[str], int, tuple[int, int]])
    assert_type(ModelA() * 3, ReplicatedFork[list[str], int, tuple[int, int, int]])
    assert_type(ModelA() * 4, ReplicatedFork[list[str], int, tuple[int, int, int, int]])
    assert_type(ModelA() * 1, ReplicatedFork[list[str], int, tuple[int, ...]])
    width = len("abc")
    assert_type(ModelA() * width, ReplicatedFork[list[str], int, tuple[int, ...]])
    assert_type((Clean() >> ModelA()) * 2, ReplicatedFork[str, int, tuple[int, int]])


def balanced_forks() -> None:
    assert_type(ModelA() % ModelB(), BalancedFork[list[str], int | bytes])
    assert_type(Anything() % ModelB(), BalancedFork[list[str], str | bytes])
    assert_type(ModelB() % Anything(), BalancedFork[list[str], bytes | str])
    assert_type(ModelA() % 3, BalancedFork[list[str], int])
    assert_type(ModelA() % AUTO, BalancedFork[list[str], int])
    assert_type(ModelA() % Auto(min=2), BalancedFork[list[str], int])
    assert_type(Clean() >> ModelA() % 3, Pipeline[str, int, Unzippable])
    assert_type(Clean() >> ModelA() % 3 & Times(), Pipeline[str, int, Closed])
    assert_type(Clean() >> ModelA() % ModelB() >> Report(), Pipeline[str, str, Unzippable])


def forks_in_forks() -> None:
    assert_type(ModelA() * (ModelB() % 3), ReplicatedFork[list[str], int | bytes, Unzippable])
    assert_type(
        (Pipe() >> ModelB() % 3) * ModelA(), ReplicatedFork[list[str], bytes | int, Unzippable]
    )
    assert_type(ModelA() % (ModelB() * ModelA()), BalancedFork[list[str], int | bytes])
    assert_type(
        ModelA() * (ModelB() % ModelA() & Report()),
        ReplicatedFork[list[str], int | str, tuple[int, str]],
    )


def pipes_as_branches() -> None:
    assert_type(
        ModelA() * Pipe(),
        ReplicatedFork[list[str], int | list[str], tuple[int, list[str]]],
    )
    assert_type(
        Pipe() * ModelA(),
        ReplicatedFork[list[str], list[str] | int, tuple[list[str], int]],
    )
    assert_type(
        ModelA() * ModelB() * Pipe(),
        ReplicatedFork[list[str], int | bytes | list[str], tuple[int, bytes, list[str]]],
    )
    assert_type(ModelA() % Pipe(), BalancedFork[list[str], int | list[str]])


def joins() -> None:
    fork = Clean() >> ModelA() * ModelB()
    assert_type(fork & Report(), Pipeline[str, str, Closed])
    assert_type(fork & Join(), Pipeline[str, int | bytes, Closed])
    assert_type(fork & Join("interleave"), Pipeline[str, int | bytes, Closed])
    assert_type(fork & Join("ordered"), Pipeline[str, int | bytes, Closed])
    assert_type(fork & Join(how="ordered") >> Report(), Pipeline[str, str, Closed])
    assert_type(fork >> Join(), Pipeline[str, int | bytes, Closed])
    assert_type(fork >> Join() >> Report(), Pipeline[str, str, Closed])
    assert_type(fork & Report() >> Anything(), Pipeline[str, str, Closed])
    assert_type(fork & Pipe(5) >> Report(), Pipeline[str, str, Closed])
    assert_type(fork & (Pipe(5) >> Join()), Pipeline[str, int | bytes, Closed])
    assert_type(fork & (Pipe(5) >> Join() >> Report()), Pipeline[str, str, Closed])
    assert_type(fork & Anything() >> Filter() % 2, Pipeline[str, int, Unzippable])


def zips() -> None:
    fork = Clean() >> ModelA() * ModelB()
    assert_type(fork & Join("zip"), Pipeline[str, tuple[int, bytes], Closed])
    assert_type(fork & Join("zip") >> Pair(), Pipeline[str, float, Closed])
    assert_type(fork >> Join("zip"), Pipeline[str, tuple[int, bytes], Closed])
    assert_type(fork >> Join("zip") >> Pair(), Pipeline[str, float, Closed])
    assert_type(fork & Join(how="zip") >> Anything(), Pipeline[str, str, Closed])
    assert_type(fork & Join("zip") >> Pair() >> Anything(), Pipeline[str, str, Closed])
    assert_type(fork & (Pipe(5) >> Join("zip") >> Pair()), Pipeline[str, float, Closed])
    into_pairs = Join("zip") >> Pair()
    assert_type(fork & into_pairs, Pipeline[str, float, Closed])
    assert_type(
        ModelA() * ModelB() * ModelA() & Join("zip"),
        Pipeline[list[str], tuple[int, bytes, int], Closed],
    )
    assert_type(ModelA() * 3 & Join("zip"), Pipeline[list[str], tuple[int, int, int], Closed])
    assert_type(
        Clean() >> ModelA() * Pipe() & Join("zip"), Pipeline[str, tuple[int, list[str]], Closed]
    )
    results = (Load() >> Clean() >> ModelA() * ModelB() & Join("zip")).run(engine="inline")
    assert_type(results, Results[tuple[int, bytes]])
    assert results == [(2, b"a bb"), (1, b"ccc")]


def what_follows_an_open_fork_is_laid_on_every_branch() -> None:
    two = ModelA() * ModelB()
    assert_type(two >> Report(), Pipeline[list[str], str, tuple[str, str]])
    assert_type(two >> Report() >> Filter(), Pipeline[list[str], int, tuple[int, int]])
    assert_type(two * ModelA() >> Report(), Pipeline[list[str], str, tuple[str, str, str]])
    assert_type(two * two >> Report(), Pipeline[list[str], str, tuple[str, str, str, str]])
    assert_type(two >> Report() & Join("zip"), Pipeline[list[str], tuple[str, str], Closed])
    assert_type(two >> Pipe(3) & Join("zip"), Pipeline[list[str], tuple[int, bytes], Closed])
    five = two * two * ModelA()
    assert_type(five >> Report(), Pipeline[list[str], str, tuple[Any, ...]])
    assert_type(five >> Report() >> Filter(), Pipeline[list[str], int, tuple[Any, ...]])


def the_laws() -> None:
    a, b, c = Clean(), ModelA(), ModelB()
    assert_type((a >> b) >> Times(), Pipeline[str, int, Closed])
    assert_type(a >> (b >> Times()), Pipeline[str, int, Closed])
    assert_type((b * c) * b, ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int]])
    assert_type(b * (c * b), ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int]])
    assert_type((b % c) % b, BalancedFork[list[str], int | bytes])
    assert_type(b % (c % b), BalancedFork[list[str], int | bytes])
    assert_type((b * c) >> Report(), Pipeline[list[str], str, tuple[str, str]])
    assert_type((b >> Report()) * (c >> Report()), ReplicatedFork[list[str], str, tuple[str, str]])


def sources() -> None:
    assert_type(Source(range(3)), Source[int])
    assert_type(Source(["a"]) >> Clean(), Pipeline[Never, list[str], Closed])
    assert_type(Load().run(engine="inline"), Results[str])
    seen: list[Snapshot] = []
    assert_type(Load().run(engine="inline", progress=seen.append), Results[str])
    assert_type(Load().run(engine="inline", progress=lambda now: now.items_out), Results[str])
    assert_type(seen[-1].stats["load"].service.p99, float)
    assert_type((Source("12") >> Filter()).run(engine="inline"), Results[int])


def feeds() -> None:
    assert_type(Feed[str](), Feed[str])
    assert_type(Feed[str]() >> Clean(), Pipeline[str, list[str], Closed])
    assert_type(Feed() >> Clean(), Pipeline[str, list[str], Closed])
    assert_type(Feed() >> Clean() % 4, Pipeline[str, list[str], Unzippable])
    assert_type(Feed() >> ModelA() * ModelB() & Report(), Pipeline[list[str], str, Closed])
    assert_type(Feed() >> Pipe(5) >> Clean(), Pipeline[str, list[str], Closed])
    results = (Feed() >> Filter() % 2).run(["1", "a", "2"], engine="inline")
    assert_type(results, Results[int])
    assert results == [1, 2]


def wrapped_functions() -> None:
    def maybe(text: str) -> int | None:
        return int(text) if text.isdigit() else None

    def many(text: str) -> Iterator[int]:
        yield from map(int, text)

    def many_more(text: str) -> Generator[int]:
        yield from map(int, text)

    def with_default(text: str, base: int = 10) -> int:
        return int(text, base)

    class Score:
        def __init__(self, number: int = 1) -> None:
            self.number = number

        def __call__(self, number: int) -> float:
            return number / 2

        def half(self, number: int) -> float:
            return number / 2

    assert_type(Processor(str.split), Processor[str, list[str]])
    assert_type(Processor(maybe), Processor[str, int])
    assert_type(Processor(many), Processor[str, int])
    assert_type(Processor(many_more), Processor[str, int])
    assert_type(Processor(with_default), Processor[str, int])
    assert_type(Processor(Score()), Processor[int, float])
    assert_type(Processor(Score().half), Processor[int, float])
    assert_type(Processor(Score), Processor[int, Score])
    assert_type(Load() >> Processor(len) >> Times(), Pipeline[Never, int, Closed])
    assert_type(Load() >> Processor(len) * Processor(maybe) & Times(), Pipeline[Never, int, Closed])


def lambdas() -> None:
    assert_type(Processor(lambda text: f"{text}!"), Processor[Any, str])
    assert_type(Processor[str, int](lambda text: len(text) + 1), Processor[str, int])
    loud = Load() >> Processor(lambda text: text.upper()) >> Clean()
    assert_type(loud, Pipeline[Never, list[str], Closed])


@processor
def shout(text: str, mark: str = "!") -> str:
    return text.upper() + mark


@processor
def number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


@processor
def letters(text: str) -> Iterator[str]:
    yield from text


@processor
def translated(text: str, *, lang: str) -> str:
    return f"{lang}: {text}"


@source
def numbers(n: int = 2) -> Iterator[int]:
    yield from range(n)


@source
def words() -> list[str]:
    return ["1", "a"]


def decorated_functions_stay_callable() -> None:
    assert_type(shout("a"), str)
    assert_type(shout("a", "?"), str)
    assert_type(shout(text="a", mark="?"), str)
    assert_type(number("1"), int | None)
    assert_type(letters("ab"), Iterator[str])
    assert_type(translated("a", lang="en"), str)
    assert_type(numbers(n=3), Iterator[int])
    assert_type(words(), list[str])
    keeps_its_signature: Callable[[str], int | None] = number
    assert keeps_its_signature("1") == 1


def decorated_functions_are_elements() -> None:
    def element(value: Element[T, str]) -> Element[T, str]:
        return value

    assert_type(element(shout), Element[str, str])
    assert_type(words >> shout, Pipeline[Never, str, Closed])
    assert_type(words >> number, Pipeline[Never, int, Closed])
    assert_type(words >> letters, Pipeline[Never, str, Closed])
    assert_type(numbers >> Times(), Pipeline[Never, int, Closed])
    assert_type(numbers.bind(n=3) >> Times(), Pipeline[Never, int, Closed])
    assert_type(shout.bind(mark="?") >> number, Pipeline[str, int, Closed])
    assert_type(shout.bind(mark="?")("a"), str)
    assert_type(words >> translated.bind(lang="en"), Pipeline[Never, str, Closed])
    assert_type(words >> shout % 3 & number, Pipeline[Never, int, Closed])
    assert_type(words >> shout * number & Join("zip"), Pipeline[Never, tuple[str, int], Closed])


def options_keep_the_type() -> None:
    assert_type(Clean().options(name="clean", retries=2, on_error="skip"), Clean)
    assert_type(Times(3).options(timeout=1.5, restarts=1).factor, int)
    assert_type(shout.options(name="loud")("a"), str)
    assert_type((Clean() >> ModelA()).options(timeout=None), Pipeline[str, int, Closed])
    fork = ModelA() * ModelB()
    assert_type(fork.options(retries=1), ReplicatedFork[list[str], int | bytes, tuple[int, bytes]])


def running() -> None:
    pipeline = Clean() >> ModelA()
    assert_type(pipeline.run(["a b"], engine="inline", ordered=True), Results[int])
    assert_type(pipeline.stream(iter(["a b"]), engine="inline"), Stream[int])
    assert_type(pipeline.compile(), Graph)
    with pipeline.open(engine="inline") as live:
        assert_type(live, Live[int])
        assert_type(live.run(["a b"]), Results[int])
        assert_type(live.stream(["a b"]), Stream[int])
    for count in pipeline.stream(["a b"], engine="inline"):
        assert_type(count, int)
    results = pipeline.run(["a b"], engine="inline", max_failures=0.5)
    assert_type(results[0], int)
    assert_type(pipeline.replay(results.dead_letters), Results[int])


def explicit_forks() -> None:
    assert_type(
        ReplicatedFork(ModelA(), ModelB()),
        ReplicatedFork[list[str], int | bytes, tuple[int, bytes]],
    )
    assert_type(
        ReplicatedFork(ModelA(), ModelB(), ModelA()),
        ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int]],
    )
    assert_type(BalancedFork(ModelA(), ModelB()), BalancedFork[list[str], int | bytes])
    assert_type(
        BalancedFork(ModelA(), ModelB() % 2, ModelA()), BalancedFork[list[str], int | bytes]
    )
    assert_type(
        BalancedFork(ModelA(), ModelB(), ModelA(), ModelB()), BalancedFork[list[str], int | bytes]
    )
    assert_type(
        ReplicatedFork(ModelA(), ModelB(), ModelA(), ModelB()),
        ReplicatedFork[list[str], int | bytes, tuple[int, bytes, int, bytes]],
    )
    # Of more branches, and of pipes and open forks as branches, only what they take is known.
    assert_type(ReplicatedFork(ModelA()), ReplicatedFork[list[str], Any, Any])
    assert_type(ReplicatedFork(ModelA(), Pipe()), ReplicatedFork[list[str], Any, Any])
    assert_type(BalancedFork(*[ModelA()] * 5), BalancedFork[list[str], Any])


def explicit_pipelines() -> None:
    pipeline = Pipeline(Load(), Pipe(), Clean())
    assert_type(pipeline, Pipeline[Any, Any, Any])
    declared: Pipeline[str, int] = Pipeline(Clean(), Pipe(), ModelA())
    assert_type(declared.run(["a"], engine="inline"), Results[int])


def processors_with_few_types() -> None:
    assert_type(Load() >> Bare() >> Clean(), Pipeline[Never, list[str], Closed])
    assert_type(ModelA() * Bare(), ReplicatedFork[list[str], int | Any, tuple[int, Any]])
    assert_type(ModelA() * ModelB() & Bare(), Pipeline[list[str], Any, Closed])
    assert_type(
        Json() * Json() * Json() & Join("zip"),
        Pipeline[dict[str, Any], tuple[dict[str, Any], dict[str, Any], dict[str, Any]], Closed],
    )
    assert_type(
        Json() * Json() >> Json(),
        Pipeline[dict[str, Any], dict[str, Any], tuple[dict[str, Any], dict[str, Any]]],
    )


def generic_processors() -> None:
    assert_type(Same[int]() >> Times(), Pipeline[int, int, Closed])
    assert_type(Same[str]() * Filter(), ReplicatedFork[str, str | int, tuple[str, int]])


def of_parameters_it_need_not_be_said_what_is_open() -> None:
    def zipped(fork: Pipeline[str, int | bytes]) -> None:
        assert_type(fork & Join("zip"), Pipeline[str, tuple[Any, ...], Closed])
        assert_type(fork >> Join("zip"), Pipeline[str, tuple[Any, ...], Closed])
        assert_type(fork & Join("zip") >> Pair(), Pipeline[str, float, Closed])
        assert_type(fork >> Join("zip") >> Pair(), Pipeline[str, float, Closed])
        assert_type((fork >> Join("zip") >> Pair()).run(["a"], engine="inline"), Results[float])
        assert_type(fork >> (Join("zip") >> Pair()), Pipeline[str, float])
        assert_type(fork >> Pipe(5) >> Report(), Pipeline[str, str])

    def joined(fork: Element[str, int | bytes]) -> None:
        assert_type(fork >> Join() >> Report(), Pipeline[str, str, Closed])
        assert_type((fork >> Join("ordered")).run(["a"], engine="inline"), Results[int | bytes])
        assert_type(fork & Join() >> Report(), Pipeline[str, str, Closed])

    zipped(Clean() >> ModelA() * ModelB())
    joined(Clean() >> ModelA() % ModelB())
    # Here each branch takes something else, so that only what they take together is known.
    assert_type(
        Anything() * (Filter() * Filter()) & Join("zip") >> Processor(len),
        Pipeline[str, int, Closed],
    )


def pipelines_as_parameters() -> None:
    def counted(before: Pipeline[str, list[str]]) -> Pipeline[str, int]:
        assert_type(before >> ModelA() * ModelB() & Report(), Pipeline[str, str, Closed])
        return before >> ModelA()

    def any_element(before: Element[str, list[str]], last: Processor[int, T]) -> Element[str, T]:
        return before >> ModelA() >> last

    assert_type(counted(Clean() >> Pipe()), Pipeline[str, int])
    assert_type(counted(shout >> Clean() * Clean()), Pipeline[str, int])
    assert_type(any_element(Clean(), Times()), Element[str, int])
