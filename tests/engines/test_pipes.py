"""The ends of a channel, on a real pipe: frames arrive whole, and credit goes back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from multiprocessing import Pipe

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.engines.processes.channel import FrameReceiver, FrameSender
from conveyor.engines.processes.poller import Poller
from conveyor.flow.batch import Frame, Scope
from conveyor.flow.credit import FRAMES, Credit
from conveyor.flow.route import LinkOut

SIZES = (0, 1, 100, 8 << 10, 40 << 10, (128 << 10) - 1, 130 << 10, 300 << 10)
"""Below, at and above what is read at once, and what is read straight to its place."""


@contextmanager
def channel(frames=FRAMES):
    """A sender, its credit, a receiver, what has arrived there, and a function that lets it."""
    upper, lower = Pipe()
    poller, arrived = Poller(), []
    leaf = LinkOut(0, Credit(frames=frames))
    sender = FrameSender(upper, poller, leaf)
    receiver = FrameReceiver(lower, poller, arrived.append)

    def deliver():
        while poller.wait(0):
            pass

    try:
        yield sender, leaf.credit, receiver, arrived, deliver
    finally:
        sender.close()
        receiver.close()


def frame_of(number, size):
    payload = bytes([number % 256]) * size
    scopes = (Scope(1, number, origins=[0] * number),) if number % 2 else ()
    return Frame((number * 2,), None, scopes=scopes, count=size, payload=payload or None)


def told(frame):
    return frame.path, frame.scopes, frame.count, bytes(frame.payload or b"")


@given(st.lists(st.tuples(st.sampled_from(SIZES), st.booleans()), max_size=12))
def test_frames_arrive_whole_and_in_order_whatever_their_size(plan):
    with channel() as (sender, _, _, arrived, deliver):
        frames = [frame_of(number, size) for number, (size, _) in enumerate(plan)]
        for frame, (_, at_once) in zip(frames, plan, strict=True):
            sender.send(frame)
            if at_once:
                deliver()
        deliver()
        assert list(map(told, arrived)) == list(map(told, frames))


def send(sender, credit, frames):
    for number in range(frames):
        sender.send(frame_of(number, 1))
        credit.send(1, 1)


@pytest.mark.parametrize("due", ["now", "done"])
def test_a_credit_that_is_due_goes_back_at_once_with_all_that_are_owed(due):
    with channel() as (sender, credit, receiver, _, deliver):
        send(sender, credit, 3)
        deliver()
        on_the_link = []
        for one in (due, "later", due):
            receiver.grant(0.001, one)
            deliver()
            on_the_link.append(credit.in_flight)
        assert on_the_link == [2, 2, 0]


def test_what_is_written_to_an_end_that_is_closed_goes_nowhere(tmp_path):
    with channel() as (sender, credit, receiver, _, deliver):
        send(sender, credit, 2)
        deliver()
        number = receiver.fd
        receiver.close()
        file = os.open(tmp_path / "of the user", os.O_CREAT | os.O_RDWR)
        if file != number:
            os.dup2(file, number)
            os.close(file)
        try:
            receiver.grant(0.001, "now")
            receiver.grant(0.001, "now")
        finally:
            os.close(number)
        assert (tmp_path / "of the user").read_bytes() == b""


def test_a_frame_that_is_refused_leaves_those_behind_it_whole():
    with channel() as (sender, credit, receiver, arrived, deliver):
        take, left = receiver._receive, [KeyboardInterrupt, ValueError]

        def refuse(frame):
            if left:
                raise left.pop()
            take(frame)

        receiver._receive = refuse
        send(sender, credit, FRAMES)
        for error in (ValueError, KeyboardInterrupt):
            with pytest.raises(error):
                deliver()
            send(sender, credit, 1)
        deliver()
        assert len(arrived) == FRAMES


def test_credits_that_nobody_waits_for_go_back_together():
    with channel() as (sender, credit, receiver, _, deliver):
        send(sender, credit, FRAMES)
        deliver()
        on_the_link = []
        for _ in range(FRAMES):
            receiver.grant(0.001, "later")
            deliver()
            on_the_link.append(credit.in_flight)
        assert on_the_link == [4, 2, 2, 0]
        assert credit.service > 0
