"""Replies of the scripted model: a small random change, in the requested form."""

import difflib
import re
from typing import NamedTuple

from numpy.random import Generator

from evolve.operators.edits import DIVIDER, REPLACE, SEARCH, fenced_blocks
from evolve.operators.lexical import mutate_tokens
from evolve.operators.syntactic import mutate_python

_TRIES = 30
_PAIR = re.compile(r"\b([A-Za-z]{1,40})( )([A-Za-z]{1,40})\b")
_CURRENT = re.compile(r"^# Current program$", re.MULTILINE)


class Written(NamedTuple):
    """A reply with its finish reason."""

    text: str
    finish_reason: str


def answer(messages: list[dict[str, str]], rng: Generator) -> str:
    """Write a reply in the form that the prompt asks for.

    Args:
        messages: the chat
        rng: generator

    Returns:
        The reply; a single word for a prompt without a program.
    """
    prompt = next(m["content"] for m in messages if m["role"] == "user")
    found = _CURRENT.search(prompt)
    blocks = fenced_blocks(prompt[found.end() :]) if found else []
    if not blocks:
        judges = "DIFFERENT or SAME" in prompt
        return ("DIFFERENT", "SAME")[int(rng.integers(2))] if judges else "Hello."
    text, note = _changed(blocks[0].text, blocks[0].before, rng)
    if SEARCH in prompt:
        return f"I try this: {note}.\n\n{as_search_replace(blocks[0].text, text)}"
    return f"I try this: {note}.\n\n```\n{text}```\n"


def _changed(text: str, path: str, rng: Generator) -> tuple[str, str]:
    name = path.strip()
    for _ in range(_TRIES):
        changed = (
            mutate_python(text, rng)
            if name.endswith(".py")
            else mutate_tokens(name, text, rng)
        )
        if changed is not None and changed[0] != text:
            return changed
    return _other_words(text, rng)


def _other_words(text: str, rng: Generator) -> tuple[str, str]:
    """Swap two neighbouring words of a text, or add one to a text without two."""
    pairs = list(_PAIR.finditer(text))
    if not pairs:
        return f"{text.rstrip()} Again.\n", "add a word"
    found = pairs[int(rng.integers(len(pairs)))]
    swapped = f"{found[3]}{found[2]}{found[1]}"
    if swapped == found[0]:
        return f"{text.rstrip()} {found[1]}.\n", "repeat a word"
    new = text[: found.start()] + swapped + text[found.end() :]
    return new, f"swap {found[1]} and {found[3]}"


def as_search_replace(before: str, after: str) -> str:
    """Return one block that turns a text into another.

    Args:
        before: old text
        after: new text, different from the old one

    Returns:
        The block, with enough context lines to be unique.
    """
    old, new = before.splitlines(), after.splitlines()
    changes = [
        code
        for code in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes()
        if code[0] != "equal"
    ]
    first, last = changes[0][1], changes[-1][2]
    tail = len(old) - last
    while first > 0 or last < len(old):
        wanted = old[first:last]
        count = sum(old[k : k + len(wanted)] == wanted for k in range(len(old)))
        if any(line.strip() for line in wanted) and count == 1:
            break
        first, last = max(0, first - 1), min(len(old), last + 1)
        tail = len(old) - last
    lines = [SEARCH, *old[first:last], DIVIDER, *new[first : len(new) - tail], REPLACE]
    return "\n".join(lines) + "\n"


def bad_reply(rng: Generator) -> Written:
    """Return a typical unusable reply.

    Args:
        rng: generator

    Returns:
        An empty, truncated or unparsable reply, or one without code.
    """
    return (
        Written("", "stop"),
        Written("I would first look at the\n```python\ndef half_a", "length"),
        Written("The program is fine as it is.", "stop"),
        Written(
            f"{SEARCH}\nno such line anywhere\n{DIVIDER}\nx = 1\n{REPLACE}\n", "stop"
        ),
        Written(
            "```python\n# EVOLVE-BLOCK-START\ndef f(:\n# EVOLVE-BLOCK-END\n```\n",
            "stop",
        ),
    )[int(rng.integers(5))]
