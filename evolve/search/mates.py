"""Choosing a second parent: the most distant, the most complementary, or the one that is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Snapshot
from evolve.errors import ConfigError, did_you_mean
from evolve.search.policy import MateChoice
from evolve.search.sampling import elite_rows

ELITE = 16
PREFERENCE = "mate"  # where the vector is among what is inherited
STEP = 0.1  # standard deviation of an inherited preference


class Distant(MateChoice):
    """The elite whose code is the farthest, by cosine."""

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """None where no vectors are kept."""
        rows = _candidates(snapshot, parents)
        vectors = snapshot.space.vectors
        if not len(rows) or len(vectors) < len(snapshot):
            return None
        return int(rows[np.argmin(vectors[rows] @ vectors[parents[0]])])


class Complementary(MateChoice):
    """The elite that is good at the cases where the first parent is not.

    It maximises the sum over cases of the better of both. After lexicase selection, Helmuth, Spector
    and Matheson 2015.
    """

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """None where there is one case: the better of both is then the better one."""
        rows = _candidates(snapshot, parents)
        if not len(rows) or len(snapshot.case_scores.cases) == 1:
            return None
        means = snapshot.case_scores.means
        together = np.fmax(means[rows], means[parents[0]])
        return int(rows[np.argmax(np.nansum(together, axis=1))])


class Preference(MateChoice):
    """Each variant carries the vector of its ideal mate, inherited and mutated.

    Leither et al. 2025, "All You Need Is Sex for Diversity". The vector lies where `features` does.
    """

    def inherit(
        self, snapshot: Snapshot, parent: int, rng: np.random.Generator
    ) -> Mapping[str, Any]:
        """The parent's vector and a normal step; founders prefer the middle and the best."""
        carried = snapshot.proposals[parent].decision.keep.get(PREFERENCE)
        middle = [0.5] * len(snapshot.frame.measures) + [1.0]
        vector = np.array(carried if carried is not None else middle)
        stepped = np.clip(vector + STEP * rng.standard_normal(len(vector)), 0.0, 1.0)
        return {PREFERENCE: [round(float(x), 6) for x in stepped]}

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """The elite that is nearest to the vector."""
        rows = _candidates(snapshot, parents)
        if not len(rows):
            return None
        distance = np.linalg.norm(
            features(snapshot, rows) - np.array(keep[PREFERENCE]), axis=1
        )
        return int(rows[np.argmin(distance)])


def features(snapshot: Snapshot, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (rows, measures + 1): where each lies on the measures and in the ranks, from 0 to 1."""
    low = np.array([m.low for m in snapshot.frame.measures])
    high = np.array([m.high for m in snapshot.frame.measures])
    places = np.clip((snapshot.measures[rows] - low) / (high - low), 0.0, 1.0)
    ranks = np.argsort(np.argsort(snapshot.values[rows])) / max(len(rows) - 1, 1)
    return np.asarray(np.nan_to_num(np.column_stack([places, ranks]), nan=0.5))


def _candidates(snapshot: Snapshot, parents: Sequence[int]) -> NDArray[np.int64]:
    return np.setdiff1d(elite_rows(snapshot, snapshot.ranking, ELITE), parents)


MATES: Mapping[str, type[MateChoice]] = {
    "distant": Distant,
    "complementary": Complementary,
    "preference": Preference,
}


def make_mates(name: str) -> MateChoice | None:
    """By name; "drawn" leaves it to the policy. Raises `ConfigError`."""
    if name == "drawn":
        return None
    if name not in MATES:
        raise ConfigError(
            f"there is no choice of mates {name!r}",
            did_you_mean(name, ["drawn", *MATES]),
        )
    return MATES[name]()
