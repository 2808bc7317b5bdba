"""From replies to files: what is applied, and what is refused with a word that helps."""

from __future__ import annotations

import difflib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.operators import Rejected
from evolve.operators.edits import apply_reply, fenced_blocks
from evolve.scripted import as_search_replace
from evolve.tasks import Editable

SEED = """import math

# EVOLVE-BLOCK-START
def f(x):
    return x + 1
def g(x):
    return x + 1
# EVOLVE-BLOCK-END

def main():
    return f(2)
"""
FILES = {"p.py": SEED.encode(), "data.txt": b"1\n"}


def diff(*pairs: tuple[str, str]) -> str:
    return "\n".join(
        f"<<<<<<< SEARCH\n{a}\n=======\n{b}\n>>>>>>> REPLACE" for a, b in pairs
    )


def apply_changes(
    reply: str, files: dict[str, bytes], editable: list[str]
) -> dict[str, bytes]:
    return apply_reply(reply, files, Editable(tuple(editable)), whole=False)


def rewrite(
    reply: str, files: dict[str, bytes], editable: list[str]
) -> dict[str, bytes]:
    return apply_reply(reply, files, Editable(tuple(editable)), whole=True)


def applied(reply: str) -> str:
    return apply_changes(reply, FILES, ["p.py"])["p.py"].decode()


def refused(reply: str, how: str = "diff") -> Rejected:
    with pytest.raises(Rejected) as error:
        if how == "diff":
            apply_changes(reply, FILES, ["p.py"])
        else:
            rewrite(reply, FILES, ["p.py"])
    return error.value


def test_a_block_replaces_whole_lines_once() -> None:
    new = applied(
        "Sure!\n" + diff(("def f(x):\n    return x + 1", "def f(x):\n    return x * 2"))
    )
    assert new == SEED.replace(
        "def f(x):\n    return x + 1", "def f(x):\n    return x * 2"
    )


def test_several_blocks_apply_in_order() -> None:
    new = applied(diff(("def f(x):", "def f(y):"), ("def f(y):", "def f(z):")))
    assert "def f(z):" in new


def test_deleting_lines() -> None:
    assert "def g" not in applied("<<<<<<< SEARCH\ndef g(x):\n=======\n>>>>>>> REPLACE")


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        ("no block here", "unparsable", ("<<<<<<< SEARCH",)),
        (diff(("    return x + 1", "    return 0")), "unparsable", ("match 2 places",)),
        (
            diff(("def ff(x):", "")),
            "unparsable",
            ("match 0 places", "closest", "line 4: def f(x):"),
        ),
        (diff(("x + 1", "x - 1")), "unparsable", ("match 0 places",)),  # inside a line
        (diff(("", "x = 1")), "unparsable", ("SEARCH is empty",)),
        (diff(("def main():", "def main(a):")), "region", ("editable",)),
        (diff(("import math", "import os")), "region", ("editable",)),
        (diff(("# EVOLVE-BLOCK-END", "")), "region", ("editable",)),
        ("<<<<<<< SEARCH\ndef f(x):\n=======\ndef", "unparsable", ("cut off",)),
        ("<<<<<<< SEARCH\ndef f(x):\n", "unparsable", ("cut off",)),
        ("<<<<<<< SEARCH\n<<<<<<< SEARCH\n", "unparsable", ("second",)),
    ],
)
def test_refused_diffs(reply: str, reason: str, words: tuple[str, ...]) -> None:
    error = refused(reply)
    assert error.reason == reason
    for word in words:
        assert word in error.message


def test_a_rewrite_with_markers_keeps_what_is_fixed() -> None:
    text = SEED.replace("x + 1", "x - 1").replace("import math", "import os")
    new = rewrite(f"Why not.\n```python\n{text}```\n", FILES, ["p.py"])["p.py"].decode()
    assert new == SEED.replace("x + 1", "x - 1").replace(
        "START\n", "START\nimport os\n"
    ), "what is fixed stays, and what the new code may need is imported"


def test_a_rewrite_of_the_block_alone() -> None:
    new = rewrite("```\ndef f(x):\n    return 5\n```", FILES, ["p.py"])["p.py"].decode()
    assert "return 5" in new and new.startswith("import math") and "def g" not in new


