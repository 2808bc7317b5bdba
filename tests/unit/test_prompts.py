"""Prompts: what is shown, in which order, within how many tokens, and from whose files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.archive import CallPurpose, Evaluation, Proposal, State
from evolve.errors import ConfigError
from evolve.operators import (
    OPERATORS,
    Child,
    Context,
    Lesson,
    Parent,
    PromptContext,
    Reply,
    Tried,
    make_operator,
)
from evolve.operators.checks import check_child
from evolve.operators.prompting import messages_for
from evolve.operators.templates import Prompts
from evolve.operators.tokens import by_bytes, cut_to
from evolve.scripted import answer
from evolve.tasks import Task, load_task

OF_AGENTS = ("agentic", "reflect")
ASKING = [
    name
    for name in OPERATORS
    if make_operator(name).needs_model and name not in OF_AGENTS
]
SCORE = 0.1 + 0.2  # 0.30000000000000004: all of its digits count
ALL = ("rows", "inspirations", "failures", "lessons", "tried")


@pytest.fixture
def task(tasks: Path) -> Task:
    return load_task(tasks / "cap_set")


def parent(task: Task, number: int, changed: str = "") -> Parent:
    proposal = Proposal(
        f"id{number}",
        number,
        State.SCORED,
        "seed",
        (),
        0,
        0.0,
        tree="t",
        note=f"note {number}",
    )
    files = {
        path: text.replace(b"score = 0.0", changed.encode()) if changed else text
        for path, text in task.seed.items()
    }
    return Parent(
        proposal,
        files,
        SCORE + number,
        [
            Evaluation(
                "main", "search", 0, 1.0, {"size": 64, "agent_s": 1.5}, "Too few caps."
            )
        ],
    )


def context(task: Task, operator: str, seed: int = 0) -> Context:
    parents = tuple(
        parent(task, n, "" if n == 0 else f"score = {n}.5")
        for n in range(make_operator(operator).parents)
    )
    failed = Proposal(
        "bad",
        9,
        State.FAILED,
        "diff",
        (),
        0,
        0.0,
        note="a wild idea",
        reason="time",
        message="10 s are over",
        log="Traceback: deep",
    )
    evidence = PromptContext(
        (parent(task, 5, "score = 5.5"), parent(task, 6, "score = 6.5")),
        (failed,),
        (Lesson(parent(task, 1, "score = 1.5"), parent(task, 2, "score = 2.5")),),
        (Tried("sorted the list", 0.25),),
        "Sorting helps.",
    )
    return Context(task, parents, np.random.default_rng(seed), evidence)


def text_of(task: Task, operator: str, prompts: Prompts | None = None) -> str:
    made = make_operator(operator)
    return messages_for(
        context(task, operator),
        prompts or Prompts(),
        made.instruction,
        made.shows,  # type: ignore[attr-defined]
        **made.values(context(task, operator)),
    )[1]["content"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("operator", ASKING)
def test_every_operator_asks_and_applies(task: Task, operator: str) -> None:
    """With the scripted model's answers, which come from the prompt alone."""
    asked: list[str] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        asked.append(messages[1]["content"])
        return Reply(answer(messages, np.random.default_rng(len(asked))), "stop")

    made = 0
    for seed in range(6):
        given_ = replace(context(task, operator, seed), ask=ask)
        child: Child = asyncio.run(make_operator(operator).propose(given_))
        asyncio.run(check_child(task, given_.parents, child))
        made += 1
    assert made == 6
    assert repr(SCORE) in asked[0], "scores are shown at full precision"
    if operator == "rewrite":
        assert len(set(asked)) > 1, "the instruction has variants"


def test_no_prompt_tells_how_long_an_agent_took(task: Task) -> None:
    """It is another time in each run: their prompts would differ."""
    shown = text_of(task, "diff")
    assert "main: size = 64" in shown and "agent_s" not in shown


def test_a_repair_repeats_the_question_that_was_asked(task: Task) -> None:
    seen: list[list[dict[str, str]]] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        seen.append(list(messages))
        return Reply(answer(messages, np.random.default_rng(1)), "stop")

    given_ = replace(context(task, "rewrite", 3), ask=ask)
    asyncio.run(make_operator("rewrite").propose(given_))
    again = replace(context(task, "rewrite", 3), ask=ask, repair="it was empty")
    asyncio.run(make_operator("rewrite").propose(again))
    assert seen[1] == seen[0] and seen[2][:2] == seen[0]
    assert "it was empty" in seen[2][3]["content"]


