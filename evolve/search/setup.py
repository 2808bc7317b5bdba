"""Set-up of the search: the snapshot's frame and the policy, from task and settings."""

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

# elites below which the axes do not tell so many variants apart
FEW_ELITES, MANY_VARIANTS = 3, 20
# without declared measures the grid reaches from 0 to this multiple of the seed's
ROOM = 3.0


def make_frame(task: Task, settings: Settings) -> Frame:
    """Return the constants of the snapshot; they are the same after every resume.

    Args:
        task: Gives the cases of the search split and the measures.
        settings: Gives repeats, budget and islands.

    Returns:
        The frame.
    """
    islands = Islands(
        settings.islands,
        settings.topology,
        settings.migration_interval,
        settings.migration_rate,
        settings.island_restart,
    )
    cases = tuple(case.id for case in task.spec.cases_of("search"))
    return Frame(
        cases,
        settings.repeats,
        settings.max_variants,
        islands,
        measures_of(task),
        task.spec.aggregate,
    )


def make_search(settings: Settings, operators: OperatorMix) -> Policy:
    """Return the policy of a run; on a noisy task wrapped in `Racing`.

    Args:
        settings: Names of policy and choice of mates.
        operators: The operators to draw from.

    Returns:
        The policy.

    Raises:
        ConfigError: There is no such policy or choice of mates.
    """
    policy = make_policy(settings.policy, operators, make_mates(settings.mates))
    return Racing(policy) if settings.repeats > 1 else policy


def measures_of(task: Task) -> tuple[Measure, ...]:
    """Return the axes of the grid.

    Args:
        task: The task with its seed.

    Returns:
        The declared measures; by default code length and complexity, from 0 to 3 times
        the seed's.
    """
    declared = tuple(Measure(m.name, m.low, m.high, m.bins) for m in task.spec.measures)
    if declared:
        return declared
    return tuple(
        Measure(name, 0.0, ROOM * value)
        for name, value in measure_code(task.seed).items()
    )


def unmeasured(task: Task, rows: Sequence[Evaluation]) -> str:
    """Return a warning about measures that the scorer did not return on the seed.

    A variant without a measure is in its lowest bin, so a mistyped name makes a grid of
    one bin.

    Args:
        task: The task with its declared measures.
        rows: Evaluations of the seed.

    Returns:
        The warning; empty if no measure is missing.
    """
    returned = sorted(measure_rows(rows))
    missing = [
        m.name for m in task.spec.measures if m.name not in {*BUILT_IN, *returned}
    ]
    if not missing:
        return ""
    return (
        f"{task.folder / 'task.toml'}: the scorer returned no metric {', '.join(missing)}; "
        f"variants without it share its lowest bin; it returned: {', '.join(returned)}"
    )


def undivided(elites: int, variants: int) -> str:
    """Return advice for a run whose variants share one or two cells of the grid.

    Args:
        elites: Number of filled cells.
        variants: Number of scored variants.

    Returns:
        The advice; empty with enough elites, or too few variants to tell.
    """
    if elites >= FEW_ELITES or variants < MANY_VARIANTS:
        return ""
    return (
        f"the axes do not tell your variants apart: {variants} variants share "
        f"{elites} cell{'s' if elites > 1 else ''}; declare others in task.toml: "
        "[[measures]] with a narrower low and high, or a metric of the scorer"
    )
