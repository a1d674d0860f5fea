"""Ctrl-C waits where it would leave something half done, for no longer than that."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from conveyor.engines.processes.interrupts import interrupts_held
from tests.faults.scripts import run


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_until_what_is_inside_is_done():
    done = []

    def work():
        with interrupts_held():
            with interrupts_held():
                interrupt()
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_fails_inside_is_told_along_with_ctrl_c():
    def fail():
        with interrupts_held():
            interrupt()
            raise ValueError("inside")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_another_thread_has_nothing_to_hold():
    told = []

    def hold():
        with interrupts_held():
            told.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert told == [signal.default_int_handler]


class TooLong(Exception):
    """A limit of time has passed."""


@pytest.fixture
def limit():
    """What a limit of time is made of; it raises."""

    def raises(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, raises)
    yield raises
    signal.signal(signal.SIGALRM, before)


def test_any_handler_waits(limit):
    done = []

    def work():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGALRM)
            done.append("inside")

    with pytest.raises(TooLong):
        work()
    assert done == ["inside"]
    assert signal.getsignal(signal.SIGALRM) is limit


def test_all_that_came_is_handed_on_though_a_handler_raises(limit):
    came = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))

    def work():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGALRM)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert came == []

    try:
        with pytest.raises(TooLong):
            work()
        assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_limit_of_time_leaves_nothing(tmp_path):
    ended = run(
        tmp_path,
        """
        import gc, random

        class TooLong(Exception):
            pass

        def limit(*_):
            raise TooLong

        def descriptors_soon():
            gc.collect()
            until = time.monotonic() + 20
            while descriptors() > before and time.monotonic() < until:
                time.sleep(0.05)
            return descriptors()

        signal.signal(signal.SIGALRM, limit)
        pipeline = Processor(note) >> Processor(note) % 2
        pipeline.run(range(3))
        before, told, random.seed = descriptors(), set(), 4
        for _ in range(60):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.05))
                    pipeline.run(range(100))
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Exception as error:
                told.add(type(error).__name__)
        print(told, descriptors_soon() - before)
        """,
    )
    # Where it has raised in a destructor, Python tells of that, and nobody can help it.
    assert (ended.out, ended.left) == ("{'TooLong'} 0\n", [])


@pytest.mark.parametrize("number", range(1, 7))
def test_ctrl_c_as_a_pipe_is_made_for_a_worker_leaves_nothing(tmp_path, number):
    ended = run(
        tmp_path,
        f"""
        made, pipe = itertools.count(1), os.pipe

        def interrupted():
            ends = pipe()
            if next(made) == {number}:
                os.kill(os.getpid(), signal.SIGINT)
            return ends

        pipeline = Processor(note) >> Processor(note) >> Processor(note)
        pipeline.run([1])
        before = descriptors()
        os.pipe = interrupted
        try:
            pipeline.run([1])
        except KeyboardInterrupt:
            print("told", descriptors() - before)
        os.pipe = pipe
        print(pipeline.run([1]))
        """,
    )
    assert (ended.out, ended.err, ended.left) == ("told 0\n[1]\n", "", [])
