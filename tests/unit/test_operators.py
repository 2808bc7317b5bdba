"""Operators without a model: children parse, differ, and stay inside the editable region."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from evolve.archive import Proposal, State
from evolve.operators import Child, Context, Parent, Rejected, make_operator
from evolve.operators.checks import check_child
from evolve.operators.mutations import MUTATIONS
from evolve.operators.python_source import Source, syntax_error
from evolve.operators.syntactic import mutate_numbers, mutate_python
from evolve.tasks import Task, editable_region, load_task

TRICKY = '''"""Doc."""
# EVOLVE-BLOCK-START
def f(x, y=2):
    """A docstring with 3 numbers."""
    z = -1.5e-3 * (x + 7) // (y or 1)
    if x < 3 and y >= 0.0:
        z += max(x, y); w = f"{x + 1:>8} äöü"
    for k in range(4): z -= k
    return [z, {"ä": 1}, True]


def g(a):
    b = a * 2
    return f(b) if a > 1 else None
# EVOLVE-BLOCK-END
X = 5
'''


@pytest.fixture(params=["circle_packing", "cap_set", "bin_packing"])
def task(request: pytest.FixtureRequest, tasks: Path) -> Task:
    return load_task(tasks / request.param)


def parent(task: Task, files: dict[str, bytes] | None = None) -> Parent:
    proposal = Proposal("abc", 0, State.SCORED, "seed", (), 0, 0.0, tree="t")
    return Parent(proposal, files or dict(task.seed), 1.0)


def propose(name: str, task: Task, seed: int, *parents: Parent) -> Child:
    context = Context(task, parents, np.random.default_rng(seed))
    return asyncio.run(make_operator(name).propose(context))


def test_syntactic_children_pass_the_checks_and_repeat(task: Task) -> None:
    different = set()
    for seed in range(60):
        child = propose("syntactic", task, seed, parent(task))
        asyncio.run(check_child(task, [parent(task)], child))
        assert child == propose("syntactic", task, seed, parent(task))
        assert child.note
        different.add(child.files[task.entry])
    assert len(different) > 50


def test_recombine_takes_from_both(task: Task) -> None:
    first = propose("syntactic", task, 1, parent(task))
    second = propose("syntactic", task, 2, parent(task))
    parents = [parent(task, dict(child.files)) for child in (first, second)]
    made = 0
    for seed in range(30):
        try:
            child = propose("recombine", task, seed, *parents)
        except Rejected as why:
            assert why.reason == "unchanged"
            continue
        asyncio.run(check_child(task, parents, child))
        made += 1
    assert made > 10


@pytest.mark.parametrize(
    "mutation", [m for m, _ in MUTATIONS], ids=lambda m: m.__name__
)
def test_each_mutation_keeps_what_is_fixed(mutation: object) -> None:
    assert callable(mutation)
    source, fixed, parsed = Source(TRICKY), editable_region(TRICKY).fixed, 0
    for seed in range(200):
        edit = mutation(source, np.random.default_rng(seed))
        if edit is None:
            continue
        child = source.apply(edit)
        assert editable_region(child).fixed == fixed
        assert '"""A docstring with 3 numbers."""' in child
        parsed += syntax_error(child) is None and child != TRICKY
    assert parsed > 50


def test_other_languages_get_their_numbers_changed() -> None:
    text = "int f(int x1) {\n  return x1 * 25 + 3.5;\n}\n"
    for seed in range(40):
        changed = mutate_numbers(text, np.random.default_rng(seed))
        assert changed is not None
        assert changed[0].startswith("int f(int x1) {\n  return x1 * ")
    assert mutate_numbers("no digits", np.random.default_rng(0)) is None


def test_nothing_to_change_is_none() -> None:
    assert mutate_python("pass\n", np.random.default_rng(3)) is None


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"capset.py": b"x = (\n"}, "region"),
        ({"capset.py": None}, "unchanged"),
        ({"capset.py": b"\xff"}, "syntax"),
        ({"capset.py": None, "new.py": b""}, "region"),
        ({}, "region"),
    ],
)
def test_checks_refuse(
    tasks: Path, files: dict[str, bytes | None], reason: str
) -> None:
    task = load_task(tasks / "cap_set")
    whole = {k: task.seed[k] if v is None else v for k, v in files.items()}
    with pytest.raises(Rejected) as error:
        asyncio.run(check_child(task, [parent(task)], Child(whole, "")))
    assert error.value.reason == reason


def test_checks_name_the_line_of_a_syntax_error(tasks: Path) -> None:
    task = load_task(tasks / "cap_set")
    text = task.seed["capset.py"].decode().replace("score = 0.0", "score = = 0.0")
    with pytest.raises(Rejected) as error:
        asyncio.run(
            check_child(task, [parent(task)], Child({"capset.py": text.encode()}, ""))
        )
    assert error.value.reason == "syntax" and "capset.py:11" in error.value.message
