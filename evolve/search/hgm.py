"""Huxley-Gödel Machine: Thompson sampling over clades (Wang et al. 2025, arXiv 2510.21614).

A variant is worth expanding for what its descendants achieve, so evaluations are pooled over its clade
(section 4). Work that is pending counts as begun. What is counted is queried: no counter is kept here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Snapshot
from evolve.search.policy import Evaluate, Expand, Policy
from evolve.search.sampling import value_range

ALPHA = 0.7  # the paper has .6; see the simulation in benchmarks/RESULTS.md
FIRST_CASES = 1


class Hgm(Policy):
    """Expand while evaluations ** alpha >= variants; else evaluate one case more."""

    alpha = ALPHA
    pooled = True  # over clades; False: a variant's own evaluations only
    tempered = True

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand | Evaluate:
        """Equation 6: N^alpha >= |archive|, both with what is pending."""
        if not wants_child(snapshot, self.alpha):
            evaluation = self._evaluation(snapshot, rng)
            if evaluation is not None:
                return evaluation
        trusted = snapshot.trusted
        draws = clade_draws(snapshot, rng, self.pooled, self.tempered)[trusted]
        order = iter(trusted[np.argsort(-draws, kind="stable")].tolist())
        made = self.expand(snapshot, rng, len(trusted), lambda: int(next(order)))
        return replace(made, cases=FIRST_CASES)

    def _evaluation(
        self, snapshot: Snapshot, rng: np.random.Generator
    ) -> Evaluate | None:
        """The variant of the highest draw of its own counts, on its first case that is free."""
        free = (snapshot.case_scores.counts == 0) & (snapshot.case_scores.pending == 0)
        rows = snapshot.trusted[free.any(axis=1)[snapshot.trusted]]
        if not len(rows):
            return None
        good, bad = beta_counts(
            snapshot,
            snapshot.case_scores.sums.sum(axis=1),
            snapshot.case_scores.counts.sum(axis=1),
        )
        row = int(rows[np.argmax(rng.beta(1.0 + good[rows], 1.0 + bad[rows]))])
        case = list(snapshot.case_scores.cases)[int(np.argmax(free[row]))]
        return Evaluate(
            snapshot.proposals[row].id,
            case,
            snapshot.case_scores.next_attempt(row, case),
        )


def wants_child(snapshot: Snapshot, alpha: float) -> bool:
    """Whether there are evaluations enough for one more variant."""
    evaluations = int(
        snapshot.case_scores.counts.sum() + snapshot.case_scores.pending.sum()
    )
    begun = evaluations + snapshot.waiting * FIRST_CASES
    return bool(begun**alpha >= len(snapshot) + snapshot.waiting)


def temperature(snapshot: Snapshot) -> float:
    """tau = budget / what is left of it: from 1 up, so that the end is greedy."""
    budget = snapshot.frame.budget
    if budget is None:
        return 1.0
    return budget / max(budget - snapshot.made, 1)


def beta_counts(
    snapshot: Snapshot, sums: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Successes and failures; scores that are no shares are put on the scale of the archive."""
    low, high = value_range(snapshot)
    good = np.clip((sums - low * counts) / (high - low), 0.0, counts)
    return good, counts - good


def clade_draws(
    snapshot: Snapshot,
    rng: np.random.Generator,
    pooled: bool = True,
    tempered: bool = True,
) -> NDArray[np.float64]:
    """Shape (n,): Beta(tau (1 + successes), tau (1 + failures)) of each clade."""
    clades, trials = snapshot.clades, snapshot.case_scores
    counts = clades.counts if pooled else trials.counts.sum(axis=1)
    sums = clades.sums if pooled else trials.sums.sum(axis=1)
    good, bad = beta_counts(snapshot, sums, counts)
    return tempered_draws(good, bad, temperature(snapshot) if tempered else 1.0, rng)


def tempered_draws(
    good: NDArray[np.float64],
    bad: NDArray[np.float64],
    tau: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A lineage that was never evaluated is drawn from Beta(1, 1), whatever tau is.

    It must not be pinned to one half when the budget ends.
    """
    each = np.where(good + bad > 0, tau, 1.0)
    return np.asarray(rng.beta(each * (1.0 + good), each * (1.0 + bad)))
