"""A run in a line, as `evolve ls` and `evolve status` show it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from evolve.archive import Figures, State, figures_of
from evolve.runs.folder import RunFolder


def summary_of(folder: RunFolder) -> dict[str, Any]:
    """The line of a run; read without SQLAlchemy where that is enough.

    Raises `ArchiveError`, `TaskError`: a part of the run can't be read.
    """
    found = _figures(folder)
    if found is not None:
        return summary(folder, found.counts, found.usd, found.best_id, found.best_score)
    from evolve.runs.reader import OpenRun

    run = OpenRun(folder)
    try:
        return run.summary()
    finally:
        run.close()


def summary(
    folder: RunFolder,
    counts: Mapping[State, int],
    usd: float,
    best_id: str | None,
    best_score: float | None,
) -> dict[str, Any]:
    """The line as plain data."""
    return {
        "run": folder.name,
        "path": str(folder.path),
        "task": folder.task_name,
        "scored": counts.get(State.SCORED, 0),
        "failed": counts.get(State.FAILED, 0),
        "rejected": counts.get(State.REJECTED, 0),
        "best": best_score,
        "best_id": best_id,
        "usd": usd,
    }


def _figures(folder: RunFolder) -> Figures | None:
    """The figures, read quickly; None where a part is missing or the task is another engine's."""
    if not (folder.code / "objects").is_dir():
        return None
    try:
        task = tomllib.loads((folder.path / "task" / "task.toml").read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return figures_of(folder.database, task.get("direction", "maximize") == "maximize")
