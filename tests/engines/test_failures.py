"""What becomes of items that fail, on all engines: tried again, left out, set aside, or the end."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import threading
import weakref
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor import (
    AccountError,
    Auto,
    DeadLetter,
    DeadLetters,
    Feed,
    Join,
    NotPicklable,
    Pipe,
    Processor,
    Source,
    StageError,
    TooManyFailures,
    UsageError,
)
from conveyor.engines import inline
from conveyor.engines.processes import causes, sink
from tests.engines.engines import ENGINES

pytestmark = pytest.mark.quick


@pytest.fixture(params=["processes", "one process"])
def on_processes(request):
    return ENGINES[request.param]


class Flaky(Processor[int, tuple]):
    """Fails as often as the item says, and gives the item and the attempt that succeeded."""

    def __init__(self):
        self.tried = Counter()

    def process(self, item):
        self.tried[item] += 1
        if self.tried[item] <= item:
            raise ValueError(f"attempt {self.tried[item]}")
        return item, self.tried[item]


class FlakyMany(Flaky):
    """The same, failing in the middle of what it gives."""

    def process(self, item):
        yield "begun"
        yield super().process(item)


class Mod3(Processor[int, int]):
    """Fails on every third number."""

    def process(self, item):
        if item % 3 == 0:
            raise ValueError(f"no {item}")
        return item


class Numbers(Source[int]):
    def generate(self):
        return itertools.count()


same = Processor(abs)


# -- retries --


def test_an_item_is_tried_again_as_often_as_asked(on):
    results = (Feed() >> Flaky().options(retries=3)).run([0, 3, 1], **on)
    assert results == [(0, 1), (3, 4), (1, 2)]
    assert results.stats["flaky"].retried == results.stats.total.retried == 4


def test_a_run_ends_with_the_last_error_where_all_attempts_failed(on):
    with pytest.raises(StageError, match="attempt 2") as caught:
        (Feed() >> Flaky().options(retries=1)).run([1, 2], **on)
    assert (caught.value.stage, caught.value.item) == ("flaky", "2")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.worker_traceback.count("Traceback") == 1, "that of the last attempt"


def test_what_a_failed_attempt_gave_does_not_come_out(on):
    results = (Feed() >> FlakyMany().options(retries=2)).run([2, 0], **on)
    assert results == ["begun", (2, 3), "begun", (0, 1)]


def test_every_attempt_gets_the_item_as_it_came(on):
    class Spoil(Processor):
        def __init__(self):
            self.tried = 0

        def process(self, item):
            item.append("spoiled")
            self.tried += 1
            return item if self.tried == 3 else 1 // 0

    pipeline = Feed() >> Processor(list) >> Spoil().options(retries=2) >> Processor(list)
    assert pipeline.run(["ab"], **on) == [["a", "b", "spoiled"]]


@pytest.mark.parametrize("size", [3, 100_000])
def test_a_memoryview_is_as_it_came_in_every_attempt_and_letter(on, size):
    def spoil(view):
        view[0] += 1
        raise ValueError(view[0])

    careful = Processor(spoil).options(retries=1, on_error="dead_letter")
    pipeline = Processor(lambda size: memoryview(bytearray(size))) >> careful
    (letter,) = pipeline.run([size], **on).dead_letters
    assert (letter.error.reason, letter.item[0]) == ("ValueError: 1", 0)


def test_an_item_that_cannot_be_copied_is_tried_again_as_it_is():
    class Locked(Processor):
        def __init__(self):
            self.tried = 0

        def process(self, item):
            self.tried += 1
            return item.locked() if self.tried == 2 else 1 // 0

    pipeline = Feed() >> Processor(lambda _: threading.Lock()) >> Locked().options(retries=1)
    assert pipeline.run([1], engine="inline") == [False]


# -- what then happens --


def test_a_failed_item_is_skipped(on):
    results = (Feed() >> Mod3().options(on_error="skip") >> same).run(range(7), **on)
    assert results == [1, 2, 4, 5]
    assert results.dead_letters == []
    assert (results.stats["mod3"].skipped, results.stats.total.skipped) == (3, 3)


def test_a_failed_item_becomes_a_dead_letter(on):
    pipeline = Feed() >> same >> Mod3().options(on_error="dead_letter", retries=1) >> same
    results = pipeline.run(range(5), **on)
    assert results == [1, 2, 4]
    assert results.stats["mod3"].dead == 2
    first, second = results.dead_letters
    assert (first.stage, first.item, first.attempts) == ("mod3", 0, 2)
    assert (second.item, second.error.item) == (3, "3")
    assert isinstance(second.error, StageError)
    assert isinstance(second.error.__cause__, ValueError)
    assert "in process" in str(second.error)


def test_a_dead_letter_has_the_item_as_it_came_to_its_stage(on):
    def spoil(item):
        item["seen"] = True
        raise ValueError

    pipeline = (
        Feed()
        >> Processor(lambda n: {"n": n})
        >> Processor(spoil).options(on_error="dead_letter")
        >> Processor(str)
    )
    assert [letter.item for letter in pipeline.run([1, 2], **on).dead_letters] == [
        {"n": 1},
        {"n": 2},
    ]


def test_a_dead_letter_keeps_nothing_of_the_frames_that_failed():
    class Local:
        pass

    there = []

    def fail(item):
        local = Local()
        there.append(weakref.ref(local))
        try:
            1 // item
        except ZeroDivisionError:
            raise ExceptionGroup("several", [ValueError(item)]) from ValueError()

    def fail_later(item):
        there.append(weakref.ref(local := Local()))
        try:
            fail(item)
        except ExceptionGroup as group:
            assert local
            raise RuntimeError from group

    pipeline = Feed() >> Processor(fail_later).options(on_error="dead_letter")
    results = pipeline.run([0, 0], engine="inline")
    gc.collect()
    (letter, _) = results.dead_letters
    assert isinstance(letter.error.__cause__.__cause__.__context__, ZeroDivisionError)
    assert [ref() for ref in there] == [None] * 4


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_a_failure_outside_of_an_item_ends_the_run_whatever_the_policy(on, policy):
    class Broken(Processor):
        def process(self, item):
            return item

        def finish(self):
            raise OSError("at the end")

    with pytest.raises(StageError, match="at the end"):
        (Feed() >> Broken().options(on_error=policy)).run([1], **on)


def test_a_source_that_fails_ends_the_run_whatever_the_policy(on):
    class Broken(Source):
        def generate(self):
            yield 1
            raise OSError("gone")

    with pytest.raises(StageError, match="gone"):
        (Broken() >> same).options(on_error="skip", retries=5).run(**on)


def test_leaving_is_a_failure_of_the_item_too(on):
    def leave(item):
        raise SystemExit(item)

    assert (Feed() >> Processor(leave).options(on_error="skip")).run([1, 2], **on) == []


def test_a_failed_item_lacks_its_tuple_in_a_zip(on):
    careful = Mod3().options(on_error="skip")
    results = (Feed() >> Pipe() * careful & Join("zip")).run(range(1, 7), ordered=True, **on)
    assert results == [(n, n) for n in (1, 2, 4, 5)]
    assert results.stats["zip"].filtered == 2


def test_an_order_is_kept_around_failed_items(on):
    careful = Mod3().options(on_error="skip")
    pipeline = Feed() >> Pipe() * careful & Join("ordered") >> same
    assert pipeline.run(range(9), **on) == [n for n in range(9) for _ in range(2 if n % 3 else 1)]


def test_dead_letters_travel_to_a_stream_as_they_come(on):
    outputs = (Numbers() >> Mod3().options(on_error="dead_letter")).stream(**on)
    assert list(itertools.islice(outputs, 3)) == [1, 2, 4]
    assert [letter.item for letter in outputs.dead_letters[:2]] == [0, 3]
    outputs.close()


def test_a_stream_is_one_iterator_however_it_is_used(on):
    outputs = (Feed() >> same).stream(range(5), **on)
    assert next(outputs) == 0
    assert next(iter(outputs)) == 1
    assert outputs.send(None) == 2
    with pytest.raises(LookupError):
        outputs.throw(LookupError("the caller's"))
    assert list(outputs) == []


def test_a_live_pipeline_has_the_dead_letters_of_its_last_run(on):
    with (Feed() >> Mod3().options(on_error="dead_letter")).open(**on) as live:
        live.run([0, 1])
        assert [letter.item for letter in live.dead_letters] == [0]
        assert live.run([3, 6]).dead_letters == live.dead_letters
        assert [letter.item for letter in live.dead_letters] == [3, 6]
        live.run([1])
        assert live.dead_letters == []


# -- what can't travel --


def unpicklable(item):
    yield item
    yield threading.Lock() if item % 2 else -item


def test_an_output_that_cannot_travel_ends_the_run():
    pipeline = Feed() >> Processor(unpicklable).options(retries=1)
    with pytest.raises(NotPicklable) as caught:
        pipeline.run([2, 1])
    assert caught.value.stage == "unpicklable"


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_an_output_that_cannot_travel_is_a_failure_of_the_item(on_processes, policy):
    pipeline = Feed() >> Processor(unpicklable).options(on_error=policy, retries=1)
    results = pipeline.run(range(6), **on_processes)
    assert results == [0, 0, 2, -2, 4, -4]
    row = results.stats["unpicklable"]
    assert (row.skipped + row.dead, row.retried) == (3, 3)
    assert [letter.item for letter in results.dead_letters] == (
        [1, 3, 5] if policy == "dead_letter" else []
    )
    assert all(isinstance(letter.error, NotPicklable) for letter in results.dead_letters)


def test_another_attempt_may_give_what_can_travel(on_processes):
    class Second(Processor):
        def __init__(self):
            self.tried = Counter()

        def process(self, item):
            self.tried[item] += 1
            return threading.Lock() if self.tried[item] == 1 else item

    results = (Feed() >> Second().options(retries=1)).run(range(5), **on_processes)
    assert results == list(range(5))
    assert results.stats["second"].retried == 5


def test_an_item_that_cannot_travel_to_the_caller_is_named():
    pipeline = (
        Feed()
        >> Processor(lambda item: threading.Lock()).options(name="locks")
        >> Processor(lambda lock: 1 // 0).options(on_error="dead_letter", name="fails")
    )
    with pytest.raises(NotPicklable, match="dead letter") as caught:
        pipeline.run([1], processes=1)
    assert caught.value.stage == "fails"


class Fickle:
    """Can be loaded in workers only."""

    def __init__(self, pid):
        self.pid = pid

    def __reduce__(self):
        return _in_a_worker, (self.pid,)


def _in_a_worker(pid):
    if os.getpid() == pid:
        raise ValueError("not here")
    return Fickle(pid)


def test_a_dead_letter_that_cannot_be_loaded_by_the_caller_ends_the_run(on_processes):
    fail = Processor(lambda item: 1 // 0).options(on_error="dead_letter", name="fails")
    pipeline = Feed() >> Processor(Fickle) >> fail
    with pytest.raises(NotPicklable, match="not here") as caught:
        pipeline.run([os.getpid()], **on_processes)
    assert caught.value.stage == "fails"


def test_what_one_item_gives_is_cut_into_fair_parts():
    """All of it waits for the end of the item, but then it is shared by all workers."""

    def many(item):
        yield from range(5000)

    def spend(item):
        sum(range(2000))
        return os.getpid()

    pipeline = Feed() >> Processor(many).options(on_error="skip") >> Processor(spend) % 2
    assert len(set(pipeline.run([0, 0, 0]))) == 2


# -- what led to an error --


class Noted(Exception):
    """One whose pickle is without its notes."""

    def __reduce__(self):
        return Noted, self.args


def fail_with_causes(item):
    try:
        try:
            raise KeyError(item)
        except KeyError as error:
            error.add_note("a key")
            raise Noted("no number") from error
    except Noted as error:
        error.add_note("a note")
        raise ValueError("all in vain")  # noqa: B904


@pytest.mark.parametrize("policy", ["fail", "dead_letter"])
def test_an_error_has_what_led_to_it(on, policy):
    pipeline = Feed() >> Processor(fail_with_causes).options(on_error=policy)
    if policy == "fail":
        with pytest.raises(StageError) as caught:
            pipeline.run([1], **on)
        error = caught.value
    else:
        (letter,) = pipeline.run([1], **on).dead_letters
        error = letter.error
    last = error.__cause__
    assert (repr(last), last.__cause__, last.__suppress_context__) == (
        "ValueError('all in vain')",
        None,
        False,
    )
    noted = last.__context__
    assert (repr(noted), noted.__notes__) == ("Noted('no number')", ["a note"])
    assert noted.__cause__ is noted.__context__
    assert noted.__suppress_context__
    assert (repr(noted.__cause__), noted.__cause__.__notes__) == ("KeyError(1)", ["a key"])


def chain(*errors):
    """The first of some exceptions, each of which was raised from the next."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def chained(error):
    """An exception and its causes, as far as to one that is the first again."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__
    return found


@pytest.mark.parametrize("wrong", [lambda _: threading.Lock(), Fickle], ids=["there", "here"])
def test_what_led_to_an_error_ends_where_it_cannot_travel(on_processes, wrong):
    def fail(pid):
        raise chain(ValueError(1), ValueError(2), ValueError(wrong(pid)), ValueError(4))

    with pytest.raises(StageError) as caught:
        (Feed() >> Processor(fail)).run([os.getpid()], **on_processes)
    assert [error.args for error in chained(caught.value.__cause__)] == [(1,), (2,)]


def test_what_led_to_an_error_may_be_endless_or_nearly_so(on_processes):
    def fail(count):
        errors = [ValueError(n) for n in range(count)]
        raise chain(*errors, *errors[:1]) if count == 3 else chain(*errors)

    for count, travel in ((3, 3), (5_000, causes.MOST)):
        with pytest.raises(StageError) as caught:
            (Feed() >> Processor(fail)).run([count], **on_processes)
        first, *_, last = told = chained(caught.value.__cause__)
        assert [error.args for error in told] == [(n,) for n in range(travel)]
        assert last.__cause__ is (first if count == 3 else None)


# -- too many --


def test_a_run_bears_as_many_failures_as_it_may(on):
    pipeline = Feed() >> Mod3().options(on_error="skip")
    assert len(pipeline.run(range(9), max_failures=3, **on)) == 6
    with pytest.raises(TooManyFailures, match=r"no [036]") as caught:
        pipeline.run(range(9), max_failures=2, **on)
    assert (caught.value.failures, caught.value.max_failures) == (3, 2)
    assert isinstance(caught.value.__cause__, StageError)


def test_a_run_bears_a_share_of_failures(on):
    pipeline = Feed() >> Mod3().options(on_error="skip")
    assert len(pipeline.run(range(9), max_failures=0.34, **on)) == 6
    with pytest.raises(TooManyFailures, match="3 of 9") as caught:
        pipeline.run(range(9), max_failures=0.33, **on)
    assert caught.value.items == 9


@pytest.mark.parametrize("limit", [10, 0.25])
def test_an_endless_stream_that_fails_too_often_ends(on, limit):
    outputs = (Numbers() >> Mod3().options(on_error="skip")).stream(max_failures=limit, **on)
    with pytest.raises(TooManyFailures):
        for _ in outputs:
            pass


def test_a_live_pipeline_counts_failures_anew_in_each_run(on):
    with (Feed() >> Mod3().options(on_error="skip")).open(**on) as live:
        for _ in range(3):
            assert live.run([0, 1], max_failures=1) == [1]
        with pytest.raises(TooManyFailures):
            live.run([0, 3], max_failures=1)
        assert live.run([0, 1], max_failures=0.5) == [1]


@pytest.mark.parametrize("limit", [-1, 1.0, 0.0, 1.5, True, "3", float("nan")])
def test_a_limit_that_is_none_is_refused(on, limit):
    with pytest.raises(UsageError, match="max_failures"):
        (Feed() >> same).run([1], max_failures=limit, **on)
    with pytest.raises(UsageError, match="max_failures"):
        (Feed() >> same).stream([1], max_failures=limit, **on)


# -- the laws --


class Failing(Processor[int, int]):
    """Fails on some items, some times, and gives some of them out before."""

    def __init__(self, failures):
        self.failures = failures
        self.tried = Counter()

    def process(self, item):
        for n in range(item % 3):
            yield item * 10 + n
        self.tried[item] += 1
        if self.tried[item] <= self.failures.get(item, 0):
            raise ValueError(item)


def outputs_of(item):
    return [item * 10 + n for n in range(item % 3)]


@settings(max_examples=15)
@given(
    st.dictionaries(st.integers(0, 40), st.integers(1, 4)),
    st.integers(0, 3),
    st.sampled_from(["skip", "dead_letter"]),
    st.sampled_from(list(ENGINES)),
)
def test_items_that_fail_are_tried_and_then_treated_as_the_policy_says(
    failures, retries, policy, engine
):
    items = range(41)
    lost = [item for item in items if failures.get(item, 0) > retries]
    careful = Failing(failures).options(retries=retries, on_error=policy)
    results = (Feed() >> same >> careful >> same.options(name="end")).run(items, **ENGINES[engine])

    assert results == [out for item in items if item not in lost for out in outputs_of(item)]
    letters = [(letter.stage, letter.item, letter.attempts) for letter in results.dead_letters]
    dead = policy == "dead_letter"
    assert letters == ([("failing", item, retries + 1) for item in lost] if dead else [])
    row = results.stats["failing"]
    assert row.items_in == 41
    assert (row.skipped, row.dead) == ((0, len(lost)) if dead else (len(lost), 0))
    assert row.retried == sum(min(times, retries) for times in failures.values())


@settings(max_examples=15)
@given(
    st.sets(st.integers(0, 30)),
    st.integers(0, 12),
    st.sampled_from(list(ENGINES)),
)
def test_a_run_ends_early_if_and_only_if_more_failed_than_it_may(failing, limit, engine):
    careful = Failing(dict.fromkeys(failing, 1)).options(on_error="skip")

    def run():
        return (Feed() >> careful).run(range(31), max_failures=limit, **ENGINES[engine])

    if len(failing) <= limit:
        assert run().stats.total.skipped == len(failing)
    else:
        with pytest.raises(TooManyFailures) as caught:
            run()
        assert caught.value.failures == limit + 1


# -- the account --


def test_outputs_that_get_lost_are_told_as_our_bug(on_processes, monkeypatch):
    take = sink.Sink.take

    def lossy(self):
        items, is_complete = take(self)
        return [item for item in items if item != 3], is_complete

    monkeypatch.setattr(sink.Sink, "take", lossy)
    with pytest.raises(AccountError, match="a bug in Conveyor") as caught:
        (Feed() >> same).run(range(5), **on_processes)
    assert caught.value.problems == ("output: 4 were given, but 5 came",)


def test_items_that_get_lost_between_elements_are_told_as_our_bug(monkeypatch):
    through = inline.Inline._through

    def lossy(self, edge, item):
        return iter(()) if item == 3 else through(self, edge, item)

    monkeypatch.setattr(inline.Inline, "_through", lossy)
    with pytest.raises(AccountError) as caught:
        (Feed() >> same >> same).run(range(5), engine="inline")
    assert caught.value.problems == ("abs: 4 items came in, but 5 were sent",)


def test_an_account_error_travels():
    error = AccountError(("one",), "table")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_too_many_failures_travels():
    error = TooManyFailures(3, 9, 0.3, "the last")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# -- files of dead letters --


def dead_letters():
    return (Feed() >> Mod3().options(on_error="dead_letter")).run(range(7)).dead_letters


def test_dead_letters_can_be_kept_in_a_file(tmp_path):
    letters = dead_letters()
    letters.save(tmp_path / "letters")
    loaded = DeadLetters.load(tmp_path / "letters")
    assert isinstance(loaded, DeadLetters)
    assert [(one.stage, one.item, one.attempts) for one in loaded] == [
        ("mod3", item, 1) for item in (0, 3, 6)
    ]
    assert [str(one.error) for one in loaded] == [str(one.error) for one in letters]
    assert list(tmp_path.iterdir()) == [tmp_path / "letters"]


def test_a_memoryview_in_a_file_of_dead_letters_stays_one(tmp_path):
    pipeline = Feed() >> Processor(int).options(on_error="dead_letter")
    pipeline.run([memoryview(b"abc")]).dead_letters.save(tmp_path / "letters")
    (letter,) = DeadLetters.load(tmp_path / "letters")
    assert isinstance(letter.item, memoryview)
    assert letter.item == b"abc"


def test_a_file_of_dead_letters_is_its_owners_only(tmp_path):
    dead_letters().save(tmp_path / "letters")
    assert (tmp_path / "letters").stat().st_mode & 0o777 == 0o600


def test_a_file_stays_as_it_is_where_another_cannot_be_written(tmp_path):
    path = tmp_path / "letters"
    dead_letters().save(path)
    before = path.read_bytes()
    error = StageError("locks", "<lock>", "ValueError", "")
    with pytest.raises(NotPicklable, match="locks"):
        DeadLetters([DeadLetter("locks", threading.Lock(), error, 1)]).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", ["missing", "taken"])
def test_a_file_that_cannot_be_written_is_told_by_the_name_it_was_given(folder, tmp_path):
    (tmp_path / "taken" / "file.svg").mkdir(parents=True)
    path = tmp_path / folder / "file.svg"
    results = Feed().run([1], engine="inline")
    for write in (results.dead_letters.save, results.draw, results.report):
        with pytest.raises(OSError, match=folder) as caught:
            write(path)
        assert str(caught.value).endswith(f": {str(path)!r}")
        assert list(path.parent.glob(".*")) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no dead letters"),
        (pickle.dumps([1]), "holds no dead letters"),
        (b"conveyor dead letters 99\nxyz", "another version"),
        (b"conveyor dead letters 1\n", "damaged"),
        (b"conveyor dead letters 1\n" + pickle.dumps([("a", b"no pickle", None, 1)]), "damaged"),
        (b"conveyor dead letters 1\n" + pickle.dumps(7), "damaged"),
    ],
)
def test_another_file_is_refused(tmp_path, content, told):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        DeadLetters.load(path)


# -- again --


def test_dead_letters_run_again_from_the_stage_where_they_failed(on):
    def broken(item):
        raise ValueError(item)

    def pipeline(step):
        return Feed() >> Processor(lambda n: n + 1) >> step >> Processor(lambda n: (n, "done"))

    letters = (
        pipeline(Processor(broken).options(on_error="dead_letter", name="step"))
        .run([1, 2], **on)
        .dead_letters
    )
    mended = pipeline(Processor(lambda n: n * 10).options(name="step"))
    results = mended.replay(letters)
    assert results == [(20, "done"), (30, "done")]
    assert results.stats["step"].items_in == results.stats.total.items_in == 2
    assert results.stats["lambda"].items_in == 0


def test_letters_of_several_stages_run_again_in_one_call(on):
    careful = Mod3().options(on_error="dead_letter")
    pipeline = Feed() >> careful >> Processor(lambda n: n * 3) >> careful
    letters = pipeline.run(range(3), **on).dead_letters
    assert Counter(one.stage for one in letters) == {"mod3": 1, "mod3.2": 2}
    again = pipeline.replay(letters)
    assert again == []
    assert sorted(one.item for one in again.dead_letters) == [0, 3, 6]


def test_only_what_letters_reach_is_set_up_and_finishes():
    ran = []

    class Loud(Processor):
        def __init__(self, name):
            self.name = name

        def setup(self):
            ran.append(self.name)

        def process(self, item):
            return item

        def finish(self):
            return self.name

    letter = DeadLetter("second", 7, StageError("second", "7", "ValueError", ""), 1)
    pipeline = (
        Feed()
        >> Loud("a").options(name="first")
        >> Loud("b").options(name="second")
        >> Loud("c").options(name="third")
    )
    assert pipeline.replay([letter]) == [7, "b", "c"]
    assert ran == ["b", "c"]


def test_a_pipeline_that_starts_with_a_source_replays_without_it():
    letter = DeadLetter("abs", -1, StageError("abs", "-1", "ValueError", ""), 1)
    assert (Numbers() >> same).replay([letter, letter]) == [1, 1]


def test_a_letter_from_a_branch_of_a_zip_is_left_out_by_it():
    letter = DeadLetter("mod3", 1, StageError("mod3", "1", "ValueError", ""), 1)
    results = (Feed() >> Mod3() * Pipe() & Join("zip")).replay([letter, letter])
    assert (results, results.stats["zip"].filtered) == ([], 2)


def test_letters_of_an_auto_fork_run_again():
    careful = Mod3().options(on_error="dead_letter")
    pipeline = Feed() >> careful % Auto(min=3)
    letters = pipeline.run(range(60)).dead_letters
    assert [one.stage for one in letters] == ["mod3"] * 20
    assert sorted(one.item for one in pipeline.replay(letters).dead_letters) == list(
        range(0, 60, 3)
    )


def test_replaying_does_not_change_the_letters():
    letter = DeadLetter("list", [1], StageError("list", "[1]", "ValueError", ""), 1)
    grow = Processor(lambda item: item.append(2)).options(name="list")
    (Feed() >> grow).replay([letter])
    assert letter.item == [1]


def test_a_letter_of_another_pipeline_is_refused():
    letter = DeadLetter("other", 1, StageError("other", "1", "ValueError", ""), 1)
    with pytest.raises(UsageError, match=r"'other'.*it has abs"):
        (Feed() >> same).replay([letter])
    with pytest.raises(UsageError, match="dead letters, not int"):
        (Feed() >> same).replay([3])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="an iterable of dead letters, not DeadLetter"):
        (Feed() >> same).replay(letter)  # type: ignore[arg-type]


def test_letters_are_replayed_inline():
    with pytest.raises(UsageError, match=r"'processes'.*from that stage on: \(stage >> rest\)"):
        (Feed() >> same).replay([], engine="processes")
