"""Prompts that fit: of long programs the part that may change, with what it uses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.archive import CallPurpose, Evaluation, Files, Proposal, State
from evolve.errors import ConfigError
from evolve.operators import (
    Context,
    Parent,
    PromptContext,
    Rejected,
    Reply,
    make_operator,
)
from evolve.operators.asked_for import asked_for, signatures
from evolve.operators.edits import apply_reply
from evolve.operators.listing import imports_of, sides_of_change, what_is_shown
from evolve.operators.llm import ModelOperator
from evolve.operators.outline import Outline
from evolve.operators.prompting import check_room, question_for
from evolve.operators.templates import Prompts
from evolve.operators.tokens import by_bytes
from evolve.tasks import Task, TaskSpec, load_task

HEAD = '''"""A library."""

import math
import os
from functools import (
    reduce,
)

from .tools import clean, other

LIMIT = 3
UNUSED = 4


def near(a: float, b: float = math.pi) -> bool:
    """Return whether they are near.

    A second paragraph that nobody needs.
    """
    return abs(a - b) < LIMIT


class Box(object):
    """A box."""

    size = 1

    def area(self):
        """Area."""
        return self.size


def unused():
    return os.getcwd()

'''
REGION = """# EVOLVE-BLOCK-START
def find(values):
    # the first one
    for value in clean(values):
        if near(value, Box().area()):
            return reduce(max, values)
