"""OpenEvolve and SkyDiscover tasks.

Layout: initial_program.EXT, evaluator.py with evaluate(program_path), config.yaml.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolve.errors import TaskError
from evolve.tasks.peers.peer import LANGUAGES, Config, PeerTask, build
from evolve.tasks.peers.settings import flat, judge, number, read_yaml, section

_PROGRAMS = ("initial_program", "init_program")
_EVALUATORS = ("evaluator.py", "evaluator/evaluator.py", "evaluator/evaluate.py")
_THRESHOLDS = (0.5, 0.75, 0.9)
_TAKEN = frozenset(
    (
        "max_iterations",
        "language",
        "file_suffix",
        "random_seed",
        "evaluator.timeout",
        "evaluator.cascade_evaluation",
        "evaluator.cascade_thresholds",
        "prompt.system_message",
    )
)
_DEAD = frozenset(
    (
        "evaluator.memory_limit_mb",
        "evaluator.cpu_limit",
        "evaluator.distributed",
        "prompt.use_meta_prompting",
        "prompt.meta_prompt_weight",
        "prompt.code_length_threshold",
        "database.diversity_metric",
    )
)
_OTHER = frozenset(
    (
        "checkpoint_interval",
        "log_level",
        "log_dir",
        "llm",
        "diff_based_evolution",
        "diff_based_generation",
        "max_code_length",
        "max_solution_length",
        "diff_pattern",
        "allow_full_rewrites",
        "early_stopping_patience",
        "convergence_threshold",
        "early_stopping_metric",
        "max_tasks_per_child",
        "evolution_trace",
        "database",
        "search",
        "monitor",
        "agentic",
        "evaluator.max_retries",
        "evaluator.parallel_evaluations",
        "evaluator.use_llm_feedback",
        "evaluator.llm_feedback_weight",
        "evaluator.enable_artifacts",
        "evaluator.max_artifact_storage",
        "evaluator.evaluation_file",
        "evaluator.file_suffix",
        "evaluator.is_image_mode",
        "evaluator.max_eval_cases",
        "prompt.template_dir",
        "prompt.evaluator_system_message",
        "prompt.num_top_programs",
        "prompt.num_diverse_programs",
        "prompt.use_template_stochasticity",
        "prompt.template_variations",
        "prompt.include_artifacts",
        "prompt.max_artifact_bytes",
        "prompt.artifact_security_filter",
        "prompt.template",
        "prompt.suggest_simplification_after_chars",
        "prompt.include_changes_under_chars",
        "prompt.concise_implementation_max_lines",
        "prompt.comprehensive_implementation_min_lines",
    )
)
_SECTIONS = {"evaluator": {"timeout": 0}, "prompt": {"system_message": ""}}


def fits(folder: Path) -> bool:
    """Return whether a folder has the layout of an OpenEvolve or SkyDiscover task.

    Args:
        folder: any folder

    Returns:
        True if it has an initial program and an evaluator.
    """
    return _program(folder) is not None and _evaluator(folder) is not None


def read(folder: Path) -> PeerTask:
    """Read an OpenEvolve or SkyDiscover task.

    Args:
        folder: a folder that `fits`

    Returns:
        The task with its seed and warnings about settings without effect.

    Raises:
        TaskError: invalid configuration, or an evaluator without `evaluate`
    """
    program, evaluator = _program(folder), _evaluator(folder)
    assert program is not None and evaluator is not None
    if "evaluate" not in _functions(evaluator):
        raise TaskError(f"{evaluator} does not define evaluate(program_path)")
    path = _config_path(folder)
    values = read_yaml(path) if path else {}
    staged = "evaluate_stage1" in _functions(evaluator)
    thresholds = _thresholds(
        path or folder, section(path or folder, values, "evaluator")
    )
    return build(
        folder,
        program,
        evaluator,
        _config(path, values, folder),
        {"format": "openevolve", "thresholds": thresholds if staged else None},
    )


def _program(folder: Path) -> Path | None:
    for stem in _PROGRAMS:
        for suffix in LANGUAGES:
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


def _evaluator(folder: Path) -> Path | None:
    return next(
        (folder / name for name in _EVALUATORS if (folder / name).is_file()), None
    )


def _config_path(folder: Path) -> Path | None:
    named = [folder / "config.yaml", folder / "config.yml"]
    return next(
        (
            path
            for path in (*named, *sorted(folder.glob("config*.y*ml")))
            if path.is_file()
        ),
        None,
    )


def _functions(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise TaskError(f"{path}:{error.lineno}: {error.msg}") from None
    return set(_defined(tree))


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (
                target.id for target in node.targets if isinstance(target, ast.Name)
            )
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _thresholds(path: Path, values: dict[str, Any]) -> tuple[float, ...] | None:
    if values.get("cascade_evaluation", True) is False:
        return None
    given = values.get("cascade_thresholds")
    if given is None:
        return _THRESHOLDS
    if not isinstance(given, list) or any(
        isinstance(item, bool) or not isinstance(item, (int, float)) for item in given
    ):
        raise TaskError(
            f"{path}: invalid evaluator.cascade_thresholds {given!r}: use a list of numbers"
        )
    return tuple(float(item) for item in given)


def _config(path: Path | None, values: dict[str, Any], folder: Path) -> Config:
    if path is None:
        return Config(
            warnings=(f"{folder} has no config.yaml: no task text for a model",)
        )
    evaluator, prompt = (
        section(path, values, name) for name in ("evaluator", "prompt")
    )
    text = prompt.get("system_message")
    if text is not None and not isinstance(text, str):
        raise TaskError(f"{path}: prompt.system_message must be a string")
    run: dict[str, Any] = {}
    iterations = number(path, values, "max_iterations", "max_iterations")
    if iterations is not None:
        run["max_variants"] = int(iterations)
    return Config(
        (text or "").strip() or None,
        number(path, evaluator, "timeout", "evaluator.timeout") or 300.0,
        run,
        judge(path, flat(values, _SECTIONS), _TAKEN, _DEAD, _OTHER),
    )
