"""`evolve import`: convert another engine's task, keeping its evaluator unchanged."""

from dataclasses import dataclass
from pathlib import Path

from evolve.errors import TaskError, UsageError
from evolve.tasks.files import copy_task_files
from evolve.tasks.spec import PeerSpec
from evolve.tasks.task import Task, load_task
from evolve.text import quoted


@dataclass(frozen=True)
class Imported:
    """The new task, and warnings about settings without effect or worth a check."""

    task: Task
    warnings: tuple[str, ...]


def import_task(source: Path, target: Path) -> Imported:
    """Convert another engine's task directory into this engine's format.

    Args:
        source: task directory of the other engine
        target: folder to create

    Returns:
        The new task and its warnings.

    Raises:
        TaskError: `source` is not a task of another engine
        UsageError: `target` exists
    """
    task = load_task(source)
    if task.peer is None or task.spec.peer is not None:
        raise TaskError(
            f"{source} is already in this engine's format",
            f"run it: evolve run {quoted(source)}",
        )
    if target.exists():
        raise UsageError(f"{target} exists already", "choose another folder: -o NEW")
    text = _toml_of(task)  # before anything is written: it may not be valid
    copy_task_files(task.folder, target)
    (target / task.peer.program_path).unlink()
    (target / "initial").mkdir()
    for name, data in task.seed.items():
        (target / "initial" / name).write_bytes(data)
    (target / "task.toml").write_text(text)
    return Imported(load_task(target), task.warnings)


def _toml_of(task: Task) -> str:
    """Return task.toml for the task as its format's reader understood it."""
    import tomli_w

    peer = task.peer
    assert peer is not None
    kept = PeerSpec(
        format=peer.format,
        evaluator=peer.evaluator,
        shared=peer.shared,
        thresholds=peer.thresholds,
        fitness_key=peer.fitness_key,
    )
    spec = task.spec.model_copy(update={"peer": kept})
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    text = tomli_w.dumps(values, multiline_strings=True)
    return f"{text}\n# ceiling = 1.0  # a proved bound, above [limits]: better scores are quarantined\n"
