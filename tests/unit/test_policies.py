"""Each policy against its paper's formula, computed by hand; repeats; mates."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from evolve.archive import (
    Advance,
    CaseAttempt,
    Decision,
    Evaluation,
    Frame,
    Islands,
    Kind,
    Measure,
    Proposal,
    Snapshot,
    State,
    derive_id,
    unit,
)
from evolve.errors import ConfigError
from evolve.search import (
    POLICIES,
    Evaluate,
    Expand,
    OperatorMix,
    Racing,
    adaevolve,
    dgm,
    hgm,
    make_mates,
    make_policy,
    map_elites,
    power_law,
    recorded_decision,
)
from evolve.search.racing import repeat_due
from evolve.search.sampling import elite_rows, unit_values
from evolve.search.setup import undivided

MIX = OperatorMix({"one": 0.5, "two": 0.5}, {"one": 1, "two": 2})
ONE = OperatorMix({"one": 1.0}, {"one": 1})
TWO = OperatorMix({"two": 1.0}, {"two": 2})


def proposal(number: int, parent: int | None = None, island: int = 0) -> Proposal:
    parents = () if parent is None else (derive_id(0, parent),)
    return Proposal(
        derive_id(0, number),
        number,
        State.SCORED,
        "x",
        parents,
        0,
        0.0,
        tree="t",
        island=island,
    )


def grown(
    values: list[float],
    parents: list[int | None] | None = None,
    frame: Frame | None = None,
    homes: list[int] | None = None,
) -> Snapshot:
    """Variants with one score for the whole, each below its parent."""
    seen = Snapshot(True, frame)
    for number, value in enumerate(values):
        parent = (parents or [None] * len(values))[number]
        made = proposal(number, parent, (homes or [0] * len(values))[number])
        seen.expect(made.parents)
        seen.add(made, value)
    return seen


def first_parents(name: str, seen: Snapshot, draws: int = 3000) -> np.ndarray:
    """How often each row was the first parent."""
    policy = make_policy(name, ONE)
    found = Counter()
    for k in range(draws):
        decision = policy.decide(seen, np.random.default_rng([k, 5]))
        assert isinstance(decision, Expand)
        found[seen.row_of(decision.parents[0])] += 1
    return np.array([found[row] / draws for row in range(len(seen))])


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_deciding_is_pure_and_seeded(name: str) -> None:
    frame = Frame(
        ("a", "b"),
        budget=50,
        islands=Islands(2, interval=3),
        measures=(Measure("novelty", 0, 1, 2),),
    )
    seen = grown(
        [0.1, 0.9, 0.3, 0.3, 0.8, 0.2], [None, 0, 0, 1, 1, 4], frame, [0, 1, 0, 1, 0, 1]
    )
    before = (
        seen.values.tolist(),
        seen.children.tolist(),
        [i.rows.tolist() for i in seen.islands],
    )
    policy = make_policy(name, MIX)
    decisions = [policy.decide(seen, np.random.default_rng([7, k])) for k in range(30)]
    assert decisions == [
        policy.decide(seen, np.random.default_rng([7, k])) for k in range(30)
    ]
    assert before == (
        seen.values.tolist(),
        seen.children.tolist(),
        [i.rows.tolist() for i in seen.islands],
    )
    for decision in decisions:
        assert isinstance(decision, Expand)
        assert (
            len(decision.parents)
            == len(set(decision.parents))
            == MIX.parents[decision.operator]
        )
        assert not set(decision.inspirations) & set(decision.parents)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_lone_seed_is_the_parent(name: str) -> None:
    seen = grown([0.5])
    decision = make_policy(name, MIX).decide(seen, np.random.default_rng(0))
    assert isinstance(decision, Expand) and decision.parents == (derive_id(0, 0),)


def test_power_law_by_hand() -> None:
    assert power_law.rank_weights(3) == pytest.approx([1, 1 / 2, 1 / 3])
    shares = first_parents("power_law", grown([1.0, 3.0, 2.0]))
    assert shares == pytest.approx(np.array([2, 6, 3]) / 11, abs=0.03)


def test_greedy_and_beam() -> None:
    seen = grown([1.0, 3.0, 2.0, 0.0], [None, 0, 0, 1])
    assert first_parents("greedy", seen, 10).tolist() == [0, 1, 0, 0]
    # children are 2 1 0 0: the beam's next is the best of those without any, row 2.
    assert first_parents("beam", seen, 10).tolist() == [0, 0, 1, 0]


def test_map_elites_by_hand() -> None:
    # .2/3 each; .7 to the two archived; .1 by value, -1 counting as 1e-4.
    found = map_elites.parent_probabilities(
        np.array([3.0, 1.0, -1.0]), np.array([True, True, False])
    )
    parts = (
        0.2 / 3
        + 0.7 * np.array([0.5, 0.5, 0.0])
        + 0.1 * np.array([3, 1, 1e-4]) / 4.0001
    )
    assert found == pytest.approx(parts) and found.sum() == pytest.approx(1)
    assert map_elites.parent_probabilities(
        np.ones(4), np.zeros(4, bool)
    ) == pytest.approx([0.25] * 4)


def test_map_elites_draws_elites_of_cells_alone() -> None:
    seen = Snapshot(True, Frame(measures=(Measure("m", 0, 4, 4),)))
    for number, (value, where) in enumerate(
        [(1.0, 0.5), (2.0, 0.6), (9.0, 3.5), (5.0, 3.6)]
    ):
        seen.add(replace(proposal(number), measures={"m": where}), value)
    shares = first_parents("map_elites", seen)
    assert shares[0] == shares[3] == 0  # beaten in their cells
    assert shares[[1, 2]] == pytest.approx(
        [0.1 + 0.35 + 0.1 * 2 / 11, 0.1 + 0.35 + 0.1 * 9 / 11], abs=0.03
    )


def test_one_cell_takes_mates_and_inspirations_from_the_ranking() -> None:
    seen = grown([1.0, 2.0, 2.0, 3.0])
    policy = make_policy("map_elites", MIX)
    drawn = [policy.decide(seen, np.random.default_rng(n)) for n in range(60)]
    assert all(isinstance(one, Expand) for one in drawn)
    pairs = [one.parents for one in drawn if one.operator == "two"]
    best, seed, newest = (derive_id(0, number) for number in (3, 0, 2))
    assert {pair[0] for pair in pairs} == {best}
    assert {pair[1] for pair in pairs} == {seed, newest}
    assert {one.inspirations for one in drawn if one.operator == "one"} >= {
        (seed, newest),
        (newest, seed),
    }


def test_equal_scores_in_one_cell_still_give_two_parents() -> None:
    policy = make_policy("map_elites", TWO)
    made = policy.decide(grown([1.0, 1.0, 1.0]), np.random.default_rng(0))
    assert isinstance(made, Expand) and len(set(made.parents)) == 2


@pytest.mark.parametrize(
    "elites,variants,told",
    [(1, 20, "1 cell;"), (2, 99, "2 cells;"), (3, 99, ""), (1, 19, "")],
)
def test_axes_that_tell_nothing_apart_are_reported(
    elites: int, variants: int, told: str
) -> None:
    advice = undivided(elites, variants)
    assert bool(advice) == bool(told) and told in advice


def test_adaevolve_by_hand() -> None:
    # one gain of 50 % two members ago: G = .1 * .25 * .9^2 ; I = .15 + .35 / (1 + sqrt G)
    gain = adaevolve.accumulated([Advance(2, 2.0, 3.0)], 5)
    assert gain == pytest.approx(0.1 * 0.25 * 0.81)
    assert adaevolve.exploration(gain) == pytest.approx(
        0.15 + 0.35 / (1 + math.sqrt(0.02025))
    )
    assert adaevolve.exploration(0.0) == 0.5
    seen = grown(
        [1.0, 2.0, 1.5, 1.2],
        frame=Frame(islands=Islands(2, interval=99)),
        homes=[0, 0, 0, 1],
    )
    # island 0: rows 0 1 2, gain 1/2 of the best, one member ago; island 1: rows 0 3, gain .2/2
    visits = [1 + 0.9 + 0.81, 1 + 0.9]
    expected = [
        0.5 * 0.9 / visits[0] + math.sqrt(2 * math.log(5) / 3),
        0.1 / visits[1] + math.sqrt(2 * math.log(5) / 2),
    ]
    assert adaevolve.island_scores(seen.islands, 2.0) == pytest.approx(expected)
    decision = make_policy("adaevolve", ONE).decide(seen, np.random.default_rng(0))
    assert isinstance(decision, Expand) and decision.island == int(np.argmax(expected))


def test_what_is_not_believed_is_no_scale_for_adaevolve() -> None:
    """A gain of 1 is half of the best that counts, and nothing of one above a bound."""
    seen = grown(
        [1.0, 2.0, 1.5, 1.2, 1.1],
        frame=Frame(islands=Islands(2, interval=99)),
        homes=[0, 0, 0, 1, 1],
    )
    before = make_policy("adaevolve", ONE).decide(seen, np.random.default_rng(0))
    seen.add(replace(proposal(5), quarantined=True, island=1), 1e12)
    after = make_policy("adaevolve", ONE).decide(seen, np.random.default_rng(0))
    assert (
        isinstance(before, Expand) and isinstance(after, Expand) and before.island == 0
    )
    assert after.island == before.island


def test_dgm_by_hand() -> None:
    found = dgm.parent_probabilities(np.array([0.5, 0.9, 0.9]), np.array([0, 0, 3]))
    weights = np.array([0.5, 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(-4)) / 4])
    assert found == pytest.approx(weights / weights.sum())
    seen = grown([0.5, 0.9, 0.9, 0.1, 0.1, 0.1], [None, None, None, 2, 2, 2])
    assert first_parents("dgm", seen)[:3] == pytest.approx(
        (weights / (weights.sum() + 3 / (1 + math.exp(4))))[:3], abs=0.03
    )


def test_dgm_opens_the_next_stage_at_forty_percent() -> None:
    known = np.array([10, 10, 9, 60, 60])
    accuracy = np.array([0.4, 0.39, 1.0, 0.5, 0.1])
    assert dgm.stage_goals(known, accuracy).tolist() == [60, 10, 10, 200, 10]
    cases = tuple(f"c{k}" for k in range(12))
    seen = Snapshot(True, Frame(cases))
    for number, passed in enumerate((3, 4)):
        seen.add(
            proposal(number),
            None,
            [
                Evaluation(case, "search", 0, float(k < passed))
                for k, case in enumerate(cases[:10])
            ],
        )
    assert dgm.next_of_stage(seen) == Evaluate(derive_id(0, 1), "c10", 0)
    for case in ("c10", "c11"):
        seen.expect_evaluation(
            Proposal(
                "e",
                9,
                State.PLANNED,
                "evaluate",
                (derive_id(0, 1),),
                0,
                0.0,
                decision=Decision(evaluates=CaseAttempt(case, 0)),
                kind=Kind.EVALUATE,
            )
        )
    assert dgm.next_of_stage(seen) is None
    child = make_policy("dgm", ONE).decide(seen, np.random.default_rng(0))
    assert isinstance(child, Expand) and child.cases == 10


def test_hgm_pools_clades_and_counts_what_is_pending() -> None:
    cases = ("a", "b", "c")
    seen = Snapshot(True, Frame(cases, budget=11))
    for number, (parent, scores) in enumerate(
        [(None, (1, 0, 0)), (0, (1, 1)), (1, (0,)), (0, (1,))]
    ):
        made = proposal(number, parent)
        seen.expect(made.parents)
        seen.add(
            made,
            None,
            [
                Evaluation(c, "search", 0, float(s))
                for c, s in zip(cases, scores, strict=False)
            ],
        )
    assert seen.clades.sums.tolist() == [
        4,
        2,
        0,
        1,
    ] and seen.clades.counts.tolist() == [7, 3, 1, 1]
    assert hgm.temperature(seen) == pytest.approx(11 / (11 - 3))
    # Beta(tau (1 + s), tau (1 + f)) has the mean (1 + s) / (2 + n), whatever tau is.
    draws = np.mean(
        [hgm.clade_draws(seen, np.random.default_rng(k)) for k in range(4000)], axis=0
    )
    assert draws == pytest.approx([5 / 9, 3 / 5, 1 / 3, 2 / 3], abs=0.02)
    spread = np.std(
        [hgm.clade_draws(seen, np.random.default_rng(k)) for k in range(4000)], axis=0
    )
    a, b = 11 / 8 * 5, 11 / 8 * 4
    assert spread[0] == pytest.approx(
        math.sqrt(a * b / (a + b) ** 2 / (a + b + 1)), rel=0.05
    )
    # 7 ** .7 = 3.9 < 4 children: evaluate; 7 ** .8 = 4.7: expand, but not with one more pending,
    # as 8 ** .7 = 4.3 < 5.
    assert not hgm.wants_child(seen, 0.7) and hgm.wants_child(seen, 0.8)
    seen.expect((derive_id(0, 0),))
    assert not hgm.wants_child(seen, 0.75) and hgm.wants_child(seen, 0.8)
    found = make_policy("hgm", ONE).decide(seen, np.random.default_rng(1))
    assert isinstance(found, Evaluate) and found.variant != derive_id(0, 0), (
        "the seed is complete"
    )


def test_hgm_draws_what_was_never_evaluated_from_the_whole_unit() -> None:
    nothing = np.zeros(4000)
    drawn = hgm.tempered_draws(nothing, nothing, 50.0, np.random.default_rng(0))
    assert float(np.std(drawn)) == pytest.approx(math.sqrt(1 / 12), rel=0.05)
    sure = hgm.tempered_draws(nothing + 1, nothing, 50.0, np.random.default_rng(0))
    assert float(np.std(sure)) == pytest.approx(math.sqrt(2 / 9 / 151), rel=0.05)


def test_hgm_expands_where_nothing_is_left_to_evaluate() -> None:
    seen = grown([1.0, 2.0, 3.0, 4.0])
    found = make_policy("hgm", ONE).decide(seen, np.random.default_rng(1))
    assert isinstance(found, Expand) and found.cases == 1
    assert unit_values(seen)[-1] == 1.0 and unit_values(seen)[0] == 0.0


def test_islands_have_children_of_their_own() -> None:
    frame = Frame(
        islands=Islands(2, interval=99), measures=(Measure("novelty", 0, 1, 2),)
    )
    seen = grown([1.0, 2.0, 3.0, 4.0], frame=frame, homes=[0, 0, 1, 1])
    for name in ("weighted", "power_law", "map_elites", "greedy", "beam", "adaevolve"):
        policy = make_policy(name, ONE)
        for k in range(20):
            made = policy.decide(seen, np.random.default_rng(k))
            assert isinstance(made, Expand)
            assert seen.row_of(made.parents[0]) in seen.islands[made.island]


def noisy(*scores: tuple[float, ...]) -> Snapshot:
    seen = Snapshot(True, Frame(("a",), repeats=4))
    for number, attempts in enumerate(scores):
        seen.add(
            proposal(number),
            None,
            [Evaluation("a", "search", k, score) for k, score in enumerate(attempts)],
        )
    return seen


def test_the_best_is_the_one_that_is_surely_best() -> None:
    seen = noisy((5.0, 5.1, 5.2), (9.0, 2.0, 8.0), (9.5,))
    best = seen.best()
    assert best is not None and best.number == 0
    assert [p.number for p in seen.top(3)] == [2, 1, 0]
    alone = noisy((5.0,), (6.0,)).best()
    assert alone is not None and alone.number == 1


def test_who_would_be_the_best_is_evaluated_until_it_is_decided() -> None:
    seen = noisy((5.0, 5.1, 5.2), (9.5,), (1.0, 1.1, 0.9))
    due = repeat_due(seen)
    assert due == Evaluate(derive_id(0, 1), "a", 1)
    policy = Racing(make_policy("greedy", ONE))
    assert policy.decide(seen, np.random.default_rng(0)) == due
    for attempt in (1, 2, 3):
        found = repeat_due(seen)
        assert found is not None and (found.variant, found.attempt) == (
            derive_id(0, 1),
            attempt,
        )
        seen.observe(
            found.variant, [Evaluation("a", "search", attempt, 9.0 + attempt / 10)]
        )
    best = seen.best()
    assert best is not None and best.number == 1
    assert repeat_due(seen) is None, "the others' upper ends are below its lower end"
    assert isinstance(policy.decide(seen, np.random.default_rng(0)), Expand)


def test_one_that_fails_later_is_trusted_no_more() -> None:
    seen = noisy((5.0,), (6.0,))
    seen.observe(derive_id(0, 1), [Evaluation("a", "search", 1, None, reason="crash")])
    best = seen.best()
    assert best is not None and best.number == 0 and seen.trusted.tolist() == [0]


def test_mates() -> None:
    seen = Snapshot(True, Frame(("a", "b"), measures=(Measure("m", 0, 1, 2),)))
    for number, (vector, scores, where) in enumerate(
        [
            ((1, 0), (1.0, 0.0), 0.0),
            ((0.9, 0.1), (0.1, 0.95), 0.4),
            ((-1, 0), (0.9, 0.2), 1.0),
        ]
    ):
        rows = [
            Evaluation(c, "search", 0, s) for c, s in zip("ab", scores, strict=True)
        ]
        seen.add(
            replace(proposal(number), measures={"m": where}),
            None,
            rows,
            unit(np.array(vector, float)),
        )
    rng = np.random.default_rng(0)
    distant, complementary = make_mates("distant"), make_mates("complementary")
    preference = make_mates("preference")
    assert distant is not None and distant.choose(seen, [0], {}) == 2
    assert complementary is not None and complementary.choose(seen, [0], {}) == 1
    assert preference is not None
    kept = preference.inherit(seen, 0, rng)
    assert len(kept["mate"]) == 2
    assert preference.choose(seen, [0], {"mate": [0.4, 0.2]}) == 1
    heir = replace(proposal(9), decision=Decision(keep={"mate": [0.9, 0.1]}))
    seen.add(heir, 0.0)
    inherited = preference.inherit(seen, 3, rng)["mate"]
    assert inherited == pytest.approx([0.9, 0.1], abs=0.4) and inherited != [0.9, 0.1]
    made = make_policy("random", TWO, preference).decide(seen, np.random.default_rng(3))
    assert (
        isinstance(made, Expand) and len(set(made.parents)) == 2 and "mate" in made.keep
    )
    assert make_mates("drawn") is None
    with pytest.raises(ConfigError):
        make_mates("distent")


def test_a_recorded_decision_is_the_decision() -> None:
    kept = Proposal(
        "x",
        4,
        State.SCORED,
        "diff",
        ("p",),
        3,
        0.0,
        island=2,
        model="m",
        decision=Decision(
            inspirations=("q",),
            failures=("r",),
            cases=3,
            keep={"mate": [0.5]},
            settled=2,
        ),
    )
    assert recorded_decision(kept) == Expand(
        ("p",), "diff", (), 2, "m", 3, {"mate": [0.5]}
    )
    again = replace(
        kept, kind=Kind.EVALUATE, decision=Decision(evaluates=CaseAttempt("a", 2))
    )
    assert recorded_decision(again) == Evaluate("p", "a", 2)


def test_the_elite_has_one_row_for_each_score() -> None:
    seen = grown([1.0, 2.0, 2.0, 3.0, 2.0], [None, 0, 0, 2, 0])
    assert elite_rows(seen, seen.ranking, 2).tolist() == [3, 4]
