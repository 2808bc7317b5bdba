"""Orders: whose result counts next, and who came first among equal children."""

from __future__ import annotations

from evolve.archive import CallPurpose, Decision, Proposal, State
from evolve.engine.ordering import AsFinished, ByNumber, Trees
from evolve.engine.replay import OTHER, AsRecorded, Record


def proposal(
    number: int, tree: str | None = None, settled: int = 0, **more: object
) -> Proposal:
    return Proposal(
        f"p{number}",
        number,
        State.PROPOSED,
        "rewrite",
        (),
        0,
        0.0,
        tree=tree,
        decision=Decision(settled=settled),
        **more,
    )  # type: ignore[arg-type]


def claimed(*proposals: Proposal) -> Trees:
    trees = Trees()
    for one in proposals:
        trees.claim(one.tree or "", one)
    return trees


def test_the_lowest_number_has_a_tree_whoever_came_first() -> None:
    trees = claimed(proposal(5, "t"), proposal(3, "t"), proposal(4, "t"))
    first = trees.first("t")
    assert first is not None and (first.number, first.proposal) == (3, "p3")
    assert trees.first("u") is None


def test_a_live_run_takes_what_is_there() -> None:
    order = AsFinished(claimed(proposal(9, "t")))
    assert not order.holds and order.window is None and order.settled is None
    assert order.due({7, 4}) == 4 and order.due(()) is None
    assert order.early(proposal(2, settled=0), "t", CallPurpose.PROPOSE) == "p9", (
        "whatever its number"
    )
    assert order.early(proposal(2), "u", CallPurpose.PROPOSE) is None
    assert order.late(proposal(10, "t")) is None


def test_by_number_each_has_its_turn() -> None:
    order = ByNumber(claimed(), 3, [0, 1, 4])
    assert order.holds and order.window == 3
    assert order.settled == 1
    assert order.due({3, 5}) is None, "2 has not ended"
    assert order.due({3, 2}) == 2
    order.recorded(2)
    assert order.settled == 2 and order.due({3}) == 3
    order.recorded(3)
    assert order.settled == 4, "4 was recorded in an earlier life"


def test_by_number_a_duplicate_is_one_of_what_the_decision_saw() -> None:
    order = ByNumber(claimed(proposal(5, "t")), 3, [])
    assert order.early(proposal(7, settled=4), "t", CallPurpose.PROPOSE) is None
    assert order.early(proposal(9, settled=5), "t", CallPurpose.PROPOSE) == "p5"
    assert order.late(proposal(7, "t")) == "p5"
    assert order.late(proposal(5, "t")) is None and order.late(proposal(4, "t")) is None


def recorded(*proposals: Proposal, repaired: tuple[str, ...] = ()) -> AsRecorded:
    return AsRecorded(
        Record({p.number: p for p in proposals}, [], frozenset(repaired), {}, 9)
    )


def test_a_replay_takes_results_in_the_order_of_its_record() -> None:
    order = recorded(
        proposal(0, finished_event=1),
        proposal(1, finished_event=9),
        proposal(2, finished_event=4),
    )
    assert order.due({1}) is None and order.due({1, 2}) == 2
    order.recorded(2)
    assert order.due({1}) == 1
    order.recorded(1)
    assert order.due({1, 2}) is None


def test_a_replay_keeps_the_verdicts_of_its_record() -> None:
    rejected = Proposal("p2", 2, State.REJECTED, "rewrite", (), 0, 0.0)
    order = recorded(proposal(1, "t"), rejected, repaired=("p2",))
    assert order.early(proposal(1), "t", CallPurpose.PROPOSE) is None
    assert order.early(proposal(1), "u", CallPurpose.PROPOSE) == OTHER
    assert order.early(rejected, "u", CallPurpose.PROPOSE) is None, (
        "its first child was evaluated, then replaced"
    )
    assert order.early(rejected, "u", CallPurpose.REPAIR) == OTHER
    assert order.late(rejected) == OTHER and order.late(proposal(1)) is None
    assert order.repairs(rejected) and not order.repairs(proposal(1))
