"""The editable region of a file: between EVOLVE-BLOCK markers, or the whole file."""

from dataclasses import dataclass

START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


class MarkerError(ValueError):
    """Unpaired EVOLVE-BLOCK markers.

    Args:
        message: the problem
        line: line number, counted from 1
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Region:
    """A file and the line ranges of it that may change.

    Attributes:
        lines: the whole file, line ends kept
        blocks: editable ranges (first, last), counted from 0, `last` excluded
    """

    lines: tuple[str, ...]
    blocks: tuple[tuple[int, int], ...]

    def contains(self, start: int, end: int) -> bool:
        """Return whether one block contains the lines from `start` up to `end`.

        Args:
            start: first line, counted from 0
            end: line after the last one

        Returns:
            False also for a range that spans two blocks.
        """
        return any(first <= start and end <= last for first, last in self.blocks)

    @property
    def fixed(self) -> tuple[str, ...]:
        """The fixed parts: before, between and after the blocks, markers included."""
        edges = [0, *(edge for block in self.blocks for edge in block), len(self.lines)]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple("".join(self.lines[first:last]) for first, last in pairs)

    @property
    def text(self) -> str:
        """The editable text alone, blocks joined."""
        return "".join("".join(self.lines[first:last]) for first, last in self.blocks)


def split_lines(text: str) -> list[str]:
    """Split a text into lines, keeping line ends.

    Args:
        text: any text

    Returns:
        The lines. Only a line feed ends a line: a form feed or U+2028 is ordinary text.
    """
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def editable_region(text: str) -> Region:
    """Find the editable blocks of a file.

    Args:
        text: content of the file

    Returns:
        The region; without markers, the whole file is one block.

    Raises:
        MarkerError: the markers don't pair
    """
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
