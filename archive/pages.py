"""Rows of a damaged SQLite file, read page by page where SQL can't.

A leaf page of a table holds whole rows; long values go on in a chain of
overflow pages. Each page is read by itself, so a damaged one costs its own rows only. The
format is described in https://sqlite.org/fileformat2.html.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Value = int | float | str | bytes | None
_TABLE_LEAF, _TABLE_INNER, _INDEX_LEAF, _INDEX_INNER = 13, 5, 10, 2
_FILE_HEADER_BYTES = 100
_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_SHARE = 0.3  # of the size that fits best
_WAL_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_WAL_MAGIC = {0x377F0682: "little", 0x377F0683: "big"}
_MOST_COLUMNS = 100


class Cell(NamedTuple):
    """A row as it was found.

    Attributes:
        page: Number of its page, from 1.
        rowid: Its number in the table.
        columns: Number of its columns.
        values: Their values; those that can't be read are missing at the end.
    """

    page: int
    rowid: int
    columns: int
    values: tuple[Value, ...]


class Unreadable(Exception):
    """Bytes that are not a valid part of a database."""


class Pages:
    """The pages of a database, with those of its write-ahead log in their place.

    Args:
        path: The file.

    Raises:
        OSError: It can't be read.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.size = self._page_size(data)
        self._pages = {
            number + 1: data[start : start + self.size]
            for number, start in enumerate(range(0, len(data), self.size))
        }
        log = Path(f"{path}-wal")
        if log.is_file():
            self._pages |= dict(_frames(log.read_bytes(), self.size))

    @staticmethod
    def _page_size(data: bytes) -> int:
        """Return the size of a page, which does not rely on the header."""

        def share(size: int) -> float:
            starts = range(size, len(data) - 8, 2 * size)
            fitting = sum(_is_leaf(data[start : start + size]) for start in starts)
            return fitting / max(1, len(starts))

        # odd multiples of a smaller size are the middle of pages
        shares = {size: share(size) for size in _SIZES}
        enough = _SHARE * max(shares.values())
        return next(size for size in _SIZES if shares[size] >= enough)

    def leaves(self) -> Iterator[int]:
        """Yield the numbers of the pages that look like leaves of tables."""
        yield from (n for n, page in sorted(self._pages.items()) if _is_leaf(page))

    def reachable(self, root: int) -> set[int]:
        """Return the pages of a tree, as far as its inner pages can be read.

        Args:
            root: Number of its first page.
        """
        found: set[int] = set()
        ahead = [root]
        while ahead:
            number = ahead.pop()
            page = self._pages.get(number)
            if page is None or number in found:
                continue
            found.add(number)
            start = _FILE_HEADER_BYTES if number == 1 else 0
            if page[start] in (_TABLE_INNER, _INDEX_INNER):
                ahead += _children(page, start)
        return found

    def free(self) -> set[int]:
        """Return the pages that hold nothing any more, as far as their list is whole."""
        found: set[int] = set()
        first = self._pages.get(1, b"")
        trunk, total = (int.from_bytes(first[i : i + 4], "big") for i in (32, 36))
        while trunk in self._pages and trunk not in found:
            found.add(trunk)
            page = self._pages[trunk]
            count = min(int.from_bytes(page[4:8], "big"), self.size // 4 - 2)
            found |= {
                int.from_bytes(page[8 + 4 * i : 12 + 4 * i], "big")
                for i in range(count)
            }
            trunk = int.from_bytes(page[:4], "big")
        return found if len(found) == total else set()

    def cells(self, number: int) -> Iterator[Cell]:
        """Yield the rows of a leaf page that can be read.

        Args:
            number: Number of the page.
        """
        page = self._pages[number]
        start = _FILE_HEADER_BYTES if number == 1 else 0
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        for index in range(min(count, self.size // 4)):
            place = start + 8 + 2 * index
            try:
                yield self._cell(number, int.from_bytes(page[place : place + 2], "big"))
            except (Unreadable, IndexError):
                continue

    def _cell(self, number: int, place: int) -> Cell:
        page = self._pages[number]
        if not 8 < place < self.size:
            raise Unreadable
        length, place = _varint(page, place)
        rowid, place = _varint(page, place)
        if not 2 <= length < len(self._pages) * self.size:
            raise Unreadable
        payload = self._payload(page, place, length)
        kinds, start = _kinds(payload)
        values = tuple(_values(payload, kinds, start))
        return Cell(number, _signed(rowid), len(kinds), values)

    def _payload(self, page: bytes, place: int, length: int) -> bytes:
        """Return a row's bytes; fewer if its overflow pages are damaged."""
        most, least = self.size - 35, (self.size - 12) * 32 // 255 - 23
        if length <= most:
            return page[place : place + length]
        local = least + (length - least) % (self.size - 4)
        local = local if local <= most else least
        pieces, left = [page[place : place + local]], length - local
        following = int.from_bytes(page[place + local : place + local + 4], "big")
        seen: set[int] = set()
        while left > 0 and following in self._pages and following not in seen:
            seen.add(following)
            more = self._pages[following]
            pieces.append(more[4 : 4 + min(left, self.size - 4)])
            left -= len(pieces[-1])
            following = int.from_bytes(more[:4], "big")
        return b"".join(pieces)


def _is_leaf(page: bytes) -> bool:
    """Return whether the header of a page is that of a table's leaf."""
    if len(page) < 8 or page[0] != _TABLE_LEAF:
        return False
    count, content = (int.from_bytes(page[i : i + 2], "big") for i in (3, 5))
    return 0 < count <= len(page) // 4 and (content or 65536) >= 8 + 2 * count


def _children(page: bytes, start: int) -> Iterator[int]:
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for index in range(min(count, len(page) // 6)):
        place = start + 12 + 2 * index
        cell = int.from_bytes(page[place : place + 2], "big")
        yield int.from_bytes(page[cell : cell + 4], "big")
    yield int.from_bytes(page[start + 8 : start + 12], "big")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of one to nine bytes, and the place after it."""
    found = 0
    for index in range(8):
        byte = data[place + index]
        found = found << 7 | byte & 0x7F
        if byte < 0x80:
            return found, place + index + 1
    return found << 8 | data[place + 8], place + 9


def _signed(number: int, size_bytes: int = 8) -> int:
    return number - (1 << 8 * size_bytes) if number >> 8 * size_bytes - 1 else number


_SIZE_OF = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}


def _kinds(payload: bytes) -> tuple[list[int], int]:
    """Return the kinds of a row's columns, and the place of the first value."""
    end, place = _varint(payload, 0)
    kinds: list[int] = []
    while place < end and len(kinds) < _MOST_COLUMNS:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    if place != end or any(kind in (10, 11) for kind in kinds):
        raise Unreadable
    return kinds, place


def _values(payload: bytes, kinds: list[int], place: int) -> Iterator[Value]:
    """Yield the columns of a row until its bytes end."""
    for kind in kinds:
        size = _SIZE_OF[kind] if kind < 12 else (kind - 12) // 2
        data = payload[place : place + size]
        if len(data) < size:
            return
        yield _value(kind, data)
        place += size


def _value(kind: int, data: bytes) -> Value:
    if kind in (0, 8, 9):
        return {0: None, 8: 0, 9: 1}[kind]
    if kind == 7:
        number: float = struct.unpack(">d", data)[0]
        return number
    if kind < 7:
        return int.from_bytes(data, "big", signed=True)
    if kind % 2 == 0:
        return data
    return data.decode("utf-8", "replace")


def _frames(log: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a write-ahead log that belong to a finished transaction."""
    order = _WAL_MAGIC.get(int.from_bytes(log[:4], "big"))
    if order is None:
        return
    salt, before = log[16:24], log[24:32]
    waiting: list[tuple[int, bytes]] = []
    step = _FRAME_HEADER_BYTES + size
    for start in range(_WAL_HEADER_BYTES, len(log) - step + 1, step):
        head = log[start : start + _FRAME_HEADER_BYTES]
        page = log[start + _FRAME_HEADER_BYTES : start + step]
        if head[8:16] != salt:  # of an earlier round, or damaged
            before = head[16:24]
            continue
        if _checksum(head[:8] + page, before, order) == head[16:24]:
            waiting.append((int.from_bytes(head[:4], "big"), page))
        before = head[16:24]
        if any(head[4:8]):  # the end of a transaction
            yield from waiting
            waiting = []


def _checksum(data: bytes, before: bytes, order: str) -> bytes:
    sign = "<" if order == "little" else ">"
    words = struct.unpack(f"{sign}{len(data) // 4}I", data)
    first, second = struct.unpack(">2I", before)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return struct.pack(">2I", first, second)
