"""The choice of operators and models: by hand, pure, and the same from the database as live."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolve.archive import (
    AddStatus,
    Archive,
    Call,
    CallPurpose,
    CallState,
    Evaluation,
    Note,
    Outcome,
    Proposal,
    Snapshot,
    State,
    derive_id,
)
from evolve.search import OperatorMix, arms_of, prompt_context
from evolve.search.bandit import DISCOUNT, EXPLORATION, TEMPERATURE
from evolve.search.policy import Expand
from evolve.search.statistics import statistics

WEIGHTS = {"diff": 0.5, "rewrite": 0.5}
ARMS = [("diff", "a"), ("diff", "b"), ("rewrite", "a"), ("rewrite", "b")]


def outcome(
    operator: str, model: str | None, gain: float, tokens: int = 100, usd: float = 0.0
) -> Outcome:
    return Outcome(1, operator, model, State.SCORED, gain, tokens, usd, None, "did it")


def test_by_hand() -> None:
    arms = arms_of(
        [outcome("diff", "a", 1.0, 300), outcome("rewrite", "a", 2.0, 100)],
        [("diff", "a"), ("rewrite", "a")],
        WEIGHTS,
    )
    diff, rewrite = arms
    assert (diff.plays, rewrite.plays) == (DISCOUNT, 1.0)
    assert diff.gain == pytest.approx(DISCOUNT * 0.5) and rewrite.gain == 1.0
    assert diff.cost == pytest.approx(DISCOUNT * 1.5) and rewrite.cost == pytest.approx(
        0.5
    )
    assert diff.worth == pytest.approx((0.5 / 1.5) / 2.0) and rewrite.worth == 1.0
    bonus = EXPLORATION * math.sqrt(math.log1p(1 + DISCOUNT) / 2)
    assert rewrite.bonus == pytest.approx(bonus)
    odds = math.exp(
        (diff.worth + diff.bonus - rewrite.worth - rewrite.bonus) / TEMPERATURE
    )
    assert diff.share / rewrite.share == pytest.approx(odds)


def test_nothing_known_gives_the_weights() -> None:
    arms = arms_of([], ARMS, {"diff": 0.9, "rewrite": 0.1})
    assert [arm.share for arm in arms] == pytest.approx([0.45, 0.45, 0.05, 0.05])


def test_dollars_count_where_there_are_some() -> None:
    """The same gain for the same tokens, at a tenth of the price."""
    seen = [
        outcome("diff", model, 1.0, 100, usd) for model, usd in (("a", 1.0), ("b", 0.1))
    ] * 20
    arms = {arm.model: arm for arm in arms_of(seen, ARMS[:2], WEIGHTS)}
    assert arms["b"].worth == 1.0 and arms["a"].worth < 0.15
    assert arms["b"].share > 0.9


@example([(ARMS[0], 0.0, 0, 5e-324), (ARMS[0], 0.0, 0, 0.0)])  # their mean is none
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ARMS),
            st.floats(0, 1e6),
            st.integers(0, 10**6),
            st.floats(0, 10),
        ),
        max_size=60,
    )
)
def test_shares_are_a_distribution_in_which_all_stay_possible(
    seen: list[tuple[tuple[str, str], float, int, float]],
) -> None:
    arms = arms_of(
        [outcome(*key, gain, tokens, usd) for key, gain, tokens, usd in seen],
        ARMS,
        WEIGHTS,
    )
    assert sum(arm.share for arm in arms) == pytest.approx(1.0)
    assert all(arm.share > 1e-4 for arm in arms)


def test_the_mix_learns_the_better_operator_and_model() -> None:
    snapshot = Snapshot(True)
    snapshot.outcomes = [
        outcome(op, model, float((op, model) == ("rewrite", "b"))) for op, model in ARMS
    ] * 30
    mix = OperatorMix(
        WEIGHTS, {"diff": 1, "rewrite": 1}, "bandit", ("a", "b"), frozenset(WEIGHTS)
    )
    rng = np.random.default_rng(0)
    drawn = [mix.draw(snapshot, rng, 1) for _ in range(200)]
    models = [mix.draw_model("rewrite", snapshot, rng) for _ in range(200)]
    assert drawn.count("rewrite") > 150 and models.count("b") > 150
    assert mix.draw_model("diff", snapshot, np.random.default_rng(1)) in ("a", "b")
    fixed = OperatorMix(
        WEIGHTS, {"diff": 1, "rewrite": 1}, "weights", ("a", "b"), frozenset(WEIGHTS)
    )
    assert 60 < [fixed.draw(snapshot, rng, 1) for _ in range(200)].count("diff") < 140
    assert fixed.draw_model("diff", snapshot, rng) is None


def test_the_snapshot_of_the_database_is_the_live_one(tmp_path: Path) -> None:
    """Outcomes, charges, notes and evidence: whatever was written while it was kept up to date."""
    Archive.create(tmp_path / "a.db", {}).close()
    archive = Archive.open_to_write(tmp_path / "a.db")
    live = Snapshot.load(archive, True)
    seed = _planned(archive, live, 0, ())
    _scored(archive, live, seed, 1.0, None)
    for number in range(1, 9):
        proposal = _planned(archive, live, number, (seed.id,))
        _asked(
            archive,
            live,
            proposal,
            CallState.REPLIED if number % 3 else CallState.UNCERTAIN,
        )
        if number % 4 == 1:
            archive.fail(proposal.id, "time", "late", "")
            live.fail(_with(proposal, State.FAILED, "time"))
        elif number % 4 == 2:
            archive.reject(proposal.id, "empty", "")
            live.release(proposal.parents)
            live.record_rejection(_with(proposal, State.REJECTED, "empty"))
        else:
            _scored(archive, live, proposal, 1.0 + number % 3, (number % 3) * 1.0)
    archive.take_notes(Note(5, "sort first"))
    live.notes = 5
    again = Snapshot.load(archive, True)
    assert again.outcomes == live.outcomes and len(live.outcomes) == 8
    assert {one.tokens for one in live.outcomes} == {0, 120} and live.outcomes[
        0
    ].cost_usd > 0
    assert again.notes == 5 and [note.text for note in archive.notes()] == [
        "sort first"
    ]
    decision = Expand((seed.id,), "diff")
    assert prompt_context(decision, again) == prompt_context(decision, live)
    assert (
        prompt_context(decision, live).lessons and prompt_context(decision, live).tried
    )
    assert statistics(again) == statistics(live)
    assert "why others" in statistics(live).lower() and "empty (2)" in statistics(live)
    archive.close()


def _planned(
    archive: Archive, live: Snapshot, number: int, parents: tuple[str, ...]
) -> Proposal:
    proposal = Proposal(
        derive_id(0, number),
        number,
        State.PLANNED,
        "diff",
        parents,
        0,
        0.0,
        tree="t",
        commit="c",
        note="did it",
    )
    archive.plan(proposal)
    live.expect(parents)
    return proposal


def _asked(
    archive: Archive, live: Snapshot, proposal: Proposal, state: CallState
) -> None:
    call = Call(
        0, proposal.id, CallPurpose.PROPOSE, 0, "m", "{}", CallState.SENT, 500, 0.5
    )
    sent = archive.send_calls([call])[0]
    call = Call(
        sent,
        proposal.id,
        CallPurpose.PROPOSE,
        0,
        "m",
        "{}",
        state,
        500,
        0.5,
        "hi",
        "stop",
        *((100, 20, 0.25) if state is CallState.REPLIED else (0, 0, 0.0)),
    )
    archive.settle_calls([call])
    live.charge(call)


def _scored(
    archive: Archive,
    live: Snapshot,
    proposal: Proposal,
    score: float,
    gain: float | None,
) -> None:
    done = replace(proposal, kept=AddStatus.KEPT, novelty=0.0, improvement=gain)
    archive.score(done, [Evaluation("main", "search", 0, score)])
    live.add(replace(proposal, state=State.SCORED, improvement=gain), score)


def _with(proposal: Proposal, state: State, reason: str) -> Proposal:
    return replace(proposal, state=state, reason=reason)
