"""The summary of a run, which `evolve ls` and `evolve status` show."""

import tomllib
from collections.abc import Mapping
from typing import Any

from evolve.archive import Figures, State, figures_of
from evolve.runs.folder import RunFolder


def summary_of(folder: RunFolder) -> dict[str, Any]:
    """Read the summary of a run, without SQLAlchemy if possible, which is faster.

    Args:
        folder: The run.

    Returns:
        JSON data; see `summary`.

    Raises:
        ArchiveError: The archive or the repository can't be read.
        TaskError: The task can't be read.
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
    """Return the summary of a run as JSON data.

    Args:
        folder: The run.
        counts: Number of proposals by state, without the seed.
        usd: Dollars spent.
        best_id: Id of the best variant; None: none is scored.
        best_score: Its score; None: none is scored.

    Returns:
        Name, path, task, counts, best variant and cost.
    """
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
    """Read the figures quickly; None if a part is missing or the task has no task.toml."""
    if not (folder.code / "objects").is_dir():
        return None
    try:
        task = tomllib.loads((folder.path / "task" / "task.toml").read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return figures_of(folder.database, task.get("direction", "maximize") == "maximize")
