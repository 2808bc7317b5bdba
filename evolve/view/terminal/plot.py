"""`evolve plot`: scores and the best so far, over variants, dollars or time.

In the terminal it is a table of the improvements, else a picture.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.bar import Bar
from rich.table import Table

from evolve.errors import PrerequisiteError, UsageError, pip_line
from evolve.view.web.pages import Page

AXES = {"variants": "n", "cost": "usd", "time": "t"}
_UNITS = {"variants": "variants", "cost": "dollars", "time": "seconds"}
FORMATS = (".png", ".svg", ".pdf")


def improvements_table(data: Page, over: str, rows: int) -> Table:
    """List the improvements of the best score, each with a bar.

    Args:
        data: columns from `pages.curves`
        over: a key of `AXES`
        rows: the most improvements that are shown; the latest ones

    Returns:
        Where each was found, the score, the gain over the best before, and a bar whose
        length is its place between the first and the last best score.
    """
    table = Table(box=None, pad_edge=False)
    for name in (_UNITS[over], "best", "gain"):
        table.add_column(name, justify="right")
    table.add_column("", ratio=1)
    found = _improvements(data[AXES[over]], data["best"])
    first, last = found[0].best if found else 0.0, found[-1].best if found else 0.0
    for one in found[-rows:]:
        share = (one.best - first) / (last - first) if last != first else 1.0
        gain = "" if one.gain is None else f"{one.gain:+.6g}"
        table.add_row(
            f"{one.at:.6g}", f"{one.best:.6g}", gain, Bar(1.0, 0.0, share, color="cyan")
        )
    return table


class _Improvement(NamedTuple):
    """A new best score: where it was found, and what it gained over the best before."""

    at: float
    best: float
    gain: float | None


def _improvements(xs: list[float], bests: list[float | None]) -> list[_Improvement]:
    found: list[_Improvement] = []
    for at, best in zip(xs, bests, strict=True):
        before = found[-1].best if found else None
        if best is not None and best != before:
            gain = None if before is None else best - before
            found.append(_Improvement(at, best, gain))
    return found


def can_draw() -> bool:
    """Return whether matplotlib, which draws pictures, is installed."""
    try:
        return find_spec("matplotlib") is not None
    except ValueError:  # an entry without a spec replaces it
        return False


def check_pictures() -> None:
    """Check that pictures can be drawn.

    Raises:
        PrerequisiteError: matplotlib is not installed
    """
    if not can_draw():
        raise PrerequisiteError(
            "matplotlib, which draws pictures, is not installed", pip_line("plot")
        )


def picture_plot(data: Page, over: str, maximize: bool, title: str, path: Path) -> None:
    """Write a picture of the plot.

    Args:
        data: columns from `pages.curves`
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
    xs = data[AXES[over]]
    low, high = _frame(data, maximize)
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
    room = (high - low) * 0.05 or 1.0
    axes.set_ylim(low - room, high + room)
    axes.set(xlabel=_UNITS[over], ylabel="score", title=title.replace("$", r"\$"))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror}", "choose another place"
        ) from None


def _frame(data: Page, maximize: bool) -> tuple[float, float]:
    """Return the range of all best values and of scores without the worst tenth.

    A single extreme score would otherwise flatten the curve.
    """
    scores = sorted(score for score in data["score"] if score is not None)
    bests = [best for best in data["best"] if best is not None]
    cut = scores[len(scores) // 10] if maximize else scores[-1 - len(scores) // 10]
    return min(cut, *bests), max(cut, *bests)
