"""A discounted bandit over (operator, model): which pair gains most for its cost.

After ShinkaEvolve (Lange et al., arXiv 2509.19349, section 3.3), where a bandit chooses
models by the improvement over the parent, with an upper confidence bound and a decay.
Here an arm is an operator with a model, improvement is divided by cost, and the state
is not a counter but a function of the finished proposals: a run that is resumed or
repeated has the same state.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evolve.archive import Outcome

DISCOUNT = 0.98  # per later finished proposal
MEMORY = 1000  # outcomes; older ones have a negligible weight
EXPLORATION = 0.5
TEMPERATURE = 0.2
LEAST_COST = 0.05  # of the mean, so that a free arm does not have an infinite rate


class Arm(NamedTuple):
    """An operator with a model, and its statistics.

    Attributes:
        model: None for an operator that needs no model.
        plays: Discounted number of outcomes.
        gain: Discounted sum of gains, in units of the largest gain.
        cost: Discounted sum of costs, in units of the mean cost.
        worth: Gain divided by cost, in units of the best arm's; 0 to 1.
        bonus: Upper confidence bound: larger for arms with few plays.
        share: Probability of the next decision; all shares sum to one.
    """

    operator: str
    model: str | None
    plays: float = 0.0
    gain: float = 0.0
    cost: float = 0.0
    worth: float = 0.0
    bonus: float = 0.0
    share: float = 0.0


def arms_of(
    outcomes: Sequence[Outcome],
    arms: Iterable[tuple[str, str | None]],
    weights: Mapping[str, float],
) -> list[Arm]:
    """Return the state of every arm.

    Args:
        outcomes: Finished proposals, oldest first.
        arms: The pairs (operator, model) to choose from.
        weights: Prior weights of operators; an operator's weight is divided among its
            models.

    Returns:
        The arms in the given order; their shares sum to one.
    """
    known = {key: Arm(*key) for key in arms}
    latest = outcomes[-MEMORY:]
    largest = max((outcome.gain for outcome in latest), default=0.0) or 1.0
    dollars = [outcome.cost_usd for outcome in latest]
    costs = dollars if any(dollars) else [float(outcome.tokens) for outcome in latest]
    # the mean of denormal numbers may round to 0
    mean = sum(costs) / max(len(costs), 1) or 1.0
    for age, (outcome, cost) in enumerate(
        zip(reversed(latest), reversed(costs), strict=True)
    ):
        arm = known.get((outcome.operator, outcome.model))
        if arm is not None:
            weight = DISCOUNT**age
            known[arm.operator, arm.model] = arm._replace(
                plays=arm.plays + weight,
                gain=arm.gain + weight * outcome.gain / largest,
                cost=arm.cost + weight * max(cost / mean, LEAST_COST),
            )
    return _with_shares(list(known.values()), weights)


def _with_shares(arms: Sequence[Arm], weights: Mapping[str, float]) -> list[Arm]:
    total = sum(arm.plays for arm in arms)
    rates = [arm.gain / arm.cost if arm.cost else 0.0 for arm in arms]
    best = max(rates, default=0.0) or 1.0
    scored = [
        arm._replace(
            worth=rate / best,
            bonus=EXPLORATION * math.sqrt(math.log1p(total) / (1.0 + arm.plays)),
        )
        for arm, rate in zip(arms, rates, strict=True)
    ]
    models = {
        arm.operator: sum(other.operator == arm.operator for other in arms)
        for arm in arms
    }
    raw = [
        weights.get(arm.operator, 0.0)
        / models[arm.operator]
        * math.exp((arm.worth + arm.bonus) / TEMPERATURE)
        for arm in scored
    ]
    return [
        arm._replace(share=value / (sum(raw) or 1.0))
        for arm, value in zip(scored, raw, strict=True)
    ]