@pytest.mark.parametrize("length", [0, 20_000])
def test_who_failed_to_copy_lines_writes_a_short_program_anew(
    task: Task, length: int
) -> None:
    asked: list[str] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        asked.append(messages[-1]["content"])
        if purpose is CallPurpose.PROPOSE:
            return Reply("I shall not.", "stop")
        program = (
            given_.parents[0]
            .files[task.entry]
            .decode()
            .replace("score = 0.0", "score = 7.5")
        )
        return Reply(f"Another number.\n```python\n{program}```\n", "stop")

    given_ = replace(
        context(task, "diff"), ask=ask, repair="the reply has no SEARCH/REPLACE block"
    )
    first = given_.parents[0]
    files = {path: text + b"#" * length for path, text in first.files.items()}
    given_ = replace(given_, parents=(replace(first, files=files),))
    child = asyncio.run(make_operator("diff").propose(given_))
    assert b"score = 7.5" in child.files[task.entry]
    assert ("without SEARCH/REPLACE blocks" in asked[1]) == (length == 0)
    assert ("in the form that was asked for" in asked[1]) == (length > 0)


def test_what_is_common_comes_first(task: Task) -> None:
    text = text_of(task, "diff")
    order = [
        "# Task:",
        "# Notes on this search",
        "Sorting helps.",
        "# Current program",
        "# Other good programs",
        "# Changes of the current program that failed",
        "Traceback: deep",
        "Feedback on case main: <data-",
        ">Too few caps.</data-",
        "# Answer",
    ]
    assert sorted(order, key=text.index) == order
    other = text_of(task, "explain_then_change")
    common = len(text[: text.index("# Other good programs")])
    assert other[:common] == text[:common]


def test_lessons_and_what_was_tried(task: Task) -> None:
    lessons, tried = text_of(task, "explain_then_change"), text_of(task, "refine")
    assert f"From {SCORE + 1!r} to {SCORE + 2!r}: note 2" in lessons
    assert "-    score = 1.5" in lessons and "+    score = 2.5" in lessons
    assert "- 0.25: sorted the list" in tried and "a wild idea" in tried
    assert "# Second program" in text_of(task, "crossover")


def test_evidence_is_cut_to_the_budget(task: Task) -> None:
    long = "x = 1  # and so on\n" * 3000
    whole = context(task, "diff")
    big = replace(parent(task, 7), files={"capset.py": long.encode()})
    crowded = replace(
        whole,
        prompt_context=replace(
            whole.prompt_context, inspirations=(big, *whole.prompt_context.inspirations)
        ),
    )
    sizes = []
    for tokens in (900, 2000, 4000, 30_000):
        prompts = Prompts(tokens=tokens)
        text = messages_for(crowded, prompts, "diff.j2", ALL)[1]["content"]
        sizes.append(len(text))
        assert "# Current program" in text and "# Answer" in text
        if tokens > 900:  # the bare prompt needs about a thousand
            assert by_bytes(text) <= tokens * 1.02
    assert sizes == sorted(sizes) and long in text and sizes[0] < sizes[-1] / 10


@given(st.text(max_size=300), st.integers(0, 60))
def test_cutting_keeps_both_ends_within_the_limit(text: str, limit: int) -> None:
    short = cut_to(text, limit, by_bytes)
    assert by_bytes(short) <= limit
    if by_bytes(text) <= limit:
        assert short == text


def test_a_task_overrides_the_user_who_overrides_us(task: Task, tmp_path: Path) -> None:
    for owner, name, text in (
        ("task", "system.j2", "SYSTEM OF THE TASK"),
        ("user", "system.j2", "SYSTEM OF THE USER"),
        ("user", "diff.j2", "ANSWER OF THE USER {{ task.spec.name }}"),
    ):
        (tmp_path / owner).mkdir(exist_ok=True)
        (tmp_path / owner / name).write_text(text)
    prompts = Prompts((tmp_path / "task", tmp_path / "user"))
    head, body = messages_for(context(task, "diff"), prompts, "diff.j2", ALL)
    assert head["content"] == "SYSTEM OF THE TASK"
    assert body["content"].endswith("ANSWER OF THE USER cap_set")


@pytest.mark.parametrize(
    ("text", "word"),
    [("{{ nothing_of_this_name }}", "nothing_of_this_name"), ("{% if %}", "diff.j2:1")],
)
def test_a_wrong_template_is_named(
    task: Task, tmp_path: Path, text: str, word: str
) -> None:
    (tmp_path / "diff.j2").write_text(text)
    prompts = Prompts((tmp_path,))
    with pytest.raises(ConfigError) as error:
        prompts.check()
        messages_for(context(task, "diff"), prompts, "diff.j2", ALL)
    assert word in error.value.message and "diff.j2" in error.value.message


def test_a_template_of_an_older_run_is_found_by_its_older_name(tmp_path: Path) -> None:
    (tmp_path / "evidence.j2").write_text("older words")
    assert Prompts((tmp_path,)).render("prompt_context.j2") == "older words"
    (tmp_path / "prompt_context.j2").write_text("newer words")
    assert Prompts((tmp_path,)).render("prompt_context.j2") == "newer words"
