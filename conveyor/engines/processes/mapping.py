"""Mappings of a file in memory: thin, over the C library."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, lru_cache
from typing import Any


class Mapping:
    """A part of a file in memory, for as long as this object lives.

    Raises:
        OSError: there are no addresses left.
    """

    def __init__(self, fd: int, start: int, size: int, *, private: bool) -> None:
        import mmap

        self.start = start
        self.size = size
        self._address: int | None = None
        flags = (mmap.MAP_PRIVATE if private else mmap.MAP_SHARED) | _MAP_NORESERVE
        self._libc = _libc()
        address = self._libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, start)
        if address == _MAP_FAILED:
            raise OSError("mmap failed")
        self._address = address
        self.view = viewed(_array(size).from_address(address))
        """All of it; it does not keep the mapping alive."""

    def exported(self, start: int, size: int) -> Any:
        """An object with some of the bytes; whatever looks at them keeps it and this alive."""
        assert self._address is not None
        found = _array(size).from_address(self._address + start - self.start)
        found.mapping = self
        return found

    def place(self, address: int) -> int | None:
        """Where in the file an address is, or None where it is not in this mapping."""
        assert self._address is not None
        offset = address - self._address
        return self.start + offset if 0 <= offset < self.size else None

    def remove(self, start: int, size: int) -> None:
        """Give the memory of a place back."""
        assert self._address is not None
        self._libc.madvise(self._address + start - self.start, size, _MADV_REMOVE)

    def __del__(self) -> None:
        if self._address is not None:
            self._libc.munmap(self._address, self.size)


_MAP_NORESERVE = 0x4000
_MAP_FAILED = (1 << 64) - 1
_MADV_REMOVE = 9
_PUNCH_HOLE = 3


@cache
def _libc() -> Any:
    """The C library: a mapping of Python's keeps a descriptor open."""
    import ctypes  # late, since few pipelines need it, and it is slow to import

    libc = ctypes.CDLL(None)
    address, size = ctypes.c_void_p, ctypes.c_size_t
    number, offset = ctypes.c_int, ctypes.c_long
    libc.mmap.restype = address
    libc.mmap.argtypes = (address, size, number, number, number, offset)
    libc.munmap.argtypes = (address, size)
    libc.madvise.argtypes = (address, size, number)
    libc.fallocate.argtypes = (number, number, offset, offset)
    return libc


def punch_hole(fd: int, start: int, size: int) -> None:
    """Give back the memory behind a part of a memfd; it reads as zeros from then on.

    Where no descriptor is left to import what that needs, it stays, until the file is closed.
    """
    with suppress(OSError, ImportError):
        _libc().fallocate(fd, _PUNCH_HOLE, start, size)


@lru_cache
def _array(size: int) -> Any:
    import ctypes

    return ctypes.c_char * size


def viewed(exported: Any) -> memoryview:
    """The bytes of what :meth:`Mapping.exported` gave."""
    return memoryview(exported).cast("B")


def address_of(raw: memoryview) -> int:
    """Where in this process some bytes are."""
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(raw))
