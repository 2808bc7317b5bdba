"""Choice of a second parent: the most distant, complementary or preferred one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evolve.archive import Floats, Ints, Snapshot
from evolve.errors import ConfigError, did_you_mean
from evolve.search.policy import MateChoice
from evolve.search.sampling import elite_rows

ELITE = 16
PREFERENCE = "mate"  # key of the vector in a decision's inherited data
STEP = 0.1  # standard deviation of an inherited preference


class Distant(MateChoice):
    """Chooses the elite with the most distant code, by cosine."""

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """Return the elite with the largest cosine distance to the first parent.

        Args:
            snapshot: The scored variants.
            parents: Rows chosen so far.
            keep: Ignored.

        Returns:
            A row; None without another elite, or if some variants have no vector.
        """
        rows = _candidates(snapshot, parents)
        vectors = snapshot.space.vectors
        if not len(rows) or len(vectors) < len(snapshot):
            return None
        return int(rows[np.argmin(vectors[rows] @ vectors[parents[0]])])


class Complementary(MateChoice):
    """Chooses the elite that is good at the cases where the first parent is not.

    It maximises the sum over cases of the better score of both. After lexicase
    selection, Helmuth, Spector and Matheson 2015.
    """

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """Return the elite with the largest sum of the better score per case.

        Args:
            snapshot: The scored variants.
            parents: Rows chosen so far.
            keep: Ignored.

        Returns:
            A row; None without another elite, or with a single case, where the sum only
            finds the best.
        """
        rows = _candidates(snapshot, parents)
        if not len(rows) or len(snapshot.case_scores.cases) == 1:
            return None
        means = snapshot.case_scores.means
        together = np.fmax(means[rows], means[parents[0]])
        return int(rows[np.argmax(np.nansum(together, axis=1))])


class Preference(MateChoice):
    """Chooses by a preference vector that each variant inherits with mutation.

    Leither et al. 2025, "All You Need Is Sex for Diversity". The vector is a point in
    the space of `features`.
    """

    def inherit(
        self, snapshot: Snapshot, parent: int, rng: np.random.Generator
    ) -> Mapping[str, Any]:
        """Return the parent's vector plus a normal step, clipped to 0..1.

        Args:
            snapshot: The scored variants.
            parent: Row of the first parent; without a vector, it prefers the middle of
                each measure and the highest rank.
            rng: The generator of this decision.

        Returns:
            The child's vector, rounded to six digits, under the key `PREFERENCE`.
        """
        carried = snapshot.proposals[parent].decision.keep.get(PREFERENCE)
        middle = [0.5] * len(snapshot.frame.measures) + [1.0]
        vector = np.array(carried if carried is not None else middle)
        stepped = np.clip(vector + STEP * rng.standard_normal(len(vector)), 0.0, 1.0)
        return {PREFERENCE: [round(float(x), 6) for x in stepped]}

    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """Return the elite nearest to the preference vector.

        Args:
            snapshot: The scored variants.
            parents: Rows chosen so far.
            keep: As `inherit` returned it.

        Returns:
            A row; None without another elite.
        """
        rows = _candidates(snapshot, parents)
        if not len(rows):
            return None
        distance = np.linalg.norm(
            features(snapshot, rows) - np.array(keep[PREFERENCE]), axis=1
        )
        return int(rows[np.argmin(distance)])


def features(snapshot: Snapshot, rows: Ints) -> Floats:
    """Return the position of each row on the measures and in the ranks, scaled to 0..1.

    Args:
        snapshot: The scored variants.
        rows: Shape (m,).

    Returns:
        Shape (m, measures + 1); the rank is among `rows`, 1 for the best; a missing
        measure is 0.5.
    """
    low = np.array([m.low for m in snapshot.frame.measures])
    high = np.array([m.high for m in snapshot.frame.measures])
    places = np.clip((snapshot.measures[rows] - low) / (high - low), 0.0, 1.0)
    ranks = np.argsort(np.argsort(snapshot.values[rows])) / max(len(rows) - 1, 1)
    return np.asarray(np.nan_to_num(np.column_stack([places, ranks]), nan=0.5))


def _candidates(snapshot: Snapshot, parents: Sequence[int]) -> Ints:
    return np.setdiff1d(elite_rows(snapshot, snapshot.ranking, ELITE), parents)


MATES: Mapping[str, type[MateChoice]] = {
    "distant": Distant,
    "complementary": Complementary,
    "preference": Preference,
}


def make_mates(name: str) -> MateChoice | None:
    """Return the choice of mates with a given name.

    Args:
        name: A key of `MATES`, or "drawn".

    Returns:
        The choice; None for "drawn": the policy draws all parents.

    Raises:
        ConfigError: There is no such choice.
    """
    if name == "drawn":
        return None
    if name not in MATES:
        raise ConfigError(
            f"invalid choice of mates {name!r}", did_you_mean(name, ["drawn", *MATES])
        )
    return MATES[name]()
