"""`run_shinka_eval`: call the experiment, validate each result, aggregate, write the two files."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

Metrics = dict[str, Any]


def run_shinka_eval(
    program_path: str,
    results_dir: str,
    experiment_fn_name: str,
    num_runs: int,
    get_experiment_kwargs: Callable[[int], dict[str, Any]] | None = None,
    aggregate_metrics_fn: Callable[[list[Any]], Metrics] | None = None,
    validate_fn: Callable[[Any], tuple[bool, str | None]] | None = None,
    plotting_fn: Callable[[Any], Any] | None = None,
    default_metrics_on_error: Metrics | None = None,
    **ignored: Any,
) -> tuple[Metrics, bool, str | None]:
    """(metrics, correct, first error); the runs are made one after another, all of them."""
    results: list[Any] = []
    seconds: list[float] = []
    errors: list[str] = []
    valid = invalid = 0
    try:
        experiment = getattr(_load(program_path), experiment_fn_name)
        for run in range(num_runs):
            kwargs = (
                get_experiment_kwargs(run)
                if get_experiment_kwargs
                else {"seed": run + 1}
            )
            started = time.perf_counter()
            results.append(experiment(**kwargs))
            seconds.append(time.perf_counter() - started)
            good, message = validate_fn(results[-1]) if validate_fn else (True, None)
            valid, invalid = valid + bool(good), invalid + (not good)
            if not good:
                errors.append(message or "invalid")
        metrics: Metrics = (
            aggregate_metrics_fn(results)
            if aggregate_metrics_fn
            else {"num_successful_runs": len(results)}
        )
        correct, error = (
            not invalid,
            f"Validation failed: {errors[0]}" if errors else None,
        )
    except Exception as problem:  # noqa: BLE001 - candidate's or evaluator's: both are told alike
        metrics = dict(default_metrics_on_error or {"combined_score": 0.0})
        correct, error = False, str(problem)
    metrics.setdefault("execution_time_mean", fmean(seconds) if seconds else 0.0)
    metrics.setdefault("execution_time_std", pstdev(seconds) if seconds else 0.0)
    metrics |= {
        "num_valid_runs": valid,
        "num_invalid_runs": invalid,
        "all_validation_errors": sorted(set(errors)),
    }
    save_json_results(results_dir, metrics, correct, error)
    return metrics, correct, error


def save_json_results(
    results_dir: str,
    metrics: Metrics,
    correct: bool,
    error: str | None = None,
    verbose: bool = True,
) -> None:
    """Write metrics.json and correct.json."""
    os.makedirs(results_dir, exist_ok=True)
    for name, value in (
        ("correct.json", {"correct": correct, "error": error}),
        ("metrics.json", metrics),
    ):
        with open(os.path.join(results_dir, name), "w", encoding="utf-8") as file:
            json.dump(value, file, default=_plain)


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as lists and numbers."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("program", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
