"""The inline engine, step by step: the semantics that every other engine is held to."""

from __future__ import annotations

import inspect
import itertools
import json
import signal
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import (
    AUTO,
    BalancedFork,
    ConveyorError,
    Feed,
    Join,
    JoinError,
    NotPicklable,
    Pipe,
    Processor,
    ReplicatedFork,
    Source,
    StageError,
    UsageError,
)
from tests.strategies import (
    Add,
    Expand,
    Farewell,
    Keep,
    Runnable,
    Tally,
    Total,
    TwoOutputs,
    runnables,
)

pytestmark = pytest.mark.quick

LOG: list = []
"""What happened, in order; a global, since processors are copied and what they hold with them."""


@pytest.fixture(autouse=True)
def new_log():
    LOG.clear()


class Noting(Processor):
    """Writes down its whole life, and hands items on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self):
        LOG.append(f"{self.name} setup")

    def process(self, item):
        LOG.append(f"{self.name} {item}")
        return item

    def finish(self):
        LOG.append(f"{self.name} finish")

    def teardown(self):
        LOG.append(f"{self.name} teardown")


class Last(Noting):
    def finish(self):
        super().finish()
        return f"last of {self.name}"


class Twice(Noting):
    def process(self, item):
        for i in (1, 2):
            LOG.append(f"{self.name} {item} {i}")
            yield f"{item}.{i}"


class Failing(Noting):
    """Raises where it is told to."""

    def __init__(self, where: str, error: BaseException | type[BaseException] = ValueError) -> None:
        super().__init__("failing")
        self.where = where
        self.error = error

    def setup(self):
        super().setup()
        self.fail("setup")

    def process(self, item):
        super().process(item)
        self.fail(item)
        return item

    def finish(self):
        super().finish()
        self.fail("finish")

    def teardown(self):
        super().teardown()
        self.fail("teardown")

    def fail(self, where):
        if where == self.where:
            raise self.error("on purpose")


class Count(Processor):
    """Counts within a run; what `setup` made, it keeps."""

    def __init__(self) -> None:
        self.count = 0
        self.model = None

    def setup(self):
        LOG.append("setup")
        self.model = object()
        self.memory = []

    def process(self, item):
        self.count += 1
        self.memory.append(item)
        return self.count, id(self.model), list(self.memory)

    def teardown(self):
        LOG.append(f"teardown {self.count}")


n1, n2, n3 = Noting("n1"), Noting("n2"), Noting("n3")


def run(pipeline, items=None):
    return pipeline.run(items, engine="inline")


def calls(*kinds: str) -> list[str]:
    """What is in the log, without the parts of the life that are not asked for."""
    left_out = {"setup", "finish", "teardown"} - {*kinds}
    return [line for line in LOG if line.split()[1] not in left_out]


# -- against the plain evaluator --


@given(runnables())
def test_it_gives_what_the_plain_evaluator_gives(case: Runnable):
    assert run(case.pipeline(), *case.arguments) == case.expected()


@given(runnables(room=12, careless=True))
def test_it_refuses_two_outputs_for_one_item_of_a_zip_and_nothing_else(case: Runnable):
    try:
        expected = case.expected()
    except TwoOutputs:
        with pytest.raises(JoinError):
            run(case.pipeline(), *case.arguments)
    else:
        assert run(case.pipeline(), *case.arguments) == expected


@given(runnables())
def test_a_stream_gives_the_same(case: Runnable):
    assert list(case.pipeline().stream(*case.arguments, engine="inline")) == case.expected()


@given(runnables())
def test_every_run_begins_anew(case: Runnable):
    pipeline, expected = case.pipeline(), case.expected()
    assert run(pipeline, *case.arguments) == expected
    assert run(pipeline, *case.arguments) == expected


@given(runnables())
def test_every_run_of_a_warm_pipeline_begins_anew(case: Runnable):
    expected = case.expected()
    with case.pipeline().open(engine="inline") as live:
        assert live.run(*case.arguments) == expected
        assert list(live.stream(*case.arguments)) == expected
        assert live.run(*case.arguments) == expected


@given(runnables(room=12))
def test_every_item_is_accounted_for(case: Runnable):
    results = run(case.pipeline(), *case.arguments)
    stats = results.stats
    assert stats.total.balances
    assert [name for name in stats if not stats[name].balances] == []
    assert stats["output"].items_in == stats.total.items_out == len(results)


@given(runnables(room=12))
def test_what_goes_out_of_one_element_goes_into_the_next(case: Runnable):
    graph = case.pipeline().compile()
    stats = run(case.pipeline(), *case.arguments).stats
    for node in graph.nodes:
        into = [graph.edges[edge].source for edge in graph.in_edges[node.id]]
        if len(into) == 1 and len(graph.out_edges[into[0]]) == 1:
            assert stats[node.id].items_in == stats[into[0]].items_out
    assert stats.total.items_in == len(case.items)


# -- the order of things --


def test_one_item_goes_all_the_way_before_the_next_starts():
    run(n1 >> n2 >> n3, "ab")
    assert calls() == ["n1 a", "n2 a", "n3 a", "n1 b", "n2 b", "n3 b"]


def test_branches_take_their_turn_from_left_to_right():
    run(Feed() >> (n1 >> n2) * n3, "ab")
    assert calls() == ["n1 a", "n2 a", "n3 a", "n1 b", "n2 b", "n3 b"]


def test_each_output_of_a_generator_goes_on_at_once():
    run(Twice("t") >> n1, "a")
    assert calls() == ["t a 1", "n1 a.1", "t a 2", "n1 a.2"]


def test_what_a_branch_gives_goes_through_the_join_before_the_next_branch_starts():
    for how in ("interleave", "ordered"):
        LOG.clear()
        run(Feed() >> n1 * n2 & Join(how) >> n3, "a")
        assert calls() == ["n1 a", "n3 a", "n2 a", "n3 a"]


def test_a_zip_goes_on_when_all_branches_are_done():
    run(Feed() >> n1 * n2 & Join("zip") >> n3, "a")
    assert calls() == ["n1 a", "n2 a", "n3 ('a', 'a')"]


def test_a_balanced_fork_takes_its_branches_in_turn():
    run(Feed() >> n1 % n2 % n3, "abcd")
    assert calls() == ["n1 a", "n2 b", "n3 c", "n1 d"]


def test_each_balanced_fork_takes_its_own_turns():
    run(Feed() >> ReplicatedFork(n1 % n2, n1 % n2), "ab")
    assert calls() == ["n1 a", "n1 a", "n2 b", "n2 b"]


def test_a_fork_of_automatic_width_is_one_branch():
    assert run(Feed() >> Add(1) % AUTO & Add(1), [1, 2]) == [3, 4]


def test_the_life_of_a_processor_goes_from_setup_to_teardown():
    run(n1 >> n2, "a")
    assert calls("setup", "finish", "teardown") == [
        *("n1 setup", "n2 setup"),
        *("n1 a", "n2 a"),
        *("n1 finish", "n2 finish"),
        *("n1 teardown", "n2 teardown"),
    ]


@pytest.mark.parametrize(
    "longer",
    [
        lambda pipeline: pipeline >> Add(1),
        lambda pipeline: pipeline >> Add(1) % 1 & Add(0),
        lambda pipeline: pipeline >> Add(1) * Pipe() & Join("zip") >> Processor(max),
    ],
)
def test_a_chain_is_as_long_as_calls_may_be_deep(longer):
    def grow(pipeline, length):
        while True:
            assert run(pipeline, [1]) == [1 + length]
            lengths.append(length)
            pipeline, length = longer(pipeline), length + 1

    lengths, before = [], sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        with pytest.raises(UsageError, match=r"setrecursionlimit.*engine='processes'"):
            grow(Feed() >> Add(0), 0)
    finally:
        sys.setrecursionlimit(before)
    assert len(lengths) > 5


class Interrupted(Noting):
    def teardown(self):
        super().teardown()
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_teardown_takes_no_other_away():
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted("n1") >> n2 >> n3, "a")
    assert calls("teardown")[3:] == [f"{name} teardown" for name in ("n1", "n2", "n3")]


def test_what_finish_gives_goes_on_before_the_next_one_finishes():
    assert run(Last("l1") >> Last("l2") >> n1, "a") == ["a", "last of l1", "last of l2"]
    assert calls("finish") == [
        *("l1 a", "l2 a", "n1 a"),
        *("l1 finish", "l2 last of l1", "n1 last of l1"),
        *("l2 finish", "n1 last of l2"),
        "n1 finish",
    ]


def test_branches_finish_from_left_to_right_and_then_what_follows():
    assert run(Feed() >> Last("l1") * Last("l2") & n1, "") == ["last of l1", "last of l2"]
    assert calls("finish") == [
        *("l1 finish", "n1 last of l1"),
        *("l2 finish", "n1 last of l2"),
        "n1 finish",
    ]


def test_every_branch_of_a_balanced_fork_finishes():
    assert run(Feed() >> Total(0) % 3, [1, 2, 3, 4]) == [5, 2, 3]


def test_no_items_still_end():
    assert run(Feed() >> Total(5), []) == [5]
    assert run(Feed() >> Farewell(0), []) == [0, None]


# -- what goes in and out --


def test_none_returned_is_no_output_and_none_yielded_is_one():
    def gap(item):
        yield None

    assert run(Processor(lambda item: None), [1]) == []
    assert run(Feed() >> Processor(gap), [1]) == [None]


def test_none_is_a_fair_item():
    assert run(Feed() >> Pipe(), [None, 1]) == [None, 1]
    assert run(Feed() >> Processor(repr), [None]) == ["None"]
    assert Source([None]).run(engine="inline") == [None]


def test_any_iterable_goes_in():
    for items in ([1, 2], (1, 2), iter([1, 2]), range(1, 3), {1: 0, 2: 0}, (i for i in (1, 2))):
        assert run(Add(1), items) == [2, 3]


def test_a_list_returned_is_one_output():
    assert run(Processor(str.split), ["a b"]) == [["a", "b"]]


def test_results_are_a_list():
    results = run(Add(1), [1, 2])
    assert isinstance(results, list)
    assert (results, results[-1], len(results), results.dead_letters) == ([2, 3], 3, 2, [])


def test_the_account_is_a_table_and_plain_values():
    stats = run(Feed() >> Keep(0) >> Expand(0) >> Tally(0), [1, 2, 3]).stats
    assert (stats["keep"].items_in, stats["keep"].filtered) == (3, 1)
    assert (stats["expand"].items_in, stats["expand"].items_out, stats["expand"].added) == (2, 3, 1)
    assert (stats["tally"].items_out, stats["tally"].added) == (4, 1)
    accounts, *_ = str(stats).split("\n\n")
    assert [line.split()[0] for line in accounts.splitlines()[1:-1]] == list(stats)
    assert json.loads(stats.to_json())["elements"]["keep"] == stats.to_dict()["elements"]["keep"]


def test_copies_and_tuples_are_accounted_for():
    stats = run(Feed() >> Pipe() * Keep(0) * Pipe() & Join("zip"), [0, 1]).stats
    assert (stats["fork"].items_out, stats["fork"].added) == (6, 4)
    assert (stats["zip"].items_in, stats["zip"].items_out) == (5, 1)
    assert (stats["zip"].filtered, stats["zip"].merged) == (2, 2)


# -- zips --


def test_a_zip_leaves_out_an_item_that_some_branch_dropped():
    assert run(Feed() >> Pipe() * Keep(0) & Join("zip"), [0, 1, 2, 3]) == [(1, 1), (2, 2)]


def test_a_zip_takes_all_open_branches_as_places():
    fork = ReplicatedFork(Add(1), Add(10) >> ReplicatedFork(Pipe(), Add(100)))
    assert run(Feed() >> fork & Join("zip"), [0]) == [(1, 10, 110)]


def test_a_zip_takes_the_end_of_the_stream_as_one_more_item():
    assert run(Feed() >> Total(0) * Tally(0) & Join("zip"), [5, 6]) == [(11, 2)]
    assert run(Feed() >> Pipe() * Tally(0) & Join("zip"), [5]) == [(5, 5)]


def test_two_outputs_for_one_item_are_an_error_that_names_the_branch():
    with pytest.raises(JoinError, match="'twice'") as caught:
        run(Feed() >> Pipe() * Twice("t") & Join("zip"), "a")
    assert (caught.value.branch, caught.value.stage) == ("twice", "zip")
    assert isinstance(caught.value, ConveyorError)
    with pytest.raises(JoinError, match="'farewell'"):
        run(Feed() >> Pipe() * Farewell(0) & Join("zip"), "")


def test_a_generator_before_the_fork_makes_items_of_their_own():
    assert run(Twice("t") >> n1 * n2 & Join("zip"), "a") == [("a.1", "a.1"), ("a.2", "a.2")]


# -- laziness --


def test_a_stream_takes_an_item_when_it_is_asked_for_an_output():
    taken = []
    items = (taken.append(i) or i for i in itertools.count())
    outputs = Add(1).stream(items, engine="inline")
    assert taken == []
    assert [next(outputs), next(outputs), taken] == [1, 2, [0, 1]]
    outputs.close()


def test_nothing_starts_before_the_first_output_is_asked_for():
    n1.stream("a", engine="inline")
    assert LOG == []


def test_what_is_wrong_with_a_stream_is_told_at_once():
    with pytest.raises(UsageError):
        n1.stream(engine="inline")
    with pytest.raises(UsageError):
        Source([1]).stream([1], engine="inline")
    with pytest.raises(UsageError):
        n1.stream("a", engine="outline")


def test_an_endless_source_may_be_left():
    class Endless(Source[int]):
        def generate(self):
            try:
                yield from itertools.count()
            finally:
                LOG.append("source closed")

    for output in (Endless() >> n1).stream(engine="inline"):
        if output == 2:
            break
    del output
    assert LOG[-2:] == ["source closed", "n1 teardown"]


def test_an_endless_generator_may_be_left():
    def upwards(item):
        yield from itertools.count(item)

    outputs = (Feed() >> Processor(upwards) >> n1).stream([5], engine="inline")
    assert [next(outputs), next(outputs)] == [5, 6]
    outputs.close()
    assert LOG[-1] == "n1 teardown"


def test_what_came_before_an_error_has_come():
    outputs = (Feed() >> Failing("b")).stream("ab", engine="inline")
    assert next(outputs) == "a"
    with pytest.raises(StageError):
        next(outputs)
    assert LOG[-1] == "failing teardown"


# -- warm pipelines --


def test_what_init_set_is_new_in_each_run_and_what_setup_set_lives():
    with Count().open(engine="inline") as live:
        ((one, model, memory),) = live.run("a")
        ((again, same_model, more),) = live.run("b")
    assert (one, again, model) == (1, 1, same_model)
    assert (memory, more) == (["a"], ["a", "b"])
    assert LOG == ["setup", "teardown 1"]


def test_what_setup_put_in_the_place_of_something_lives_too():
    class Relocked(Processor):
        def __init__(self):
            self.lock = threading.Lock()

        def setup(self):
            self.lock = threading.Lock()
            LOG.append(self.lock)

        def process(self, item):
            return self.lock is LOG[0]

    with Relocked().open(engine="inline") as live:
        assert [live.run("a"), live.run("b")] == [[True], [True]]


def test_the_processors_are_set_up_on_entering():
    with n1.open(engine="inline"):
        assert LOG == ["n1 setup"]
    assert LOG == ["n1 setup", "n1 teardown"]


def test_each_run_of_a_warm_pipeline_finishes():
    with Last("l").open(engine="inline") as live:
        assert [live.run("a"), live.run("b")] == [["a", "last of l"], ["b", "last of l"]]
    assert calls("setup", "teardown") == ["l setup", "l a", "l b", "l teardown"]


def test_each_run_of_a_warm_pipeline_has_its_own_account():
    with Add(1).open(engine="inline") as live:
        assert live.run([1, 2, 3]).stats["add"].items_in == 3
        assert live.run([1]).stats["add"].items_in == 1


def test_a_live_pipeline_closes_once():
    with n1.open(engine="inline") as live:
        live.close()
        live.close()
    assert LOG == ["n1 setup", "n1 teardown"]


# -- whose objects they are --


def test_the_processors_of_the_caller_are_not_changed():
    total, count = Total(0), Count()
    run(Feed() >> total, [1, 2])
    run(count, [1])
    assert total.state == 0
    assert (count.count, count.model, hasattr(count, "memory")) == (0, None, False)


def test_what_a_processor_holds_is_not_changed():
    seen = []

    class Holding(Processor):
        def __init__(self, seen):
            self.seen = seen

        def process(self, item):
            self.seen.append(item)
            return len(self.seen)

    assert run(Holding(seen), "ab") == [1, 2]
    assert seen == []


def test_the_items_of_the_caller_are_not_changed():
    items = [[1], [2]]
    assert run(Processor(lambda item: item.append(0) or item), items) == [[1, 0], [2, 0]]
    assert items == [[1], [2]]


def test_the_iterable_of_a_source_is_not_changed():
    items = [[1], [2]]
    pipeline = Source(items) >> Processor(lambda item: item.append(0) or item)
    assert pipeline.run(engine="inline") == [[1, 0], [2, 0]]
    assert items == [[1], [2]]


@pytest.mark.parametrize("width", [2, 3])
def test_the_branches_of_a_replicated_fork_have_their_own_copies(width):
    mark = Processor(lambda item: item.append(len(item)) or item)
    assert run(Feed() >> mark * width, [[7]]) == [[7, 1]] * width


def test_one_element_used_twice_has_two_states():
    tally = Tally(0)
    assert run(tally >> tally, [1, 1]) == [1, 1, 2, 3]
    assert run(Feed() >> ReplicatedFork(tally, tally), []) == [0, 0]
    assert run(Feed() >> BalancedFork(tally, tally), [9]) == [9, 1, 0]


def test_a_processor_with_a_lock_runs():
    class Locked(Processor):
        def __init__(self):
            self.lock = threading.Lock()
            self.seen = []

        def process(self, item):
            with self.lock:
                self.seen.append(item)
                return len(self.seen)

    locked = Locked()
    assert run(locked, "ab") == [1, 2]
    assert locked.seen == []


def test_an_item_that_can_not_be_copied_is_told():
    with pytest.raises(NotPicklable) as caught:
        run(Feed() >> n1 * n2, [threading.Lock()])
    assert caught.value.stage == "feed"


# -- when things go wrong --


def test_a_failure_tells_the_stage_the_item_and_the_cause():
    with pytest.raises(StageError) as caught:
        run(n1 >> Failing("b"), "abc")
    error = caught.value
    assert (error.stage, error.item, error.reason) == ("failing", "'b'", "ValueError: on purpose")
    assert isinstance(error.__cause__, ValueError)
    assert "in process" in str(error)
    assert "conveyor/engines" not in str(error)


def test_the_stage_of_a_failure_is_its_id():
    with pytest.raises(StageError) as caught:
        run(Failing("never") >> Failing("a").options(name="second"), "a")
    assert caught.value.stage == "second"


def test_the_item_of_a_failure_is_short():
    with pytest.raises(StageError) as caught:
        run(Processor(lambda item: item.missing), ["x" * 100_000])
    assert len(caught.value.item) < 300
    assert len(str(caught.value)) < 3000


def test_an_item_whose_repr_fails_is_told_all_the_same():
    class Mute:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(StageError, match="Mute"):
        run(Processor(lambda item: 1 / 0), [Mute()])


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, StopIteration, MemoryError])
def test_whatever_is_raised_is_a_failure_of_that_item(error):
    with pytest.raises(StageError) as caught:
        run(Feed() >> Failing("a", error), "a")
    assert type(caught.value.__cause__) is error
    assert LOG[-1] == "failing teardown"


def test_a_ctrl_c_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt):
        run(Feed() >> Failing("a", KeyboardInterrupt), "a")
    assert LOG[-1] == "failing teardown"


@pytest.mark.parametrize("where", ["setup", "finish", "teardown"])
def test_a_failure_outside_of_an_item_has_no_item(where):
    with pytest.raises(StageError) as caught:
        run(n1 >> Failing(where), "a")
    assert (caught.value.stage, caught.value.item) == ("failing", None)


def test_all_that_was_set_up_is_torn_down_when_setup_fails():
    with pytest.raises(StageError):
        run(n1 >> Failing("setup") >> n2, "a")
    assert LOG == ["n1 setup", "failing setup", "n1 teardown", "failing teardown"]


def test_all_are_torn_down_after_a_failure_and_none_finishes():
    with pytest.raises(StageError):
        run(n1 >> Failing("a") >> n2, "a")
    assert LOG[-3:] == ["n1 teardown", "failing teardown", "n2 teardown"]
    assert not any("finish" in line for line in LOG)


def test_all_are_torn_down_when_one_fails_to():
    with pytest.raises(StageError, match="on purpose"):
        run(Failing("teardown") >> n1, "a")
    assert LOG[-2:] == ["failing teardown", "n1 teardown"]


def test_a_failure_in_teardown_hides_no_other():
    class Worse(Failing):
        def teardown(self):
            raise OSError("the second")

    with pytest.raises(StageError, match="on purpose"):
        run(Feed() >> Worse("a"), "a")


def test_a_generator_that_fails_names_its_item():
    def half(item):
        yield item
        raise ValueError("too late")

    with pytest.raises(StageError, match="too late") as caught:
        run(Feed() >> Processor(half), [7])
    assert (caught.value.stage, caught.value.item) == ("half", "7")


def test_a_source_that_fails_names_itself():
    class Broken(Source):
        def generate(self):
            raise OSError("gone")
            yield

    class Odd(Source):
        def generate(self):
            return 3

    for broken, text in ((Broken(), "gone"), (Odd(), "not iterable")):
        with pytest.raises(StageError, match=text) as caught:
            (broken >> n1).run(engine="inline")
        assert caught.value.stage in ("broken", "odd")


def test_what_the_items_of_the_caller_raise_comes_through_as_it_is():
    def items():
        yield "a"
        raise LookupError("the caller's")

    with pytest.raises(LookupError, match="the caller's"):
        run(n1, items())
    assert LOG[-1] == "n1 teardown"


def test_a_failure_in_one_run_says_so_before_the_next():
    with Failing("b").open(engine="inline") as live:
        with pytest.raises(StageError):
            live.run("ab")
        assert live.run("a") == ["a"]


# -- in company --


def test_a_pipeline_runs_inside_of_a_processor():
    inner = Feed() >> Add(1) * Add(2) & Total(0)
    outer = Processor(lambda item: inner.run([item], engine="inline")[0])
    assert run(Feed() >> outer, [1, 2]) == [5, 7]


def test_two_streams_of_one_pipeline_do_not_meet():
    pipeline = Feed() >> Tally(0)
    one, two = (pipeline.stream([7, 8], engine="inline") for _ in range(2))
    assert list(itertools.chain.from_iterable(zip(one, two, strict=True))) == [7, 7, 8, 8, 2, 2]


def test_a_long_pipeline_runs():
    pipeline = Feed() >> Add(0)
    for _ in range(150):
        pipeline = pipeline >> Add(1)
    assert run(pipeline, [0]) == [150]


@given(st.lists(st.integers(), max_size=5), st.booleans())
def test_ordered_changes_nothing_here(items, ordered):
    pipeline = Feed() >> Add(1) % 2 & Add(3)
    assert pipeline.run(items, engine="inline", ordered=ordered) == [item + 4 for item in items]
