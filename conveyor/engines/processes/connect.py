"""How actors get the ends of their channels, in a worker process and in the caller's."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from conveyor.engines.processes.channel import FrameReceiver, FrameSender, LocalChannel
from conveyor.engines.processes.durable import Bell, DurableReceiver, DurableSender
from conveyor.engines.processes.log import Log
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.poller import Poller
from conveyor.engines.processes.restartable import RestartableActor


def use(memory: Memory, actor: Any) -> None:
    """Let the large items of an actor go through shared memory."""
    if hasattr(actor, "way_in"):
        actor.way_in.memory = memory
    if hasattr(actor, "way_out"):
        actor.way_out.use(memory)


def connect_upper(
    actor: Any, channel: int, connection: Connection, log: Log | None, poller: Poller
) -> Any:
    """Let ``actor`` send by a pipe, in place of one whose other end is gone."""
    if (before := actor.way_out.ends.get(channel)) is not None:
        before.close()
    leaf = _leaf(actor, channel)
    if log is None:
        end: Any = FrameSender(connection, poller, leaf)
    else:
        publishes = not isinstance(actor, RestartableActor)
        end = DurableSender(log, Bell(connection, poller), leaf, publishes=publishes)
    actor.way_out.ends[channel] = end
    return end


def connect_lower(
    actor: Any, channel: int, connection: Connection, log: Log | None, poller: Poller
) -> Any:
    """Let ``actor`` receive by a pipe, in place of one whose other end is gone."""
    if (before := actor.way_in.ends.get(channel)) is not None:
        before.drain()
    receive = partial(actor.way_in.receive, channel)
    if log is None:
        end: Any = FrameReceiver(connection, poller, receive)
    else:
        keeps = isinstance(actor, RestartableActor)
        bell = Bell(connection, poller)
        end = DurableReceiver(log, bell, channel=channel, receive=receive, keeps=keeps)
    actor.way_in.attach(channel, end)
    return end


def connect_locally(sender: Any, receiver: Any, channel: int) -> None:
    """Let two actors of one process hand frames over."""
    end = LocalChannel(_leaf(sender, channel), partial(receiver.way_in.receive, channel))
    sender.way_out.attach_local(channel, end)
    receiver.way_in.attach(channel, end)


def _leaf(actor: Any, channel: int) -> Any:
    return next(leaf for leaf in actor.way_out.outlet.leaves if leaf.link == channel)
