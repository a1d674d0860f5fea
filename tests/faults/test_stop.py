"""A worker is broken off where it is ready for that, and nowhere else."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from conveyor.engines.processes.stop import Stopped, StopSignal

pytestmark = pytest.mark.quick


@pytest.fixture
def stop():
    before, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    listening = StopSignal()
    listening.install()
    yield listening
    signal.signal(signal.SIGTERM, before)
    sys.unraisablehook = hook


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_breaks_off_what_is_armed(stop):
    went_on = []

    def work():
        with stop.armed():
            terminate()
            went_on.append(True)

    with pytest.raises(Stopped):
        work()
    assert not went_on


def test_while_a_worker_starts_it_waits_until_that_is_armed(stop):
    terminate()
    with pytest.raises(Stopped):
        stop.armed().__enter__()


def test_what_is_held_is_done_before(stop):
    done = []

    def say():
        with stop.armed(), stop.held():
            terminate()
            done.append("whole")

    with pytest.raises(Stopped):
        say()
    assert done == ["whole"]


def test_once_the_work_is_over_it_leaves_teardown_alone(stop):
    with stop.armed():
        pass
    terminate()
    with stop.held():
        assert stop.has_come


def test_one_that_comes_in_a_destructor_comes_again_and_is_told_to_nobody(stop, capsys):
    class Frail:
        def __del__(self):
            terminate()

    def work():
        with stop.armed():
            Frail()
            time.sleep(60)

    with pytest.raises(Stopped):
        work()
    assert capsys.readouterr().err == ""


def test_what_else_fails_in_a_destructor_is_still_told(stop, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    stop.install()

    class Frail:
        def __del__(self):
            raise ValueError

    Frail()
    assert [type(one.exc_value) for one in told] == [ValueError]
