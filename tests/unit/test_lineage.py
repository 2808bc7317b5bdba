"""Descent and contributions, as queries over a small tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.archive import (
    SEED,
    AddStatus,
    Archive,
    Browser,
    CaseAttempt,
    Decision,
    Evaluation,
    Kind,
    Lineage,
    NotFound,
    Proposal,
    State,
    derive_id,
)


def name(number: int) -> str:
    return derive_id(1, number)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Archive]:
    """0 - 1 - 3 - 5 and 0 - 2 - 4; 4 has 3 as its second parent; 6 failed, 7 evaluated 3 again."""
    made = Archive.create(tmp_path / "a.db", {})
    for number, parents, operator, gain in [
        (0, (), SEED, None),
        (1, (0,), "diff", 1.0),
        (2, (0,), "rewrite", -0.5),
        (3, (1,), "diff", 0.25),
        (4, (2, 3), "cross", 0.5),
        (5, (3,), "rewrite", 0.0),
    ]:
        planned = Proposal(
            name(number),
            number,
            State.PLANNED,
            operator,
            tuple(map(name, parents)),
            0,
            1.0,
            model="m" if operator == "diff" else None,
        )
        made.plan(planned)
        made.propose(planned.id, f"{number:040x}", "c" * 40, "")
        kept = AddStatus.BEST if number == 4 else AddStatus.KEPT
        made.score(
            replace(planned, kept=kept, novelty=0.0, improvement=gain),
            [Evaluation("a", "search", 0, float(number))],
        )
    failed = Proposal(name(6), 6, State.PLANNED, "diff", (name(3),), 0, 1.0, model="m")
    made.plan(failed)
    made.fail(failed.id, "crash", "", "")
    made.plan(
        replace(
            failed,
            id=name(7),
            number=7,
            kind=Kind.EVALUATE,
            model=None,
            decision=Decision(evaluates=CaseAttempt("a", 1)),
        )
    )
    made.evaluated(name(7), name(3), [Evaluation("a", "search", 1, 5.0)])
    yield made
    made.close()


def test_paths_and_depths(store: Archive) -> None:
    lineage = Lineage(store)
    assert lineage.path(name(5)) == [name(n) for n in (0, 1, 3, 5)]
    assert lineage.ancestors([name(4), name(3)]) == {name(n) for n in (0, 1, 2, 3, 4)}
    assert lineage.path("nobody") == []


def test_clades_leave_out_second_parents_and_evaluations(store: Archive) -> None:
    lineage = Lineage(store)
    assert lineage.clade(name(1)) == [name(n) for n in (1, 3, 5, 6)]
    assert lineage.clade(name(2)) == [name(2), name(4)]
    assert len(lineage.clade(name(0))) == 7


def test_what_each_operator_gave(store: Archive) -> None:
    found = Lineage(store).contributions()
    assert [tuple(row) for row in found] == [
        ("diff", "m", 3, 2, 2, 0, 1.25),
        ("cross", None, 1, 1, 1, 1, 0.5),
        ("rewrite", None, 2, 2, 0, 0, 0.0),
    ]


def test_some_variants_are_as_all_of_them(store: Archive) -> None:
    browser = Browser(store)
    everything = {v.id: v for v in browser.variants()}
    assert list(everything) == [name(n) for n in range(7)]
    wanted = [name(3), name(0), name(6)]
    assert browser.variants(wanted) == [everything[name(n)] for n in (0, 3, 6)]
    assert everything[name(3)].score == 4.0, "the mean of both attempts"
    gains = [everything[name(n)].improvement for n in (0, 1, 3, 4, 5)]
    assert gains == [None, 1.0, 3.0, 0.0, 1.0], "from the scores of now"
    (least,) = Browser(store, maximize=False).variants([name(3)])
    assert least.improvement == -3.0
    assert browser.variants([]) == [] and store.first().id == name(0)


def test_a_row_has_all_parents_and_counts_the_children_that_passed(
    store: Archive,
) -> None:
    browser = Browser(store)
    rows = browser.variants()
    assert rows[4].parents == (name(2), name(3)) and rows[4].parent == name(2)
    assert rows[0].parents == () and rows[0].parent is None
    children = [v.number for v in browser.children(name(3))]
    assert children == [4, 5, 6] and rows[3].children == 2, "6 has no tree"
    assert [v.cause for v in rows[5:]] == [None, "crash"]
    (decision,) = browser.variants([name(7)])
    assert not decision.passed and decision.parents == (name(3),)


def test_an_archive_without_a_seed(tmp_path: Path) -> None:
    empty = Archive.create(tmp_path / "b.db", {})
    with pytest.raises(NotFound, match="no seed"):
        empty.first()
    empty.close()
