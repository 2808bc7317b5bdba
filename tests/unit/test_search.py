"""Policies: probabilities computed by hand, and purity."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from evolve.archive import Decision, Proposal, Snapshot, State, derive_id
from evolve.engine.decisions import plan_proposals
from evolve.errors import ConfigError
from evolve.operators import make_operator
from evolve.search import Expand, OperatorMix, make_policy
from evolve.search.sampling import choose
from evolve.search.weighted import parent_probabilities

MIX = OperatorMix({"one": 0.5, "two": 0.5}, {"one": 1, "two": 2})


def snapshot(scores: list[float], maximize: bool = True) -> Snapshot:
    made = Snapshot(maximize)
    for number, score in enumerate(scores):
        made.add(
            Proposal(
                derive_id(0, number), number, State.SCORED, "x", (), 0, 0.0, tree="t"
            ),
            score,
        )
    return made


def test_weighted_by_hand() -> None:
    # median 2, deviations (-1, 0, 1), MAD 1: sigmoid(-10), 1/2, sigmoid(10); children divide.
    found = parent_probabilities(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 3]))
    weights = np.array([1 / (1 + np.exp(10)), 0.5, 1 / (1 + np.exp(-10)) / 4])
    assert found == pytest.approx(weights / weights.sum(), rel=1e-6)


def test_weighted_with_equal_scores_counts_children_only() -> None:
    found = parent_probabilities(np.array([5.0, 5.0, 5.0]), np.array([0, 1, 3]))
    assert found == pytest.approx(np.array([4, 2, 1]) / 7)


def test_best_of_n_uses_the_seed_alone() -> None:
    policy, seen = make_policy("best_of_n", MIX), snapshot([1.0, 3.0])
    for k in range(20):
        decision = policy.decide(seen, np.random.default_rng(k))
        assert isinstance(decision, Expand)
        assert (decision.parents, decision.operator) == ((seen.proposals[0].id,), "one")


def test_weighted_prefers_the_better_in_either_direction() -> None:
    for maximize in (True, False):
        seen = snapshot([1.0, 2.0, 3.0, 4.0, 5.0], maximize)
        policy = make_policy("weighted", OperatorMix({"one": 1.0}, {"one": 1}))
        drawn = [policy.decide(seen, np.random.default_rng(k)) for k in range(200)]
        best = seen.best()
        assert best is not None and best.number == (4 if maximize else 0)
        shares = [
            sum(
                seen.proposals[row].id in d.parents
                for d in drawn
                if isinstance(d, Expand)
            )
            for row in range(5)
        ]
        order = shares if maximize else shares[::-1]
        assert order[0] < order[2] < order[4] + order[3]


@pytest.mark.parametrize("name", ["weighted", "random"])
def test_quarantined_variants_are_no_parents(name: str) -> None:
    seen = snapshot([1.0, 2.0, 3.0])
    seen.add(replace(seen.proposals[0], id="cheat", quarantined=True), 99.0)
    policy = make_policy(name, MIX)
    for k in range(60):
        decision = policy.decide(seen, np.random.default_rng(k))
        assert isinstance(decision, Expand) and "cheat" not in decision.parents


def test_a_name_or_a_dotted_path() -> None:
    assert type(make_policy("evolve.search.random:Random", MIX)).__name__ == "Random"
    with pytest.raises(ConfigError) as error:
        make_policy("best_of_m", MIX)
    assert "best_of_n" in error.value.hint
    with pytest.raises(ConfigError):
        make_policy("evolve.search.policy:Expand", MIX)


def test_a_snapshot_keeps_what_children_inherit_and_no_evidence() -> None:
    seen = snapshot([1.0])
    seen.notes = seen.hints = 1
    decision = Expand(
        (seen.proposals[0].id,),
        "one",
        (seen.proposals[0].id,),
        cases=2,
        keep={"mate": [0.5]},
    )
    planned = plan_proposals(
        decision, 0, 1, seen, settled=0, count=2, shows=("inspirations",)
    )[0]
    known = planned.decision
    assert (known.notes, known.hints, known.settled, known.shared) == (1, 1, 0, (1, 2))
    assert known.inspirations == (seen.proposals[0].id,)
    assert planned.in_short().decision == Decision(cases=2, keep={"mate": [0.5]})
    assert Decision.of(json.loads(known.to_json())) == known


def test_choose_draws_what_numpy_draws() -> None:
    """Runs of earlier versions drew by `Generator.choice`: they go on with the same draws."""
    for seed in range(300):
        shares = np.random.default_rng([seed, 1]).random(1 + seed % 7)
        shares[: seed % 3] = 0.0
        if not shares.sum():
            continue
        shares /= shares.sum()
        ours, numpys = np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(20):
            assert choose(shares, ours) == numpys.choice(len(shares), p=shares)
        assert ours.random() == numpys.random()


def test_parameters_of_policies_and_operators() -> None:
    assert make_policy("beam", MIX).params.model_dump() == {"width": 8}
    assert make_policy("beam:width=4", MIX).params.model_dump() == {"width": 4}
    dotted = make_policy("evolve.search.beam:Beam:width=3", MIX)
    assert dotted.params.model_dump() == {"width": 3}
    assert make_operator("syntactic:more=0.9").params.model_dump() == {"more": 0.9}
    for name, words in (
        ("beam:widht=4", "did you mean 'width'"),
        ("beam:width=0", "greater than or equal to 1"),
        ("best_of_n:width=4", "it has no parameters"),
        ("map_elites:explore=0.8", "must not exceed 1"),
    ):
        with pytest.raises(ConfigError) as caught:
            make_policy(name, MIX)
        assert words in f"{caught.value.message} {caught.value.hint}", name
