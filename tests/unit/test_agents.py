"""Agent tasks: what task.toml may say, the proxy's book-keeping, time, and the seed's hands."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from evolve.agents.proxy import Proxy
from evolve.archive import CallPurpose, Evaluation, Proposal, State
from evolve.errors import TaskError
from evolve.models import Episode
from evolve.operators import (
    Attempt,
    Context,
    Lesson,
    Parent,
    PromptContext,
    Rejected,
    Reply,
    make_operator,
)
from evolve.operators.checks import check_child
from evolve.operators.showing import choose_form
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import AgentTask, EpisodeResult, Task, load_task, with_cases
from evolve.tasks.task import SHIPPED_AGENT
from tests.agent_model import AgentModel, serving_agents
from tests.conftest import ROOT
from tests.episodes import desk, one_front, with_limits

TOY = ROOT / "tests" / "tasks" / "toy_agents"
CHAT = [{"role": "user", "content": "hello"}]


@pytest.fixture
def model() -> Iterator[AgentModel]:
    with serving_agents(
        AgentModel(reply=lambda messages, seed: f"yes {len(messages)}")
    ) as served:
        yield served


def a_task(folder: Path, text: str) -> Task:
    (folder / "task.toml").write_text(
        f'name = "t"\ndescription = "d"\nkind = "agent"\n{text}'
    )
    (folder / "evaluate.py").write_text("def evaluate(candidate, case): return 1\n")
    return load_task(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no folder initial/"),
        ('[agent]\nseed = "mine"', "agent.seed"),
        ('[agent]\nseed = "shipped"\nstep = 3', "unknown key 'agent.step'"),
        ('[agent]\nseed = "shipped"\nsteps = 0', "agent.steps"),
        (
            '[agent]\nseed = "shipped"\nentry = "main.py"',
            "agent.entry: initial/ has no file 'main.py'",
        ),
        (
            '[agent]\nseed = "shipped"\ngenome = ["agent.py", "gone.py"]',
            "no file 'gone.py'",
        ),
        ('entry = "agent.py"\n[agent]\nseed = "shipped"', "entry is not for kind"),
        ('direction = "minimize"\n[agent]\nseed = "shipped"', "needs direction"),
    ],
)
def test_what_is_wrong_with_an_agent_task_is_said(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(TaskError) as error:
        a_task(tmp_path, text)
    assert said in f"{error.value.message}"


def test_a_program_has_no_agent_table(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'name = "t"\ndescription = "d"\n[agent]\nsteps = 3\n'
    )
    with pytest.raises(TaskError, match=r"the table \[agent\] is for kind"):
        load_task(tmp_path)


def test_the_seed_ships_and_searches_as_agents_do(tmp_path: Path) -> None:
    task = a_task(tmp_path, '[agent]\nseed = "shipped"\n[run]\nworkers = 3')
    assert {
        "agent.py",
        "prompts/system.md",
    } <= task.seed.keys() and task.entry == "agent.py"
    assert task.spec.run == {
        "policy": "hgm",
        "operators": {"agentic": 1.0},
        "workers": 3,
    }
    chosen = a_task(tmp_path, '[agent]\nseed = "shipped"\n[run]\npolicy = "dgm"')
    assert chosen.spec.run["policy"] == "dgm"
    assert task.edits.admits("more/tool.py") and not task.edits.admits("run.sh")
    assert not task.edits.admits("agent.py")  # it may change, and must stay


def test_cases_that_were_made_belong_to_the_evaluator(tmp_path: Path) -> None:
    task = a_task(tmp_path, '[agent]\nseed = "shipped"\nseed_cases = 1')
    made = with_cases(
        task, '[{"id": "a"}, {"id": "b"}, {"id": "c", "split": "heldout"}]'
    )
    assert [case.id for case in made.spec.first_cases] == ["a"]
    assert made.evaluator_hash != task.evaluator_hash
    (tmp_path / "cases.json").write_text(made.made_cases or "")
    assert load_task(tmp_path).evaluator_hash == made.evaluator_hash
    with pytest.raises(TaskError, match=r"cases\(\)\[0\]\[id\]: Field required"):
        with_cases(task, '[{"idd": "a"}]')


async def chat(socket: Path, messages: Any = CHAT, **more: Any) -> tuple[int, Any]:
    """What the proxy says."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.post(
            "http://x/v1/chat/completions", json={"messages": messages} | more
        ) as response,
    ):
        answer = await response.json()
    return response.status, (
        answer["error"]["code"]
        if "error" in answer
        else answer["choices"][0]["message"]["content"]
    )


