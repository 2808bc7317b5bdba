"""ShinkaEvolve tasks.

Layout: initial.EXT, evaluate.py --program_path P --results_dir R, and the task text in
a YAML or Python file next to them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolve.tasks.peers.peer import LANGUAGES, Config, PeerTask, build
from evolve.tasks.peers.settings import flat, judge, read_yaml, section

_TAKEN = frozenset(
    (
        "evo_config.task_sys_msg",
        "evo_config.language",
        "evo_config.init_program_path",
        "evo_config.num_generations",
    )
)
_DEAD: frozenset[str] = frozenset()
_OTHER_SECTIONS = frozenset(
    (
        "db_config",
        "job_config",
        "max_evaluation_jobs",
        "max_proposal_jobs",
        "max_db_workers",
        "verbose",
        "variant_suffix",
        "results_dir",
        "defaults",
        "exp_name",
        "evo_config",
    )
)


def fits(folder: Path) -> bool:
    """Return whether a folder has the layout of a ShinkaEvolve task.

    Args:
        folder: any folder

    Returns:
        True if it has an initial program and evaluate.py.
    """
    return _program(folder) is not None and (folder / "evaluate.py").is_file()


def read(folder: Path) -> PeerTask:
    """Read a ShinkaEvolve task.

    Args:
        folder: a folder that `fits`

    Returns:
        The task with its seed and warnings about settings without effect.

    Raises:
        TaskError: invalid configuration
    """
    program = _program(folder)
    assert program is not None
    return build(
        folder, program, folder / "evaluate.py", _config(folder), {"format": "shinka"}
    )


def _program(folder: Path) -> Path | None:
    return next(
        (
            folder / f"initial{suffix}"
            for suffix in LANGUAGES
            if (folder / f"initial{suffix}").is_file()
        ),
        None,
    )


def _config(folder: Path) -> Config:
    """Read the YAML or Python file that starts a run of this task."""
    text: str | None = None
    warnings: tuple[str, ...] = ()
    run: dict[str, Any] = {}
    for path in sorted(folder.glob("*.y*ml")):
        values = read_yaml(path)
        evo = section(path, values, "evo_config")
        if not evo:
            continue
        found = evo.get("task_sys_msg")
        text = text or (found if isinstance(found, str) else None)
        keys = flat(values, {"evo_config": {"task_sys_msg": ""}})
        other = (
            _OTHER_SECTIONS
            | {key for key in keys if key.startswith("evo_config.")} - _TAKEN
        )
        warnings = judge(path, keys, _TAKEN, _DEAD, other)
        if isinstance(evo.get("num_generations"), int):
            run = {"max_variants": evo["num_generations"]}
        break
    told = _Told()
    for path in sorted(folder.glob("*.py")):
        if path.name != "evaluate.py" and not path.name.startswith("initial"):
            told.read(path)
    text = text or told.text
    if text is None:
        warnings = (
            *warnings,
            f"{folder} has no task_sys_msg: no task text for a model",
        )
    return Config(text, told.timeout_s or 300.0, run, warnings)


class _Told:
    """Task text and time limit of a job, found in Python files that start a run."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.timeout_s: float | None = None

    def read(self, path: Path) -> None:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, UnicodeDecodeError):
            return  # then it can't be a file that starts a run
        for name, value in _named_texts(tree):
            if name.endswith(("sys_msg", "sys_message")) and self.text is None:
                self.text = value.strip()
            elif name == "time" and self.timeout_s is None:
                self.timeout_s = _seconds(value)


def _named_texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        pairs: list[tuple[Any, Any]] = []
        if isinstance(node, ast.Assign):
            pairs = [
                (target.id, node.value)
                for target in node.targets
                if isinstance(target, ast.Name)
            ]
        elif isinstance(node, ast.keyword) and node.arg:
            pairs = [(node.arg, node.value)]
        for name, value in pairs:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield name, value.value


def _seconds(text: str) -> float | None:
    """Convert `HH:MM:SS` to seconds."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    hours, minutes, seconds = map(int, parts)
    return float(hours * 3600 + minutes * 60 + seconds) or None
