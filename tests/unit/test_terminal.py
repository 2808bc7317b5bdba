"""What commands print, at two widths, with and without colour, letter by letter.

WRITE_SNAPSHOTS=1 pytest tests/unit/test_terminal.py      # after a change that was meant
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from evolve.archive import derive_id
from evolve.runs.events import events_after
from evolve.runs.reader import OpenRun
from evolve.view.diff import changes, stat_lines
from evolve.view.terminal.detail import render_detail, render_patch
from evolve.view.terminal.listing import runs_table
from evolve.view.terminal.log import log_line
from evolve.view.terminal.plot import improvements_table
from evolve.view.terminal.stats import render_stats, stats_data
from evolve.view.terminal.tree import Selection, render_tree
from evolve.view.web.pages import curves
from tests.made_runs import Made, make_run

STORED = Path(__file__).parent / "terminal"
WIDTHS = (80, 120)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRun]:
    runs = tmp_path_factory.mktemp("terminal") / "runs"
    opened = OpenRun(make_run(runs, "made", Made(140, seed=5)))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _one_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(what: RenderableType, width: int, colour: bool) -> str:
    file = io.StringIO()
    Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="256" if colour else None,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
        _environ={"TERM": "xterm-256color"},
    ).print(what)
    return file.getvalue()


def views(run: OpenRun, width: int) -> dict[str, RenderableType]:
    from rich.console import Group
    from rich.text import Text

    best, seed = run.proposal("best"), run.proposal("seed")
    lines = [
        line
        for event in events_after(run.archive, 0)[-14:]
        if (line := log_line(event))
    ]
    row = run.summary() | {"path": ""}
    return {
        "tree": render_tree(run, Selection()),
        "tree-top": render_tree(run, Selection(top=4)),
        "tree-path": render_tree(run, Selection(path=best.id)),
        "tree-failed": render_tree(run, Selection(statuses=("timeout",), top=5)),
        "tree-filters": render_tree(
            run, Selection(operators=("diff",), islands=(1,), since_s=60.0)
        ),
        "show": render_detail(run, best),
        "diff": render_patch(run.patch(seed, best)),
        "stat": Text("\n".join(stat_lines(changes(run.files(seed), run.files(best))))),
        "stats": render_stats(stats_data(run)),
        "plot": improvements_table(curves(run), "variants", 14),
        "log": Group(*lines),
        "ls": runs_table([row]),
    }


NAMES = (
    "tree",
    "tree-top",
    "tree-path",
    "tree-failed",
    "tree-filters",
    "show",
    "diff",
    "stat",
    "stats",
    "plot",
    "log",
    "ls",
)


@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_as_it_was(run: OpenRun, name: str, width: int, colour: bool) -> None:
    found = drawn(views(run, width)[name], width, colour)
    path = STORED / f"{name}-{width}-{'colour' if colour else 'plain'}.txt"
    if os.environ.get("WRITE_SNAPSHOTS"):
        STORED.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()
    assert colour or "\x1b" not in found


def test_every_filter_keeps_the_way_to_what_it_finds(run: OpenRun) -> None:
    from evolve.runs.select import choose

    chosen = choose(run, Selection(operators=("rewrite",), statuses=("scored",), top=7))
    shown = {v.id: v for v in chosen.variants}
    assert len(chosen.meant) == 7
    assert all(shown[name].operator == "rewrite" for name in chosen.meant)
    assert all(v.parent in shown for v in shown.values() if v.parent)


def test_hostile_text_commands_no_terminal(tmp_path: Path) -> None:
    opened = OpenRun(make_run(tmp_path / "runs", "bad", Made(20, hostile=True)))
    try:
        parts = [
            render_detail(opened, opened.proposal(derive_id(0, n))) for n in range(6)
        ]
        lines = [
            line
            for event in events_after(opened.archive, 0)
            if (line := log_line(event, True))
        ]
        text = "".join(drawn(part, 100, False) for part in [*parts, *lines])
    finally:
        opened.close()
    assert "\x1b" not in text and "\u202e" not in text and "␛[31m" in text