async def served(
    folder: Path, model: AgentModel, questions: list[Any], **limits: Any
) -> tuple[list[tuple[int, Any]], Proxy]:
    """One life of an episode: its questions are asked, one after another."""
    async with desk(folder, model.model) as open_desk:
        proxy = Proxy(
            open_desk.caller,
            open_desk.proposal,
            Episode("case one", 0),
            with_limits(**limits),
            1000,
            TimeLimit(20.0),
        )
        async with one_front() as front, proxy.serving(folder / "sock", front):
            said = [await chat(folder / "sock", messages) for messages in questions]
        (folder / "sock").unlink()
        calls = open_desk.recorder.archive.calls(open_desk.proposal.id)
        assert all(call.purpose is CallPurpose.EPISODE for call in calls)
        assert open_desk.recorder.archive.proposals()[0].state is State.PLANNED
        return said, proxy


def test_a_step_is_paid_once_over_many_lives(tmp_path: Path, model: AgentModel) -> None:
    """The same question at the same step is answered from the archive; another one is asked."""
    first, proxy = asyncio.run(served(tmp_path, model, [CHAT, CHAT * 2]))
    assert first == [(200, "yes 1"), (200, "yes 2")] and model.calls == 2
    again, resumed = asyncio.run(served(tmp_path, model, [CHAT, CHAT * 2, CHAT * 3]))
    assert again == [*first, (200, "yes 3")] and model.calls == 3
    assert resumed.used.steps == 3 and resumed.used.tokens > proxy.used.tokens
    other, _ = asyncio.run(served(tmp_path, model, [CHAT * 4]))
    assert other == [(200, "yes 4")] and model.calls == 4


def test_limits_hold_before_a_call_leaves(tmp_path: Path, model: AgentModel) -> None:
    said, _ = asyncio.run(served(tmp_path, model, [CHAT] * 3, steps=2))
    assert said[2] == (429, "steps_exhausted") and model.calls == 2
    long = [{"role": "user", "content": "x" * 3000}]
    said, proxy = asyncio.run(served(tmp_path, model, [CHAT * 5, long], tokens=2000))
    assert said[1] == (429, "tokens_exhausted") and proxy.used.tokens <= 2000
    assert model.requests[-1]["max_tokens"] <= 1000


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"tools": [{}]},
        {"stream": True},
    ],
)
def test_what_is_no_plain_request_is_refused(
    tmp_path: Path, model: AgentModel, asked: dict[str, Any]
) -> None:
    async def refused() -> tuple[int, Any]:
        async with desk(tmp_path, model.model) as open_desk:
            proxy = Proxy(
                open_desk.caller,
                open_desk.proposal,
                Episode("case one", 0),
                with_limits(),
                1000,
                TimeLimit(20.0),
            )
            async with one_front() as front, proxy.serving(tmp_path / "sock", front):
                return await chat(tmp_path / "sock", **({"messages": CHAT} | asked))

    status, code = asyncio.run(refused())
    assert (
        status == 400
        and code in ("invalid_request", "unsupported")
        and model.calls == 0
    )


def test_the_clock_stands_still_while_somebody_waits() -> None:
    async def work() -> float:
        clock = TimeLimit(0.3)
        async with clock.running():
            with clock.stopped(), clock.stopped():
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.05)
        return clock.used_s

    assert 0.05 <= asyncio.run(work()) < 0.3

    async def too_long() -> None:
        clock = TimeLimit(0.1)
        async with clock.running():
            with clock.stopped():
                await asyncio.sleep(0.2)
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        asyncio.run(too_long())


