"""An item that takes too long: broken off, tried again, left out, or the end of the run."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
import time

import pytest

from conveyor import Feed, Processor, Source, StageError, StageTimeout
from tests.engines.engines import ENGINES

pytestmark = pytest.mark.quick

LONG = 60
"""Seconds that nothing in these tests takes, unless it is not broken off."""


@pytest.fixture(params=ENGINES)
def on(request):
    return ENGINES[request.param]


def hang(item):
    if item == 3:
        time.sleep(LONG)
    return item


def hang_and_carry_on(item):
    try:
        return hang(item)
    except BaseException:  # noqa: BLE001
        return "in the end"


def hang_and_raise(item):
    try:
        return hang(item)
    except BaseException:  # noqa: BLE001
        raise ValueError("broken off") from None


def hang_while_giving(item):
    yield item
    yield hang(item)


def hang_in_a_destructor(item):
    class Slow:
        def __del__(self):
            hang(item)

    Slow()
    return hang(item)


@pytest.mark.parametrize(
    "function", [hang, hang_and_carry_on, hang_and_raise, hang_while_giving, hang_in_a_destructor]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_item_that_takes_too_long_ends_the_run_and_is_named(on, function):
    slow = Processor(function).options(timeout=0.2, name="slow")
    with pytest.raises(StageTimeout, match=r"'slow' took longer than 0.2 s on item 3") as caught:
        slow.run(range(6), **on)
    assert (caught.value.stage, caught.value.item, caught.value.timeout) == ("slow", "3", 0.2)


def test_it_is_tried_again_and_then_set_aside_and_its_neighbours_live(on):
    slow = Processor(hang).options(timeout=0.1, retries=1, on_error="dead_letter")
    results = slow.run(range(6), **on)
    assert sorted(results) == [0, 1, 2, 4, 5]
    (letter,) = results.dead_letters
    assert (letter.item, letter.attempts, type(letter.error)) == (3, 2, StageTimeout)


def test_what_is_in_time_is_as_without(on):
    many = Processor(lambda item: [item] * item).options(timeout=LONG)
    assert many.run(range(5), ordered=True, **on) == [[n] * n for n in range(5)]


def test_a_failure_in_time_is_a_failure(on):
    with pytest.raises(StageError, match="ZeroDivisionError"):
        Processor(lambda item: 1 // item).options(timeout=LONG).run([0], **on)


def test_for_a_source_it_is_the_time_to_make_an_item(on):
    class Stalls(Source[int]):
        def generate(self):
            for item in itertools.count():
                yield hang(item)

    with pytest.raises(StageTimeout, match="to make an item") as caught:
        Stalls().options(timeout=0.2).run(**on)
    assert caught.value.item is None


@pytest.mark.parametrize("name", ["processes", "one process"])
def test_one_that_can_not_be_broken_off_has_its_worker_killed(name):
    def stuck(item):
        return sum(range(10**12)) if item == 3 else item  # runs no Python until it is done

    slow = Processor(stuck).options(timeout=0.1, name="slow")
    with pytest.raises(StageTimeout, match="its worker was killed") as caught:
        (Feed() >> Processor(abs) >> slow).run(range(6), **ENGINES[name])
    assert (caught.value.stage, caught.value.item, caught.value.timeout) == ("slow", "3", 0.1)


def test_what_it_prints_meanwhile_arrives_whole(capfd):
    def chat(item):
        for n in itertools.count():
            sys.stdout.write(f"line {n}\n")

    results = Processor(chat).options(timeout=0.2, on_error="skip").run(range(3))
    assert results == []
    numbers = [int(line.split()[1]) for line in capfd.readouterr().out.splitlines()]
    starts = [index for index, number in enumerate(numbers) if number == 0]
    assert len(starts) == 3
    assert all(after == before + 1 or after == 0 for before, after in itertools.pairwise(numbers))


def test_inline_an_alarm_of_the_caller_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert Processor(abs).options(timeout=LONG).run([-1], engine="inline") == [1]
        while not rung:
            signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_inline_in_another_thread_it_is_told_once_it_is_done():
    caught = []

    def work():
        slow = Processor(lambda item: time.sleep(0.2)).options(timeout=0.1)
        try:
            slow.run([1], engine="inline")
        except StageTimeout as error:
            caught.append(error.item)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught == ["1"]
