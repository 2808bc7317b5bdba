"""The proposer: from a planned proposal to a stored child, or the reason why there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import PERSON, Call, CallPurpose, CallState, Evaluation, State
from evolve.engine.ordering import ByNumber
from evolve.engine.proposer import NoveltyGate, Proposer
from evolve.evaluation.evaluator import Verdict
from evolve.models import BudgetedModels, ReplayedModels
from evolve.operators import Rejected
from evolve.operators.person import person_reply
from tests.unit.loop.bench import (
    SEED_ID,
    SEED_SCORE,
    Bench,
    opened,
    program,
    replies,
    reply,
)

NOWHERE = "hosted_vllm/x@http://127.0.0.1:9/v1"
BROKEN = "def value(:\n    return 2\n"


def on_bench(
    folder: Path, work: Callable[[Bench], Coroutine[Any, Any, None]], **settings: object
) -> None:
    async def whole() -> None:
        async with opened(folder, **settings) as bench:
            await work(bench)

    asyncio.run(whole())


async def why_rejected(proposer: Proposer, bench: Bench) -> Rejected:
    planned = await bench.plan()
    with pytest.raises(Rejected) as raised:
        await proposer.propose(planned)
    assert bench.states()[planned.number] == (State.PLANNED, None), (
        "recording is up to the engine"
    )
    return raised.value


def test_a_reply_that_is_stored_is_never_asked_for_again(tmp_path: Path) -> None:
    """Planned, replied, proposed: nobody listens at the model's address."""

    async def work(bench: Bench) -> None:
        planned = await bench.plan()
        sent = Call(
            0,
            planned.id,
            CallPurpose.PROPOSE,
            0,
            NOWHERE,
            "{}",
            CallState.SENT,
            100,
            0.0,
        )
        given = reply(1, program(2.0))
        (sent,) = await bench.recorder.send_calls([sent])
        assert bench.states() == {1: (State.PLANNED, None)}
        await bench.recorder.settle_calls([replace(given, id=sent.id)])
        assert bench.states() == {1: (State.REPLIED, None)}
        caller = BudgetedModels(bench.settings, bench.recorder, bench.seen.waiting)
        stored = await bench.proposer(caller).propose(planned)
        await caller.aclose()
        assert bench.states() == {1: (State.PROPOSED, None)}
        assert stored.files == {"program.py": program(2.0).encode()}
        assert await bench.recorder.files(stored.proposal.tree or "") == stored.files
        assert stored.proposal.note == "I say another number."
        assert bench.events(1) == ["planned", "call", "proposed"]

    on_bench(tmp_path, work, model=[NOWHERE])


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (program(SEED_SCORE), "unchanged", "the same as the parent's"),
        (BROKEN, "syntax", "program.py:1"),
        (program(7.0), "duplicate", "was tried before"),
    ],
)
def test_what_is_no_new_program_is_turned_away(
    tmp_path: Path, text: str, reason: str, words: str
) -> None:
    async def work(bench: Bench) -> None:
        known = await bench.scored(program(7.0), 7.0)
        why = await why_rejected(bench.proposer(replies("", text)), bench)
        assert why.reason == reason and words in why.message
        assert why.note == "I say another number."
        assert reason != "duplicate" or known.id in why.message

    on_bench(tmp_path, work, repairs=0)


def answers(first: str, second: str) -> ReplayedModels:
    return ReplayedModels([reply(1, first), reply(1, second, CallPurpose.REPAIR)])


@pytest.mark.parametrize("first", [program(SEED_SCORE), BROKEN, "no program at all"])
def test_an_answer_of_no_use_is_fed_back_once(tmp_path: Path, first: str) -> None:
    async def work(bench: Bench) -> None:
        stored = await bench.proposer(answers(first, program(3.0))).propose(
            await bench.plan()
        )
        assert stored.files == {"program.py": program(3.0).encode()}
        assert bench.states() == {1: (State.PROPOSED, None)}

    on_bench(tmp_path, work)