@pytest.fixture
def seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The shipped agent as a module, in a folder of its own."""
    monkeypatch.syspath_prepend(str(SHIPPED_AGENT))
    monkeypatch.chdir(tmp_path)
    for name in ("model", "tools", "merge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location(
        "seed_agent", SHIPPED_AGENT / "agent.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_seed_edits_exactly(seed: Any, tmp_path: Path) -> None:
    def act(text: str) -> Any:
        return seed.act(seed.blocks_of(text))

    new = "```edit a/b.py\n<<<<<<<\n=======\none\ntwo\ntwo\n>>>>>>>\n```"
    assert act(new) == "a/b.py is written, 3 lines"
    assert "2 times" in act("```edit a/b.py\n<<<<<<<\ntwo\n=======\nx\n>>>>>>>\n```")
    act("```edit a/b.py\n<<<<<<<\none\n=======\n1\n>>>>>>>\n```")
    assert (tmp_path / "a/b.py").read_text() == "1\ntwo\ntwo\n"
    fenced = "````edit c.md\n<<<<<<<\n=======\n```bash\nls\n```\n>>>>>>>\n````"
    act(fenced)
    assert (tmp_path / "c.md").read_text() == "```bash\nls\n```\n"
    assert "can't be read" in act(
        "```edit no.py\n<<<<<<<\none\n=======\n1\n>>>>>>>\n```"
    )


def test_the_seed_carries_blocks_out_in_turn(seed: Any) -> None:
    def act(text: str) -> Any:
        return seed.act(seed.blocks_of(text))

    assert act("thought\n```bash\necho $((6 * 7))\n```\n") == "42\n(exit status 0)"
    assert "no block" in act("just words")
    assert act("```bash\necho 1\n```\n```bash\necho 2\n```\n").split() == [
        "1",
        "(exit",
        "status",
        "0)",
        "2",
        "(exit",
        "status",
        "0)",
    ]
    assert "left out" in act("```bash\nseq 100000\n```")
    wrong = act("```bash\nfalse\n```\n```bash\necho never\n```\n")
    assert "the bash block went wrong" in wrong and "never" not in wrong


def test_the_name_of_a_block_may_stand_on_a_line_of_its_own(seed: Any) -> None:
    text = "```\nedit a.txt\n<<<<<<<\nhello\n=======\ngoodbye\n>>>>>>>\n```\n```\ndone\n```\n"
    assert [(kind, path) for kind, path, _ in seed.blocks_of(text)] == [
        ("edit", "a.txt"),
        ("done", ""),
    ]


def test_the_seed_is_done_when_it_says_so_after_what_went_well(
    seed: Any, tmp_path: Path
) -> None:
    """As small models answer: everything at once, and the last block left open."""
    (tmp_path / "greeting.txt").write_text("hello\n")
    answer = (
        "```bash\nls\n```\n\n"
        "```edit greeting.txt\n<<<<<<<\nhello\n=======\ngoodbye\n>>>>>>>\n```\n\n"
        "```done\nit is changed\n"
    )
    blocks = seed.blocks_of(answer)
    assert [kind for kind, _, _ in blocks] == ["bash", "edit", "done"]
    assert "went wrong" not in seed.act(blocks)
    assert (tmp_path / "greeting.txt").read_text() == "goodbye\n"
    assert "went wrong" in seed.act(blocks), "the old lines are gone"


SHAPES = """from typing import List


def area(w):
    return w


if __name__ == "__main__":
    area(1)
