"""How each engine runs an evaluator and reads its result.

Only the standard library is used, because the file is copied into sandboxes. A result
is a plain dict: `score` (None for an invalid program, with the cause in `error`),
`metrics` and `feedback`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import math
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from typing import Any

MAX_TEXT = 4000
# Metric of a score: an exception of the program, although its evaluator went on.
CAUGHT = "caught by the evaluator"
# Metric of a score: the program's time, as a multiple of the true one, is wrong for the seed.
TRANSPORT = "timed through transport"
TOOL_READ = "a tool read what the program may have written"
_HIDDEN = ("private",)
# called before each stage of a cascade
before_stages: list[Callable[[], None]] = []


class WrongResult(Exception):
    """The evaluator gave no result that its own engine could read."""


def evaluate(config: dict[str, Any], program: str, results: str) -> dict[str, Any]:
    """Run the evaluator on a program. Exceptions of the evaluator are not caught.

    Args:
        config: from `peer_config`
        program: path of the program
        results: folder for result files

    Returns:
        The result.

    Raises:
        WrongResult: the evaluator's result is not readable
    """
    evaluator = os.path.abspath(config["evaluator"])
    sys.path.insert(0, os.path.dirname(evaluator))
    return RUNNERS[config["format"]](config, evaluator, program, results)


def shinka(
    config: dict[str, Any], evaluator: str, program: str, results: str
) -> dict[str, Any]:
    """Run `evaluate.py --program_path P --results_dir R` and read its JSON files.

    Args:
        config: from `peer_config`
        evaluator: path of the evaluator
        program: path of the program
        results: folder for metrics.json and correct.json

    Returns:
        The result.

    Raises:
        WrongResult: metrics.json has no combined_score
    """
    ended = _run_as_main(
        evaluator, ["--program_path", program, "--results_dir", results]
    )
    correct = _read(os.path.join(results, "correct.json"))
    metrics = _read(os.path.join(results, "metrics.json"))
    if not isinstance(correct, dict) or correct.get("correct") is not True:
        why = (
            correct.get("error")
            if isinstance(correct, dict)
            else f"it left no correct.json{ended}"
        )
        return _wrong(str(why), metrics)
    if not isinstance(metrics, dict) or "combined_score" not in metrics:
        raise WrongResult(f"metrics.json has no combined_score{ended}")
    shown = {
        key: value for key, value in metrics.items() if key not in (*_HIDDEN, "public")
    }
    public = metrics.get("public")
    shown |= public if isinstance(public, dict) else {}
    feedback = str(metrics.get("text_feedback") or "")
    return _result(metrics["combined_score"], shown, feedback)


def codeevolve(
    config: dict[str, Any], evaluator: str, program: str, results: str
) -> dict[str, Any]:
    """Run `evaluate.py CODE RESULTS_JSON`; one of the metrics is the fitness.

    Args:
        config: from `peer_config`
        evaluator: path of the evaluator
        program: path of the program
        results: folder for result files

    Returns:
        The result.
    """
    path = os.path.join(results, "results.json")
    ended = _run_as_main(evaluator, [program, path])
    metrics = _read(path)
    if not isinstance(metrics, dict):
        return _wrong(f"the evaluator left no results{ended}", None)
    key = config.get("fitness_key") or "combined_score"
    if key not in metrics:
        return _wrong(
            str(metrics.get("error") or f"the results have no {key}"), metrics
        )
    return _result(metrics[key], metrics, str(metrics.get("error") or ""))


def openevolve(
    config: dict[str, Any], evaluator: str, program: str, results: str
) -> dict[str, Any]:
    """Call `evaluate(program_path)`, or the stages of a cascade.

    Each stage runs if the score so far reaches the threshold of the previous one.

    Args:
        config: from `peer_config`
        evaluator: path of the evaluator
        program: path of the program
        results: unused

    Returns:
        The result.

    Raises:
        WrongResult: the evaluator did not return metrics, or is asynchronous
    """
    module = _import(evaluator)
    if inspect.iscoroutinefunction(module.evaluate):
        raise WrongResult(
            "evaluate is asynchronous, and its engine calls it as a plain function: "
            "use def evaluate(program_path), with asyncio.run inside"
        )
    thresholds = config.get("thresholds")
    stages = [getattr(module, f"evaluate_stage{number}", None) for number in (1, 2, 3)]
    if thresholds is None or stages[0] is None:
        return _read_openevolve(*_split(module.evaluate(program)))
    metrics: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    for stage, threshold in zip(stages, [*thresholds, *[math.inf] * 3], strict=False):
        if stage is None:
            break
        for prepare in before_stages:
            prepare()
        found, told = _split(stage(program))
        metrics |= found
        artifacts |= told
        if not _score(metrics, drop_error=True) >= threshold:
            break
    return _read_openevolve(metrics, artifacts)


def _import(path: str) -> Any:
    _let_children_import(path)
    spec = importlib.util.spec_from_file_location("evaluation_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluation_module"] = module
    spec.loader.exec_module(module)
    return module


def _let_children_import(path: str) -> None:
    """Give processes that start anew, as a `spawn` pool's, a module of the same name."""
    folder = tempfile.mkdtemp(prefix="evolve-evaluator-")
    os.symlink(path, os.path.join(folder, "evaluation_module.py"))
    sys.path.append(folder)


