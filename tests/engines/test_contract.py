"""What every engine promises. Each test runs on all of them."""

from __future__ import annotations

import functools
import itertools
import os
import queue
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from conveyor import (
    AUTO,
    Feed,
    Join,
    JoinError,
    Pipe,
    Processor,
    Source,
    StageError,
    UsageError,
    processor,
    source,
)

pytestmark = pytest.mark.quick


class Numbers(Source[int]):
    def __init__(self, count):
        self.count = count

    def generate(self):
        yield from range(self.count)


class Add(Processor[int, int]):
    def __init__(self, amount):
        self.amount = amount

    def process(self, item):
        return item + self.amount


class Odd(Processor[int, int]):
    def process(self, item):
        return item if item % 2 else None


class Repeat(Processor[int, int]):
    def process(self, item):
        for _ in range(item):
            yield item


class Total(Processor[int, int]):
    def __init__(self):
        self.total = 0

    def process(self, item):
        self.total += item

    def finish(self):
        return self.total


class Mark(Processor[list, list]):
    def __init__(self, mark):
        self.mark = mark

    def process(self, item):
        item.append(self.mark)
        return item


def boom(item):
    raise ValueError(f"no {item}")


same = Processor(abs)


def test_a_source_starts_a_pipeline(on):
    assert (Numbers(5) >> Add(1)).run(**on) == [1, 2, 3, 4, 5]


def test_items_are_given_to_run(on):
    assert (Add(1) >> Add(2)).run(range(100), **on) == list(range(3, 103))


def test_no_items_give_no_outputs(on):
    assert (Add(1) >> Total()).run([], **on) == [0]


def test_a_replicated_fork_gives_every_item_to_every_branch(on):
    assert Counter((Feed() >> Add(0) * Add(10)).run([1, 2], **on)) == Counter([1, 11, 2, 12])


def test_a_balanced_fork_gives_each_item_to_one_branch(on):
    assert sorted((Feed() >> Add(1) % 3).run(range(50), **on)) == list(range(1, 51))


def test_an_auto_fork_gives_each_item_to_one_branch(on):
    assert sorted((Feed() >> Add(1) % AUTO & Add(1)).run(range(50), **on)) == list(range(2, 52))


def test_none_returned_is_no_output(on):
    assert (Feed() >> Odd()).run(range(6), **on) == [1, 3, 5]


def test_none_yielded_is_an_output(on):
    class Nothings(Processor):
        def process(self, item):
            yield None

    assert (Feed() >> Nothings() >> Processor(str)).run([1, 2], **on) == ["None", "None"]


@pytest.mark.parametrize("item", [None, 0, "", (), False, ValueError("an item"), float("inf")])
def test_any_value_is_an_item(on, item):
    (output,) = (Feed() >> Processor(repr)).run([item], **on)
    assert output == repr(item)


@pytest.mark.parametrize("nested", [lambda view: view, lambda view: [view]])
def test_a_memoryview_is_an_item_of_its_own(on, nested):
    def write(item):
        (view,) = item if isinstance(item, list) else [item]
        view[0] = 9
        return bytes(view)

    data = bytearray(b"abc")
    pipeline = Feed() >> Processor(write) * Processor(write)
    assert pipeline.run([nested(memoryview(data))], **on) == [b"\x09bc"] * 2
    assert data == b"abc"


def test_an_ordered_join_keeps_the_order_of_the_source(on):
    pipeline = Feed() >> Repeat() % 3 & Join("ordered") >> same
    assert pipeline.run(range(30), **on) == [n for n in range(30) for _ in range(n)]


def test_an_ordered_join_keeps_the_order_of_branches_for_one_item(on):
    pipeline = Feed() >> Add(0) * Odd() * Repeat() & Join("ordered") >> same
    expected = [x for n in range(8) for x in (n, *([n] if n % 2 else []), *([n] * n))]
    assert pipeline.run(range(8), **on) == expected


def test_a_zip_gives_one_tuple_for_each_item(on):
    pipeline = Feed() >> Add(0) * Add(10) * Pipe() & Join("zip")
    assert sorted(pipeline.run(range(20), **on)) == [(n, n + 10, n) for n in range(20)]


def test_a_zip_leaves_out_what_a_branch_dropped(on):
    pipeline = Feed() >> Odd() * Pipe() & Join("zip") >> Processor(tuple)
    assert sorted(pipeline.run(range(9), **on)) == [(n, n) for n in range(9) if n % 2]


def test_a_zip_refuses_two_outputs_for_one_item_and_names_the_branch(on):
    with pytest.raises(JoinError, match="repeat") as caught:
        (Feed() >> Add(0) * Repeat() & Join("zip")).run([1, 2], **on)
    assert caught.value.branch == "repeat"


