"""What workers print costs little, and is safe from what breaks off their code."""

from __future__ import annotations

import signal
from contextlib import contextmanager

import pytest

from conveyor.engines.processes import output, stop
from conveyor.engines.processes.stop import StopSignal

pytestmark = pytest.mark.quick


class Overdue(BaseException):
    """What the alarm raises."""


@pytest.fixture
def alarm():
    """How often the alarm has rung, in a list; it raises."""
    rung = []

    def ring(number, _):
        rung.append(number)
        raise Overdue

    before = signal.signal(signal.SIGALRM, ring)
    yield rung
    signal.signal(signal.SIGALRM, before)


def test_the_pieces_of_a_line_are_taken_without_holding_anything_back():
    held, came = [], []

    @contextmanager
    def hold():
        held.append(len(came))
        yield

    stream = output._opened(1, "<stdout>", lambda *line: came.append(line[2]), hold)
    print("line", 1, 2, file=stream)
    print("begun", end=" ", file=stream)
    print("and", "ended", file=stream)

    assert came == ["line 1 2\n", "begun and ended\n"]
    assert held == [0, 1]


def test_an_alarm_waits_until_all_that_is_held_is_done(alarm):
    held = StopSignal().held

    def ring():
        with held():
            with held():
                signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGALRM)
            assert not alarm

    with pytest.raises(Overdue):
        ring()
    assert len(alarm) == 1


def test_an_alarm_that_comes_just_before_leaves_nothing_held(alarm, monkeypatch):
    worker = StopSignal()

    def set_mask(how, mask):
        before = signal.pthread_sigmask(how, mask)
        if how == signal.SIG_BLOCK:
            raise Overdue
        return before

    monkeypatch.setattr(stop, "_set_mask", set_mask)
    with pytest.raises(Overdue), worker.held():
        pass
    assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    worker.has_come = True
    with pytest.raises(stop.Stopped), worker.armed():
        pass
