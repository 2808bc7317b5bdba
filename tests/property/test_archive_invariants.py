"""Whatever happens to an archive: the snapshot is the database, and its parts keep their promises."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.archive import (
    AddStatus,
    Archive,
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
    Steering,
    StoredVector,
    derive_id,
    learned_of,
    pack_vector,
    rows_as_of,
    unit,
)

CASES = ("a", "b")
MEASURES = (Measure("code_length", 0, 10, 3), Measure("novelty", 0, 1, 2))
SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


class Step(NamedTuple):
    """One decision and its end: s scored, f failed, r rejected, p pending, e evaluated again,
    w pending evaluation, x an evaluation that failed, b a variant is banned."""

    fate: str
    draw: int
    scores: tuple[float, float]
    length: float
    island: int
    quarantined: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from("sssssfrpeeewxb"),
        st.integers(0, 10**6),
        st.tuples(SCORES, SCORES),
        st.floats(0, 12),
        st.integers(0, 2),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=40,
)
FRAMES = st.builds(
    Frame,
    st.just(CASES),
    st.sampled_from([1, 3]),
    st.just(100),
    st.builds(
        Islands,
        st.integers(1, 3),
        st.sampled_from(["ring", "full"]),
        st.integers(2, 6),
        st.sampled_from([0.1, 0.5]),
        st.sampled_from([0, 5]),
    ),
    st.just(MEASURES),
)


class World:
    """An archive and the snapshot that saw every write to it."""

    def __init__(self, folder: Path, maximize: bool, frame: Frame) -> None:
        self.store = Archive.create(folder / "a.db", {})
        self.live, self.maximize, self.frame = (
            Snapshot(maximize, frame),
            maximize,
            frame,
        )
        self.number = 0
        self.make(Step("s", 0, (0.5, 0.5), 5, 0, False))

    def make(self, step: Step) -> None:
        live, store = self.live, self.store
        if step.fate == "b":
            banned = live.proposals[step.draw % len(live)].id
            live.quarantine(banned)
            Steering(store).ban("", banned, "")
            return
        parents = (live.proposals[step.draw % len(live)].id,) if len(live) else ()
        made = Proposal(
            derive_id(1, self.number),
            self.number,
            State.PLANNED,
            "syntactic",
            parents,
            0,
            1.0,
            island=step.island,
        )
        self.number += 1
        if step.fate in "ewx":
            self.evaluate(made, step)
            return
        store.plan(made)
        live.expect(parents)
        if step.fate == "s":
            self.score(made, step)
        elif step.fate == "f":
            store.fail(
                made.id,
                "crash",
                "",
                "",
                [Evaluation("a", "search", 0, None, reason="crash")],
            )
            live.fail(replace(made, state=State.FAILED, reason="crash"))
        elif step.fate == "r":
            store.reject(made.id, "unchanged", "")
            live.release(parents)
            live.record_rejection(
                replace(made, state=State.REJECTED, reason="unchanged")
            )

    def score(self, made: Proposal, step: Step) -> None:
        rows = [
            Evaluation("a", "search", 0, 9.0, reason="replaced"),
            *(
                Evaluation(case, "search", 1, score)
                for case, score in zip(CASES, step.scores, strict=True)
            ),
            Evaluation("h", "heldout", 0, 99.0),
        ]
        vector = unit(np.array([step.length, 1.0, *step.scores]))
        measures = {
            "code_length": step.length,
            "novelty": self.live.space.novelty(vector),
        }
        self.store.propose(made.id, f"{made.number:040x}", "c" * 40, "")
        done = replace(
            made,
            state=State.SCORED,
            kept=AddStatus.KEPT,
            novelty=0.0,
            improvement=0.0,
            quarantined=step.quarantined,
            measures=measures,
        )
        self.store.score(done, rows, StoredVector("test", pack_vector(vector)))
        self.live.add(done, None, rows, vector)

    def evaluate(self, made: Proposal, step: Step) -> None:
        variant, case = made.parents[0], CASES[step.draw % 2]
        attempt = 2 + made.number
        made = replace(
            made,
            kind=Kind.EVALUATE,
            decision=Decision(evaluates=CaseAttempt(case, attempt)),
        )
        self.store.plan(made)
        self.live.expect_evaluation(made)
        if step.fate == "w":
            return
        score, reason = (None, "crash") if step.fate == "x" else (step.scores[0], None)
        rows = [Evaluation(case, "search", attempt, score, reason=reason)]
        self.store.evaluated(made.id, variant, rows)
        self.live.observe(variant, rows)


@contextmanager
def world(maximize: bool, frame: Frame, steps: list[Step]) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        made = World(Path(folder), maximize, frame)
        for step in steps:
            made.make(step)
        yield made
        made.store.close()


def state_of(seen: Snapshot) -> dict[str, Any]:
    """Everything a policy can ask, as plain data."""
    return {
        "ids": [p.id for p in seen.proposals],
        "values": seen.values.tolist(),
        "children": seen.children.tolist(),
        "pending": seen.pending.tolist(),
        "trusted": seen.trusted.tolist(),
        "measures": repr(seen.measures.tolist()),
        "best": seen.best(),
        "top": [p.id for p in seen.top(5)],
        "sums": seen.case_scores.sums.tolist(),
        "counts": seen.case_scores.counts.tolist(),
        "made": (seen.waiting, seen.made),
        "next": [
            seen.case_scores.next_attempt(row, case)
            for row in range(len(seen))
            for case in CASES
        ],
        "waiting": seen.case_scores.pending.tolist(),
        "space": seen.space.vectors.tolist(),
        "clades": (
            seen.clades.parents.tolist(),
            seen.clades.sizes.tolist(),
            seen.clades.sums.tolist(),
            seen.clades.counts.tolist(),
        ),
        "islands": [
            (
                island.rows.tolist(),
                island.ranking.top(99),
                dict(island.grid.elites),
                island.natives,
                island.advances,
            )
            for island in seen.islands
        ],
        "outcomes": seen.outcomes,
        "below": [
            [child.id for child in seen.children_of(p.id)] for p in seen.proposals
        ],
        "failures": [seen.failures_of(p.id, 3) for p in seen.proposals],
    }


@settings(max_examples=40, deadline=None)
@given(STEPS, st.booleans(), FRAMES)
def test_the_snapshot_is_the_database(
    steps: list[Step], maximize: bool, frame: Frame
) -> None:
    with world(maximize, frame, steps) as made:
        before = state_of(made.live)
        loaded = state_of(Snapshot.load(made.store, maximize, frame))
        for part in before:
            # a record read back knows more: its state, tree and times
            if part != "best":
                assert loaded[part] == before[part], part
        assert (loaded["best"] and loaded["best"].id) == (
            before["best"] and before["best"].id
        )
        assert state_of(made.live) == before, "reading is pure"


def known(
    made: World, variants: list[str], event: int
) -> dict[str, tuple[list[Evaluation], float]]:
    """The rows and the score of each, as a decision knew them that saw the archive up to this event."""
    found = {one: rows_as_of(event, learned_of(made.store, one)) for one in variants}
    return {one: (rows, made.live.score_by(rows)) for one, rows in found.items()}


@settings(max_examples=40, deadline=None)
@given(STEPS, STEPS, st.booleans(), FRAMES)
def test_what_a_decision_knew_stays_the_same_whatever_is_learned_later(
    before: list[Step], after: list[Step], maximize: bool, frame: Frame
) -> None:
    with world(maximize, frame, before) as made:
        event, variants = made.store.last_event(), [p.id for p in made.live.proposals]
        then = known(made, variants, event)
        for variant, (rows, score) in then.items():
            assert rows == made.store.evaluations(variant), "nothing is left out"
            assert score == made.live.score_of(variant), "to the last digit"
        for step in after:
            made.make(step)
        assert known(made, variants, event) == then
        newest = known(made, variants, made.store.last_event())
        for variant, (rows, _) in then.items():
            assert newest[variant][0][: len(rows)] == rows, (
                "what comes later comes after it"
            )
            assert newest[variant][0] == made.store.evaluations(variant)


@settings(max_examples=40, deadline=None)
@given(STEPS, FRAMES)
def test_islands_have_all_their_members_and_elites_are_the_best_of_their_cells(
    steps: list[Step], frame: Frame
) -> None:
    with world(True, frame, steps) as made:
        seen = made.live
        alive = {ranked.row for ranked in seen.ranking.top(len(seen))}
        members = [set(island.rows.tolist()) for island in seen.islands]
        if not frame.islands.restart and frame.islands.count > 1:
            assert alive - {0} <= set().union(*members)
        for island in seen.islands:
            assert len(island) == len(set(island.rows.tolist())) <= len(seen)
            held = dict(island.grid.elites)
            ranked = {ranked.row for ranked in island.ranking.top(len(seen))}
            cells = {row: island.grid.cell(seen.measures[row]) for row in ranked}
            assert set(held) == set(cells.values())
            for cell, row in held.items():
                inside = [other for other in ranked if cells[other] == cell]
                assert seen.values[row] == max(seen.values[inside])


@settings(max_examples=40, deadline=None)
@given(STEPS, FRAMES)
def test_clades_are_sums_over_rows(steps: list[Step], frame: Frame) -> None:
    with world(True, frame, steps) as made:
        seen = made.live
        parent = {p.id: p.parents[0] if p.parents else None for p in seen.proposals}
        below: dict[str, list[str]] = {p.id: [] for p in seen.proposals}
        for proposal in seen.proposals:
            above: str | None = proposal.id
            while above is not None:
                below[above].append(proposal.id)
                above = parent[above]
        assert len(below[seen.proposals[0].id]) == len(seen), "lineage is connected"
        rows = {
            p.id: [
                row.score
                for row in made.store.evaluations(p.id)
                if row.split == "search"
                and row.reason is None
                and row.score is not None
            ]
            for p in seen.proposals
        }
        for row, proposal in enumerate(seen.proposals):
            scores = [score for member in below[proposal.id] for score in rows[member]]
            assert seen.clades.sizes[row] == len(below[proposal.id])
            assert seen.clades.counts[row] == len(scores)
            assert abs(seen.clades.sums[row] - sum(scores)) < 1e-9
            assert seen.case_scores.counts[row].sum() == len(rows[proposal.id])
