"""Scores per case of a task whose attempts are not averaged, but have a median or minimum."""

from collections.abc import Iterable, Sequence

import numpy as np

from evolve.archive.attempts import Aggregator, spread_around
from evolve.archive.case_scores import CaseScores, Known, Trial, mean_of_cases
from evolve.archive.columns import Floats, GrowableArray


class RobustScores(CaseScores):
    """Scores of cases by any function of their attempts.

    The sums and squares are those of as many attempts with the score of the case as their
    mean and their robust spread as their deviation, so intervals follow from them.

    Args:
        cases: Names of the cases, one column each.
        aggregator: Makes the score of a case from its attempts.
    """

    def __init__(self, cases: tuple[str, ...], aggregator: Aggregator) -> None:
        super().__init__(cases)
        self._aggregator = aggregator
        self._score = GrowableArray(np.float64, len(cases))
        self._values: dict[tuple[int, int], list[float]] = {}

    @property
    def means(self) -> Floats:
        """Score of each case, shape (n, cases); NaN without a scored attempt."""
        return np.where(self.counts > 0, self._score.rows, np.nan)

    def append(self, seen: Sequence[Trial]) -> Known:
        """Append a row with the trials of a new variant; see `CaseScores.append`."""
        row = len(self.counts)
        super().append(())
        self._score.append([0.0] * len(self.cases))
        for trial in seen:
            self.number(row, trial.case, trial.attempt)
            if trial.value is not None:
                self.observe(row, trial.case, trial.value)
        return Known(self.mean(row), self.complete(row))

    def mean_of(self, seen: Iterable[Trial]) -> float:
        """Return the mean that a row with exactly these trials has, bit for bit."""
        alone = RobustScores(tuple(self.cases), self._aggregator)
        return alone.append(list(seen)).mean

    def observe(self, row: int, case: str, value: float) -> None:
        """Add the value of one scored attempt; see `CaseScores.observe`."""
        super().observe(row, case, value)
        column = self.cases[case]
        values = self._values.setdefault((row, column), [])
        values.append(value)
        count, score = len(values), self._aggregator(values)
        spread = spread_around(score, values)
        self._score.rows[row, column] = score
        self.sums[row, column] = count * score
        self._square.rows[row, column] = count * score**2 + (count - 1) * spread**2

    def mean(self, row: int) -> float:
        """Return the mean of the scores of the cases; NaN without one."""
        known = self.counts[row] > 0
        return mean_of_cases(self._score.rows[row][known].tolist())
