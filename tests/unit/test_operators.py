"""Operators without a model: children parse, differ, and stay inside the editable region."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from evolve.archive import Proposal, State
from evolve.operators import Child, Context, Parent, Rejected, make_operator
from evolve.operators.checks import check_child
from evolve.operators.lexical import mutate_tokens
from evolve.operators.mutations import MUTATIONS
from evolve.operators.python_source import Source, syntax_error
from evolve.operators.syntactic import mutate_python
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


C = """#include <math.h> // 25 < 3
int f(int x1, int y) {
  // EVOLVE-BLOCK-START
  int z = x1 * 25 + 3.5f; /* 7 + 8 */
  z += y;
  return z < 4 && y ? fmin(x1, z) : 0x1F;
  // EVOLVE-BLOCK-END
}
"""


def test_other_languages_are_changed_by_their_tokens() -> None:
    fixed, notes = editable_region(C).fixed, set()
    for seed in range(400):
        changed = mutate_tokens("a.c", C, np.random.default_rng(seed))
        if changed is None or changed[0] == C:
            continue
        assert editable_region(changed[0]).fixed == fixed
        assert "/* 7 + 8 */" in changed[0] or changed[1].startswith("deleted")
        notes.add(changed[1])
    assert {"* -> +", "< -> >=", "&& -> ||", "fmin -> fmax", "+= -> -="} <= notes
    assert {"x1 -> y", "deleted z += y;", "repeated z += y;"} <= notes
    assert any(note.startswith("3.5f -> ") and note.endswith("f") for note in notes)
    assert not any("0x1F ->" in note for note in notes)
    assert mutate_tokens("a.c", "//", np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    "path", ["a.rs", "a.java", "a.go", "a.js", "a.jl", "a.R", "a.xyz"]
)
def test_every_language_has_tokens(path: str) -> None:
    text = "y = x + 0.5;\nz = min(y, 3) * y;\n"
    notes = [
        changed[1]
        for seed in range(60)
        if (changed := mutate_tokens(path, text, np.random.default_rng(seed)))
    ]
    numbers = [note for note in notes if note[0].isdigit()]
    assert len(numbers) >= 10 and len(notes) - len(numbers) >= 10, notes


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
