"""Whatever is around a program, the same program is taken; a wrong SEARCH is applied nowhere else."""

from __future__ import annotations

import ast

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evolve.operators import Rejected
from evolve.operators.edits import apply_reply
from evolve.operators.edits.comments import without_comment
from evolve.tasks import Editable

NAMES = ("scale", "total", "best", "Shape")
PROSE = (
    "",
    "Here is the new program:",
    "I change the scale: it's larger now.\n\n- one\n- two",
    "# Answer\n\nThe `scale` was too small (see 1.5).",
)
AFTER = (
    "",
    "\nThis should score better, because it isn't as slow.",
    "\nTry it:\n\n```python\nprint(scale(2))\n```",
    "\n```text\n14\n```",
)
THOUGHTS = (
    "",
    "<think>\nPerhaps so:\n```python\ndef scale(x):\n    return 0\n```\n</think>\n",
    "<thinking>what now?</thinking>\n",
    "So:\n```python\ndef total(\n</think>\n\n",
    "[THINK]hm[/THINK]\n",
)
SIGNS = ("", "<|im_end|>", "<|eot_id|>\n", "</s>")
FENCES = ("```", "````", "~~~", "~~~~~")
INFOS = ("", "python", "py", " python3", 'python title="p.py"', "{.python}", "Python")

numbers = st.integers(0, 99)
bodies = st.sampled_from(
    (
        "return x * {n}",
        "y = [\n        {n},\n        2,\n    ]\n    return y[0] + x",
        'text = """\n# {n}\n  ```\n"""\n    return len(text)',
        "if x > {n}:\n        return x\n\n    return {n}  # small",
        '"""Return it.\n\n    >>> f({n})\n    ...\n    """\n    return x',
        "for k in range({n}):\n        while k:\n            k -= 1\n    return x",
    )
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    parts = ["import math\n", f"LIMIT = {draw(numbers)}\n"]
    for name in NAMES[:3]:
        body = draw(bodies).format(n=draw(numbers))
        parts.append(f"\n\ndef {name}(x):\n    {body}\n")
    parts.append(
        f"\n\nclass Shape:\n    size = {draw(numbers)}\n\n    def area(self):\n        ...\n"
    )
    text = "".join(parts)
    ast.parse(text)
    return text


def rewritten(reply: str, parent: str) -> str:
    found = apply_reply(
        reply, {"p.py": parent.encode()}, Editable(("p.py",)), whole=True
    )
    return found["p.py"].decode()


@given(
    programs(),
    programs(),
    st.tuples(
        st.sampled_from(FENCES),
        st.sampled_from(INFOS),
        st.sampled_from(("", "  ", "   ", "\t")),
    ),
    st.tuples(*map(st.sampled_from, (THOUGHTS, PROSE, AFTER, SIGNS))),
    st.tuples(st.booleans(), st.booleans()),
)
def test_a_program_is_the_same_in_every_wrapping(
    parent: str,
    program: str,
    fence: tuple[str, str, str],
    around: tuple[str, str, str, str],
    line_ends: tuple[bool, bool],
) -> None:
    assume(program != parent)
    marks, info, indent = fence
    thoughts, before, after, sign = around
    inside = [f"{marks}{info}", *program.removesuffix("\n").split("\n"), marks]
    block = "\n".join(f"{indent}{line}" if line else "" for line in inside)
    reply = f"{thoughts}{before}\n\n{block}\n{after}{sign}"
    reply = reply.replace("\n", "\r\n") if line_ends[0] else reply
    reply = "\ufeff" + reply if line_ends[1] else reply
    # strings of several lines are indented with the rest, and so are dedented with it
    assert rewritten(reply, parent) == program


@given(programs(), programs(), st.sampled_from(PROSE), st.sampled_from(AFTER[:2]))
def test_a_program_without_a_fence_is_the_same_or_refused(
    parent: str, program: str, before: str, after: str
) -> None:
    try:
        found = rewritten(f"{before}\n\n{program}{after}\n", parent)
    except Rejected as why:
        assert "```" in program, why.message
    else:
        kept = [line for line in found.split("\n") if not line.startswith("# ")]
        assert (
            "\n".join(kept).strip()
            == "\n".join(
                line for line in program.split("\n") if not line.startswith("# ")
            ).strip()
        )


FILE = """import math


class Line:
    slope = 1.0

    # the height of a line
    def height(self, x):
        if x > 2:
            return self.slope * x  # steep
        return x

    def width(self, x):
        if x > 2:
            return x

        return self.slope + x


def heights(n):
    shape = Line()
    text = "a # b"
    return [shape.height(float(i)) for i in range(n)], text
"""
LINES = FILE.splitlines()


def code(lines: list[str]) -> list[str]:
    return [bare for line in lines if (bare := without_comment(line, "#").strip())]


@given(
    st.integers(0, len(LINES) - 1),
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from(
                ("drop", "swap", "digit", "indent", "comment", "empty", "dots")
            ),
            st.integers(0, 9),
            st.integers(0, 30),
        ),
        max_size=3,
    ),
    st.sampled_from((FILE, FILE.replace("    ", "\t"))),
)
def test_a_damaged_search_is_refused_or_applied_at_its_own_place(
    first: int, size: int, damages: list[tuple[str, int, int]], file: str
) -> None:
    lines = LINES[first : first + size]
    for kind, row, column in damages:
        lines = damaged(lines, kind, row, column)
    reply = "\n".join(
        ["<<<<<<< SEARCH", *lines, "=======", "MARK = 1", ">>>>>>> REPLACE"]
    )
    try:
        found = apply_reply(
            reply, {"p.py": file.encode()}, Editable(("p.py",)), whole=False
        )
    except Rejected:
        return
    old, new = file.splitlines(), found["p.py"].decode().splitlines()
    at = next(k for k, line in enumerate(new) if line.strip() == "MARK = 1")
    gone = old[at : len(old) - (len(new) - at - 1)]
    assert new[:at] + gone + new[at + 1 :] == old, "the other lines stay"
    bare = [line.strip() for line in lines]
    if "..." in bare:
        kept = lines[: bare.index("...")]
        assert code(gone)[: len(code(kept))] == code(kept)
        return
    wanted = code(lines)
    assert code(gone) == wanted, "what is gone is what was searched for"
    every = code(old)
    if wanted and lines != LINES[first : first + size]:
        starts = range(len(every) - len(wanted) + 1)
        exact = "\n".join(map(str.rstrip, lines)).strip("\n") in file
        count = sum(every[k : k + len(wanted)] == wanted for k in starts)
        assert count == 1 or exact, "it is clear which place is meant"