def test_a_zip_takes_the_end_of_the_stream_as_one_more_item(on):
    pipeline = Feed() >> Total() * (Add(1) >> Total()) & Join("zip")
    assert pipeline.run([1, 2, 3], **on) == [(6, 9)]


@processor
def scaled(item, *, by=1):
    return item * by


def with_a_key(function):
    @functools.wraps(function)
    def inner(item):
        return function(item, key=10)

    return inner


def handing_on(function):
    @functools.wraps(function)
    def inner(*args, twice=False, **kwargs):
        return function(*args, **kwargs) * (2 if twice else 1)

    return inner


@with_a_key
def keyed(item, key):
    return item * key


class ByType(Processor):
    @functools.singledispatchmethod
    def process(self, item):
        return item

    @process.register
    def _(self, item: int):
        return -item


def test_what_a_decorator_hands_in_is_not_asked_for(on):
    assert (Feed() >> Processor(keyed)).run([1, 2], **on) == [10, 20]


def test_a_process_may_do_something_else_for_each_type(on):
    assert (Feed() >> ByType()).run([1, "a"], **on) == [-1, "a"]


def test_what_a_decorator_hands_on_can_be_bound(on):
    @processor
    @handing_on
    def scaled(item, by):
        return item * by

    for bound, output in ((scaled.bind(by=3), 3), (scaled.bind(by=3, twice=True), 6)):
        assert (Feed() >> bound).run([1], **on) == [output]


def test_a_decorated_function_runs_bound_and_with_options(on):
    pipeline = Feed() >> scaled.bind(by=3) >> scaled.bind(by=2).options(name="twice") >> scaled
    assert pipeline.run([1, 2], **on) == [6, 12]


@processor
def feed(item):
    return item + 1


def test_a_processor_may_be_called_feed(on):
    results = feed.run([1, 2], **on)
    assert results == [2, 3]
    assert results.stats.elements["feed"].items_in == 2


def test_a_join_before_a_fork_is_a_mesh(on):
    pipeline = Feed() >> Add(0) * Add(10) & Add(100) % 2
    assert sorted(pipeline.run([1, 2], **on)) == [101, 102, 111, 112]


def test_what_finish_gives_goes_through_the_rest_of_the_pipeline(on):
    assert (Feed() >> Total() >> Add(1) >> Total()).run([1, 2], **on) == [4]


def test_every_balanced_branch_finishes(on):
    outputs = (Feed() >> Total() % 3).run(range(100), **on)
    assert len(outputs) == 3
    assert sum(outputs) == sum(range(100))


def test_branches_have_their_own_copies(on):
    pipeline = Feed() >> Mark("a") * Mark("b") & Join("zip")
    assert pipeline.run([[], []], **on) == [(["a"], ["b"])] * 2


def test_the_callers_items_are_not_changed(on):
    items = [[1], [2]]
    assert (Feed() >> Mark("x")).run(items, **on) == [[1, "x"], [2, "x"]]
    assert items == [[1], [2]]


def test_the_callers_processors_are_not_changed(on):
    total = Total()
    assert (Feed() >> total).run([1, 2], **on) == [3]
    assert total.total == 0


def test_ordered_gives_the_order_of_the_inline_engine(on):
    pipeline = Feed() >> Repeat() % 2 >> Add(0) * Odd() & same % 2
    expected = pipeline.run(range(25), engine="inline")
    assert pipeline.run(range(25), ordered=True, **on) == expected


def test_a_stream_is_lazy(on):
    pulled = itertools.count()
    outputs = (Feed() >> Add(1)).stream(pulled, **on)
    assert [next(outputs) for _ in range(3)] == [1, 2, 3]
    outputs.close()
    assert next(pulled) < 5_000


def test_a_stream_of_an_endless_source_can_be_left(on):
    class Endless(Source[int]):
        def generate(self):
            return itertools.count()

    assert list(itertools.islice((Endless() >> Add(1)).stream(**on), 4)) == [1, 2, 3, 4]


def test_a_range_may_be_longer_than_a_length_can_be(on):
    with closing((Feed() >> Processor(abs)).stream(range(1 << 70), **on)) as outputs:
        assert list(itertools.islice(outputs, 3)) == [0, 1, 2]


def test_an_endless_flat_map_can_be_left(on):
    class Forever(Processor):
        def process(self, item):
            yield from itertools.repeat(item)

    assert list(itertools.islice((Feed() >> Forever()).stream([7], **on), 3)) == [7, 7, 7]


