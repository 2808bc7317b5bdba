"""Small random edits of a file in any language, by its tokens.

A lexer knows the kind of a token and not its meaning, so some edits do not compile. Edits
replace a token by another one of its kind.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from evolve.operators.mutations import NothingToChange, pick, step_number
from evolve.tasks import editable_region

_ALIKE = (
    ("+", "-", "*", "/"),
    ("<", "<=", ">", ">="),
    ("==", "!="),
    ("&&", "||"),
    ("+=", "-=", "*="),
    ("&", "|", "^"),
    ("<<", ">>"),
    ("++", "--"),
)
# signs that look like operators, and have no other of their kind
_ALONE = ("->", "=>", "::", "<-", "<<=", ">>=", "**", "//", "..", "=")
_SIGNS = sorted(
    (sign for group in (*_ALIKE, _ALONE) for sign in group), key=len, reverse=True
)
_FIRST = {sign[:size] for sign in _SIGNS for size in range(1, len(sign) + 1)}
_WORDS = (
    ("min", "max"),
    ("fmin", "fmax"),
    ("true", "false"),
    ("TRUE", "FALSE"),
    ("sin", "cos"),
    ("floor", "ceil", "round"),
    ("sqrt", "exp", "log", "abs", "fabs"),
    ("break", "continue"),
)
_DEFINES = (
    *("#", "import", "use", "using", "package", "return", "func", "fn", "def", "class"),
    *("struct", "public", "private", "static", "let", "var", "const", "int", "double"),
    *("float", "long", "auto", "char", "bool", "function", "library", "}", "{"),
)


class Token(NamedTuple):
    """A token of a file.

    Attributes:
        start: place of its first character
        kind: "number", "operator", "name", or another one
        text: its characters
    """

    start: int
    kind: str
    text: str


class Change(NamedTuple):
    """A replacement of the characters from `start` to `end`."""

    start: int
    end: int
    text: str
    note: str


@lru_cache(8)
def tokens_of(path: str, text: str) -> tuple[Token, ...]:
    """Split a text into tokens.

    Args:
        path: its suffix selects the language
        text: content of the file

    Returns:
        Numbers, operators and names; comments and strings are left out.
    """
    from pygments.lexers import get_lexer_for_filename
    from pygments.lexers.c_cpp import CLexer
    from pygments.util import ClassNotFound

    try:
        lexer: Any = get_lexer_for_filename(path)
    except ClassNotFound:
        lexer = CLexer()
    found, end = [], 0
    for start, token, value in lexer.get_tokens_unprocessed(text):
        kind = _kind_of(str(token), value)
        if kind == "operator":  # some lexers give each character alone
            value = next((s for s in _SIGNS if text.startswith(s, start)), value)
            kind = "" if value in _ALONE else kind
        if kind and start >= end:
            found.append(Token(start, kind, value))
        end = max(end, start + len(value))
    return tuple(found)


def _kind_of(token: str, value: str) -> str:
    """Return the kind of a lexer's token; empty for tokens that never change."""
    if token.startswith("Token.Literal.Number"):
        return "number"
    if token.startswith(("Token.Operator", "Token.Punctuation")) and value in _FIRST:
        return "operator"
    if token.startswith(("Token.Name", "Token.Keyword")):
        plain = token.startswith("Token.Name") and value.isidentifier()
        return "name" if plain else "word"
    return ""


class File:
    """A file with the tokens and lines that may change.

    Args:
        path: its suffix selects the language
        text: its content
    """

    def __init__(self, path: str, text: str) -> None:
        region = editable_region(text)
        starts = [0, *np.cumsum([len(line) for line in region.lines]).tolist()]
        self.text = text
        blocks = [(starts[first], starts[last]) for first, last in region.blocks]
        self.tokens = [
            token
            for token in tokens_of(path, text)
            if any(first <= token.start < last for first, last in blocks)
        ]
        self.lines = [
            (start, start + len(line))
            for start, line in zip(starts, region.lines, strict=False)
            if any(first <= start < last for first, last in blocks)
        ]

    def of(self, kind: str) -> list[Token]:
        """Return the tokens of a kind."""
        return [token for token in self.tokens if token.kind == kind]


