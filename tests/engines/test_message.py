"""Control connections: messages with descriptors, and what becomes of those that nobody takes."""

from __future__ import annotations

import os
from multiprocessing import Pipe
from pathlib import Path

import pytest

from conveyor.engines.processes.message import MessageEnd
from conveyor.engines.processes.poller import Poller

pytestmark = pytest.mark.quick


@pytest.fixture
def ends():
    """The two ends of a control connection, what comes to the second one, and its poller."""
    poller, came = Poller(), []
    one, two = Pipe()
    sender = MessageEnd(one, came.append, Poller())
    receiver = MessageEnd(two, came.append, poller)
    yield sender, receiver, came, poller
    sender.close()
    receiver.close()


def pipes(count):
    """Pipes that each hold their own number; their lower ends."""
    found = []
    for number in range(count):
        lower, upper = os.pipe()
        os.write(upper, str(number).encode())
        os.close(upper)
        found.append(lower)
    return found


def taken(receiver, count):
    fds = [receiver.fds.popleft() for _ in range(count)]
    numbers = [int(os.read(fd, 9)) for fd in fds]
    assert not any(map(os.get_inheritable, fds))
    for fd in fds:
        os.close(fd)
    return numbers


@pytest.mark.parametrize("count", [0, 1, 200, 450])
def test_descriptors_come_with_their_message_and_in_order(ends, count):
    sender, receiver, came, poller = ends
    sender.send(["before"])
    sender.send(["it", "x" * 500_000], pipes(count))
    sender.send(["behind"], pipes(1))
    while len(came) < 2:
        sender.flush()
        poller.wait(None)
    assert came[1][0] == "it"
    assert taken(receiver, count) == list(range(count))
    while len(came) < 3:
        sender.flush()
        poller.wait(None)
    assert taken(receiver, 1) == [0]


def test_descriptors_that_can_not_be_sent_are_closed(ends):
    sender, receiver, _, _ = ends
    receiver.close()
    held = len(list(Path("/proc/self/fd").iterdir()))
    sender.send(["it"], pipes(3))
    assert len(list(Path("/proc/self/fd").iterdir())) == held


def test_a_message_whose_receiver_is_broken_off_comes_once():
    came, poller = [], Poller()

    def receive(message):
        came.append(message)
        if message == ["first"]:
            raise KeyboardInterrupt

    one, two = Pipe()
    sender, receiver = MessageEnd(one, came.append, Poller()), MessageEnd(two, receive, poller)
    sender.send(["first"])
    with pytest.raises(KeyboardInterrupt):
        poller.wait(None)
    sender.send(["second"])
    sender.close()
    receiver.read_all()
    receiver.close()

    assert came == [["first"], ["second"], None]
