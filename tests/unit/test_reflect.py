"""`reflect`: one prompt written anew from what happened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.archive import CallPurpose, Evaluation, Proposal, State
from evolve.operators import Context, Parent, Rejected, Reply, make_operator
from evolve.operators.reflect import new_text, prompts_of
from evolve.tasks import Task, load_task
from tests.conftest import ROOT

GOOD = "It never looks.\n<new_text>\nLook first. {statement} {files}\n</new_text>"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "evaluate.py").write_text("def evaluate(candidate, case): return 1\n")
    (tmp_path / "task.toml").write_text(
        'name = "t"\ndescription = "d"\nkind = "agent"\n[agent]\nseed = "shipped"\n'
    )
    return load_task(tmp_path)


class Model:
    """Says one thing after the other, and remembers what it was asked."""

    def __init__(self, *says: str) -> None:
        self.says, self.asked = says, list[list[dict[str, str]]]()

    async def ask(self, purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        self.asked.append(list(messages))
        return Reply(self.says[purpose is CallPurpose.REPAIR], "stop")


def proposed(task: Task, model: Model, seed: int = 0, **more: Any) -> Any:
    rows = [
        Evaluation("a", "search", 0, 0.0, {"steps": 3}, "it gave up", "what it printed")
    ]
    parent = Parent(
        Proposal("id", 0, State.SCORED, "seed", (), 0, 0.0), task.seed, 0.25, rows
    )
    context = Context(
        task, (parent,), np.random.default_rng(seed), ask=model.ask, **more
    )
    return asyncio.run(make_operator("reflect").propose(context))


def test_one_prompt_is_another_and_nothing_else(task: Task) -> None:
    changed = set()
    for seed in range(30):
        child = proposed(task, Model(GOOD), seed)
        assert child.note == "It never looks."
        different = [path for path in task.seed if child.files[path] != task.seed[path]]
        assert len(different) == 1 and child.files.keys() == task.seed.keys()
        assert child.files[different[0]] == b"Look first. {statement} {files}\n"
        changed.add(different[0])
    assert changed == {"prompts/system.md", "prompts/problem.md", "prompts/no_block.md"}


def test_the_question_shows_the_prompt_and_what_happened(task: Task) -> None:
    model = Model(GOOD)
    proposed(task, model)
    text = model.asked[0][0]["content"]
    assert "it gave up" in text and "what it printed" in text and "0.25" in text
    assert any(
        task.seed[path].decode() in text for path in prompts_of(sorted(task.seed))
    )
    assert "def main" not in text  # code is for other operators


def test_a_second_answer_knows_what_was_wrong_with_the_first(task: Task) -> None:
    model = Model("I would look first.", GOOD)
    with pytest.raises(Rejected, match="<new_text>") as turned_away:
        proposed(task, model)
    child = proposed(task, model, repair=turned_away.value.message)
    assert child.note == "It never looks."
    assert [message["role"] for message in model.asked[-1]] == [
        "user",
        "assistant",
        "user",
    ]
    assert turned_away.value.message in model.asked[-1][-1]["content"]


@pytest.mark.parametrize(
    ("reply", "why", "said"),
    [
        ("<new_text>\nLook at {files}.\n</new_text>", "gap lost", r"\{statement\}"),
        ("<new_text>\n\n</new_text>", "gap lost", "something"),
        ("```\nLook.\n```", "no text", "whole new text"),
        (
            "Between a line <new_text> and a line </new_text>.",
            "no text",
            "whole new text",
        ),
    ],
)
def test_what_would_break_the_agent_is_turned_away(
    reply: str, why: str, said: str
) -> None:
    old = "" if "something" in said else "# {statement}\n{files}\n"
    with pytest.raises(Rejected, match=said) as error:
        new_text(Reply(reply, "stop"), old)
    assert error.value.reason == why


def test_an_answer_that_was_cut_off_is_said_to_be(task: Task) -> None:
    with pytest.raises(Rejected, match="cut off"):
        new_text(Reply("<new_text>\nLook", "length"), "")


def test_the_second_mark_may_be_missing_where_the_model_ended_by_itself() -> None:
    assert new_text(Reply("Clearer. <new_text>\nLook.", "stop"), "") == "Look.\n"
    assert (
        new_text(Reply("<new_text>\nLook.\n</new_text>\nand mo", "length"), "")
        == "Look.\n"
    )


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("WHAT CHANGES: It looks first.\n\n", "It looks first."),
        ("It looks first.\n", "It looks first."),
        ("WHAT CHANGES: one sentence\nIt looks first. ", "It looks first."),
        ("", "prompts/problem.md is rewritten"),
    ],
)
def test_the_note_is_the_models_own_line(task: Task, said: str, note: str) -> None:
    child = proposed(
        task, Model(f"{said}<new_text>\nLook. {{statement}} {{files}}\n</new_text>")
    )
    assert (
        child.note.replace("system", "problem").replace("no_block", "problem") == note
    )


def test_inner_blocks_stay_as_they_are() -> None:
    body = "Answer so:\n```python\nx = 1\n```\nThen {{ name }}.\n"
    assert (
        new_text(
            Reply(f"Yes.\n<new_text>\n{body}</new_text>\nDone.", "stop"), "{{ name }}"
        )
        == body
    )


def test_a_program_without_prompts_is_none_of_its_business() -> None:
    with pytest.raises(Rejected, match="no prompt is editable"):
        proposed(load_task(ROOT / "tasks" / "cap_set"), Model(GOOD))


def test_prompts_of_any_program_can_be_written_anew(tmp_path: Path) -> None:
    (tmp_path / "initial").mkdir()
    (tmp_path / "initial" / "program.py").write_text(
        "def ask(): return open('ask.txt').read()\n"
    )
    (tmp_path / "initial" / "ask.txt").write_text("Count to ten.\n")
    (tmp_path / "evaluate.py").write_text("def evaluate(candidate, case): return 1\n")
    (tmp_path / "task.toml").write_text(
        'name = "t"\ndescription = "d"\nentry = "program.py"\ndirection = "minimize"\n'
    )
    model = Model("Shorter.\n<new_text>\nCount.\n</new_text>")
    child = proposed(load_task(tmp_path), model)
    assert child.files["ask.txt"] == b"Count.\n"
    assert "lower is better" in model.asked[0][0]["content"]