def test_a_warm_pipeline_counts_anew_and_keeps_what_setup_set(on):
    class Model(Processor):
        def __init__(self):
            self.count = 0
            self.cache = {}

        def setup(self):
            self.model = object()
            self.cache["loaded"] = True

        def process(self, item):
            self.count += 1
            return (id(self.model), self.count, self.cache)

    with (Feed() >> Model()).open(**on) as live:
        ((model, count, cache),) = live.run([1])
        again = live.run([1, 2])
    assert (count, cache) == (1, {"loaded": True})
    assert again == [(model, 1, cache), (model, 2, cache)]


def test_a_warm_pipeline_builds_a_processor_when_its_run_begins_and_for_no_other(on, tmp_path):
    price, loaded = tmp_path / "price", tmp_path / "loaded"

    class Priced(Processor):
        def __init__(self, price, loaded):
            self.price, self.loaded = price, loaded

        def __setstate__(self, state):
            self.__dict__ |= state
            self.now = self.price.read_text()
            with self.loaded.open("a") as file:
                file.write(self.now)

        def process(self, item):
            return self.now if hasattr(self, "now") else self.price.read_text()

    price.write_text("0")
    loaded.write_text("")
    with (Feed() >> Priced(price, loaded)).open(**on) as live:
        found = []
        for run in "123":
            found += live.run([None])
            price.write_text(run)
    assert found[1:] == ["1", "2"]
    assert "3" not in loaded.read_text()


