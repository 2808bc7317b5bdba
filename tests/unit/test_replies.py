"""A corpus of replies as models write them, each with what must come of it: these very files, or a
refusal. `human: no` marks those that a person could not apply either.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from evolve.archive import Proposal, State
from evolve.operators import Child, Parent, Rejected
from evolve.operators.checks import check_child
from evolve.operators.edits import apply_reply
from evolve.tasks import Task, TaskSpec

HERE = Path(__file__).parent / "replies"
SMALL = '''import math

# EVOLVE-BLOCK-START
def scale(x):
    """Twice."""
    return x * 2


def total(values):
    result = 0
    for value in values:
        result += scale(value)
    return result
# EVOLVE-BLOCK-END


def main():
    return total([1, 2, 3])
'''
TWO = {
    "a.py": "x = 1\nz = 0\n",
    "b.py": "y = 1\nz = 0\n",
    "lib/old.py": "old = 1\n",
    "data.txt": "1\n",
}
BASES: dict[str, dict[str, str]] = {
    "small": {"p.py": SMALL},
    "two": TWO,
    "crlf": {"p.py": 'def scale(x):\r\n    """Twice."""\r\n    return x * 2\r\n'},
    "bare": {"p.py": "def f():\n    return 1"},
    "bare2": {"p.py": "def f():\n    return g()\n\n\ndef g():\n    return 1\n"},
    "twice": {"p.py": "def f():\n    return 1\ndef g():\n    return 1\n"},
    "outside": {
        "p.py": "LIMIT = 10\n# EVOLVE-BLOCK-START\nLIMIT = 10\nstep = 1\n# EVOLVE-BLOCK-END\n"
    },
    "unicode": {"p.py": 'grüße = "naïve 日本 ✓"\nsep = "a\u2028b"\n'},
    "titled": {
        "p.py": 'def f():\n    """Title\n    =======\n    text\n    """\n    return 1\n'
    },
    "tabs": {"p.py": "def f(x):\n\tif x:\n\t\treturn 1\n"},
    "c": {
        "p.c": "// EVOLVE-BLOCK-START\nint f(int x) { return x * 2; }\n// EVOLVE-BLOCK-END\n"
    },
}
EDITABLE = {"two": ("a.py", "b.py", "lib/*.py")}


@dataclass(frozen=True)
class Case:
    """One reply and its outcome."""

    id: str
    whole: bool
    fields: tuple[tuple[str, str], ...]
    reply: str

    def get(self, key: str, default: str = "") -> str:
        return dict(self.fields).get(key, default)

    @property
    def files(self) -> dict[str, bytes]:
        return {path: text.encode() for path, text in BASES[self.get("base")].items()}

    def expected(self) -> dict[str, bytes]:
        """The base's files with the changes of the header."""
        files = dict(BASES[self.get("base")])
        path = next(iter(files))
        for key, value in self.fields:
            value = value.replace("\\n", "\n").replace("\\u2028", "\u2028")
            if key == "file":
                path = value
            elif key == "change":
                old, _, new = value.partition(" =>")
                assert files[path].count(old) == 1, (
                    f"{self.id}: {old!r} must stand once"
                )
                files[path] = files[path].replace(old, new.removeprefix(" "))
            elif key == "text":
                files[path] = value
            elif key == "gone":
                del files[path]
            elif key == "block":
                pattern = r"(?s)(EVOLVE-BLOCK-START\n).*\n(\S+ EVOLVE-BLOCK-END)"
                files[path] = re.sub(
                    pattern, lambda m, v=value: m[1] + v + m[2], files[path]
                )
        return {path: text.encode() for path, text in files.items()}


def read_cases(path: Path) -> list[Case]:
    cases = []
    for part in path.read_text().split("%%%% ")[1:]:
        head, _, reply = part.partition("----\n")
        name, *lines = head.rstrip("\n").split("\n")
        fields = tuple(
            (line.partition(":")[0], line.partition(": ")[2]) for line in lines
        )
        case = Case(f"{path.stem}: {name}", path.stem == "whole", fields, reply)
        if case.get("crlf"):
            case = Case(case.id, case.whole, fields, reply.replace("\n", "\r\n"))
        cases.append(case)
    return cases


CASES = [case for path in sorted(HERE.glob("*.txt")) for case in read_cases(path)]


def outcome(case: Case) -> dict[str, bytes]:
    files = case.files
    spec = TaskSpec(
        name="t", description="d", editable=EDITABLE.get(case.get("base"), ())
    )
    task = Task(HERE, spec, files, "")
    parent = Parent(
        Proposal("abc", 0, State.SCORED, "seed", (), 0, 0.0, tree="t"), files, 1.0
    )
    new = apply_reply(
        case.reply,
        files,
        task.edits,
        whole=case.whole,
        cut_off=case.get("finish") == "length",
    )
    asyncio.run(check_child(task, [parent], Child(new, "")))
    return new


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_reply_gives_these_files_or_a_refusal(case: Case) -> None:
    try:
        new = outcome(case)
    except Rejected as why:
        assert why.reason == case.get("refused"), why.message
        assert len(why.message) > 15
    else:
        assert not case.get("refused"), f"applied: {new}"
        assert new == case.expected()


def test_nine_of_ten_that_a_person_could_apply_are_applied() -> None:
    """The outcomes themselves are checked above, one by one."""
    usable = [case for case in CASES if case.get("human") != "no"]
    applied = [case for case in usable if not case.get("refused")]
    assert len(CASES) >= 100 and len(usable) >= 60
    assert len(applied) >= 0.9 * len(usable), f"{len(applied)} of {len(usable)}"
