"""Huxley-Gödel Machine: Thompson sampling over clades (Wang et al. 2025).

arXiv 2510.21614. The worth of expanding a variant is that of its descendants, so
evaluations are pooled over its clade (section 4). Pending work counts as begun. All
counts come from the snapshot; none is stored here.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from pydantic import Field

from evolve.archive import Floats, Ints, Snapshot
from evolve.search.policy import Evaluate, Expand, Policy, next_attempt
from evolve.search.sampling import value_range

ALPHA = 0.7  # the paper has 0.6; see the simulation in benchmarks/RESULTS.md
FIRST_CASES = 1


class Hgm(Policy):
    """Expands while evaluations ** alpha >= variants; otherwise evaluates another case."""

    class Params(Policy.Params):
        """Parameters of `hgm`."""

        alpha: float = Field(
            ALPHA, ge=0, le=1, description="exponent of the expansion rule"
        )
        pooled: bool = Field(
            True, description="draw parents from clades; false: from own evaluations"
        )
        tempered: bool = Field(
            True, description="raise the temperature towards the end of the budget"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: Generator) -> Expand | Evaluate:
        """Choose between a child and an evaluation by equation 6: N^alpha >= |archive|.

        Both sides include pending work.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child, first scored on one case, or an evaluation.
        """
        params = self.params
        if not wants_child(snapshot, params.alpha):
            evaluation = self._evaluation(snapshot, rng)
            if evaluation is not None:
                return evaluation
        trusted = snapshot.trusted
        draws = clade_draws(snapshot, rng, params.pooled, params.tempered)[trusted]
        order = iter(trusted[np.argsort(-draws, kind="stable")].tolist())
        made = self.expand(snapshot, rng, len(trusted), lambda: int(next(order)))
        return replace(made, cases=FIRST_CASES)

    def _evaluation(self, snapshot: Snapshot, rng: Generator) -> Evaluate | None:
        """Return the first free case of the variant with the highest draw.

        The draw is from each variant's own counts, not from those of its clade. None if
        no case is free.
        """
        scores, trusted = snapshot.case_scores, snapshot.trusted
        free = scores.begun == 0
        rows = trusted[free.any(axis=1)[trusted]]
        if not len(rows):
            return None
        sums, counts = scores.sums.sum(axis=1), scores.counts.sum(axis=1)
        good, bad = beta_counts(snapshot, sums, counts)
        row = int(rows[np.argmax(rng.beta(1.0 + good[rows], 1.0 + bad[rows]))])
        return next_attempt(snapshot, row, int(np.argmax(free[row])))


def wants_child(snapshot: Snapshot, alpha: float) -> bool:
    """Return whether there are enough evaluations for another variant.

    Args:
        snapshot: Holds at least the seed.
        alpha: Exponent of the expansion rule.
    """
    evaluations = int(snapshot.case_scores.begun.sum())
    begun = evaluations + snapshot.waiting * FIRST_CASES
    return bool(begun**alpha >= len(snapshot) + snapshot.waiting)


def temperature(snapshot: Snapshot) -> float:
    """Return tau = budget / remaining budget, from 1 up, so that the end is greedy.

    Args:
        snapshot: Its frame has the budget in variants.

    Returns:
        At least 1; 1 without a budget.
    """
    budget = snapshot.frame.budget
    if budget is None:
        return 1.0
    return budget / max(budget - snapshot.made, 1)


def beta_counts(
    snapshot: Snapshot, sums: Floats, counts: Ints
) -> tuple[Floats, Floats]:
    """Return successes and failures, with values scaled to the range of the archive.

    Args:
        snapshot: Gives the range of values.
        sums: Sums of values, shape (n,).
        counts: Numbers of evaluations, shape (n,).

    Returns:
        Two arrays of shape (n,), not negative, with sum `counts`.
    """
    low, high = value_range(snapshot)
    good = np.clip((sums - low * counts) / (high - low), 0.0, counts)
    return good, counts - good


def clade_draws(
    snapshot: Snapshot, rng: Generator, pooled: bool = True, tempered: bool = True
) -> Floats:
    """Return a draw of Beta(tau (1 + successes), tau (1 + failures)) for each clade.

    Args:
        snapshot: Holds at least the seed.
        rng: The generator of this decision.
        pooled: Whether to count over clades; False: over each variant alone.
        tempered: Whether tau is the temperature; False: tau is 1.

    Returns:
        Shape (n,), from 0 to 1.
    """
    clades, trials = snapshot.clades, snapshot.case_scores
    counts = clades.counts if pooled else trials.counts.sum(axis=1)
    sums = clades.sums if pooled else trials.sums.sum(axis=1)
    good, bad = beta_counts(snapshot, sums, counts)
    return tempered_draws(good, bad, temperature(snapshot) if tempered else 1.0, rng)


def tempered_draws(good: Floats, bad: Floats, tau: float, rng: Generator) -> Floats:
    """Return draws of Beta(tau (1 + good), tau (1 + bad)).

    A lineage without evaluations is drawn from Beta(1, 1) for any tau: otherwise its
    draws would concentrate at one half when the budget ends.

    Args:
        good: Successes, shape (n,).
        bad: Failures, shape (n,).
        tau: The temperature, positive.
        rng: The generator of this decision.

    Returns:
        Shape (n,), from 0 to 1.
    """
    each = np.where(good + bad > 0, tau, 1.0)
    return np.asarray(rng.beta(each * (1.0 + good), each * (1.0 + bad)))
