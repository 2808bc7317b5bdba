"""Which (operator, model) brings the most for its cost: a discounted bandit over the archive's rows.

After ShinkaEvolve (Lange et al., arXiv 2509.19349, section 3.3), whose bandit chooses models by the
improvement over the parent, with an upper confidence bound and a decay. Here an arm is an operator with
a model, improvement is divided by cost, and the state is no counter but a function of what is finished:
a run that is resumed or repeated has the same one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evolve.archive import Outcome

DISCOUNT = 0.98  # for each finished proposal that came later
MEMORY = 1000  # older ones weigh nothing any more
EXPLORATION = 0.5
TEMPERATURE = 0.2
LEAST_COST = 0.05  # of the mean: what costs nothing is no infinite bargain


class Arm(NamedTuple):
    """An operator with a model (None: it needs none), and what is known of them."""

    operator: str
    model: str | None
    plays: float = 0.0  # discounted
    gain: float = 0.0  # discounted, in units of the largest gain
    cost: float = 0.0  # discounted, in units of the mean cost
    worth: float = 0.0  # gain for its cost, 1 for the best arm
    bonus: float = 0.0  # for what is little known
    share: float = 0.0  # of the next decisions


def arms_of(
    outcomes: Sequence[Outcome],
    arms: Iterable[tuple[str, str | None]],
    weights: Mapping[str, float],
) -> list[Arm]:
    """The state of every arm; `weights` are the priors of operators. Shares sum to one."""
    known = {key: Arm(*key) for key in arms}
    latest = outcomes[-MEMORY:]
    largest = max((outcome.gain for outcome in latest), default=0.0) or 1.0
    costs = _costs(latest)
    # of the smallest numbers it may be none, too
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


def _costs(outcomes: Sequence[Outcome]) -> list[float]:
    """Dollars; tokens where everything is free. No seconds: a decision must not depend on the clock."""
    dollars = [outcome.cost_usd for outcome in outcomes]
    return dollars if any(dollars) else [float(outcome.tokens) for outcome in outcomes]


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
