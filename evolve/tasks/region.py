"""The editable region of a file: between EVOLVE-BLOCK markers, or all of it where there are none."""

from __future__ import annotations

from dataclasses import dataclass

START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


class MarkerError(ValueError):
    """Markers that don't pair; `line` is counted from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Region:
    """Line ranges (from 0, end exclusive) of a file that may change."""

    lines: tuple[str, ...]  # the whole file, line ends kept
    blocks: tuple[tuple[int, int], ...]

    def contains(self, start: int, end: int) -> bool:
        """True when the lines from `start` up to `end` all lie in one block."""
        return any(first <= start and end <= last for first, last in self.blocks)

    @property
    def fixed(self) -> tuple[str, ...]:
        """What must stay: the pieces before, between and behind the blocks, markers included."""
        edges = [0, *(edge for block in self.blocks for edge in block), len(self.lines)]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple("".join(self.lines[first:last]) for first, last in pairs)

    @property
    def text(self) -> str:
        """The editable text alone, blocks joined."""
        return "".join("".join(self.lines[first:last]) for first, last in self.blocks)


def split_lines(text: str) -> list[str]:
    """Lines with their ends. Only a line feed ends one: a form feed or U+2028 is text like any other."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def editable_region(text: str) -> Region:
    """Find the blocks of a file. Raises `MarkerError`."""
    lines = tuple(split_lines(text))
    blocks: list[tuple[int, int]] = []
    opened: int | None = None
    for number, line in enumerate(lines):
        if START in line:
            if opened is not None:
                raise MarkerError(f"a second {START} before {END}", number + 1)
            opened = number + 1
        elif END in line:
            if opened is None:
                raise MarkerError(f"{END} without {START}", number + 1)
            blocks.append((opened, number))
            opened = None
    if opened is not None:
        raise MarkerError(f"{START} without {END}", opened)
    return Region(lines, tuple(blocks) or ((0, len(lines)),))
