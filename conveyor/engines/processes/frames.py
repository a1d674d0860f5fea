"""Frames and credits as they go through pipes."""

from __future__ import annotations

import marshal
import struct
from itertools import starmap

from conveyor.flow.batch import Frame, Scope

HEADER = struct.Struct("<QII")
"""Bytes of the payload, bytes of the address, number of items."""

CREDIT = struct.Struct("<Bf")
"""Frames taken into work, and the seconds per item that they take from there on."""


def frame_head(frame: Frame) -> bytes:
    """The header and the address of a frame; its payload follows."""
    scopes = tuple(map(tuple, frame.scopes))
    address = marshal.dumps((frame.path, frame.end, scopes))
    size = 0 if frame.payload is None else len(frame.payload)
    return HEADER.pack(size, len(address), frame.count) + address


def frame_of(address: bytes, count: int, payload: bytes | bytearray) -> Frame:
    """The frame that :func:`frame_head` described."""
    path, end, scopes = marshal.loads(address)
    return Frame(
        path,
        None if count else [],
        scopes=tuple(starmap(Scope, scopes)),
        end=end,
        count=count,
        payload=payload if count else None,
    )
