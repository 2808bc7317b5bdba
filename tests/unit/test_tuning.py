"""Numbers as parameters: skeletons, rendering, and steps that are a function of rows."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evolve.archive import Decision, Files, Proposal, Snapshot, State, derive_id
from evolve.engine.decisions import PolicyDecider, Tuning, plan_proposals
from evolve.operators import Context, Parent, Rejected, make_operator
from evolve.operators.literals import MOST_BYTES, render, skeleton_of
from evolve.search import Expand, OperatorMix, make_policy
from evolve.tasks import load_task
from evolve.tuning import Tuner
from evolve.tuning.tuner import PATIENCE
from tests.unit.test_operators import TRICKY

BOWL = b"""def f():
    a, b, c = 1.0, -3, 0.5
    dead = 7.0
    return a, b, c
"""
TARGET = (2.5, 6, -1.25)
MIX = OperatorMix({"tune": 0.9, "other": 0.1}, {"tune": 1, "other": 1})
OTHER = OperatorMix({"other": 1.0}, {"tune": 1, "other": 1})


def values_in(content: bytes) -> tuple[float, ...]:
    return skeleton_of({"p.py": content}).values


def test_literals_are_the_numbers_of_the_editable_region() -> None:
    assert values_in(TRICKY.encode()) == (2, -1.5e-3, 7, 1, 3, 0.0, 4, 1, 2, 1)


@pytest.mark.parametrize("seed", range(20))
def test_other_numbers_give_the_same_skeleton_and_keys(seed: int) -> None:
    files = {"p.py": TRICKY.encode()}
    before = skeleton_of(files)
    rng = np.random.default_rng(seed)
    wanted = {
        place: int(rng.integers(-9, 9))
        if isinstance(literal.value, int)
        else float(rng.normal())
        for place, literal in enumerate(before.literals)
    }
    after = skeleton_of(render(files, before.literals, wanted))
    assert after.values == tuple(wanted.values())
    assert after.name == before.name
    assert [x.key for x in after.literals] == [x.key for x in before.literals]


def test_signs_change_there_and_back() -> None:
    files: Files = {"p.py": b"x = not-1 + 2**-3 - -4\n"}
    for sign in (-1, 1, -1, 1):
        found = skeleton_of(files)
        files = render(files, found.literals, dict(enumerate([sign] * 4)))
        assert values_in(files["p.py"]) == (sign,) * 4


def test_a_new_statement_leaves_the_keys_of_the_others() -> None:
    more = BOWL.replace(b"    dead", b"    new = 4\n    dead")
    known = {x.key for x in skeleton_of({"p.py": BOWL}).literals}
    found = {x.key for x in skeleton_of({"p.py": more}).literals}
    assert known < found and len(found - known) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"x = (1\n",
        b"x = " + b"(" * 3000 + b"1" + b")" * 3000,
        b"\xff = 1",
        b"# EVOLVE-BLOCK-START\nx = 1\n",
        b"x = 1\n" * MOST_BYTES,
    ],
    ids=["syntax", "nested", "bytes", "markers", "long"],
)
def test_a_program_that_can_not_be_read_has_nothing_to_tune(content: bytes) -> None:
    assert skeleton_of({"p.py": content}).literals == ()


def test_a_decision_keeps_its_numbers() -> None:
    decided = Decision(literals=((0, 1.0), (3, -2)))
    stored = json.loads(decided.to_json())
    assert Decision.of(stored) == Decision.in_short_of(stored) == decided
    assert decided.in_short() == decided
    assert [type(value) for _, value in Decision.of(stored).literals] == [float, int]


def test_tune_writes_the_numbers_of_its_decision(tasks: Path) -> None:
    task = load_task(tasks / "circle_packing")
    proposal = Proposal("abc", 0, State.SCORED, "seed", (), 0, 0.0, tree="t")
    context = Context(
        task,
        (Parent(proposal, dict(task.seed), 1.0),),
        np.random.default_rng(0),
        literals=((0, 17),),
    )
    tune = make_operator("tune")
    child = asyncio.run(tune.propose(context))
    shown = {path: child.files[path] for path in task.edits.within(child.files)}
    assert skeleton_of(shown).values[0] == 17 and child.note.endswith("-> 17")
    with pytest.raises(Rejected, match="no number to tune"):
        asyncio.run(tune.propose(replace(context, literals=((10_000, 1),))))


class World:
    """Programs whose score is a function of their numbers, some of them in flight.

    Args:
        pays: whether a number matters
        flying: how many decisions have no result yet
        seed: of the run
    """

    def __init__(self, pays: bool = True, flying: int = 4, seed: int = 0) -> None:
        self.pays, self.flying = pays, flying
        self.code: dict[str, bytes] = {}
        self.snapshot = Snapshot(True)
        self.waiting: deque[Proposal] = deque()
        self.children: list[bytes] = []
        self.decided: list[tuple[str, ...]] = []
        self.seed = seed
        first = Proposal(derive_id(0, 0), 0, State.SCORED, "seed", (), 0, 0.0, tree="t")
        self.code[first.id] = BOWL
        self.snapshot.add(first, self.score(BOWL))
        self.decider = self.new_decider()

    def new_decider(self) -> PolicyDecider:
        tuner = Tuner(lambda variant: {"p.py": self.code[variant]})
        policy = make_policy("map_elites", MIX)
        otherwise = make_policy("map_elites", OTHER)
        return PolicyDecider(
            policy, self.seed, tuning=Tuning(tuner, {"tune"}, otherwise)
        )

    def score(self, content: bytes) -> float:
        found = values_in(content)
        return -sum((x - y) ** 2 for x, y in zip(found, TARGET, strict=False)) * (
            self.pays
        )

    def step(self, number: int) -> Expand:
        again = self.new_decider().decide(number, self.snapshot)
        decision = self.decider.decide(number, self.snapshot)
        assert again == decision, "rebuilt from rows it decides the same"
        assert isinstance(decision, Expand)
        (planned,) = plan_proposals(decision, self.seed, number, self.snapshot)
        self.snapshot.expect(planned.parents)
        self.snapshot.steps.plan(planned)
        self.waiting.append(planned)
        self.decided.append((decision.operator, *map(str, decision.literals)))
        if len(self.waiting) >= self.flying:
            self.end(self.waiting.popleft())
        return decision

    def end(self, planned: Proposal) -> None:
        parent = self.code[planned.parents[0]]
        files = {"p.py": parent}
        literals = skeleton_of(files).literals
        child = (files | render(files, literals, dict(planned.decision.literals)))[
            "p.py"
        ]
        if planned.operator == "tune":
            self.children.append(child)
        if planned.number % 9 == 0:
            self.snapshot.fail(replace(planned, state=State.FAILED, reason="exception"))
            return
        value = self.score(child)
        improvement = value - self.snapshot.value_of(planned.parents[0])
        self.code[planned.id] = child
        done = replace(planned, state=State.SCORED, tree="t", improvement=improvement)
        self.snapshot.add(done, value)

    def run(self, steps: int) -> World:
        for number in range(1, steps + 1):
            self.step(number)
        return self


@pytest.mark.parametrize("flying", [1, 4, 16])
def test_tuning_finds_the_numbers_and_repeats_none(flying: int) -> None:
    world = World(flying=flying).run(150)
    assert len(set(world.children)) == len(world.children) > 100
    best = world.snapshot.best()
    assert best is not None
    assert world.snapshot.value_of(best.id) > 0.1 * world.score(BOWL)
    assert world.decided == World(flying=flying).run(150).decided
    assert world.decided != World(flying=flying, seed=1).run(150).decided


def test_the_first_steps_move_each_literal_up_and_down() -> None:
    world = World(flying=1).run(20)
    probed = [
        known.probed for known in world.decider.tuning.tuner.knowledge.literals.values()
    ]
    assert probed.count({-1, 1}) == 4
    dead = world.decider.tuning.tuner.knowledge
    weights = sorted(known.weight for known in dead.literals.values())
    assert weights[0] < 0.2 < weights[1], "the literal without effect is drawn least"


def test_tuning_that_does_not_pay_leaves_its_decisions_to_others() -> None:
    world = World(pays=False).run(PATIENCE * 6)
    early = [one[0] for one in world.decided[:PATIENCE]]
    late = [one[0] for one in world.decided[-PATIENCE * 3 :]]
    assert early.count("tune") > 0.8 * len(early)
    assert late.count("tune") < 0.15 * len(late)


def test_without_literals_nothing_is_tuned() -> None:
    world = World()
    world.code = dict.fromkeys(world.code, b"x = y\n")
    decided = {world.decider.decide(k, world.snapshot).operator for k in range(1, 40)}
    assert decided == {"other"}