# EVOLVE-BLOCK-END
"""
TAIL = '''

def caller(values):
    """Call it."""
    return find(values)


''' + "\n".join(f"def f{n}(x):\n    return x + {n}\n\n" for n in range(600))
TOOLS = '"""Tools."""\n\n\ndef clean(values):\n    """Sort them."""\n    return sorted(values)\n'
LIBRARY: Files = {
    "lib.py": f"{HEAD}{REGION}{TAIL}".encode(),
    "tools.py": TOOLS.encode(),
}
OPERATORS = [
    name
    for name in (
        "diff",
        "rewrite",
        "crossover",
        "refine",
        "simplify",
        "explain_then_change",
    )
    if isinstance(make_operator(name), ModelOperator)
]


def task_of(files: Files, editable: tuple[str, ...], entry: str) -> Task:
    spec = TaskSpec(
        name="t", description="Make it fast.", editable=editable, entry=entry
    )
    return Task(Path(), spec, files, "")


def parent(files: Files, number: int = 0) -> Parent:
    proposal = Proposal(
        f"id{number}", number, State.SCORED, "seed", (), 0, 0.0, tree="t", note="so"
    )
    metrics = {f"error_{k}": k * 1.5 for k in range(300)}
    row = Evaluation("main", "search", 0, 1.0, metrics, "It was slow.\n" * 2000)
    return Parent(proposal, files, 1.0 + number, [row])


def asked(task: Task, operator: str, tokens: int, files: Files | None = None) -> str:
    made = make_operator(operator)
    assert isinstance(made, ModelOperator)
    first, other = task.seed, files or task.seed
    context = Context(
        task,
        (parent(first), parent(other, 1))[: made.parents],
        np.random.default_rng(3),
        PromptContext((parent(other, 2),), notes="A note. " * 3000),
    )
    question = question_for(
        context,
        Prompts(tokens=tokens),
        made.instruction,
        made.shows,
        **made.values(context),
    )
    return "\n".join(message["content"] for message in question.messages)


def test_of_a_long_file_the_editable_part_is_shown_with_what_it_uses() -> None:
    text = asked(task_of(LIBRARY, ("lib.py",), "lib.py"), "diff", 16_000)
    listing = text.partition("# Current program")[2].partition("# How the current")[0]
    assert REGION in listing
    for line in (
        "import math",
        "from functools import (\n    reduce,\n)",
        "from .tools import clean, other",
        "LIMIT = 3",
        "def near(a: float, b: float = math.pi) -> bool:",
        '    """Return whether they are near."""' if "second" not in listing else "",
        'class Box(object):\n    """A box."""',
        "def caller(values):",
        '"""Sort them."""',
        "tools.py, in parts and not to be changed here:",
    ):
        assert line in listing, line
    for word in ("import os", "UNUSED", "def unused", "def f7("):
        assert word not in listing
    assert "It was slow." in text and "Make it fast." in text
    assert by_bytes(listing) < 1000


def test_bodies_of_callees_are_shown_where_there_is_room() -> None:
    outline = Outline(LIBRARY["lib.py"].decode())
    assert outline.callees == ("near", "Box")
    short, longer = outline.text(), outline.text(["near"])
    assert "return abs(a - b)" not in short and "return abs(a - b) < LIMIT" in longer
    assert "    ...\n" in short and "def area(self):\n        ..." in short
    assert "lines are not shown]" in short and "def caller" not in short


def test_a_method_is_shown_in_its_class() -> None:
    text = (
        "import re\n\n\nclass Finder(dict):\n    '''Finds.'''\n\n    word = 'a'\n\n"
        "    def other(self, x):\n        y = x\n        return re.escape(y)\n\n"
        "    # EVOLVE-BLOCK-START\n    def find(self, text):\n"
        "        return helper(text).find(self.word)\n    # EVOLVE-BLOCK-END\n\n\n"
        "def helper(text): return text.lower()\n\n\n"
        + "def more():\n    pass\n\n\n"
        * 9
    )
    shown = Outline(text).text()
    assert "class Finder(dict):\n    '''Finds.'''" in shown or '"""Finds."""' in shown
    assert (
        "    def other(self, x):\n        ...\n" in shown and "re.escape" not in shown
    )
    assert (
        "        return helper(text).find(self.word)\n    # EVOLVE-BLOCK-END" in shown
    )
    assert "def helper(text): return text.lower()" in shown and "def more" not in shown


def test_a_block_in_another_language_is_shown_with_its_surroundings() -> None:
    lines = [f"int x{n} = {n};" for n in range(400)]
    lines[200:200] = ["// EVOLVE-BLOCK-START", "int best = 1;", "// EVOLVE-BLOCK-END"]
    task = task_of({"p.c": "\n".join(lines).encode()}, ("p.c",), "p.c")
    text = asked(task, "rewrite", 2000)
    assert "int x0 = 0;" in text and "int x199 = 199;" in text and "int x200" in text
    assert "// [1" in text and "int x100 = " not in text
    assert "from the line with EVOLVE-BLOCK-START" in text
    whole = asked(task, "rewrite", 16_000)
    assert "int x100 = " in whole and "lines are not shown]" not in whole


def test_an_answer_to_a_part_is_applied_to_the_whole_file() -> None:
    task = task_of(LIBRARY, ("lib.py",), "lib.py")
    new = REGION.replace("# the first one", "# the last one")
    for reply in (
        f"So:\n```python\n{new}```\n",
        f"```python\n{Outline(LIBRARY['lib.py'].decode()).text()}```\n".replace(
            "the first one", "the last one"
        ),
    ):
        found = apply_reply(reply, LIBRARY, task.edits, whole=True)
        assert found["lib.py"].decode() == f"{HEAD}{new}{TAIL}"


MODULES = {
    f"pkg/m{k:03}.py": (
        f"from .m{(k + 1) % 150:03} import g\n\n\ndef g(x):\n    return x\n\n\n" * 9
        + f"def f(x):\n    return {k}\n" * 90
    ).encode()
    for k in range(150)
}
REPOSITORY: Files = {"main.py": b"from pkg.m007 import g\n\nprint(g(1))\n", **MODULES}


@pytest.mark.parametrize("tokens", [5000, 16_000])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("editable", [("*.py", "pkg/*.py"), tuple(REPOSITORY)])
def test_a_repository_of_150_modules_holds_the_limit(
    operator: str, tokens: int, editable: tuple[str, ...]
) -> None:
    task = task_of(REPOSITORY, editable, "main.py")
    changed = {path: text + b"x = 1\n" for path, text in REPOSITORY.items()}
    text = asked(task, operator, tokens, changed)
    assert tokens / 3 < by_bytes(text) <= tokens
    assert "Of 151 files you see " in text and "It was slow." in text
    shown = [path for path in MODULES if f"\n{path}\n```python\n" in text]
    assert shown and all(MODULES[path].decode() in text for path in shown)


def test_the_names_of_thousands_of_files_are_cut() -> None:
    files = {f"pkg/module_{k:05}.py": b"x = 1\n" * 200 for k in range(4000)}
    text = asked(task_of(files, tuple(files), "pkg/module_00000.py"), "diff", 16_000)
    assert 4000 < by_bytes(text) <= 16_000
    assert "Editable: pkg/module_00000.py, " in text and "Of 4000 files" in text


@pytest.mark.slow
def test_in_time_every_file_of_a_repository_is_shown() -> None:
    task = task_of(REPOSITORY, ("*.py", "pkg/*.py"), "main.py")
    seen: set[str] = set()
    prompts = Prompts(tokens=8000)
    for seed in range(40):
        context = Context(task, (parent(REPOSITORY),), np.random.default_rng(seed))
        text = question_for(context, prompts, "diff.j2", ()).messages[1]
        seen |= {
            path for path in REPOSITORY if f"\n{path}\n```python\n" in text["content"]
        }
    assert len(seen) > 60


@settings(max_examples=25)
@given(
    st.integers(500, 20_000),
    st.sampled_from(OPERATORS),
    st.sampled_from(
        [
            task_of(LIBRARY, ("lib.py",), "lib.py"),
            task_of(REPOSITORY, ("*.py", "pkg/*.py"), "main.py"),
            task_of({"main.py": b"x = 1\n" * 900}, ("main.py",), "main.py"),
        ]
    ),
)
def test_a_prompt_is_never_longer_than_its_limit(
    tokens: int, operator: str, task: Task
) -> None:
    try:
        text = asked(task, operator, tokens)
    except Rejected as why:
        assert why.reason == "prompt" and f"prompt_tokens = {tokens}" in why.message
        assert tokens < 7000
    else:
        assert by_bytes(text) <= tokens


def test_a_limit_below_the_editable_part_is_named_before_the_run() -> None:
    task = task_of(LIBRARY, ("lib.py",), "lib.py")
    check_room(task, Prompts(tokens=4000), ["diff.j2", "rewrite.j2"])
    with pytest.raises(ConfigError) as caught:
        check_room(task, Prompts(tokens=500), ["diff.j2"])
    assert "lib.py needs a prompt of about" in caught.value.message
    assert "prompt_tokens = 500" in caught.value.message
    assert "raise prompt_tokens" in (caught.value.hint or "")


def test_the_prompts_of_the_shipped_tasks_show_whole_programs(tasks: Path) -> None:
    for folder in sorted(path.parent for path in tasks.glob("*/task.toml")):
        task = load_task(folder)
        if task.spec.agent is None:
            context = Context(task, (parent(task.seed),), np.random.default_rng(0))
            assert not question_for(context, Prompts(), "diff.j2", ()).parts, folder


def test_a_repair_of_a_part_asks_for_the_part() -> None:
    said: list[str] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        said.append(messages[-1]["content"])
        return Reply(f"```python\n{REGION.replace('first', 'last')}```\n", "stop")

    task = task_of(LIBRARY, ("lib.py",), "lib.py")
    context = Context(
        task,
        (parent(LIBRARY),),
        np.random.default_rng(0),
        ask=ask,
        repair="it was empty",
    )
    child = asyncio.run(make_operator("diff:short_bytes=1000000").propose(context))
    assert b"the last one" in child.files["lib.py"]
    assert "from the line with EVOLVE-BLOCK-START" in said[1]


def test_imports_and_sides() -> None:
    files = {"a/b.py": b"", "a/c.py": b"", "d.py": b"", "a/e/__init__.py": b""}
    text = "from . import c\nfrom .c import x\nfrom ..d import y\nfrom d import z\nimport d\n"
    found = imports_of(f"{text}from a.e import w\n", "a/b.py", files)
    assert found == {"a/c.py": ["x"], "d.py": ["y", "z"], "a/e/__init__.py": ["w"]}
    old = {"p.py": b"a = 1\nb = 2\nc = 3\n" + b"x\n" * 99}
    new = {"p.py": b"a = 1\nb = 5\nc = 3\n" + b"x\n" * 99}
    assert sides_of_change(old, new, Prompts()) == (
        "# p.py\na = 1\nb = 2\nc = 3",
        "# p.py\na = 1\nb = 5\nc = 3",
    )


def test_files_that_are_not_shown_are_summarised() -> None:
    task = task_of(REPOSITORY, tuple(REPOSITORY), "main.py")
    text = asked(task, "diff", 16_000)
    lines = [line for line in text.splitlines() if line.startswith("- pkg/m")]
    assert len(lines) > 20 and all(line.endswith(".py: g(x); f(x)") for line in lines)
    assert "To see another one first, answer only: SHOW NAME" in text
    shown = [path for path in MODULES if f"\n{path}\n```python\n" in text]
    own = sum(f"\n{path}\n```python\n" in text for path in REPOSITORY)
    assert shown and what_is_shown(text) == f"Of 151 files you see {own}"
    assert not what_is_shown(
        asked(task_of(LIBRARY, ("tools.py",), "tools.py"), "diff", 16_000)
    )


def asking(first: str, task: Task, answers: bool = True) -> list[str]:
    """The questions to a model that answers with `first` before it changes the program."""
    said: list[str] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        said.append("\n".join(message["content"] for message in messages))
        change = "pkg/m149.py\n```python\ndef f(x):\n    return -1\n```\n"
        return Reply(first if len(said) == 1 else change, "stop")

    context = Context(
        task,
        (parent(task.seed),),
        np.random.default_rng(7),
        prompts=Prompts(tokens=16_000, answers=answers),
        ask=ask,
        repair="no change",
    )
    asyncio.run(make_operator("rewrite").propose(context))
    return said


def test_a_model_gets_the_file_that_it_asks_for() -> None:
    task = task_of(REPOSITORY, ("main.py", *sorted(MODULES)[1:]), "main.py")
    whole = MODULES["pkg/m149.py"].decode()
    fixed = MODULES["pkg/m000.py"].decode()
    first, second = asking("I need more.\nSHOW pkg/m149.py\nSHOW pkg/m000.py\n", task)
    assert whole not in first
    assert f"pkg/m149.py\n```python\n{whole}```" in second
    assert f"pkg/m000.py, not to be changed here:\n```python\n{fixed}```" in second
    assert by_bytes(second) <= 16_000 and "SHOW NAME" not in second


def test_a_model_gets_the_function_that_it_asks_for() -> None:
    task = task_of(LIBRARY, ("lib.py",), "lib.py")
    said: list[str] = []

    async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
        said.append("\n".join(message["content"] for message in messages))
        change = f"```python\n{REGION.replace('first', 'last')}```\n"
        return Reply("SHOW f77" if len(said) == 1 else change, "stop")

    context = Context(
        task, (parent(LIBRARY),), np.random.default_rng(0), ask=ask, repair="no change"
    )
    child = asyncio.run(make_operator("diff").propose(context))
    assert b"the last one" in child.files["lib.py"]
    assert "return x + 77" not in said[0] and "return x + 77" in said[1]


def test_a_question_beside_a_change_is_ignored() -> None:
    assert asked_for("SHOW a.py\nThen:\n`SHOW b.py`\n- SHOW f\nSHOW the rest") == (
        "a.py",
        "b.py",
        "f",
    )
    assert asked_for("SHOW a.py\n```python\nx = 1\n```") == ()
    assert asked_for("SHOW a\n" * 50) == ("a",) and asked_for("") == ()
    assert len(asked_for("".join(f"SHOW f{n}\n" for n in range(99)))) == 8


def test_signatures() -> None:
    text = "class C(A):\n    def m(self): pass\n\nasync def f(a, /, b, *c, d=1, **e): pass\nx = 1\n"
    assert signatures(text) == ["class C", "f(a, b, *c, d, **e)"]
    assert signatures("def (") == []