def test_a_warm_pipeline_goes_on_after_a_run_that_failed(on):
    with (Feed() >> Processor(lambda item: 1 // item)).open(**on) as live:
        with pytest.raises(StageError):
            live.run([1, 0])
        assert live.run([1]) == [1]


def test_a_warm_pipeline_goes_on_after_a_stream_that_was_left(on):
    with (Feed() >> Add(1)).open(**on) as live:
        left = live.stream(itertools.count())
        assert next(left) == 1
        left.close()
        assert live.run([5]) == [6]


def test_one_run_at_a_time(on):
    with (Feed() >> Add(1)).open(**on) as live:
        first = live.stream([1, 2])
        next(first)
        with pytest.raises(UsageError, match="in a run"):
            live.run([3])
        assert list(first) == [3]


def test_a_stream_that_outlives_its_pipeline_says_so(on):
    with (Feed() >> Add(1)).open(**on) as live:
        outputs = live.stream(itertools.count())
        assert next(outputs) == 1
    with pytest.raises(UsageError, match="closed before its run came to the end"):
        sum(outputs)


@pytest.mark.parametrize("work", [abs, lambda item: None], ids=["some outputs", "none"])
def test_a_pipeline_may_be_closed_while_another_thread_runs_it(on, work):
    raised, has_begun = [], threading.Event()

    def items():
        yield 0
        has_begun.set()
        yield from itertools.count()

    def run():
        try:
            sum(live.stream(items()))
        except UsageError as error:
            raised.append(str(error))

    live = (Feed() >> Processor(work)).open(**on)
    thread = threading.Thread(target=run)
    thread.start()
    has_begun.wait()
    live.close()
    live.close()
    thread.join()
    assert "closed before its run came to the end" in raised[0]


def test_a_run_is_no_input_of_another_one_of_the_same_pipeline(on):
    with (Feed() >> Add(1)).open(**on) as live, pytest.raises(UsageError, match="in a run"):
        live.run(live.stream([1]))


def test_a_pipeline_may_be_closed_while_another_thread_waits_for_items(on):
    if on["engine"] == "inline":
        pytest.skip("in the calling process it waits for whoever waits for the items")
    raised, waits = [], queue.SimpleQueue()

    def run():
        try:
            live.run(iter(waits.get, None))
        except UsageError as error:
            raised.append(str(error))

    live = (Feed() >> Add(1)).open(**on)
    thread = threading.Thread(target=run)
    thread.start()
    waits.put(1)
    while not waits.empty():
        pass
    live.close()
    thread.join()
    waits.put(None)  # what pulls the items can't be broken off
    assert "closed before its run came to the end" in raised[0]


is_done, is_asked, may_tell = threading.Event(), threading.Event(), threading.Event()


class Wordy(Processor[int, int]):
    def process(self, item):
        return item

    def __repr__(self):
        if is_done.is_set():
            is_asked.set()
            may_tell.wait(10)
        return "Wordy()"


def test_a_pipeline_whose_text_takes_long_holds_up_no_other(on):
    def items():
        yield 1
        is_done.set()

    def run():
        (Feed() >> Wordy()).run(items(), **on)
        ended.append("wordy")

    for event in (is_done, is_asked, may_tell):
        event.clear()
    ended, thread = [], threading.Thread(target=run)
    thread.start()
    is_asked.wait()
    (Feed() >> Add(1)).run([1], **on)
    ended.append("other")
    may_tell.set()
    thread.join()
    assert ended == ["other", "wordy"]


def test_what_a_run_calls_may_close_its_pipeline(on):
    def items():
        yield from range(5)
        live.close()
        yield from itertools.count()

    live = (Feed() >> Add(1)).open(**on)
    with pytest.raises(UsageError, match="closed before its run came to the end"):
        live.run(items())


def test_a_signal_handler_may_close_the_pipeline_that_it_interrupts(on):
    def close(*_):
        live.close()

    def items():
        yield from range(5)
        signal.raise_signal(signal.SIGUSR1)
        yield from itertools.count()

    before = signal.signal(signal.SIGUSR1, close)
    try:
        live = (Feed() >> Add(1)).open(**on)
        with pytest.raises(UsageError, match="closed before its run came to the end"):
            live.run(items())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_trace_goes_to_a_path(on):
    with pytest.raises(UsageError, match="trace takes the path of a file, or None, not 1"):
        (Feed() >> Add(1)).run([1], trace=1, **on)


def test_a_closed_pipeline_says_so(on):
    with (Feed() >> Add(1)).open(**on) as live:
        live.run([1])
    with pytest.raises(UsageError, match="closed"):
        live.run([1])


def test_a_failure_names_stage_and_item_and_carries_its_cause(on):
    with pytest.raises(StageError) as caught:
        (Feed() >> Add(0) >> Processor(boom) >> Add(0)).run([7, 8], **on)
    error = caught.value
    assert (error.stage, error.item) == ("boom", "7")
    assert isinstance(error.__cause__, ValueError)
    assert str(error.__cause__) == "no 7"
    assert "in boom" in str(error)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_whatever_a_processor_raises_is_a_failure_of_the_item(on, raised):
    def leave(item):
        raise raised("x")

    if raised is KeyboardInterrupt and on["engine"] == "inline":
        pytest.skip("in the calling process that is a real Ctrl-C")
    with pytest.raises(StageError, match=raised.__name__):
        (Feed() >> Processor(leave)).run([1], **on)


def endless_recursion(item):
    return endless_recursion(item) + 1


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda item: bytearray(1 << 60), "MemoryError"),
        (endless_recursion, "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_what_takes_too_much_is_a_failure_of_the_item(on, work, reason):
    with pytest.raises(StageError, match=reason) as caught:
        Processor(work).options(name="greedy").run([1], **on)
    assert (caught.value.stage, caught.value.item) == ("greedy", "1")


@pytest.mark.parametrize("where", ["setup", "finish", "teardown"])
def test_a_failure_outside_of_an_item_names_the_stage(on, where):
    def fail(self):
        raise OSError(f"in {where}")

    broken = type("Broken", (Processor,), {"process": lambda self, item: item, where: fail})
    with pytest.raises(StageError, match=f"in {where}") as caught:
        (Feed() >> broken()).run([1], **on)
    assert (caught.value.stage, caught.value.item) == ("broken", None)


@pytest.mark.parametrize("method", ["process", "finish"])
def test_a_method_that_can_not_be_had_is_a_failure_of_the_stage(on, method):
    lacking = property(lambda self: self.model.predict)  # which no setup has made
    model = type("Model", (Processor,), {"process": lambda self, item: item, method: lacking})
    with pytest.raises(StageError, match="has no attribute 'model'") as caught:
        (Feed() >> model()).run([1], **on)
    assert (caught.value.stage, caught.value.item) == ("model", None)


def test_a_source_function_that_gives_no_iterable_is_named(on):
    @source
    def numbers():
        return 5

    with pytest.raises(StageError, match=r"numbers\(\) gave int, which is not iterable"):
        numbers.run(**on)


def test_a_large_item_is_shown_in_short(on):
    def fail(item):
        raise ValueError

    item = {"a": [["q" * 300] * 20] * 20, "b": ({"z" * 500}, "z" * 500)}
    with pytest.raises(StageError) as caught:
        (Feed() >> Processor(fail)).run([item], **on)
    assert caught.value.item.startswith("{'a': [[")
    assert len(caught.value.item) < 1000


def test_an_error_of_endless_text_is_shortened(on):
    def fail(item):
        raise ValueError("x" * 1_000_000 + "the end")

    with pytest.raises(StageError) as caught:
        Processor(fail).run([1], **on)
    told = str(caught.value)
    assert len(told) < 30_000
    assert "characters are left out" in told
    assert told.endswith("the end")


def test_a_source_that_fails_names_itself(on):
    class Broken(Source):
        def generate(self):
            yield 1
            raise OSError("gone")

    with pytest.raises(StageError, match="gone") as caught:
        (Broken() >> Add(1)).run(**on)
    assert caught.value.stage == "broken"


def test_what_the_callers_items_raise_comes_through_as_it_is(on):
    def items():
        yield 1
        raise LookupError("the caller's")

    with pytest.raises(LookupError, match="the caller's"):
        (Feed() >> Add(1)).run(items(), **on)


def test_teardown_comes_after_an_error(on, tmp_path):
    class Careful(Processor):
        def process(self, item):
            return 1 // item

        def teardown(self):
            (tmp_path / "clean").write_text("yes")

    with pytest.raises(StageError):
        (Feed() >> Careful()).run([0], **on)
    assert (tmp_path / "clean").read_text() == "yes"


def test_an_error_of_the_callers_is_not_hidden_by_one_of_a_teardown(on):
    class Untidy(Processor):
        def process(self, item):
            return item

        def teardown(self):
            raise OSError("not tidied up")

    def leave_by(error):
        with Untidy().open(**on) as live:
            assert live.run([1]) == [1]
            if error:
                raise error

    with pytest.raises(KeyError, match="mine") as caught:
        leave_by(KeyError("mine"))
    (note,) = caught.value.__notes__
    assert "as the pipeline was closed: stage 'untidy' failed: OSError: not tidied up" in note
    with pytest.raises(StageError, match="not tidied up"):
        leave_by(None)
    with pytest.raises(StageError, match="not tidied up"):
        leave_by(GeneratorExit())  # of which nobody reads the notes


def test_the_account_balances(on):
    pipeline = Numbers(40) >> Odd() >> Repeat() >> (Add(1) * Odd() & Join("zip") >> Processor(sum))
    stats = pipeline.run(**on).stats
    assert stats.total.balances
    assert all(stats[name].balances for name in stats)
    assert (stats["odd"].items_in, stats["odd"].filtered) == (40, 20)


def test_run_refuses_what_is_no_iterable(on):
    with pytest.raises(UsageError, match="iterable"):
        (Feed() >> Add(1)).run(3, **on)


def test_run_wants_items_where_no_source_starts(on):
    with pytest.raises(UsageError, match="items"):
        (Feed() >> Add(1)).run(**on)


def test_run_refuses_items_where_a_source_starts(on):
    with pytest.raises(UsageError, match="no items"):
        (Numbers(1) >> Add(1)).run([1], **on)


def test_an_engine_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="quantum"):
        (Feed() >> Add(1)).run([1], engine="quantum")


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "two"])
def test_a_number_of_processes_that_is_none_is_refused(count):
    with pytest.raises(UsageError, match="processes"):
        (Feed() >> Add(1)).run([1], processes=count)


