"""Comparison of runs: the best score at equal variants, calls or dollars, over seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from evolve.archive import State, Variant
from evolve.runs.reader import OpenRun
from evolve.text import one_line

STEPS = 80  # intervals of a curve
BY = ("variants", "calls", "dollars")
_NO_MATTER = {
    "seed",
    "scorer_seed",
    "runs_dir",
    "sandbox",
    "workers",
    "model_calls",
    "model",
    "policy",
    "max_variants",
    "max_time_s",
    "max_tokens",
    "max_calls",
    "budget_usd",
    "target",
    "plateau",
    "patience_s",
    "call_timeout_s",
    "requests_per_minute",
    "price",
    "price_per_second",
    "vllm_command",
    "vllm_options",
    "vllm_gpu_memory",
    "vllm_start_s",
}
"""Settings that `_of_the_search` ignores: random draws, limits of effort, the machine, and
those in the label."""


class Course(NamedTuple):
    """The best score of a run as a step function of effort.

    Attributes:
        run: Name of the run.
        label: Task, policy and models.
        settings: Other properties that distinguish runs, except random draws.
        maximize: Whether a higher score is better.
        efforts: Effort at each improvement, increasing; in the unit of `by`.
        bests: Best score from the effort at the same index on.
        whole: Total effort of the run.
    """

    run: str
    label: str
    settings: Mapping[str, str]
    maximize: bool
    efforts: tuple[float, ...]
    bests: tuple[float, ...]
    whole: float

    def at(self, effort: float) -> float | None:
        """Return the best score at an effort.

        Args:
            effort: In the unit of the course.

        Returns:
            The score; None before the first.
        """
        found = None
        for spent, best in zip(self.efforts, self.bests, strict=True):
            if spent > effort:
                break
            found = best
        return found


class Statistics(NamedTuple):
    """Mean and standard deviation; None if there are too few values."""

    mean: float | None
    spread: float | None

    def edge(self, side: float) -> float | None:
        """Return an edge of the band around the mean.

        Args:
            side: 1 for the upper edge, -1 for the lower one.

        Returns:
            The mean plus or minus the spread; None without a mean.
        """
        return None if self.mean is None else self.mean + side * (self.spread or 0.0)


class Row(NamedTuple):
    """Statistics of runs that differ only in their seeds, at equal effort.

    Attributes:
        group: Name of the group.
        runs: Names of its runs.
        mean: Mean of their best scores; None if there is none.
        spread: Standard deviation of the sample; None for fewer than two scores.
        effort: The effort at which they are compared.
    """

    group: str
    runs: tuple[str, ...]
    mean: float | None
    spread: float | None
    effort: float


def course_of(run: OpenRun, by: str) -> Course:
    """Return the course of a run; quarantined variants count only as effort.

    Args:
        run: The run.
        by: Unit of effort, one of `BY`.

    Returns:
        The course.
    """
    variants = run.browser.variants()
    asked: dict[str, int] = {}
    if by == "calls":
        for call in run.archive.call_costs():
            asked[call.proposal] = asked.get(call.proposal, 0) + 1
    maximize = run.task.spec.maximize
    spent, best, efforts, bests = 0.0, None, [], []
    for variant in sorted(variants, key=lambda n: (n.finished_at or 0.0, n.number)):
        spent += _effort(variant, by, asked)
        if variant.score is None or variant.quarantined:
            continue
        if best is None or (variant.score > best if maximize else variant.score < best):
            best = variant.score
            efforts.append(spent)
            bests.append(best)
    settings = run.folder.settings
    models = ", ".join(settings.model) or "no model"
    label = one_line(f"{run.folder.task_name} · {settings.policy} · {models}", 120)
    return Course(
        run.folder.name,
        label,
        _of_the_search(run),
        maximize,
        tuple(efforts),
        tuple(bests),
        spent,
    )


def _of_the_search(run: OpenRun) -> dict[str, str]:
    """Return all that affects the result at equal effort: settings, scorer, seed program."""
    values = run.folder.settings.model_dump(mode="json", exclude=_NO_MATTER)
    # its temperature depends on the number of variants still to come
    if run.folder.settings.policy == "hgm":
        values["max_variants"] = run.folder.settings.max_variants
    seed = run.archive.first().tree or ""
    return {key: str(value) for key, value in values.items()} | {
        "seed program": seed[:8],
        "scorer": run.folder.evaluator_hash[:8],
    }


def compare(courses: Sequence[Course]) -> tuple[list[Row], dict[str, Any]]:
    """Compare runs at the largest effort that all of them reached.

    Args:
        courses: Courses with the same unit of effort and the same direction.

    Returns:
        One row per group, best mean first, and the data of their curves: `effort`
        (`STEPS` + 1 values) and `curves` with mean and mean ± standard deviation.
    """
    equal = min((course.whole for course in courses), default=0.0)
    efforts = [equal * step / STEPS for step in range(STEPS + 1)]
    found: dict[tuple[str, ...], list[Course]] = {}
    for course in courses:
        others = [other.settings for other in courses if other.label == course.label]
        told = [
            f"{key} = {value}"
            for key, value in course.settings.items()
            if any(other.get(key) != value for other in others)
        ]
        found.setdefault((course.label, *told), []).append(course)
    groups = {
        " · ".join(one_line(part, 120) for part in key): runs
        for key, runs in found.items()
    }
    rows = [
        Row(
            name, tuple(course.run for course in runs), *_statistics(runs, equal), equal
        )
        for name, runs in groups.items()
    ]
    sign = -1.0 if courses and courses[0].maximize else 1.0
    rows.sort(key=lambda row: (row.mean is None, sign * (row.mean or 0.0)))
    curves = []
    for row in rows:
        known = [_statistics(groups[row.group], effort) for effort in efforts]
        curves.append(
            {
                "group": row.group,
                "mean": [found.mean for found in known],
                "low": [found.edge(-1.0) for found in known],
                "high": [found.edge(1.0) for found in known],
            }
        )
    return rows, {"effort": efforts, "curves": curves}


def _effort(variant: Variant, by: str, asked: dict[str, int]) -> float:
    if by == "dollars":
        return variant.cost_usd
    if by == "calls":
        return float(asked.get(variant.id, 0))
    return float(
        variant.number > 0 and variant.state in (State.SCORED.value, State.FAILED.value)
    )


def _statistics(members: Sequence[Course], effort: float) -> Statistics:
    """Return the statistics over the runs that have a score at an effort."""
    found = [best for course in members if (best := course.at(effort)) is not None]
    return Statistics(
        fmean(found) if found else None, stdev(found) if len(found) > 1 else None
    )
