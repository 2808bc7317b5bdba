"""Tables: names and scores stay whole where a terminal is narrow; nothing is cut in a pipe."""

from __future__ import annotations

import io

from rich.console import Console

from evolve.view.terminal.console import DataTable
from evolve.view.terminal.listing import runs_table

NAME, TASK, BEST = (
    "feathered-hummingbird",
    "circle_packing_in_a_square",
    2.6358299999999997,
)
ROW = {
    "run": NAME,
    "task": TASK,
    "scored": 1200,
    "failed": 340,
    "rejected": 56,
    "best": BEST,
    "usd": 12.5,
}


def printed(table: DataTable, width: int, terminal: bool) -> str:
    file = io.StringIO()
    Console(
        file=file,
        width=width,
        force_terminal=terminal,
        no_color=True,
        color_system=None,
        soft_wrap=True,
    ).print(table)
    return file.getvalue()


def test_names_and_best_scores_are_whole_in_a_narrow_terminal() -> None:
    text = printed(runs_table([ROW]), 80, True)
    assert NAME in text and repr(BEST) in text and "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    column = text.splitlines()[0].index("task")
    wrapped = "".join(
        line[column:].split("  ")[0].strip() for line in text.splitlines()[1:]
    )
    assert wrapped.startswith(TASK[:4]) and all(
        part in text for part in ("1200", "340", "12.5000")
    )


def test_what_has_no_room_is_as_wide_as_it_must_be() -> None:
    text = printed(runs_table([ROW]), 30, True)
    assert NAME in text and repr(BEST) in text and "…" not in text


def test_a_pipe_gets_one_line_a_row() -> None:
    table = DataTable("what", "words", whole=("what",))
    table.add_row(NAME, "word " * 100)
    assert len(printed(table, 80, False).splitlines()) == 2
    assert printed(runs_table([ROW]), 80, False).splitlines()[1].split()[:2] == [
        NAME,
        TASK,
    ]
