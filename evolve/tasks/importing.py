"""`evolve import`: another engine's task as one of ours, with its evaluator as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evolve.errors import TaskError, UsageError
from evolve.tasks.files import copy_task_files
from evolve.tasks.spec import PeerSpec
from evolve.tasks.task import Task, load_task


@dataclass(frozen=True)
class Imported:
    """The new task, and what of the old one has no effect in it or needs a look."""

    task: Task
    warnings: tuple[str, ...]


def import_task(source: Path, target: Path) -> Imported:
    """Write a task directory of ours. Raises `TaskError` (no task of a peer), `UsageError` (exists)."""
    task = load_task(source)
    if task.peer is None or task.spec.peer is not None:
        raise TaskError(f"{source} is in our format already", f"run it: evolve run {source}")
    if target.exists():
        raise UsageError(f"{target} exists already", "choose another folder: -o NEW")
    copy_task_files(task.folder, target)
    (target / task.peer.program_path).unlink()
    (target / "initial").mkdir()
    for name, data in task.seed.items():
        (target / "initial" / name).write_bytes(data)
    _write_toml(task, target)
    return Imported(load_task(target), task.warnings)


def _write_toml(task: Task, target: Path) -> None:
    """What the reader of the format found, as a task.toml to be edited."""
    import tomli_w

    peer = task.peer
    assert peer is not None
    kept = PeerSpec(format=peer.format, evaluator=peer.evaluator, shared=peer.shared,
                    thresholds=peer.thresholds, fitness_key=peer.fitness_key)
    spec = task.spec.model_copy(update={"peer": kept})
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    text = tomli_w.dumps(values, multiline_strings=True)
    (target / "task.toml").write_text(
        f"{text}\n# ceiling = 1.0  # a proved bound, above [limits]: better scores are quarantined\n")