def damaged(lines: list[str], kind: str, row: int, column: int) -> list[str]:
    """Return search lines as a model that copies badly writes them."""
    row %= len(lines)
    line = lines[row]
    if kind == "drop" and line:
        column %= len(line)
        new = [line[:column] + line[column + 1 :]]
    elif kind == "digit":
        new = [line.replace("1", "7")]
    elif kind == "indent":
        new = [" " * (column % 9) + line.lstrip()]
    elif kind == "comment":
        new = [f"{line}  # so"]
    elif kind == "empty":
        new = [line, ""]
    elif kind == "dots":
        new = [line, "..."]
    else:
        new = [line]
    before, after = lines[:row], lines[row + 1 :]
    return [*after, *new, *before] if kind == "swap" else [*before, *new, *after]


FRAGMENTS = (
    *("```python", "```", "~~~", "````", "   ```", "    ```py", "'''", '"""', "> ```"),
    *(
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "<<<<<<< HEAD",
        "SEARCH:",
        "REPLACE:",
    ),
    *(
        "<search>",
        "</search>",
        "<replace>",
        "</replace>",
        "...",
        "# ... rest unchanged ...",
    ),
    *(
        "# EVOLVE-BLOCK-START",
        "# EVOLVE-BLOCK-END",
        "<think>",
        "</think>",
        "<|im_end|>",
    ),
    *(
        "Before:",
        "After:",
        "@@ -1 +1 @@",
        "-    return x",
        "+    return y",
        "+++ b/p.py",
    ),
    *(
        "*** Begin Patch",
        "*** Update File: p.py",
        "*** Delete File: p.py",
        "DELETE p.py",
    ),
    *(
        "class Line:",
        "    slope = 1.0",
        "    def height(self, x):",
        "        return x",
        "",
    ),
    *(
        "def heights(n):",
        "    shape = Line()",
        "import math",
        "x = 1",
        "    ...",
        "\t...",
        "\\",
    ),
    *(
        "1: class Line:",
        "2:     slope = 2.0",
        "a &lt; b",
        "&lt;&lt;&lt;&lt;&lt; SEARCH",
    ),
    *(
        '{"code": "x = 1\\ny = 2"}',
        '{"search": "x = 1", "replace": "y"}',
        "{",
        "]",
        "\ufeff",
    ),
    *(
        "Some prose, it's here.",
        "1. An item:",
        "p.py",
        "\r",
        "\u2028",
        "@overload",
        "print(1)",
    ),
)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=14),
    st.booleans(),
    st.booleans(),
    st.sampled_from(("p.py", "p.c", "p.md")),
)
def test_no_mixture_of_forms_breaks_the_parser(
    lines: list[str], whole: bool, marked: bool, path: str
) -> None:
    file = f"# EVOLVE-BLOCK-START\n{FILE}# EVOLVE-BLOCK-END\n" if marked else FILE
    files = {path: file.encode(), "q.py": b"x = 1\n"}
    for editable in (Editable((path,)), Editable((path, "q.py")), Editable(("*.*",))):
        try:
            found = apply_reply("\n".join(lines), files, editable, whole=whole)
        except Rejected as why:
            assert why.message
        else:
            assert all(isinstance(content, bytes) for content in found.values())