def _split(result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics and artifacts of a dict or an EvaluationResult."""
    if isinstance(result, dict):
        artifacts = result.get("artifacts")
        if isinstance(result.get("metrics"), dict):  # the container protocol
            return dict(result["metrics"]), artifacts if isinstance(
                artifacts, dict
            ) else {}
        return dict(result), {}
    metrics = getattr(result, "metrics", None)
    if not isinstance(metrics, dict):
        raise WrongResult(
            f"evaluate returned {type(result).__name__}, not a dict of metrics"
        )
    return dict(metrics), dict(getattr(result, "artifacts", None) or {})


def _read_openevolve(
    metrics: dict[str, Any], artifacts: dict[str, Any]
) -> dict[str, Any]:
    told = [
        f"{key}: {value}" for key, value in artifacts.items() if isinstance(value, str)
    ]
    if isinstance(metrics.get("error"), str):
        told.append(f"error: {metrics['error']}")
    return _result(
        metrics.get("combined_score", _score(metrics)), metrics, "\n".join(told)
    )


def _score(metrics: dict[str, Any], drop_error: bool = False) -> float:
    """Return the combined score, else the mean of the numbers."""
    if isinstance(metrics.get("combined_score"), (int, float)):
        return float(metrics["combined_score"])
    numbers = [
        float(value)
        for key, value in metrics.items()
        if isinstance(value, (int, float))
        and not (drop_error and key == "error")
        and value == value
    ]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _run_as_main(script: str, arguments: list[str]) -> str:
    """Run a script as a program; describe an exit status other than 0."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        return f" (it exited with {error.code!r})" if error.code else ""
    return ""


def _read(path: str) -> Any:
    """Return the JSON in a file; None if it can't be read."""
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return json.load(file)
    return None


def _result(score: Any, metrics: dict[str, Any], feedback: str) -> dict[str, Any]:
    if isinstance(score, (bool, str, bytes, complex)) or not hasattr(
        score, "__float__"
    ):
        return _wrong(several_goals(score), metrics)
    if not math.isfinite(float(score)):
        return _wrong(f"the score {float(score)} is not finite", metrics)
    return {
        "score": float(score),
        "metrics": shown(metrics),
        "feedback": feedback[:MAX_TEXT],
        "error": None,
    }


def several_goals(score: Any) -> str:
    """Describe a score that is not a number; several goals must be weighed into one.

    Args:
        score: what an evaluator gave

    Returns:
        The message.
    """
    kind = type(score).__name__
    if isinstance(score, (list, tuple)) and len(score) > 1:
        terms = " + ".join(
            f"{1 / len(score):.2g} * goal{k + 1}" for k in range(len(score))
        )
        return (
            f"the score is a {kind} of {len(score)} goals: weigh them into one number, such as "
            f"{terms}, and return the goals as metrics"
        )
    if isinstance(score, dict) and score:
        terms = " + ".join(f"{1 / len(score):.2g} * {key}" for key in list(score)[:5])
        return f"the score is a dict: weigh its goals into one number, such as {terms}"
    return f"a score of type {kind}, not a number"


def _wrong(error: str, metrics: Any) -> dict[str, Any]:
    return {
        "score": None,
        "metrics": shown(metrics) if isinstance(metrics, dict) else {},
        "feedback": "",
        "error": error[:MAX_TEXT],
    }


def shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """Select the metrics that can be stored and shown.

    Args:
        metrics: from the evaluator

    Returns:
        Finite numbers, and texts cut to `MAX_TEXT` characters.
    """
    kept: dict[str, Any] = {}
    for key, value in metrics.items():
        plain = (
            value.item()
            if hasattr(value, "item") and getattr(value, "ndim", 1) == 0
            else value
        )
        if isinstance(plain, str):
            plain = plain[:MAX_TEXT].encode(errors="backslashreplace").decode()
        if isinstance(plain, (bool, int, str)) or (
            isinstance(plain, float) and math.isfinite(plain)
        ):
            kept[str(key)] = plain
    return kept


RUNNERS = {"shinka": shinka, "openevolve": openevolve, "codeevolve": codeevolve}
