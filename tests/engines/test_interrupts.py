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
