"""`evolve plot`: scores and the best so far, over variants, dollars or time.

The plot is text or a picture.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from evolve.archive import Browser
from evolve.errors import PrerequisiteError, UsageError
from evolve.runs.reader import OpenRun
from evolve.view.web.payload import Payload, curve_payload

AXES = {"variants": "n", "cost": "usd", "time": "t"}
_UNITS = {"variants": "variants", "cost": "dollars", "time": "seconds"}
FORMATS = (".png", ".svg", ".pdf")


class Axes(NamedTuple):
    """The visible range of both axes."""

    left: float
    right: float
    low: float
    high: float


def curves(run: OpenRun) -> Payload:
    """Return the columns of the plot.

    Args:
        run: the open run

    Returns:
        As `curve_payload` returns them.
    """
    return curve_payload(Browser(run.archive).nodes(), run.task.spec.maximize)


def text_plot(
    data: Payload, over: str, maximize: bool, width: int, height: int
) -> Text:
    """Draw scores as dots and the best so far as a line, in braille.

    Args:
        data: columns from `curves`
        over: a key of `AXES`
        maximize: whether a higher score is better
        width: columns of the terminal
        height: rows of the terminal

    Returns:
        The plot; each character has two by four dots.
    """
    xs = data[AXES[over]]
    if not any(best is not None for best in data["best"]):
        return Text("nothing is scored yet")
    frame, label = _frame(xs, data, maximize), 11
    columns, rows = max(20, width - label - 1), max(4, height - 2)
    dots, line = _Canvas(columns, rows, frame), _Canvas(columns, rows, frame)
    for x, score in zip(xs, data["score"], strict=True):
        if score is not None and frame.low <= score <= frame.high:
            dots.point(x, score)
    _step(line, xs, data["best"])
    picture = Text()
    for row in range(rows):
        value = frame.high if row == 0 else frame.low if row == rows - 1 else None
        picture.append(
            f"{'' if value is None else f'{value:.6g}':>{label - 1}} ", style="dim"
        )
        for column in range(columns):
            if line.holds(row, column):
                picture.append(line.letter(row, column), style="bold yellow")
            else:
                picture.append(dots.letter(row, column), style="cyan")
        picture.append("\n")
    ends = f"{frame.left:.6g}", f"{frame.right:.6g} {_UNITS[over]}"
    gap = " " * max(1, columns - len(ends[0]) - len(ends[1]))
    return picture.append(" " * label + ends[0] + gap + ends[1], style="dim")


def check_pictures() -> None:
    """Check that pictures can be drawn.

    Raises:
        PrerequisiteError: matplotlib is not installed
    """
    if find_spec("matplotlib") is None:
        raise PrerequisiteError(
            "matplotlib, which draws pictures, is not installed",
            "pip install matplotlib",
        )


def picture_plot(
    data: Payload, over: str, maximize: bool, title: str, path: Path
) -> None:
    """Write a picture of the plot.

    Args:
        data: columns from `curves`
        over: a key of `AXES`
        maximize: whether a higher score is better
        title: above the plot
        path: .png, .svg or .pdf

    Raises:
        UsageError: another format, or the file can't be written
        PrerequisiteError: matplotlib is not installed
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"invalid picture file '{path}'", "use .png, .svg or .pdf")
    check_pictures()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    xs, frame = data[AXES[over]], _frame(data[AXES[over]], data, maximize)
    known = [(x, y) for x, y in zip(xs, data["score"], strict=True) if y is not None]
    axes.scatter(
        [x for x, _ in known],
        [y for _, y in known],
        s=7,
        alpha=0.4,
        color="#0b6e6e",
        linewidths=0,
        label="variants",
    )
    axes.step(
        xs,
        [float("nan") if b is None else b for b in data["best"]],
        where="post",
        lw=2,
        color="#c77d00",
        label="best so far",
    )
    room = (frame.high - frame.low) * 0.05 or 1.0
    axes.set_ylim(frame.low - room, frame.high + room)
    axes.set(xlabel=_UNITS[over], ylabel="score", title=title.replace("$", r"\$"))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror}", "choose another place"
        ) from None


class _Canvas:
    """A grid of braille characters of two by four dots: U+2800 plus one bit per dot."""

    BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))

    def __init__(self, columns: int, rows: int, frame: Axes) -> None:
        self.columns, self.rows, self.frame = columns, rows, frame
        self._bits = [[0] * columns for _ in range(rows)]

    def point(self, x: float, y: float) -> None:
        """Set the dot for a point of the plane."""
        frame = self.frame
        across = _share(x, frame.left, frame.right) * (2 * self.columns - 1)
        down = (1 - _share(y, frame.low, frame.high)) * (4 * self.rows - 1)
        self.dot(round(across), round(down))

    def dot(self, across: int, down: int) -> None:
        """Set a dot by its column and row."""
        self._bits[down // 4][across // 2] |= self.BITS[down % 4][across % 2]

    def holds(self, row: int, column: int) -> bool:
        return self._bits[row][column] > 0

    def letter(self, row: int, column: int) -> str:
        bits = self._bits[row][column]
        return chr(0x2800 + bits) if bits else " "


def _step(canvas: _Canvas, xs: list[float], bests: list[float | None]) -> None:
    """Draw the best so far as a step curve.

    Each column shows the best value at its right end; steps are joined by vertical
    lines.
    """
    frame, wide, tall = canvas.frame, 2 * canvas.columns, 4 * canvas.rows
    place, before, best = 0, None, None
    for across in range(wide):
        edge = frame.left + (frame.right - frame.left) * across / (wide - 1)
        while place < len(xs) and xs[place] <= edge + 1e-12:
            best, place = bests[place], place + 1
        if best is None:
            continue
        down = round((1 - _share(best, frame.low, frame.high)) * (tall - 1))
        for between in range(
            min(down, down if before is None else before),
            max(down, down if before is None else before) + 1,
        ):
            canvas.dot(across, between)
        before = down


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _frame(xs: list[float], data: Payload, maximize: bool) -> Axes:
    """Return the range of all best values and of scores without the worst tenth.

    A single extreme score would otherwise flatten the curve.
    """
    scores = sorted(score for score in data["score"] if score is not None)
    bests = [best for best in data["best"] if best is not None]
    cut = scores[len(scores) // 10] if maximize else scores[-1 - len(scores) // 10]
    return Axes(min(xs), max(xs), min(cut, *bests), max(cut, *bests))