def test_the_second_answer_is_the_last(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        why = await why_rejected(
            bench.proposer(answers(BROKEN, program(SEED_SCORE))), bench
        )
        assert why.reason == "unchanged"

    on_bench(tmp_path, work)


def verdict(attempt: int = 0) -> Verdict:
    return Verdict(
        (Evaluation("main", "search", attempt, None, reason="exception", message="oh"),)
    )


def test_a_child_that_failed_is_replaced_once(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        proposer = bench.proposer(answers(program(2.0), program(3.0)))
        first = await proposer.propose(await bench.plan())
        second = await proposer.repair(first.proposal, verdict())
        assert second is not None and second.files == {
            "program.py": program(3.0).encode()
        }
        assert bench.recorder.attempt_of(second.proposal) == 1
        rows = bench.recorder.archive.evaluations(first.proposal.id)
        assert [(row.attempt, row.reason) for row in rows] == [(0, "exception")], (
            "what failed is kept"
        )
        # there would be something new
        other = bench.proposer(answers(program(2.0), program(4.0)))
        assert await other.repair(second.proposal, verdict(attempt=1)) is None

    on_bench(tmp_path, work)


@pytest.mark.parametrize("second", [program(2.0), program(SEED_SCORE), BROKEN])
def test_a_repair_that_is_nothing_new_leaves_the_first_child(
    tmp_path: Path, second: str
) -> None:
    async def work(bench: Bench) -> None:
        proposer = bench.proposer(answers(program(2.0), second))
        first = await proposer.propose(await bench.plan())
        assert await proposer.repair(first.proposal, verdict()) is None
        assert (
            bench.recorder.archive.proposal(first.proposal.id).tree
            == first.proposal.tree
        )
        assert bench.recorder.archive.evaluations(first.proposal.id) == []

    on_bench(tmp_path, work)


def test_under_a_window_a_repair_that_changes_nothing_is_none(tmp_path: Path) -> None:
    """Its own tree is not among those that its decision saw."""

    async def work(bench: Bench) -> None:
        order = ByNumber(bench.recorder.trees, 4, [0])
        proposer = bench.proposer(answers(program(2.0), program(2.0)), order)
        first = await proposer.propose(await bench.plan(settled=0))
        assert await proposer.repair(first.proposal, verdict()) is None

    on_bench(tmp_path, work)


def test_the_second_answer_has_a_judgement_of_its_own(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        calls = [
            reply(1, program(2.0)),
            judged(1, "SAME"),
            reply(1, program(3.0), CallPurpose.REPAIR),
            replace(judged(1, "DIFFERENT"), step=1),
        ]
        proposer = bench.proposer(ReplayedModels(calls), gate=NoveltyGate(2.0, "judge"))
        stored = await proposer.propose(await bench.plan())
        assert stored.files == {"program.py": program(3.0).encode()}

    on_bench(tmp_path, work)


def test_without_repairs_and_without_a_model_nothing_is_repaired(
    tmp_path: Path,
) -> None:
    async def off(bench: Bench) -> None:
        proposer = bench.proposer(answers(program(2.0), program(3.0)))
        first = await proposer.propose(await bench.plan())
        assert await proposer.repair(first.proposal, verdict()) is None

    async def of_an_operator_without_a_model(bench: Bench) -> None:
        proposer = bench.proposer(replies())
        first = await proposer.propose(await bench.plan("syntactic"))
        assert await proposer.repair(first.proposal, verdict()) is None

    on_bench(tmp_path / "off", off, repairs=0)
    on_bench(tmp_path / "syntactic", of_an_operator_without_a_model)


def test_a_childs_draws_are_those_of_its_number(tmp_path: Path) -> None:
    """Another life of the run makes the same child of the same decision."""
    trees = []

    async def work(bench: Bench) -> None:
        stored = await bench.proposer(replies()).propose(await bench.plan("syntactic"))
        trees.append(stored.proposal.tree)

    for name in ("a", "b"):
        on_bench(tmp_path / name, work)
    assert trees[0] == trees[1]


def test_under_a_window_only_what_the_decision_saw_is_a_duplicate(
    tmp_path: Path,
) -> None:
    async def work(bench: Bench) -> None:
        await bench.scored(program(7.0), 7.0)
        order = ByNumber(bench.recorder.trees, 4, [0])
        proposer = bench.proposer(replies("", program(7.0), program(7.0)), order)
        stored = await proposer.propose(await bench.plan(settled=0))
        assert stored.files == {"program.py": program(7.0).encode()}
        assert order.late(stored.proposal) is not None, (
            "the lower number wins when its turn comes"
        )
        with pytest.raises(Rejected, match="was tried before"):
            await proposer.propose(await bench.plan(settled=1))

    on_bench(tmp_path, work, repairs=0)


def test_a_persons_program_needs_no_reply_of_a_model(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        text = person_reply({"program.py": program(9.0)}, "by hand")
        given = ReplayedModels(
            [
                Call(
                    0,
                    (await bench.plan(PERSON)).id,
                    CallPurpose.PROPOSE,
                    0,
                    PERSON,
                    "{}",
                    CallState.REPLIED,
                    0,
                    0.0,
                    text,
                    "stop",
                )
            ]
        )
        (proposal,) = bench.recorder.unfinished()
        stored = await bench.proposer(given, gate=NoveltyGate(2.0)).propose(proposal)
        assert stored.files == {"program.py": program(9.0).encode()}
        assert stored.proposal.note == "by hand"

    on_bench(tmp_path, work)


def judged(number: int, word: str) -> Call:
    return Call(
        0,
        reply(number, "").proposal,
        CallPurpose.JUDGE,
        0,
        "judge",
        json.dumps({"messages": []}),
        CallState.REPLIED,
        0,
        0.0,
        word,
        "stop",
    )


@pytest.mark.parametrize(
    ("gate", "words", "passes"),
    [
        (NoveltyGate(), (), True),
        (NoveltyGate(2.0), (), False),
        (NoveltyGate(2.0, "judge"), ("DIFFERENT",), True),
        (NoveltyGate(2.0, "judge"), ("SAME",), False),
        (NoveltyGate(2.0, "judge"), ("DIFFERENT, or the SAME",), False),
    ],
)
def test_the_gate_turns_near_copies_away_and_a_judge_may_let_them_pass(
    tmp_path: Path, gate: NoveltyGate, words: Sequence[str], passes: bool
) -> None:
    async def work(bench: Bench) -> None:
        models = ReplayedModels(
            [reply(1, program(2.0)), *(judged(1, word) for word in words)]
        )
        proposer = bench.proposer(models, gate=gate)
        if passes:
            assert (
                await proposer.propose(await bench.plan())
            ).proposal.state is State.PROPOSED
        else:
            why = await why_rejected(proposer, bench)
            assert why.reason == "not novel" and SEED_ID in why.message

    on_bench(tmp_path, work, repairs=0)
