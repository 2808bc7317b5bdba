"""Comparison of runs: the best score at equal variants, calls or dollars, over seeds."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from evolve.archive import PERSON, State, Variant
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


class Share(NamedTuple):
    """The part of one model in a run.

    Attributes:
        model: Its name.
        calls: Number of calls.
        scored: Number of scored variants that it wrote.
        improved: Number of those that were better than their parents.
    """

    model: str
    calls: int
    scored: int
    improved: int


class Course(NamedTuple):
    """The best score of a run as a step function of effort.

    Attributes:
        run: Name of the run.
        seed: Seed of its random draws.
        label: Task, policy and models.
        settings: Other properties that distinguish runs, except random draws.
        maximize: Whether a higher score is better.
        efforts: Effort at each improvement, increasing; in the unit of `by`.
        bests: Best score from the effort at the same index on.
        whole: Total effort of the run.
        shares: The parts of its models, most calls first.
    """

    run: str
    seed: int
    label: str
    settings: Mapping[str, str]
    maximize: bool
    efforts: tuple[float, ...]
    bests: tuple[float, ...]
    whole: float
    shares: tuple[Share, ...] = ()

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
        seeds: Number of different seeds among them.
        mean: Mean over the seeds of their best scores; None if there is none.
        spread: Standard deviation over the seeds; None for fewer than two.
        effort: The effort at which they are compared.
        shares: The parts of the models in all these runs, most calls first.
    """

    group: str
    runs: tuple[str, ...]
    seeds: int
    mean: float | None
    spread: float | None
    effort: float
    shares: tuple[Share, ...]


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
    ranks = {name: rank for rank, name in enumerate(run.ranked)}
    spent, lead, efforts, bests = 0.0, len(ranks), [], []
    for variant in sorted(variants, key=lambda n: (n.finished_at or 0.0, n.number)):
        spent += _effort(variant, by, asked)
        rank = ranks.get(variant.id, len(ranks))
        # by rank, so that the end is what `best` shows, not the luckiest measurement
        if rank < lead and variant.score is not None:
            lead = rank
            efforts.append(spent)
            bests.append(variant.score)
    settings, shares = run.folder.settings, _shares(run, variants)
    # those that were asked: a model may be replaced when a run is resumed
    models = sorted(share.model for share in shares) or settings.model
    named = ", ".join(models) or "no model"
    return Course(
        run.folder.name,
        settings.seed,
        one_line(f"{run.folder.task_name} · {settings.policy} · {named}", 120),
        _of_the_search(run),
        run.task.spec.maximize,
        tuple(efforts),
        tuple(bests),
        spent,
        shares,
    )


def _shares(run: OpenRun, variants: Sequence[Variant]) -> tuple[Share, ...]:
    """Return the parts of the models that wrote variants or were asked."""
    writers = run.browser.writers()
    scored = [v for v in variants if v.score is not None and v.id in writers]
    wrote = Counter(writers[v.id] for v in scored)
    improved = Counter(writers[v.id] for v in scored if (v.improvement or 0.0) > 0.0)
    return tuple(
        Share(use.model, use.calls, wrote[use.model], improved[use.model])
        for use in sorted(run.browser.models(), key=lambda use: -use.calls)
        if use.model != PERSON
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
            name,
            tuple(course.run for course in runs),
            len({course.seed for course in runs}),
            *_statistics(runs, equal),
            equal,
            _total(runs),
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


def _total(courses: Sequence[Course]) -> tuple[Share, ...]:
    """Return the parts of the models in several runs."""
    found: dict[str, Share] = {}
    for share in (share for course in courses for share in course.shares):
        before = found.get(share.model, Share(share.model, 0, 0, 0))
        sums = (x + y for x, y in zip(before[1:], share[1:], strict=True))
        found[share.model] = Share(share.model, *sums)
    return tuple(sorted(found.values(), key=lambda share: -share.calls))


def _statistics(members: Sequence[Course], effort: float) -> Statistics:
    """Return the statistics over seeds: runs of one seed are not independent draws."""
    by_seed = defaultdict[int, list[float]](list)
    for course in members:
        if (best := course.at(effort)) is not None:
            by_seed[course.seed].append(best)
    found = [fmean(bests) for bests in by_seed.values()]
    return Statistics(
        fmean(found) if found else None, stdev(found) if len(found) > 1 else None
    )