def test_the_inline_engine_stays_in_the_calling_process():
    pids = (Feed() >> Processor(lambda item: os.getpid())).run([1], engine="inline")
    assert pids == [os.getpid()]


def logged(function):
    """A decorator as many write it."""

    @functools.wraps(function)
    def wrapper(*arguments, **named):
        return function(*arguments, **named)

    return wrapper


def collected(function):
    """A decorator that makes a list of what a generator gives."""

    @functools.wraps(function)
    def wrapper(*arguments):
        return list(function(*arguments))

    return wrapper


class Logged(Processor):
    @logged
    def process(self, item):
        for number in range(item):
            yield number or None

    @logged
    def finish(self):
        yield "end"


class Collected(Processor):
    @collected
    def process(self, item):
        yield from range(item)

    @collected
    def finish(self):
        yield "end"


@processor
@logged
def logged_twice(item: int) -> Iterator[int]:
    yield item
    yield item


def test_a_generator_function_emits_what_it_yields_behind_a_decorator_too(on):
    assert Logged().run([0, 2], ordered=True, **on) == [None, 1, "end"]
    assert (logged_twice >> Add(0)).run([1, 2], ordered=True, **on) == [1, 1, 2, 2]
    assert Processor(logged(abs)).run([-1], **on) == [1]


def test_what_a_decorator_has_made_of_a_generator_is_one_output(on):
    assert Collected().run([0, 2], ordered=True, **on) == [[], [0, 1], ["end"]]


def test_items_may_be_given_by_name(on):
    assert Processor(abs).run(items=[-1], **on) == [1]
    assert list(Processor(abs).stream(items=[-1], **on)) == [1]
    with Processor(abs).open(**on) as live:
        assert live.run(items=[-1]) == [1]
        assert list(live.stream(items=[-1])) == [1]