def change_number(file: File, rng: Generator) -> Change:
    """Change a number by a random step; its suffix stays."""
    token = pick([t for t in file.of("number") if _value(t.text) is not None], rng)
    value = _value(token.text)
    assert value is not None
    suffix = token.text[len(token.text.rstrip("fFlLuU")) :]
    new = repr(step_number(value, rng))
    return _put(token, new + suffix)


def _value(text: str) -> float | int | None:
    plain = text.rstrip("fFlLuU").replace("_", "")
    try:
        return int(plain) if plain.isdigit() else float(plain)
    except ValueError:  # hexadecimal, or a suffix of another language
        return None


def change_operator(file: File, rng: Generator) -> Change:
    """Replace an operator by another one of its group."""
    known = [t for t in file.of("operator") if any(t.text in g for g in _ALIKE)]
    token = pick(known, rng)
    group = next(group for group in _ALIKE if token.text in group)
    return _put(token, pick([other for other in group if other != token.text], rng))


def change_word(file: File, rng: Generator) -> Change:
    """Replace a word by a related one, such as `min` by `max`."""
    found = [
        (token, group)
        for token in file.tokens
        for group in _WORDS
        if token.text in group
    ]
    token, group = pick(found, rng)
    return _put(token, pick([other for other in group if other != token.text], rng))


def change_name(file: File, rng: Generator) -> Change:
    """Replace a name by another name of the region."""
    names = file.of("name")
    token = pick(names, rng)
    others = sorted({name.text for name in names} - {token.text})
    return _put(token, pick(others, rng))


def _put(token: Token, new: str) -> Change:
    end = token.start + len(token.text)
    return Change(token.start, end, new, f"{token.text} -> {new}")


def _statements(file: File) -> list[tuple[int, int]]:
    """Return the lines that look like one whole statement."""
    found = []
    for start, end in file.lines:
        line = file.text[start:end].strip()
        if not line or line.startswith(_DEFINES) or "{" in line or "}" in line:
            continue
        if line.count("(") == line.count(")") and ("=" in line or line.endswith(";")):
            found.append((start, end))
    return found


def delete_statement(file: File, rng: Generator) -> Change:
    """Delete a line with a statement."""
    start, end = pick(_statements(file), rng)
    return Change(start, end, "", f"deleted {file.text[start:end].strip()[:40]}")


def repeat_statement(file: File, rng: Generator) -> Change:
    """Write a line with a statement twice."""
    start, end = pick(_statements(file), rng)
    line = file.text[start:end]
    return Change(end, end, line, f"repeated {line.strip()[:40]}")


def swap_statements(file: File, rng: Generator) -> Change:
    """Swap two statements in lines that follow each other."""
    near = [(a, b) for a, b in pairwise(_statements(file)) if a[1] == b[0]]
    (start, middle), (_, end) = pick(near, rng)
    first, second = file.text[start:middle], file.text[middle:end]
    return Change(start, end, second + first, f"swapped {first.strip()[:40]}")


_CHANGES: Sequence[tuple[Callable[[File, Generator], Change], float]] = (
    (change_number, 0.4),
    (change_operator, 0.28),
    (change_word, 0.06),
    (change_name, 0.1),
    (delete_statement, 0.06),
    (repeat_statement, 0.04),
    (swap_statements, 0.06),
)


def mutate_tokens(path: str, text: str, rng: Generator) -> tuple[str, str] | None:
    """Apply one random edit.

    Args:
        path: the file; its suffix selects the language
        text: its content
        rng: generator

    Returns:
        The new text and a note; None if the edit does not apply.
    """
    weights = np.array([weight for _, weight in _CHANGES])
    change = _CHANGES[int(rng.choice(len(_CHANGES), p=weights / weights.sum()))][0]
    try:
        found = change(File(path, text), rng)
    except NothingToChange:
        return None
    return text[: found.start] + found.text + text[found.end :], found.note