def test_the_longest_block_is_the_program() -> None:
    reply = "Use:\n```sh\npip\n```\nthen\n```python\ndef f(x):\n    return 7\n```"
    assert b"return 7" in rewrite(reply, FILES, ["p.py"])["p.py"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("nothing", ("no fenced",)),
        ("```python\ndef f(x):", ("no fenced",)),  # cut off
        ("```python\n# EVOLVE-BLOCK-START\nx = 1\n```", ("EVOLVE-BLOCK-END",)),
        (
            "```\n# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n```",
            ("1 editable blocks, the reply 2",),
        ),
    ],
)
def test_refused_rewrites(reply: str, words: tuple[str, ...]) -> None:
    error = refused(reply, "rewrite")
    assert error.reason == "unparsable"
    for word in words:
        assert word in error.message


def test_several_files_need_their_paths() -> None:
    files = {"a.py": b"x = 1\n", "b.py": b"y = 1\n"}
    new = rewrite("b.py\n```\ny = 2\n```", files, ["a.py", "b.py"])
    assert new == {"a.py": b"x = 1\n", "b.py": b"y = 2\n"}
    with pytest.raises(Rejected) as error:
        rewrite("```\ny = 2\n```", files, ["a.py", "b.py"])
    assert "a.py, b.py" in error.value.message
    assert (
        apply_changes(diff(("y = 1", "y = 3")), files, ["a.py", "b.py"])["b.py"]
        == b"y = 3\n"
    )


def test_nested_fences() -> None:
    assert fenced_blocks("````\n```\ninner\n```\n````\n")[0].text == "```\ninner\n```\n"


lines = st.lists(
    st.sampled_from(["a", "b", "    c", "", "d = 1", "    c"]), min_size=1, max_size=12
)


@given(lines, lines)
def test_a_written_diff_gives_what_it_was_made_from(
    before: list[str], after: list[str]
) -> None:
    old, new = (
        "".join(f"{line}\n" for line in before),
        "".join(f"{line}\n" for line in after),
    )
    if old == new or not old.strip():
        return
    reply = as_search_replace(old, new)
    assert apply_changes(reply, {"f": old.encode()}, ["f"])["f"].decode() == new


@given(lines, lines)
def test_a_unified_diff_gives_what_it_was_made_from_or_is_refused(
    before: list[str], after: list[str]
) -> None:
    old, new = ([f"{line}\n" for line in side] for side in (before, after))
    reply = (
        "```diff\n" + "".join(difflib.unified_diff(old, new, "a/f", "b/f")) + "```\n"
    )
    try:
        given_back = apply_changes(reply, {"f": "".join(old).encode()}, ["f"])[
            "f"
        ].decode()
    except Rejected as why:
        assert why.reason == "unparsable"
    else:
        assert given_back == "".join(new)


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=30, unique=True).flatmap(
        lambda found: st.tuples(st.just(found), st.integers(0, len(found) - 1))
    ),
    st.sampled_from(["", " ", "    ", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_indentation_and_line_ends_follow_the_file(
    found: tuple[list[int], int], shift: str, end: str, ended: bool
) -> None:
    numbers, at = found
    text = end.join(f"    x{n} = {n}" for n in numbers) + (end if ended else "")
    reply = diff(
        (f"{shift}x{numbers[at]} = {numbers[at]}", f"{shift}y = 1\n{shift}z = 2")
    )
    given_back = apply_changes(reply, {"f": text.encode()}, ["f"])["f"].decode()
    new = text.replace(
        f"    x{numbers[at]} = {numbers[at]}", f"    y = 1{end}    z = 2"
    )
    assert given_back == new


def test_half_a_character_is_no_crash() -> None:
    assert (
        "half of a character"
        in refused(diff(("def f(x):", "def f(x):  # \ud800"))).message
    )


@given(st.text(max_size=400))
def test_no_reply_breaks_the_parser(reply: str) -> None:
    for parse in (apply_changes, rewrite):
        try:
            new = parse(reply, FILES, ["p.py"])
        except Rejected as error:
            assert error.message
        else:
            assert new.keys() == FILES.keys()


def test_garbage_between_markers_never_applies_silently() -> None:
    rng = np.random.default_rng(5)
    pieces = [
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "def f(x):",
        "    return x + 1",
        "x",
    ]
    for _ in range(300):
        reply = "\n".join(str(rng.choice(pieces)) for _ in range(8))
        try:
            new = applied(reply)
        except Rejected:
            continue
        assert new.count("# EVOLVE-BLOCK") == 2 and new.endswith(
            "def main():\n    return f(2)\n"
        )
