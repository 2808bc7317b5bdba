"""What formulas of policies give at their edges, by hand: each of these once could be wrong unseen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from evolve.archive import Evaluation, Frame, Islands, Snapshot, derive_id
from evolve.archive.case_scores import CaseScores
from evolve.archive.grid import Grid
from evolve.archive.islands import Archipelago
from evolve.archive.ranking import Ranking
from evolve.search import Evaluate, Expand, hgm, make_policy, weighted
from evolve.search.bandit import arms_of
from evolve.search.racing import repeat_due
from evolve.search.sampling import any_island, pick, unit_values, value_range
from tests.unit.test_policies import ONE, grown, noisy, proposal

SURE = 40  # cases: draws of so many are nearly their mean


def agents(*solved: int, pending: int = 0, budget: int | None = None) -> Snapshot:
    """Variants that solved so many of `SURE` cases, each a child of the one before."""
    cases = tuple(f"c{k}" for k in range(SURE + pending))
    seen = Snapshot(True, Frame(cases, budget=budget))
    for number, count in enumerate(solved):
        seen.add(
            proposal(number),
            None,
            [Evaluation(cases[k], "search", 0, float(k < count)) for k in range(SURE)],
        )
    return seen


def decisions(seen: Snapshot, draws: int = 40) -> list[Expand | Evaluate]:
    policy = make_policy("hgm", ONE)
    found = [policy.decide(seen, np.random.default_rng(k)) for k in range(draws)]
    return [each for each in found if isinstance(each, Expand | Evaluate)]


def test_hgm_expands_the_clade_that_does_best() -> None:
    for decision in decisions(agents(2, 38, 4)):
        assert isinstance(decision, Expand) and decision.parents == (derive_id(0, 1),)


def test_hgm_evaluates_the_variant_that_does_best_on_its_first_free_case() -> None:
    seen = Snapshot(True, Frame(tuple(f"c{k}" for k in range(90))))
    for number in range(60):  # so many that none more is wanted
        solved = 1.0 if number == 7 else 0.0
        seen.add(proposal(number), None, [Evaluation("c0", "search", 0, solved)])
    for k in range(1, 9):
        seen.observe(derive_id(0, 7), [Evaluation(f"c{k}", "search", 0, 1.0)])
    found = decisions(seen, 200)
    assert all(isinstance(each, Evaluate) and each.attempt == 0 for each in found)
    best = [
        each
        for each in found
        if isinstance(each, Evaluate) and each.variant == derive_id(0, 7)
    ]
    assert len(best) > 3 * 200 / 60 and {each.case for each in best} == {"c9"}
    assert {each.case for each in found if isinstance(each, Evaluate)} == {"c1", "c9"}


def test_hgm_counts_what_is_pending_as_begun() -> None:
    few = Snapshot(True, Frame(tuple(f"c{k}" for k in range(30))))
    for number in range(4):
        few.add(proposal(number), None, [Evaluation("c0", "search", 0, 1.0)])
    # 4 evaluations, 4 variants
    assert hgm.wants_child(few, 1.0) and not hgm.wants_child(few, 0.9)
    few.case_scores.expect(0, "c1", 0)
    enough = math.log(4) / math.log(5)  # 5 ** enough = 4
    assert hgm.wants_child(few, enough + 1e-9) and not hgm.wants_child(
        few, enough - 1e-9
    )


def test_the_temperature_rises_to_the_budget() -> None:
    assert hgm.temperature(agents(1, 2)) == 1.0
    assert hgm.temperature(agents(1, 2, budget=10)) == 10 / (10 - agents(1, 2).made)
    assert hgm.temperature(agents(1, 2, budget=2)) == 2.0, "never divided by nothing"


def test_scores_that_are_no_shares_count_as_shares_of_the_range() -> None:
    seen = grown([10.0, 20.0, 40.0])
    low, high = value_range(seen)
    assert (low, high) == (pytest.approx(11.0), 40.0), (
        "the worst twentieth counts as nothing"
    )
    sums, counts = np.array([low * 2, high * 3, (low + high) / 2]), np.array([2, 3, 1])
    good, bad = hgm.beta_counts(seen, sums, counts)
    assert good == pytest.approx([0, 3, 0.5]) and bad == pytest.approx([2, 0, 0.5])
    good, _ = hgm.beta_counts(seen, np.array([-99.0, 999.0]), np.array([2, 3]))
    assert good.tolist() == [0, 3], "never fewer than none, never more than all"
    assert unit_values(seen) == pytest.approx([0, 9 / 29, 1])


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 0.5], (0.0, 1.0)),
        ([0.2, 1.0], (0.0, 1.0)),
        ([3.0, 3.0], (2.0, 4.0)),
        ([0.0, 1.5], (pytest.approx(0.075), 1.5)),
        ([-1.0, 0.5], (pytest.approx(-0.925), 0.5)),
    ],
)
def test_the_range_of_values(values: list[float], wanted: tuple[float, float]) -> None:
    assert tuple(value_range(grown(values))) == wanted


def test_weighted_scales_by_the_median_deviation_and_never_overflows() -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    found = weighted.parent_probabilities(
        np.array([0.0, 2.0, 8.0]), np.array([0, 1, 0])
    )
    # the median deviation is 2
    raw = np.array([sigmoid(-10), sigmoid(0) / 2, sigmoid(30)])
    assert found == pytest.approx(raw / raw.sum())
    with np.errstate(all="raise"):
        far = weighted.parent_probabilities(
            np.array([-1e9, 0.0, 1.0, 2.0, 1e9]), np.zeros(5, int)
        )
    assert far[-1] > far[0] > 0


def test_weighted_shows_the_best_that_are_no_parents() -> None:
    seen = grown([1.0, 5.0, 4.0, 3.0, 2.0])
    for k in range(20):
        made = make_policy("weighted", ONE).decide(seen, np.random.default_rng(k))
        assert isinstance(made, Expand)
        best = [row for row in (1, 2, 3) if derive_id(0, row) not in made.parents][:2]
        assert list(made.inspirations) == [derive_id(0, row) for row in best]


def test_draws_of_islands_and_weights() -> None:
    two = grown([1.0, 2.0], frame=Frame(islands=Islands(2)))
    assert {any_island(two, np.random.default_rng(k)) for k in range(30)} == {0, 1}
    assert {any_island(grown([1.0]), np.random.default_rng(k)) for k in range(5)} == {0}
    weights = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = [pick(weights, np.random.default_rng(k)) for k in range(800)]
    assert set(drawn) == {1, 3} and drawn.count(3) == pytest.approx(600, abs=60)


def test_repeats_are_due_only_where_they_are_asked_for_and_count_what_is_pending() -> (
    None
):
    assert repeat_due(grown([1.0, 2.0])) is None
    seen = noisy((5.0, 5.1, 5.2), (9.5,))
    for attempt in (1, 2, 3):
        seen.case_scores.expect(1, "a", attempt)
    assert repeat_due(seen) == Evaluate(derive_id(0, 0), "a", 3), (
        "the other has four, decided ones too"
    )
    seen.case_scores.end(1, "a")
    assert repeat_due(seen) == Evaluate(derive_id(0, 1), "a", 4)


def test_attempts_that_are_decided_are_counted_one_by_one() -> None:
    trials = CaseScores(("a", "b"))
    trials.append(())
    for attempt in (0, 1, 2):
        trials.expect(0, "b", attempt)
    assert trials.pending.tolist() == [[0, 3]]
    trials.end(0, "b")
    assert trials.pending.tolist() == [[0, 2]] and trials.next_attempt(0, "b") == 3


def test_the_error_of_a_mean_over_cases_that_were_tried_three_times() -> None:
    trials, values = (
        CaseScores(("a", "b")),
        {"a": (0.5, 1.0, 2.0), "b": (3.0, 3.5, 7.0)},
    )
    trials.append(())
    for case, scores in values.items():
        for score in scores:
            trials.observe(0, case, score)
    assert trials.complete(0)
    within = sum(float(np.var(scores, ddof=1)) / 3 for scores in values.values())
    half = float(t.ppf(0.975, 5)) * math.sqrt(within) / 2
    mean = float(np.mean([np.mean(scores) for scores in values.values()]))
    assert trials.interval(0) == pytest.approx((mean - half, mean + half))
    trials.append(())
    for score in (0.25, 0.25):  # no spread, one case of two
        trials.observe(1, "a", score)
    assert trials.interval(1) == (0.25, 0.25) and not trials.complete(1)


def test_rankings_are_ordered_by_their_best() -> None:
    good, poor, empty = Ranking(), Ranking(), Ranking()
    for row, value in enumerate((1.0, 9.0, 2.0)):
        good.add(row, value)
    for row, value in enumerate((8.0, 3.0)):
        poor.add(row, value)
    assert sorted([empty, poor, good], key=Ranking.key) == [good, poor, empty]


def test_the_worse_islands_begin_again_from_the_best_of_the_others() -> None:
    plan = Islands(4, interval=1000, restart=9)
    sea = Archipelago(plan, lambda: Grid(()))
    sea.add(0, 0, 0.0)  # the seed, on every island
    later = (
        (0, 4.0),
        (1, 1.0),
        (2, 3.0),
        (3, 2.0),
        (0, 5.0),
        (2, 3.5),
        (1, 1.5),
        (3, 2.5),
    )
    for island, value in later:
        sea.add(island, 0, value)
    assert [sorted(island.rows.tolist()) for island in sea.islands] == [
        [0, 1, 5],
        [6],
        [0, 3, 6],
        [5],
    ]
    assert [island.natives for island in sea.islands][1] == 1


def test_shares_of_operators_without_any_news_are_their_priors() -> None:
    arms = arms_of(
        [], [("one", "m"), ("one", "n"), ("two", None)], {"one": 0.8, "two": 0.2}
    )
    assert [arm.share for arm in arms] == pytest.approx([0.4, 0.4, 0.2])
    assert all(arm.worth == 0 and arm.bonus == 0 for arm in arms)
    assert arms_of([], [("none", None)], {})[0].share == 0
