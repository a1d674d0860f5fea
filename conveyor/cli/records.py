"""Items in files: as lines, as JSON lines, as CSV. One at a time, as they come."""

from __future__ import annotations

import csv
import json
import os
import re
import select
from codecs import getincrementaldecoder
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from conveyor.engines.arriving import Arriving

_CHUNK = 1 << 16


class RecordError(Exception):
    """A record can't be read, or an output can't be written."""


@dataclass(frozen=True, slots=True)
class Format:
    """How items stand in a file.

    Attributes:
        help: what an item is, in a few words.
        read: gives the items of lines, each as soon as its last line is there. Errors call the
            file by the name that is given.
        write: gives what to write for each item, in turn.
    """

    help: str
    read: Callable[[Iterable[str], str], Iterator[Any]]
    write: Callable[[Iterable[Any]], Iterator[str]]


# -- lines --


def _read_lines(lines: Iterable[str], _file: str) -> Iterator[str]:
    for line in lines:
        yield line.removesuffix("\n").removesuffix("\r")


def _write_lines(items: Iterable[Any]) -> Iterator[str]:
    for item in items:
        try:
            text = f"{item}\n"
        except Exception as error:  # noqa: BLE001 - a text is made by the item, which is the user's
            raise _unwritable(error) from None
        yield _checked(text)


_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Half a letter, which UTF-8 has no bytes for. The others stand for bytes that are no UTF-8."""


def _checked(text: str) -> str:
    """A text that is seen to be one which can be written."""
    if not text.isascii() and (half := _HALF.search(text)) is not None:
        raise RecordError(
            f"an output can't be written: {half[0]!a} in it is half a letter\n"
            "  write --output-format jsonl, or let the last processor leave it out"
        )
    return text


def _unwritable(error: Exception) -> RecordError:
    return RecordError(
        f"an output can't be written, since its text can't be made: {type(error).__name__}: {error}"
    )


# -- JSON lines --


def _read_json(lines: Iterable[str], file: str) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            try:
                item = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RecordError(f"line {number} of {file} is no JSON: {error}") from None
            yield item


def _write_json(items: Iterable[Any]) -> Iterator[str]:
    for item in items:
        try:
            text = json.dumps(item, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordError(
                f"an output can't be written as JSON: {error}\n"
                "  let the last processor give plain values, or write --output-format lines"
            ) from None
        yield f"{text if text.isascii() else _HALF.sub(_escaped, text)}\n"


def _escaped(half: re.Match[str]) -> str:
    return f"\\u{ord(half[0]):04x}"


# -- CSV --


_LONGEST_FIELD = 16 << 20
"""Characters of a field: more than a text has that is meant. A quote that is never closed would
take all the rest of a file."""


def _read_csv(lines: Iterable[str], file: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LONGEST_FIELD)  # of the whole process, which is the command's
    reader = csv.DictReader(lines, strict=True)
    try:
        columns = Counter(reader.fieldnames or ())
        if twice := [column for column, count in columns.items() if count > 1]:
            raise RecordError(
                f"the header of {file} names {', '.join(map(repr, twice))} more than once: an item "
                "is a dict, which keeps one of them; give each column a name of its own"
            )
        for row in reader:
            if None in row or None in row.values():
                raise RecordError(
                    f"line {reader.line_num} of {file} has not as many fields as the header"
                )
            yield row
    except csv.Error as error:
        raise RecordError(f"{file} is no CSV behind line {reader.line_num}: {error}") from None


class _Echo:
    """What a csv writer writes to, and gives back."""

    def write(self, text: str) -> str:
        return f"{text.removesuffix(_END)}\n"


_END = "\r\n"
"""The end of a row to a csv writer: some versions quote a field for what is in here alone."""


def _write_csv(items: Iterable[Any]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo(), lineterminator=_END)
    header: list[object] | None = None
    for item in items:
        if isinstance(item, Mapping):
            row = cast("Mapping[object, object]", item)
            if header is None:
                header = list(row)
                yield _row(writer, header)
            if set(row) != set(header):
                raise RecordError(
                    f"an output has the fields {', '.join(map(str, row))}, but the first one had "
                    f"{', '.join(map(str, header))}: rows of CSV have the same fields"
                )
            yield _row(writer, [row[name] for name in header])
        elif isinstance(item, (list, tuple)):
            yield _row(writer, cast("Iterable[object]", item))
        else:
            yield _row(writer, [item])


def _row(writer: Any, values: Iterable[object]) -> str:
    try:
        text: str = writer.writerow(values)
    except Exception as error:  # noqa: BLE001 - as of lines
        raise _unwritable(error) from None
    return _checked(text)


FORMATS: Mapping[str, Format] = {
    "lines": Format("an item is a line, without its end", _read_lines, _write_lines),
    "jsonl": Format("an item is the JSON value of a line", _read_json, _write_json),
    "csv": Format("an item is a dict of a row, named by the header", _read_csv, _write_csv),
}


# -- as they come --


class Items(Arriving[Any]):
    """The items of a file.

    Args:
        form: how they stand in it.
        fd: its descriptor, which is read and not closed.
        name: what errors call it.
    """

    def __init__(self, form: Format, fd: int, name: str) -> None:
        self._lines = _Lines(fd)
        self._items = form.read(self._lines, name)

    def __next__(self) -> Any:
        return next(self._items)

    def is_ready(self) -> bool:
        """Whether a line is there, or the end."""
        return self._lines.is_ready()

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._lines.fd


class _Lines(Iterator[str]):
    """The lines of a file, with their ends, without a byte order mark, which spreadsheets write.

    What is no UTF-8 passes as it is.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._decode = getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self._whole: deque[str] = deque()
        self._partial: list[str] = []
        self._has_ended = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def __next__(self) -> str:
        while not (self._whole or self._has_ended):
            self._poll.poll()  # it may be set not to block
            self._read()
        if not self._whole:
            raise StopIteration
        return self._whole.popleft()

    def is_ready(self) -> bool:
        while not (self._whole or self._has_ended) and self._poll.poll(0):
            self._read()
        return bool(self._whole) or self._has_ended

    def _read(self) -> None:
        data = os.read(self.fd, _CHUNK)
        self._has_ended = not data
        lines, end, rest = self._decode(data, not data).rpartition("\n")
        if end:
            self._whole.extend(f"{line}\n" for line in "".join([*self._partial, lines]).split("\n"))
            self._partial.clear()
        self._partial.append(rest)
        if self._has_ended and (last := "".join(self._partial)):
            self._whole.append(last)
