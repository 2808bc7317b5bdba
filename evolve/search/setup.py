"""What a run's snapshot is made for: cases, noise, islands and measures of task and settings."""

from __future__ import annotations

from collections.abc import Sequence

from evolve.archive import (
    BUILT_IN,
    Evaluation,
    Frame,
    Islands,
    Measure,
    measure_code,
    measure_rows,
)
from evolve.config import Settings
from evolve.search.mates import make_mates
from evolve.search.mix import OperatorMix
from evolve.search.policy import Policy, make_policy
from evolve.search.racing import Racing
from evolve.tasks import Task

# a grid that no task declares reaches from nothing to so many times the seed
ROOM = 3.0


def make_frame(task: Task, settings: Settings) -> Frame:
    """The same for every part of a run, however often it is resumed."""
    islands = Islands(
        settings.islands,
        settings.topology,
        settings.migration_interval,
        settings.migration_rate,
        settings.island_restart,
    )
    cases = tuple(case.id for case in task.spec.cases_of("search"))
    return Frame(
        cases, settings.repeats, settings.max_variants, islands, measures_of(task)
    )


def make_search(settings: Settings, operators: OperatorMix) -> Policy:
    """The run's policy; on a noisy task, with the race for the best before it."""
    policy = make_policy(settings.policy, operators, make_mates(settings.mates))
    return Racing(policy) if settings.repeats > 1 else policy


def measures_of(task: Task) -> tuple[Measure, ...]:
    """The declared axes; else code length and complexity, in proportion to the seed's."""
    declared = tuple(Measure(m.name, m.low, m.high, m.bins) for m in task.spec.measures)
    if declared:
        return declared
    return tuple(
        Measure(name, 0.0, ROOM * value)
        for name, value in measure_code(task.seed).items()
    )


def unmeasured(task: Task, rows: Sequence[Evaluation]) -> str:
    """What to say of axes that the scorer never returned on the seed; empty: there are none.

    Who lacks a measure is in its lowest bin, so a mistyped name is a grid of one bin.
    """
    returned = sorted(measure_rows(rows))
    missing = [
        m.name for m in task.spec.measures if m.name not in {*BUILT_IN, *returned}
    ]
    if not missing:
        return ""
    return (
        f"{task.folder / 'task.toml'}: the scorer returned no metric {', '.join(missing)}, and "
        f"all that lack one share its lowest bin; it returned: {', '.join(returned)}"
    )
