"""Which file an edit means, and the words of refusals: where changed code was found to go unseen."""

from __future__ import annotations

import pytest

from evolve.operators import Rejected
from evolve.operators.edits import apply_reply
from evolve.tasks import Editable

TWINS = {
    "a.py": b"one = 1\ntwo = 2\n",
    "b.py": b"one = 1\ntwo = 2\n",
    "data.txt": b"1\n",
}
CHANGED = b"one = 7\ntwo = 2\n"
BLOCK = "<<<<<<< SEARCH\none = 1\n=======\none = 7\n>>>>>>> REPLACE\n"
# small models forget the first mark
HALF = "one = 1\n=======\none = 7\n>>>>>>> REPLACE\n"
OPEN = "<<<<<<< SEARCH\none = 1\n=======\none = 7\n"  # and the last one, inside a fence


def applied(reply: str) -> dict[str, bytes]:
    return apply_reply(reply, TWINS, Editable(("a.py", "b.py")), whole=False)


def refused(reply: str, cut_off: bool = False) -> Rejected:
    with pytest.raises(Rejected) as caught:
        apply_reply(
            reply, TWINS, Editable(("a.py", "b.py")), whole=False, cut_off=cut_off
        )
    return caught.value


@pytest.mark.parametrize(
    "reply",
    [
        f"<<<<<<< SEARCH b.py\n{BLOCK[15:]}",
        f"b.py\n{BLOCK}",
        f"In `b.py`:\n{BLOCK}",
        f"```python:b.py\n{BLOCK}```\n",
        f"~~~python:b.py\n{BLOCK}~~~\n",
        f"```python\n# b.py\n{BLOCK}```\n",
        f"b.py\n```python\n{BLOCK}```\n",
        f"```python:b.py\n{HALF}```\n",
        f"```python:b.py\n{OPEN}```\nThat is all.\n",
    ],
)
def test_the_file_is_the_one_that_was_named(reply: str) -> None:
    assert applied(reply) == TWINS | {"b.py": CHANGED}


def test_each_block_may_name_its_own_file() -> None:
    assert applied(
        f"a.py\n```python\n{BLOCK}```\nb.py\n```python\n{BLOCK}```\n"
    ) == TWINS | {"a.py": CHANGED, "b.py": CHANGED}
    ended = f"```python:a.py\n{OPEN}```\n\nb.py\n```python\n{OPEN}```\n"
    assert applied(ended) == TWINS | {"a.py": CHANGED, "b.py": CHANGED}, (
        "a fence ends a block"
    )


def test_a_name_holds_for_blocks_that_follow_it_directly() -> None:
    again = BLOCK.replace("one", "two").replace("= 1", "= 2")
    assert (
        applied(f"```python:b.py\n{BLOCK}{again}```\n")["b.py"] == b"one = 7\ntwo = 7\n"
    )
    said = refused(f"b.py\n{BLOCK}And now something else.\n{again}")
    assert said.reason == "unparsable" and "fits 2 files" in str(said)


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (
            "DELETE: data.txt",
            "region",
            "data.txt can't be deleted; only files that match no pattern",
        ),
        # named itself, not by a pattern
        ("DELETE: a.py", "region", "a.py can't be deleted"),
        ("DELETE: c.py", "region", "c.py can't be deleted"),
        ("  \n", "empty", "the reply is empty"),
        ("<think>so</think>\n", "empty", "there are only thoughts"),
        ("a \ud800 b", "unparsable", "half of a character"),
        ("a \udfff b", "unparsable", "half of a character"),
        (
            ">>>>>>> REPLACE\n",
            "unparsable",
            "a >>>>>>> REPLACE without <<<<<<< SEARCH before it",
        ),
        (
            "<<<<<<< SEARCH\none = 1\n",
            "unparsable",
            "the last block has no =======: the reply was cut off",
        ),
        (
            OPEN,
            "unparsable",
            "the last block has no >>>>>>> REPLACE: the reply was cut off",
        ),
    ],
)
def test_refusals_say_what_was_wrong(reply: str, reason: str, words: str) -> None:
    said = refused(reply)
    assert said.reason == reason and words in str(said), str(said)


def test_files_that_fit_a_pattern_come_and_go_and_no_others() -> None:
    editable = Editable(("a.py", "lib/*.py", "*.md"))
    files = {"a.py": b"", "lib/x.py": b"", "data.txt": b"1\n"}
    assert set(apply_reply("DELETE lib/x.py", files, editable, whole=False)) == {
        "a.py",
        "data.txt",
    }
    with pytest.raises(Rejected, match=r"only files that match lib/\*\.py, \*\.md can"):
        apply_reply("DELETE data.txt", files, editable, whole=False)