"""


@pytest.mark.parametrize(
    ("block", "path", "held"),
    [
        (
            "```python\nimport math\n\ndef area(w, h):\n    return w * h\n```",
            "shapes.py",
            [
                "import math\nfrom typing import List",
                "def area(w, h):\n    return w * h\n",
                "area(1)",
            ],
        ),
        (
            "```py\ndef edge(w):\n    return area(w)\nprint(edge(2))\n```",
            "shapes.py",
            [
                "def area(w):\n    return w\n",
                "def edge(w):\n    return area(w)\nif __name__",
            ],
        ),
        (
            "```shapes.py\ndef area(w, h):\n    return w * h\n```",
            "shapes.py",
            ["def area(w, h):\n    return w * h\n", "area(1)"],
        ),
        ("```python new.py\nprint(1)\n```", "new.py", ["print(1)"]),
        ("```notes.txt\nAreas.\n```", "notes.txt", ["Areas.\n"]),
    ],
)
def test_the_seed_puts_definitions_where_they_belong(
    seed: Any, tmp_path: Path, block: str, path: str, held: list[str]
) -> None:
    """As small models answer: only the functions that change, and no name of a file."""
    (tmp_path / "shapes.py").write_text(SHAPES)
    (tmp_path / "notes.txt").write_text("def area(w): no python\n")
    assert " is written, " in seed.act(seed.blocks_of(block))
    text = (tmp_path / path).read_text()
    assert all(part in text for part in held), text
    assert "print(edge" not in text and text.count("def area") <= 1


def test_done_in_a_block_of_code_is_said(seed: Any) -> None:
    """As small models answer."""

    def kinds(text: str) -> list[str]:
        return [kind for kind, _, _ in seed.blocks_of(text)]

    assert kinds("```python\ndone\n```") == ["done"]
    assert kinds("```python\nx = 1\n\ndone\n```") == ["python", "done"]
    assert kinds("```python\nx = undone\n```") == ["python"]
    assert kinds("```done\n```") == kinds("```done") == ["done"]
    assert kinds("```python\nx = 1") == ["python"], "the last block may be left open"


def test_the_seed_asks_where_python_belongs(seed: Any, tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def same():\n    return 1\n")
    unclear = seed.act(seed.blocks_of("```python\ndef same():\n    return 2\n```"))
    assert "which file" in unclear and "went wrong" in unclear
    named = seed.act(seed.blocks_of("```python b.py\ndef same():\n    return 2\n```"))
    assert named == "b.py is written, 2 lines"
    assert "does not parse" in seed.act(seed.blocks_of("```python\ndef (:\n```"))


def test_the_seed_says_what_changes_nothing(seed: Any, tmp_path: Path) -> None:
    """As small models answer when they shall change an agent: they repeat what is there."""
    (tmp_path / "a.py").write_text("def one():\n    return 1\n")
    (tmp_path / "b.py").write_text("TWO = 2\n")
    same = "```python\ndef one():\n    return 1\n```\n```done\n```"
    said = seed.act(seed.blocks_of(same))
    assert "as it was before" in said and "went wrong" in said
    strange = seed.act(seed.blocks_of("```python\ndef three():\n    return 3\n```"))
    assert "a.py defines one\nb.py defines TWO" in strange
    other = "```python\ndef one():\n    return 11\n```"
    assert [seed.act(seed.blocks_of(other)) for _ in range(2)] == [
        "a.py is written, 2 lines"
    ] * 2


def test_the_seed_sees_files_and_stops_when_nothing_new_comes(
    seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.py").write_text("x = '{statement}'\n")
    (tmp_path / "long.txt").write_text("x" * 20_000)
    (tmp_path.parent / "said.md").write_text("Do {files}.")
    monkeypatch.setenv("EVOLVE_STATEMENT", str(tmp_path.parent / "said.md"))
    asked: list[tuple[str, int]] = []

    def ask(messages: list[dict[str, str]], repeats: int) -> str:
        asked.append((messages[1]["content"], repeats))
        return "I think."

    monkeypatch.setattr(sys.modules["model"], "ask", ask)
    seed.main()
    first = asked[0][0]
    assert (
        "## main.py\n````\nx = '{statement}'\n````" in first and "Do {files}." in first
    )
    assert "## long.txt (not shown)" in first
    assert [repeats for _, repeats in asked] == [0, 0, 1]


def parent(task: Task, number: int, scores: dict[str, float]) -> Parent:
    rows = [
        Evaluation(
            case,
            "search",
            0,
            score,
            {"steps": 3},
            f"feedback on {case}",
            f"log of {case}",
        )
        for case, score in scores.items()
    ]
    proposal = Proposal(f"id{number}", number, State.SCORED, "agentic", (), 0, 0.0)
    return Parent(proposal, task.seed, 0.5, rows)


def context(task: Task, seed: int, **more: Any) -> Context:
    first = parent(task, 0, {"a": 0.0, "b": 1.0, "c": 0.25})
    other = parent(task, 1, {"a": 1.0, "b": 1.0})
    attempts = (
        Attempt("a longer prompt", "not better"),
        Attempt("more tools", "better"),
    )
    evidence = PromptContext(lessons=(Lesson(first, other),), attempts=attempts)
    return Context(task, (first,), np.random.default_rng(seed), evidence, **more)


def test_evidence_takes_all_four_forms() -> None:
    task = load_task(TOY)
    shown = {
        made.form: made for made in (choose_form(context(task, n)) for n in range(60))
    }
    assert shown.keys() == {"failure", "cases", "two variants", "attempts"}
    assert shown["failure"].cases[0]["case"] in ("a", "c")
    assert {case["who"] for case in shown["two variants"].cases} == {
        "this agent",
        "another agent",
    }
    assert [case["case"] for case in shown["cases"].cases] == ["a", "c", "b"]
    for made in shown.values():
        assert [tried.note for tried in made.attempts] == [
            "a longer prompt",
            "more tools",
        ]


PROPOSE, REPAIR = CallPurpose.PROPOSE, CallPurpose.REPAIR


class Asked:
    """Takes down what an operator asks, and answers."""

    def __init__(self, produced: EpisodeResult) -> None:
        self.produced, self.texts, self.works = produced, list[str](), list[AgentTask]()
        self.purposes, self.attempts = list[CallPurpose](), list[int]()

    async def ask(self, purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        self.texts.append(json.dumps(messages))
        self.purposes.append(purpose)
        return Reply(
            ["Shorter prompts.\nChange prompts/system.md.", "More tools."][
                purpose is CallPurpose.REPAIR
            ],
            "stop",
        )

    async def let_work(
        self, attempt: int, agent: Any, work: AgentTask
    ) -> EpisodeResult:
        self.works.append(work)
        self.attempts.append(attempt)
        return self.produced


def proposed(task: Task, produced: EpisodeResult, **more: Any) -> tuple[Any, Asked]:
    asked = Asked(produced)
    given = context(task, 1, ask=asked.ask, let_work=asked.let_work, **more)
    child = asyncio.run(make_operator("agentic").propose(given))
    asyncio.run(check_child(task, given.parents, child))
    return child, asked


def test_a_child_is_the_workspace_that_the_editor_left() -> None:
    task = load_task(TOY)
    files = dict(task.seed) | {"prompts/system.md": b"short\n"}
    child, asked = proposed(task, EpisodeResult(files))
    assert child.files == files and child.note == "Shorter prompts."
    assert (
        asked.works[0].files == task.seed
        and "Shorter prompts." in asked.works[0].statement
    )
    assert "hidden_check" not in asked.texts[0] and "grass" not in asked.texts[0]


def test_what_was_tried_is_told_and_an_idea_that_was_is_asked_for_anew() -> None:
    """What was there already needs another idea; what was done badly, another try at the same."""
    task = load_task(TOY)
    files = dict(task.seed) | {"prompts/system.md": b"short\n"}
    first, asked = proposed(task, EpisodeResult(files))
    assert (
        "- more tools: <data-" in asked.texts[0]
        and "any of these again" in asked.texts[0]
    )
    assert (asked.purposes, asked.attempts) == ([PROPOSE], [0])
    second, asked = proposed(
        task, EpisodeResult(files), repair="the same files as x", known=True
    )
    assert (second.note, asked.purposes, asked.attempts) == (
        "More tools.",
        [REPAIR],
        [1],
    )
    assert "the same files as x" not in asked.works[0].statement
    again, asked = proposed(task, EpisodeResult(files), repair="unchanged")
    assert (again.note, asked.purposes, asked.attempts) == (
        "Shorter prompts.",
        [PROPOSE],
        [1],
    )
    assert "unchanged" in asked.works[0].statement
    mended, asked = proposed(
        task, EpisodeResult(files), repair="invalid", note="More tools."
    )
    assert (mended.note, asked.purposes, asked.attempts) == (
        "More tools.",
        [PROPOSE, REPAIR],
        [2],
    )
    assert first.note == "Shorter prompts."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run.sh": b"echo"}, "region"),
        ({"agent.py": b"def ("}, "syntax"),
        ({"agent.py": None}, "region"),
        ({"big.md": b"x" * 300_000}, "size"),
        ({"prompts/system.md": b"\xff"}, "syntax"),
        ({}, "unchanged"),
    ],
)
def test_what_leaves_the_manifest_is_rejected(
    change: dict[str, bytes | None], reason: str
) -> None:
    task = load_task(TOY)
    files = {
        path: data
        for path, data in (dict(task.seed) | change).items()
        if data is not None
    }
    with pytest.raises(Rejected) as why:
        proposed(task, EpisodeResult(files))
    assert why.value.reason == reason


def test_an_editor_that_fails_makes_no_child() -> None:
    with pytest.raises(Rejected, match="timeout: too slow"):
        proposed(load_task(TOY), EpisodeResult(reason="timeout", message="too slow"))
